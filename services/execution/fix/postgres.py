"""Keeps FIX sessions in PostgreSQL: what is sent or was received is on disk before anybody learns of it.

A unit is one transaction, and an application's own store joins it through `PostgresUnit.connection`. Its statements
take arrays, so that a burst of messages costs as many round trips as one message.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.execution.fix import tables
from services.execution.fix.protocol.store import Direction, Entry, Numbers, NumbersMoved, SessionId
from services.runtime.database import Database

_ADVANCE = text("""
    UPDATE execution.fix_session
    SET generation = :generation, next_out = :next_out, next_in = :next_in, since = :since
    WHERE session = :session AND generation = :was_generation AND next_out = :was_out AND next_in = :was_in
""")
_JOURNAL = text("""
    INSERT INTO execution.fix_message (session, generation, direction, number, msg_type, data, time)
    SELECT :session, :generation, :direction, number, msg_type, data, time
    FROM unnest(
        CAST(:numbers AS bigint[]), CAST(:msg_types AS text[]), CAST(:data AS bytea[]), CAST(:times AS timestamptz[])
    ) AS entry (number, msg_type, data, time)
""")
_CLAIM = text("""
    INSERT INTO execution.fix_claim (session, key)
    SELECT :session, key FROM unnest(CAST(:keys AS text[])) AS claimed (key)
    ON CONFLICT DO NOTHING
    RETURNING key
""")


class PostgresUnit:
    """One transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Write through `connection`, which has begun; what an application writes with it joins the transaction."""
        self.connection = connection
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
            async with self.connection.begin_nested():
                yield
        except BaseException:
            del self._after_commit[kept:]
            raise

    async def advance(self, session: SessionId, was: Numbers, becomes: Numbers) -> None:
        """See `Unit`."""
        moved = await self.connection.execute(
            _ADVANCE,
            {
                "session": str(session),
                "generation": becomes.generation,
                "next_out": becomes.next_out,
                "next_in": becomes.next_in,
                "since": becomes.since,
                "was_generation": was.generation,
                "was_out": was.next_out,
                "was_in": was.next_in,
            },
        )
        if moved.rowcount != 1:
            raise NumbersMoved(f"{session} is not at {was}")

    async def sent(self, session: SessionId, generation: int, entries: Sequence[Entry]) -> None:
        """See `Unit`."""
        await self._add(session, generation, Direction.OUT, entries)

    async def received(self, session: SessionId, generation: int, entries: Sequence[Entry]) -> None:
        """See `Unit`."""
        await self._add(session, generation, Direction.IN, entries)

    async def _add(self, session: SessionId, generation: int, direction: Direction, entries: Sequence[Entry]) -> None:
        if entries:
            await self.connection.execute(
                _JOURNAL,
                {
                    "session": str(session),
                    "generation": generation,
                    "direction": direction,
                    "numbers": [each.number for each in entries],
                    "msg_types": [each.msg_type for each in entries],
                    "data": [each.data for each in entries],
                    "times": [each.time for each in entries],
                },
            )

    async def claim(self, session: SessionId, keys: Sequence[str]) -> frozenset[str]:
        """See `Unit`."""
        if not keys:
            return frozenset()
        fresh = await self.connection.execute(_CLAIM, {"session": str(session), "keys": sorted(set(keys))})
        return frozenset(fresh.scalars())


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
            unit = PostgresUnit(connection)
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
