"""Who keeps FIX sessions up, when what lets it is lost."""

import asyncio

import asyncpg
import pytest

from services.execution.venues.fix44 import workers
from services.execution.venues.fix44.workers import held
from services.runtime.database import Database

TAKE_LOCKS_AWAY = """
    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def hold_until_lost(database, administrator):
    async with held(database, "a port", asyncio.Event()) as lost:
        await administrator.execute(TAKE_LOCKS_AWAY)
        await asyncio.wait_for(lost.wait(), 30)


async def test_who_loses_its_lock_fails_and_so_is_started_again(execution_database, monkeypatch):
    monkeypatch.setattr(workers, "LEAD_AGAIN_S", 0.02)
    database = Database(execution_database.settings())
    administrator = await asyncpg.connect(execution_database.url)
    try:
        with pytest.raises(ConnectionError, match="the lock of a port is gone"):
            await hold_until_lost(database, administrator)
    finally:
        await administrator.close()
        await database.close()
