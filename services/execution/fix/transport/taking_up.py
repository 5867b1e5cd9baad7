"""Takes a session up where the store has it, for one connection."""

from datetime import datetime

from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.store import SessionStore


async def taken_up(config: SessionConfig, store: SessionStore, now: datetime) -> Session:
    """Return a session as of `now`. When its numbers begin anew with a period, that is on disk, too.

    Raises:
        NumbersMoved: Another process took it up at the same time.
    """
    numbers = await store.load(config.session_id, now)
    session = Session(config, numbers, now)
    if session.numbers != numbers:
        async with store.begin() as unit:
            await unit.advance(config.session_id, numbers, session.numbers)
    return session
