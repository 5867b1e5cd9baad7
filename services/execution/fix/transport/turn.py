"""What one turn of a link holds: the requests that it takes, its transaction, and what comes out of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.execution.fix.protocol.actions import Action, Close, Received, Resend
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.store import Entry, Journaled, Numbers, SessionStore, Unit
from services.execution.fix.transport.application import Notice


@dataclass(frozen=True, slots=True)
class Together:
    """What is written with messages, in a way that also writes what several callers have at once.

    Attributes:
        write: Writes the `what` of one caller, or of several, one after the other.
        what: What this caller has.
    """

    write: Callable[[Unit, Sequence[Any]], Awaitable[None]]
    what: Sequence[Any]


Within = Callable[[Unit], Awaitable[None]] | Together


@dataclass(slots=True)
class Request:
    """What a caller wants done in a turn.

    Attributes:
        act: Does it, and returns what comes of it.
        within: Writes what belongs to it.
        done: Its answer.
        messages: What is to be sent, where that is all of it.
    """

    act: Callable[[datetime], list[Action]]
    within: Within | None
    done: "asyncio.Future[Sequence[Entry]]"
    messages: Sequence[Outgoing] = ()

    async def write(self, unit: Unit) -> None:
        """Write what belongs to it."""
        if isinstance(self.within, Together):
            await self.within.write(unit, self.within.what)
        elif self.within is not None:
            await self.within(unit)

    def fail(self, why: Exception) -> None:
        """Answer with an error, if it is not answered."""
        if not self.done.done():
            self.done.set_exception(why)


class Transaction:
    """A turn's transaction: begun when somebody needs it."""

    def __init__(self, store: SessionStore) -> None:
        """Begin nothing yet."""
        self._store = store
        self._context: AbstractAsyncContextManager[Unit] | None = None
        self._unit: Unit | None = None

    @property
    def begun(self) -> bool:
        """Return whether anything may be written already."""
        return self._unit is not None

    async def unit(self) -> Unit:
        """Return it; begins it the first time."""
        if self._unit is None:
            context = self._store.begin()
            self._unit = await context.__aenter__()
            self._context = context
        return self._unit

    async def end(self, error: BaseException | None = None) -> None:
        """Commit, or undo what `error` interrupted."""
        context, self._context, self._unit = self._context, None, None
        if context is None:
            return
        if error is None:
            await context.__aexit__(None, None, None)
            return
        # It raises the same error again, which its caller already has.
        with suppress(type(error)):
            await context.__aexit__(type(error), error, error.__traceback__)


@dataclass(slots=True)
class Turn:
    """What one transaction holds."""

    was: Numbers
    sent: list[Journaled] = field(default_factory=list)
    received: list[Journaled] = field(default_factory=list)
    to_apply: list[Received] = field(default_factory=list)
    out: list[bytes] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    settled: list[tuple[Request, Sequence[Entry]]] = field(default_factory=list)
    resend: Resend | None = None
    close: Close | None = None


def what_of(request: Request) -> Sequence[Any]:
    """Return what a request has written together with others'."""
    return request.within.what if isinstance(request.within, Together) else ()


def grouped(requests: Iterable[Request]) -> list[list[Request]]:
    """Return requests in their order, those side by side together whose writes are."""
    groups: list[list[Request]] = []
    for each in requests:
        before = groups[-1][-1].within if groups else None
        if isinstance(before, Together) and isinstance(each.within, Together) and before.write == each.within.write:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups
