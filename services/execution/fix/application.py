"""What a FIX session and the application above it say to each other: the two ports between them.

The session owns numbers, journal and socket; the application owns orders. They meet in one transaction (a `Unit`):

- outbound, `Session.send(messages, also)`: messages get their numbers, the journal and `also` are written in one unit,
  and only after its commit do bytes go to the socket;
- inbound, `Application.received(unit, messages)`: what one read of the socket brought, already in sequence and valid,
  is applied in the unit that advances the session; `committed` is told after the commit, and then its answers leave.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from services.execution.fix.protocol.message import Message, Outgoing
from services.execution.fix.protocol.store import SessionId, Unit

# Writes what belongs to outgoing messages in their transaction; gets their numbers, in the order of the messages.
Also = Callable[[Unit, Sequence[int]], Awaitable[None]]


class NotLoggedOn(Exception):  # noqa: N818, RUF100 - errors are facts
    """The session is not logged on: nothing was written, nothing will be sent."""


class Session(Protocol):
    """A session as an application uses it."""

    @property
    def session_id(self) -> SessionId:
        """Return which session it is."""
        ...

    @property
    def logged_on(self) -> bool:
        """Return whether messages can be sent now."""
        ...

    async def send(self, messages: Sequence[Outgoing], also: Also | None = None) -> Sequence[int]:
        """Send application messages in this order, and return their numbers.

        Journal, numbers and `also` are one transaction; when it returns, they are on disk and with the socket. Many
        callers at once share a transaction.

        Raises:
            NotLoggedOn: Nothing was written, nothing will be sent.
        """
        ...


class Application(Protocol):
    """What a session tells the application above it."""

    async def received(self, unit: Unit, messages: Sequence[Message]) -> Sequence[Outgoing]:
        """Apply application messages within `unit`, and return what to answer in the same transaction.

        A session reject (3) of what we sent comes here as well. PossDup copies of what was applied do not.
        """
        ...

    def committed(self) -> None:
        """Hear that the unit of the last `received` is on disk."""
        ...

    async def logged_on(self, session: Session) -> None:
        """Hear that the session is logged on, and gaps are filled or being filled; messages can be sent."""
        ...

    async def logged_out(self) -> None:
        """Hear that the connection is gone."""
        ...

    def may_resend(self, msg_type: str) -> bool:
        """Return whether an application message of this type may be sent again when asked for; else it is gap-filled.

        An order must not be: whoever asks for it later than it was meant has no use for it, and asks by its name.
        """
        ...
