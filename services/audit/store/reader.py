"""Reads the log from PostgreSQL.

What a reader sees is committed, and each commit carries the checkpoint that covers it: everything here is published.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, and_, any_, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.entry import parse_entry
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.terms import POSITIONS_MAX, positions, term_number, terms_wanted
from services.audit.domain.tiles import TILE_WIDTH, TileId, TileRange
from services.audit.tables import EVENTS, LogTables, log_tables
from services.runtime.database import Database

# PostgreSQL's bigint: no log is longer, and a caller may ask about any number.
_INDEX_MAX = 2**63 - 1


class PostgresReader:
    """Reads what is committed."""

    def __init__(self, database: Database, log: str = EVENTS) -> None:
        """Read the log `log` through `database`."""
        self._database = database
        self._tables = log_tables(log)

    async def checkpoint(self, size: int | None = None) -> SignedCheckpoint | None:
        """Return the checkpoint of `size`, or the newest."""
        note = self._tables.checkpoint_note.c
        query = select(note.origin, note.size, note.root, note.note, note.sign_time)
        if size is None:
            query = query.order_by(note.size.desc()).limit(1)
        else:
            query = query.where(note.size == min(size, _INDEX_MAX))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else SignedCheckpoint(Checkpoint(*row[:3]), row.note, row.sign_time)

    async def size_at(self, instant: datetime) -> int | None:
        """Return how many entries were recorded at `instant` or before; None when there was no checkpoint yet."""
        note = self._tables.checkpoint_note.c
        query = select(note.size).where(note.sign_time <= instant)
        async with self._database.read() as connection:
            newest = query.order_by(note.sign_time.desc(), note.size.desc()).limit(1)
            return (await connection.execute(newest)).scalar_one_or_none()

    async def body(self, index: int) -> bytes | None:
        """Return the body of the entry at `index`."""
        entry = self._tables.entry.c
        query = select(entry.body).where(entry.idx == min(index, _INDEX_MAX))
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def index_of(self, event_id: str) -> int | None:
        """Return the index of the entry of the event `event_id`."""
        key = self._tables.event_key.c
        query = select(key.idx).where(key.event_id == event_id)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def bodies(
        self, wanted: EntryFilter, *, start: int, stop: int, limit: int, descending: bool = False
    ) -> Sequence[bytes]:
        """Return at most `limit` bodies of matching entries from `start` up to but not including `stop`, by index."""
        terms = [term_number(term) for term in terms_wanted(wanted)]
        async with self._database.read() as connection:
            if wanted.start_time is not None:
                start = max(start, await _size_before(connection, self._tables, wanted.start_time))
            if wanted.end_time is not None:
                stop = min(stop, await _size_before(connection, self._tables, wanted.end_time))
            if start >= stop:
                return []
            if not terms:
                return await _range(connection, self._tables, start, stop, limit, descending)
            found: list[bytes] = []
            ahead: list[int] = []
            async for indexes in _common(connection, self._tables, terms, start, stop, limit, descending):
                ahead += indexes
                while len(ahead) >= limit - len(found) > 0:
                    step, ahead = ahead[: limit - len(found)], ahead[limit - len(found) :]
                    found += await _wanted_bodies(connection, self._tables, wanted, step, descending)
                if len(found) == limit:
                    return found
            return found + await _wanted_bodies(connection, self._tables, wanted, ahead, descending)

    async def tiles(self, wanted: Collection[TileRange]) -> Mapping[TileId, bytes]:
        """Return the hashes of the tiles `wanted`, each as wide as asked.

        Raises:
            LogRootMismatch: A hash is missing.
        """
        keys = [(each.id.level, each.id.index) for each in wanted]
        tile = self._tables.tile.c
        query = select(tile.level, tile.idx, tile.data).where(tuple_(tile.level, tile.idx).in_(keys))
        async with self._database.read() as connection:
            found = {TileId(level, index): data for level, index, data in await connection.execute(query)}
            for each in wanted:
                if each.id not in found:
                    found[each.id] = await _partial_tile(connection, self._tables, each)
        return {each.id: _first(found[each.id], each) for each in wanted}


async def _size_before(connection: AsyncConnection, tables: LogTables, instant: datetime) -> int:
    """Return how many entries were recorded before `instant`."""
    note = tables.checkpoint_note.c
    query = select(note.size).where(note.sign_time < instant).order_by(note.sign_time.desc(), note.size.desc()).limit(1)
    return (await connection.execute(query)).scalar_one_or_none() or 0


async def _range(
    connection: AsyncConnection, tables: LogTables, start: int, stop: int, limit: int, descending: bool
) -> list[bytes]:
    """Return the bodies of the first `limit` entries from `start` to `stop`, or of the last ones, backwards."""
    entry = tables.entry.c
    query = (
        select(entry.body)
        .where(entry.idx >= start, entry.idx < stop)
        .order_by(entry.idx.desc() if descending else entry.idx)
        .limit(limit)
    )
    return list((await connection.execute(query)).scalars())


async def _wanted_bodies(
    connection: AsyncConnection, tables: LogTables, wanted: EntryFilter, indexes: Sequence[int], descending: bool
) -> list[bytes]:
    """Return the bodies of those of the entries at `indexes` that are indeed wanted."""
    entry = tables.entry.c
    query = (
        select(entry.body)
        .where(entry.idx == any_(literal(list(indexes), ARRAY(BigInteger))))
        .order_by(entry.idx.desc() if descending else entry.idx)
    )
    bodies = (await connection.execute(query)).scalars()
    return [body for body in bodies if wanted.matches(parse_entry(body))]


async def _common(
    connection: AsyncConnection,
    tables: LogTables,
    terms: Sequence[int],
    start: int,
    stop: int,
    step: int,
    descending: bool,
) -> AsyncIterator[list[int]]:
    """Yield the indexes from `start` to `stop` that have all of `terms`, those of one commit together.

    The commits of the first term are read `step` at a time, by its index and no other: how long that takes depends on
    how many commits have it, not on what the planner believes.
    """
    first, *others = terms
    posting = tables.posting.c
    # A commit that began earlier may reach beyond `start`.
    after, before = start - POSITIONS_MAX, stop
    while True:
        query = (
            select(posting.start, posting.positions)
            .where(posting.term == first, posting.start > after, posting.start < before)
            .order_by(posting.start.desc() if descending else posting.start)
            .limit(step)
        )
        rows = (await connection.execute(query)).all()
        also = await _postings(connection, tables, others, [row.start for row in rows])
        for row in rows:
            indexes = {row.start + at for at in positions(row.positions)}
            for term in others:
                indexes &= {row.start + at for at in positions(also.get((term, row.start), b""))}
            yield sorted((index for index in indexes if start <= index < stop), reverse=descending)
        if len(rows) < step:
            return
        after, before = (after, rows[-1].start) if descending else (rows[-1].start, before)


async def _postings(
    connection: AsyncConnection, tables: LogTables, terms: Sequence[int], starts: Sequence[int]
) -> Mapping[tuple[int, int], bytes]:
    """Return where `terms` stand in the commits that begin at `starts`."""
    if not terms or not starts:
        return {}
    posting = tables.posting.c
    query = select(posting.term, posting.start, posting.positions).where(
        posting.term == any_(literal(list(terms), ARRAY(BigInteger))),
        posting.start == any_(literal(list(starts), ARRAY(BigInteger))),
    )
    return {(row.term, row.start): row.positions for row in await connection.execute(query)}


async def _partial_tile(connection: AsyncConnection, tables: LogTables, wanted: TileRange) -> bytes:
    """Return the hashes of a tile that is not full: leaves at level 0, roots of full tiles above."""
    first = wanted.id.index * TILE_WIDTH
    if wanted.id.level == 0:
        entry = tables.entry.c
        hashes, index, rows = entry.leaf, entry.idx, entry.idx >= first
    else:
        tile = tables.tile.c
        hashes, index = tile.root, tile.idx
        rows = and_(tile.level == wanted.id.level - 1, tile.idx >= first)
    query = select(hashes).where(rows, index < first + wanted.width).order_by(index)
    return b"".join((await connection.execute(query)).scalars())


def _first(data: bytes, wanted: TileRange) -> bytes:
    size = wanted.width * HASH_BYTES
    if len(data) < size:
        raise LogRootMismatch(f"tile {wanted.id.index} of level {wanted.id.level} has lost hashes")
    return data[:size]
