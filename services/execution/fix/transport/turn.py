"""What one turn of a link holds: the requests that it takes, its transaction, what comes out of it, and its words."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from services.execution.fix.protocol.actions import Action, Close, Received, Resend, Send, Transmit
from services.execution.fix.protocol.codec import Unencodable
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.state import NotLoggedOn
from services.execution.fix.protocol.store import Direction, Entry, Journaled, Numbers, SessionStore, Unit
from services.execution.fix.transport.application import Notice
from services.execution.fix.transport.wire import Wire, WireClosed


class OutcomeUnknown(Exception):
    """The connection or the transaction failed while a message was on its way: it may arrive, or not."""


@dataclass(slots=True)
class Traffic:
    """Counts of one connection; `turns`: those that wrote something."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    turns: int = 0
    garbled: int = 0
    resent: int = 0


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

    async def acted(self, transaction: "Transaction", now: datetime) -> list[Action]:
        """Write what belongs to it, and do it; if either fails, nothing of it happened."""
        if self.within is None:
            return self.act(now)
        return await transaction.written(self._write, lambda: self.act(now))

    async def _write(self, unit: Unit) -> None:
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

    async def unit(self) -> Unit:
        """Return it; begins it the first time."""
        if self._unit is None:
            context = self._store.begin()
            self._unit = await context.__aenter__()
            self._context = context
        return self._unit

    async def written(self, write: Callable[[Unit], Awaitable[None]], act: Callable[[], list[Action]]) -> list[Action]:
        """Write, then act; if either fails, nothing of it happened, and what was written before stays."""
        if self._unit is not None:
            async with self._unit.savepoint():
                await write(self._unit)
                return act()
        try:
            await write(await self.unit())
            return act()
        except Exception as error:
            await self.end(error)
            raise

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
    """What one transaction holds.

    Attributes:
        was: Where the session stood on disk before; of what the turn does not move, this is not known.
        becomes: Where it stands after.
        speaks: It has numbers for what it says, or will have: nobody else speaks.
    """

    was: Numbers
    becomes: Numbers
    speaks: bool = False
    sent: list[Journaled] = field(default_factory=list)
    received: list[Journaled] = field(default_factory=list)
    to_apply: list[Received] = field(default_factory=list)
    out: list[bytes] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    settled: list[tuple[Request, Sequence[Entry]]] = field(default_factory=list)
    resend: Resend | None = None
    close: Close | None = None

    def carry(self, actions: Sequence[Action]) -> list[Entry]:
        """Take up what is to be done, and return what of it is sent."""
        entries: list[Entry] = []
        for action in actions:
            if isinstance(action, Send):
                self.sent.append(Journaled(action.generation, Direction.OUT, action.entry))
                self.out.append(action.entry.data)
                entries.append(action.entry)
            elif isinstance(action, Received):
                self.received.append(Journaled(action.generation, Direction.IN, action.entry))
                if action.deliver:
                    self.to_apply.append(action)
            elif isinstance(action, Transmit):
                self.out.append(action.data)
            elif isinstance(action, Resend):
                self.resend = action
            else:
                self.notices.append(action)
                if isinstance(action, Close):
                    self.close = action
        return entries

    async def do(self, request: Request, transaction: "Transaction", now: datetime) -> None:
        """Do what a caller wants. What is refused, or fails in the caller's own writing, fails for that caller alone.

        Raises:
            Exception: What the caller wants failed, and there was no writing of the caller's.
        """
        try:
            actions = await request.acted(transaction, now)
        except (NotLoggedOn, Unencodable) as refused:
            request.fail(refused)
        except Exception as failed:
            if request.within is None:
                raise
            request.fail(failed)
        else:
            self.settle([request], actions)

    def settle(self, requests: Sequence[Request], actions: Sequence[Action]) -> None:
        """Take up what came of requests that were done together; they are answered when it is on disk and said."""
        entries = self.carry(actions)
        if len(requests) == 1:
            self.settled.append((requests[0], entries))
            return
        at = 0
        for request in requests:
            self.settled.append((request, entries[at : at + len(request.messages)]))
            at += len(request.messages)


class Speech:
    """Who may speak: one turn at a time, from its first number until its bytes are with the socket.

    So what is said leaves in the order of its numbers, though two turns may be under way at once.
    """

    def __init__(self, wire: Wire, traffic: Traffic, write_s: float) -> None:
        """Speak into `wire`.

        Args:
            wire: Takes the bytes.
            traffic: Counts them.
            write_s: How long the other side may read nothing.
        """
        self._wire = wire
        self._traffic = traffic
        self._write_s = write_s
        self._taken = asyncio.Lock()
        # Cleared while a turn that may speak has not given its numbers yet: until then nobody else may give any.
        self._numbered = asyncio.Event()
        self._numbered.set()

    @property
    def taken(self) -> bool:
        """Return whether somebody speaks, so that `begin` would wait."""
        return self._taken.locked()

    @property
    def all_numbered(self) -> bool:
        """Return whether nobody is about to give numbers, so that `numbered` would not wait."""
        return self._numbered.is_set()

    async def numbered(self) -> None:
        """Wait until whoever is about to give numbers has given them."""
        await self._numbered.wait()

    async def begin(self, turn: Turn, numbers: Callable[[], Numbers], first: int | None = None) -> None:
        """Wait until `turn` may speak.

        Args:
            turn: Whose words follow, until `end`.
            numbers: Tells where the session stands.
            first: The first number that the turn gave already; it gave none when absent.
        """
        if not turn.speaks:
            await self._taken.acquire()
            turn.speaks = True
            turn.was = replace(turn.was, next_out=numbers().next_out if first is None else first)

    async def begin_numbering(self, turn: Turn, numbers: Callable[[], Numbers]) -> None:
        """Wait until `turn` may speak, and give no other turn a number until `end_numbering`."""
        await self.begin(turn, numbers)
        self._numbered.clear()

    def end_numbering(self) -> None:
        """Say that all numbers are given."""
        self._numbered.set()

    async def say(self, turn: Turn) -> None:
        """Write what a turn says to the socket, once it is on disk, and answer its requests.

        Raises:
            WireClosed: The connection is gone, or its other side does not read.
        """
        if turn.sent or turn.received:
            self._traffic.turns += 1
        if turn.out:
            data = b"".join(turn.out)
            self._traffic.messages_out += len(turn.out)
            self._traffic.bytes_out += len(data)
            if self._wire.closed:
                raise WireClosed("the connection is gone")
            self._wire.write(data)
        for request, entries in turn.settled:
            if not request.done.done():
                request.done.set_result(entries)
        if turn.out:
            await self._wire.flush(self._write_s)

    def end(self, turn: Turn) -> None:
        """Let others speak, if `turn` spoke."""
        if turn.speaks:
            turn.speaks = False
            self._taken.release()

    def hang_up(self) -> None:
        """End the connection: what was about to be said is not on disk."""
        self._wire.abort()


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
