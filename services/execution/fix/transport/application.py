"""What an application does with a session, as a port of the transport."""

from collections.abc import Sequence
from typing import Protocol

from services.execution.fix.protocol.actions import (
    BegunAnew,
    Close,
    GapFilled,
    GapFound,
    LoggedOn,
    LoggedOut,
    Received,
    Refused,
)
from services.execution.fix.protocol.framer import Garbled
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.store import SessionId, Unit

Notice = LoggedOn | LoggedOut | GapFilled | GapFound | Refused | BegunAnew | Garbled | Close


class Application(Protocol):
    """Takes what a counterparty says."""

    @property
    def answers(self) -> bool:
        """Return whether it mostly answers; then nothing else is sent while it applies what came."""
        ...

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:
        """Apply messages in their order, within the transaction that advances the session, and return the answers.

        Rejects (3) come, too. The answers are journaled in the same transaction, and sent after its commit. An error
        undoes the transaction and closes the connection: the messages are asked for again after the next Logon. So
        raise only for what passes by itself, a database that is away for instance; a message that cannot be applied
        is answered, or it would come again for ever.
        """
        ...

    async def notice(self, session: SessionId, what: Notice) -> None:
        """Take note of what happened to the session, after it was committed; may be lost if the process dies."""
        ...
