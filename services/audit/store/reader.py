"""Reads the log from PostgreSQL.

What a reader sees is committed, and each commit carries the checkpoint that covers it: everything here is published.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from asyncpg import Connection
from sqlalchemy import select

from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.entry import EntryInvalid
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.reading import read_entry
from services.audit.domain.terms import POSITIONS_MAX, positions_in_all, term_number, terms_wanted
from services.audit.domain.tiles import TILE_WIDTH, TileId, TileRange
from services.audit.tables import EVENTS, LogTables, log_tables
from services.runtime.database import Database, driver_of

# PostgreSQL's bigint: no log is longer, and a caller may ask about any number.
_INDEX_MAX = 2**63 - 1


# The full tiles that are wanted; then those that are not full: leaves at level 0, roots of full tiles above.
_TILES = """
    select level, idx, data
    from audit.tile
    join unnest($1::smallint[], $2::bigint[]) as wanted (level, idx) using (level, idx)
    union all
    select level, idx, case
        when level = 0 then (
            select string_agg(leaf, ''::bytea order by below.idx) from audit.entry as below
            where below.idx >= start and below.idx < stop
        )
        else (
            select string_agg(root, ''::bytea order by below.idx) from audit.tile as below
            where below.level = wanted.level - 1 and below.idx >= start and below.idx < stop
        )
    end
    from unnest($3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[]) as wanted (level, idx, start, stop)
    where not exists (
        select from audit.tile as full_tile where full_tile.level = wanted.level and full_tile.idx = wanted.idx
    )
"""
_FULL_TILES = """
    select level, idx, data
    from audit.tile
    join unnest($1::smallint[], $2::bigint[]) as wanted (level, idx) using (level, idx)
"""
_CHECKPOINT = """
    select origin, size, root, note, sign_time from audit.checkpoint_note where size = $1
"""
_NEWEST_CHECKPOINT = """
    select origin, size, root, note, sign_time from audit.checkpoint_note order by size desc limit 1
"""
_CHECKPOINT_AND_TILE = """
    select origin, size, root, note, sign_time, (select data from audit.tile where level = 0 and idx = $1) as tile
    from audit.checkpoint_note where size = $2
"""
_NEWEST_CHECKPOINT_AND_TILE = """
    select origin, size, root, note, sign_time, (select data from audit.tile where level = 0 and idx = $1) as tile
    from audit.checkpoint_note order by size desc limit 1
"""
_SIZE_BEFORE = """
    select size from audit.checkpoint_note where sign_time < $1 order by sign_time desc, size desc limit 1
"""
_RANGE = "select body from audit.entry where idx >= $1 and idx < $2 order by idx limit $3"
_RANGE_BACKWARDS = "select body from audit.entry where idx >= $1 and idx < $2 order by idx desc limit $3"
_BODIES = "select body from audit.entry where idx = any($1::bigint[]) order by idx"
_INDEXED_BODIES = "select idx, body from audit.entry where idx = any($1::bigint[])"
_BODIES_BACKWARDS = "select body from audit.entry where idx = any($1::bigint[]) order by idx desc"
_POSTINGS = """
    select start, positions from audit.posting where term = $1 and start > $2 and start < $3 order by start limit $4
"""
_POSTINGS_BACKWARDS = """
    select start, positions from audit.posting
    where term = $1 and start > $2 and start < $3
    order by start desc limit $4
"""
_POSTINGS_OF_EACH = """
    select term, start, positions
    from unnest($1::bigint[]) as wanted (term)
    cross join lateral (
        select start, positions from audit.posting as found
        where found.term = wanted.term and start < $2
        order by start limit $3
    ) as found
"""
_POSTINGS_AT = """
    select term, start, positions from audit.posting where term = any($1::bigint[]) and start = any($2::bigint[])
"""


class PostgresReader:
    """Reads what is committed."""

    def __init__(self, database: Database, log: str = EVENTS, *, gives_unreadable: bool = False) -> None:
        """Read the log `log` through `database`.

        With `gives_unreadable`, bytes that somebody bent so that they are no entry are given to who asks for those with
        a term that they are stored under; they fail otherwise.
        """
        self._database = database
        self._tables = log_tables(log)
        self._gives_unreadable = gives_unreadable

    async def checkpoint(self, size: int | None = None) -> SignedCheckpoint | None:
        """Return the checkpoint of `size`, or the newest."""
        async with self._database.glance() as connection:
            driver = await driver_of(connection)
            if size is None:
                row = await driver.fetchrow(self._tables.sql(_NEWEST_CHECKPOINT))
            else:
                row = await driver.fetchrow(self._tables.sql(_CHECKPOINT), min(size, _INDEX_MAX))
        return None if row is None else _checkpoint_of(row)

    async def checkpoint_and_tile(self, size: int | None, tile: int) -> tuple[SignedCheckpoint | None, bytes | None]:
        """Return the checkpoint of `size`, or the newest, and the tile `tile` of the leaves, None when not full."""
        async with self._database.glance() as connection:
            driver = await driver_of(connection)
            if size is None:
                row = await driver.fetchrow(self._tables.sql(_NEWEST_CHECKPOINT_AND_TILE), tile)
            else:
                row = await driver.fetchrow(self._tables.sql(_CHECKPOINT_AND_TILE), tile, min(size, _INDEX_MAX))
        return (None, None) if row is None else (_checkpoint_of(row), row["tile"])

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
        """Return at most `limit` bodies of matching entries from `start` up to but not including `stop`, by index.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        terms = [term_number(term) for term in terms_wanted(wanted)]
        async with self._database.glance() as connection:
            driver = await driver_of(connection)
            if wanted.start_time is not None:
                start = max(start, await _size_before(driver, self._tables, wanted.start_time))
            if wanted.end_time is not None:
                stop = min(stop, await _size_before(driver, self._tables, wanted.end_time))
            if start >= stop:
                return []
            if not terms:
                query = _RANGE_BACKWARDS if descending else _RANGE
                return [body for (body,) in await driver.fetch(self._tables.sql(query), start, stop, limit)]
            found: list[bytes] = []
            ahead: list[int] = []
            async for indexes in _common(driver, self._tables, terms, start, stop, limit, descending):
                ahead += indexes
                while len(ahead) >= limit - len(found) > 0:
                    step, ahead = ahead[: limit - len(found)], ahead[limit - len(found) :]
                    found += await self._wanted_bodies(driver, wanted, step, descending)
                if len(found) == limit:
                    return found
            return found + await self._wanted_bodies(driver, wanted, ahead, descending)

    async def bodies_of_each(
        self, wanted: Sequence[EntryFilter], *, stop: int, limit: int
    ) -> Sequence[Sequence[bytes]]:
        """Return for each filter what `bodies` does from the first entry on; together, it takes as long as for one.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        terms = [[term_number(term) for term in terms_wanted(each)] for each in wanted]
        first = sorted({each[0] for each in terms if each})
        at: dict[int, list[tuple[int, bytes]]] = {term: [] for term in first}
        async with self._database.glance() as connection:
            driver = await driver_of(connection)
            for term, start, held in await driver.fetch(self._tables.sql(_POSTINGS_OF_EACH), first, stop, limit):
                at[term].append((start, held))
            others = sorted({term for each in terms for term in each[1:]})
            starts = sorted({start for each in terms if each[1:] for start, _ in at[each[0]]})
            also = await _postings(driver, self._tables, others, starts)
            found: list[list[int]] = []
            for each in terms:
                indexes: list[int] = []
                for start, held in at[each[0]] if each else ():
                    every = [held, *(also.get((term, start), b"") for term in each[1:])]
                    indexes += sorted(start + position for position in positions_in_all(every)) if all(every) else ()
                found.append([index for index in indexes if index < stop])
            every_index = sorted({index for each in found for index in each})
            entries = dict(await driver.fetch(self._tables.sql(_INDEXED_BODIES), every_index))
        answers: list[Sequence[bytes]] = []
        for one, its_terms, its_indexes in zip(wanted, terms, found, strict=True):
            timed = one.start_time is not None or one.end_time is not None
            if timed or not its_terms or len(at[its_terms[0]]) == limit or len(its_indexes) > limit:
                # There is more than was read.
                answers.append(await self.bodies(one, start=0, stop=stop, limit=limit))
                continue
            bodies = (entries[index] for index in its_indexes if index in entries)
            answers.append([body for body in bodies if self._matches(one, body)])
        return answers

    async def tiles(self, wanted: Collection[TileRange]) -> Mapping[TileId, bytes]:
        """Return the hashes of the tiles `wanted`, each as wide as asked.

        Raises:
            LogRootMismatch: A hash is missing.
        """
        keys = [(each.id.level, each.id.index) for each in wanted]
        # A tile that is not full follows from what is below it; one that became full since is there as it is.
        partial = [each for each in wanted if each.width < TILE_WIDTH]
        first = [each.id.index * TILE_WIDTH for each in partial]
        levels, indexes = [level for level, _ in keys], [index for _, index in keys]
        async with self._database.glance() as connection:
            driver = await driver_of(connection)
            if not partial:
                rows = await driver.fetch(self._tables.sql(_FULL_TILES), levels, indexes)
            else:
                rows = await driver.fetch(
                    self._tables.sql(_TILES),
                    *(levels, indexes),
                    [each.id.level for each in partial],
                    [each.id.index for each in partial],
                    first,
                    [start + each.width for start, each in zip(first, partial, strict=True)],
                )
        found = {TileId(level, index): data for level, index, data in rows if data is not None}
        return {each.id: _first(found.get(each.id, b""), each) for each in wanted}

    async def _wanted_bodies(
        self, driver: Connection, wanted: EntryFilter, indexes: Sequence[int], descending: bool
    ) -> list[bytes]:
        """Return the bodies of those of the entries at `indexes`, in their order there, that are indeed wanted."""
        bodies = await driver.fetch(self._tables.sql(_BODIES_BACKWARDS if descending else _BODIES), indexes)
        return [body for (body,) in bodies if self._matches(wanted, body)]

    def _matches(self, wanted: EntryFilter, body: bytes) -> bool:
        """Return whether an entry is wanted.

        Raises:
            LogRootMismatch: It is none, and those are not asked for.
        """
        try:
            return wanted.matches(read_entry(body))
        except EntryInvalid as error:
            if self._gives_unreadable:
                return True
            raise LogRootMismatch("a stored entry is not as the log writes it") from error


def _checkpoint_of(row: Mapping[str, Any]) -> SignedCheckpoint:
    return SignedCheckpoint(Checkpoint(row["origin"], row["size"], row["root"]), row["note"], row["sign_time"])


async def _size_before(driver: Connection, tables: LogTables, instant: datetime) -> int:
    """Return how many entries were recorded before `instant`."""
    return await driver.fetchval(tables.sql(_SIZE_BEFORE), instant) or 0


async def _common(
    driver: Connection,
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
    query = tables.sql(_POSTINGS_BACKWARDS if descending else _POSTINGS)
    # A commit that began earlier may reach beyond `start`.
    after, before = start - POSITIONS_MAX, stop
    while True:
        rows = await driver.fetch(query, first, after, before, step)
        also = await _postings(driver, tables, others, [begin for begin, _ in rows])
        for begin, held in rows:
            every = [held, *(also.get((term, begin), b"") for term in others)]
            # Of a run, a commit has thousands of entries, and rarely one of the kind that is asked for.
            found = positions_in_all(every) if all(every) else ()
            indexes = (begin + at for at in found)
            yield sorted((index for index in indexes if start <= index < stop), reverse=descending)
        if len(rows) < step:
            return
        last = rows[-1]["start"]
        after, before = (after, last) if descending else (last, before)


async def _postings(
    driver: Connection, tables: LogTables, terms: Sequence[int], starts: Sequence[int]
) -> Mapping[tuple[int, int], bytes]:
    """Return where `terms` stand in the commits that begin at `starts`."""
    if not terms or not starts:
        return {}
    rows = await driver.fetch(tables.sql(_POSTINGS_AT), terms, starts)
    return {(term, start): held for term, start, held in rows}


def _first(data: bytes, wanted: TileRange) -> bytes:
    size = wanted.width * HASH_BYTES
    if len(data) < size:
        raise LogRootMismatch(f"tile {wanted.id.index} of level {wanted.id.level} has lost hashes")
    return data[:size]
