"""Keeps FIX sessions in PostgreSQL: what is sent or was received is on disk before anybody learns of it."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime

from sqlalchemy import select

from services.execution.fix import tables
from services.execution.fix.postgres_unit import PostgresUnit
from services.execution.fix.protocol.store import Direction, Entry, Numbers, SessionId
from services.runtime.database import Database

_MEET = """
    INSERT INTO execution.fix_session (session, begin_string, sender, target, generation, next_out, next_in, since)
    VALUES ($1, $2, $3, $4, 0, 1, 1, $5)
    ON CONFLICT DO NOTHING
"""
# Also takes over what an earlier release, which has no `fix_expected`, counted meanwhile.
_EXPECT = """
    INSERT INTO execution.fix_expected AS kept (session, generation, next_in)
    SELECT session, generation, next_in FROM execution.fix_session WHERE session = $1
    ON CONFLICT (session) DO UPDATE SET generation = excluded.generation, next_in = excluded.next_in
    WHERE (excluded.generation, excluded.next_in) > (kept.generation, kept.next_in)
"""
_STANDS = """
    SELECT generation, next_out, expected.next_in, since
    FROM execution.fix_session JOIN execution.fix_expected AS expected USING (session, generation)
    WHERE session = $1
"""


class PostgresStore:
    """Sessions in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    async def load(self, session: SessionId, now: datetime) -> Numbers:
        """See `SessionStore`."""
        name = str(session)
        async with self._database.apart() as driver, driver.transaction():
            await driver.execute(_MEET, name, session.begin_string, session.sender, session.target, now)
            await driver.execute(_EXPECT, name)
            row = await driver.fetchrow(_STANDS, name)
        return Numbers(row["generation"], row["next_out"], row["next_in"], row["since"])

    def begin(self) -> AbstractAsyncContextManager[PostgresUnit]:
        """See `SessionStore`. Never part of a call's transaction: what was sent stays sent, whatever becomes of it."""
        return self._unit()

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[PostgresUnit]:
        async with self._database.apart() as driver, AsyncExitStack() as transaction:
            unit = PostgresUnit(driver, transaction)
            yield unit
            await unit.finish()
        unit.committed()

    async def journal(
        self, session: SessionId, generation: int, direction: Direction, first: int, last: int, limit: int
    ) -> Sequence[Entry]:
        """See `SessionStore`."""
        kept = tables.message.c
        async with self._database.read() as connection:
            found = await connection.execute(
                select(kept.number, kept.msg_type, kept.data, kept.time)
                .where(
                    kept.session == str(session),
                    kept.generation == generation,
                    kept.direction == direction,
                    kept.number.between(first, last),
                )
                .order_by(kept.number)
                .limit(limit)
            )
            return [Entry(row.number, row.msg_type, row.data, row.time) for row in found]

    async def sessions(self) -> Collection[tuple[SessionId, Numbers]]:
        """See `SessionStore`."""
        kept, expected = tables.session.c, tables.expected.c
        async with self._database.read() as connection:
            found = await connection.execute(
                select(
                    kept.begin_string,
                    kept.sender,
                    kept.target,
                    kept.generation,
                    kept.next_out,
                    expected.next_in,
                    kept.since,
                )
                .join_from(tables.session, tables.expected, kept.session == expected.session)
                .order_by(kept.begin_string, kept.sender, kept.target)
            )
            return [
                (
                    SessionId(row.begin_string, row.sender, row.target),
                    Numbers(row.generation, row.next_out, row.next_in, row.since),
                )
                for row in found
            ]
