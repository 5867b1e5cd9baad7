"""Keeps FIX sessions in PostgreSQL: what is sent or was received is on disk before anybody learns of it.

A unit is one transaction, and an application's own store joins it through `PostgresUnit.connection`. Its statements
take arrays, so that a burst of messages costs as many round trips as one message.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from asyncpg import Connection as Driver
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.execution.fix import tables
from services.execution.fix.protocol.store import Direction, Entry, Journaled, Numbers, NumbersMoved, SessionId
from services.runtime.database import Database, driver_of

# Numbers that moved meanwhile leave the journal alone, too; a number that this does not move is another's to move.
_ADVANCE = """
    WITH moved AS (
        UPDATE execution.fix_session
        SET generation = $2, since = $5, next_out = CASE WHEN $15 THEN $3 ELSE next_out END,
            next_in = CASE WHEN $16 THEN $4 ELSE next_in END
        WHERE session = $1 AND generation = $6 AND (next_out = $7 OR NOT $15) AND (next_in = $8 OR NOT $16)
        RETURNING session
    ), journaled AS (
        INSERT INTO execution.fix_message (session, generation, direction, number, msg_type, data, time)
        SELECT moved.session, entry.*
        FROM moved, unnest(
            $9::bigint[], $10::text[], $11::bigint[], $12::text[], $13::bytea[], $14::timestamptz[]
        ) AS entry (generation, direction, number, msg_type, data, time)
    )
    SELECT count(*) FROM moved
"""
_CLAIM = """
    INSERT INTO execution.fix_claim (session, key)
    SELECT $1, key FROM unnest($2::text[]) AS claimed (key)
    ON CONFLICT DO NOTHING
    RETURNING key
"""


class PostgresUnit:
    """One transaction."""

    def __init__(self, connection: AsyncConnection, driver: Driver) -> None:
        """Write through a connection, which has begun; what an application writes with it joins the transaction.

        Args:
            connection: SQLAlchemy's.
            driver: The driver's own within it, for what is written thousands of times a second.
        """
        self.connection = connection
        self.driver = driver
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` made when the transaction is on disk, and never otherwise."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """Make the calls that waited for the commit."""
        for call in self._after_commit:
            call()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """See `Unit`."""
        kept = len(self._after_commit)
        try:
            async with self.driver.transaction():
                yield
        except BaseException:
            del self._after_commit[kept:]
            raise

    async def advance(
        self, session: SessionId, was: Numbers, becomes: Numbers, journal: Sequence[Journaled] = ()
    ) -> None:
        """See `Unit`."""
        entries = [each.entry for each in journal]
        moved = await self.driver.fetchval(
            _ADVANCE,
            str(session),
            becomes.generation,
            becomes.next_out,
            becomes.next_in,
            becomes.since,
            was.generation,
            was.next_out,
            was.next_in,
            [each.generation for each in journal],
            [each.direction for each in journal],
            [each.number for each in entries],
            [each.msg_type for each in entries],
            [each.data for each in entries],
            [each.time for each in entries],
            was.moves_out(becomes),
            was.moves_in(becomes),
        )
        if moved != 1:
            raise NumbersMoved(f"{session} is not at {was}")

    async def claim(self, session: SessionId, keys: Sequence[str]) -> frozenset[str]:
        """See `Unit`."""
        if not keys:
            return frozenset()
        fresh = await self.driver.fetch(_CLAIM, str(session), sorted(set(keys)))
        return frozenset(row["key"] for row in fresh)


class PostgresStore:
    """Sessions in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    async def load(self, session: SessionId, now: datetime) -> Numbers:
        """See `SessionStore`."""
        async with self._database.begin_apart() as connection:
            await connection.execute(
                upsert(tables.session).on_conflict_do_nothing(),
                {
                    "session": str(session),
                    "begin_string": session.begin_string,
                    "sender": session.sender,
                    "target": session.target,
                    "generation": 0,
                    "next_out": 1,
                    "next_in": 1,
                    "since": now,
                },
            )
            kept = tables.session.c
            row = (
                await connection.execute(
                    select(kept.generation, kept.next_out, kept.next_in, kept.since).where(kept.session == str(session))
                )
            ).one()
        return Numbers(row.generation, row.next_out, row.next_in, row.since)

    def begin(self) -> AbstractAsyncContextManager[PostgresUnit]:
        """See `SessionStore`. Never part of a call's transaction: what was sent stays sent, whatever becomes of it."""
        return self._unit()

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[PostgresUnit]:
        async with self._database.begin_apart() as connection:
            unit = PostgresUnit(connection, await driver_of(connection))
            yield unit
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
        kept = tables.session.c
        async with self._database.read() as connection:
            found = await connection.execute(
                select(
                    kept.begin_string,
                    kept.sender,
                    kept.target,
                    kept.generation,
                    kept.next_out,
                    kept.next_in,
                    kept.since,
                ).order_by(kept.begin_string, kept.sender, kept.target)
            )
            return [
                (
                    SessionId(row.begin_string, row.sender, row.target),
                    Numbers(row.generation, row.next_out, row.next_in, row.since),
                )
                for row in found
            ]
