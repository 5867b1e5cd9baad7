"""A session that brings copies of what a broker reports."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.execution.fix.protocol.actions import Received
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.store import SessionId, Unit
from services.execution.fix.transport.application import Notice
from services.execution.venues.fix44.venue import Fix44Venue

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DropCopies:
    """The application of a session that brings copies of a venue's reports."""

    venue: Fix44Venue

    @property
    def answers(self) -> bool:
        """See `Application`."""
        return False

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:
        """Apply the copies: what the order session has brought, or brings later, counts once."""
        return await self.venue.apply_said(unit, session, messages, copies=True)

    async def notice(self, session: SessionId, what: Notice) -> None:
        """Log it."""
        log.info("drop copy session notice", session=str(session), what=type(what).__name__)
