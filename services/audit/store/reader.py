"""Reads the log from PostgreSQL.

What a reader sees is committed, and each commit carries the checkpoint that covers it: everything here is published.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select

from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.entry import Entry, EntryInvalid, parse_entry
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.reading import read_entries
from services.audit.domain.terms import positions_in_all, term_number, terms_wanted
from services.audit.domain.tiles import TILE_WIDTH, TileId, TileRange
from services.audit.store.finding import INDEX_MAX, Finder, Found
from services.audit.tables import EVENTS, log_tables
from services.runtime.database import Database

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
        async with self._database.reading() as driver:
            if size is None:
                row = await driver.fetchrow(self._tables.sql(_NEWEST_CHECKPOINT))
            else:
                row = await driver.fetchrow(self._tables.sql(_CHECKPOINT), min(size, INDEX_MAX))
        return None if row is None else _checkpoint_of(row)

    async def checkpoint_and_tile(self, size: int | None, tile: int) -> tuple[SignedCheckpoint | None, bytes | None]:
        """Return the checkpoint of `size`, or the newest, and the tile `tile` of the leaves, None when not full."""
        async with self._database.reading() as driver:
            if size is None:
                row = await driver.fetchrow(self._tables.sql(_NEWEST_CHECKPOINT_AND_TILE), tile)
            else:
                row = await driver.fetchrow(self._tables.sql(_CHECKPOINT_AND_TILE), tile, min(size, INDEX_MAX))
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
        query = select(entry.body).where(entry.idx == min(index, INDEX_MAX))
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
        async with self._database.reading() as driver:
            return await Finder(driver, self._tables).matching(
                wanted, start=start, stop=stop, limit=limit, descending=descending, read=partial(self._bodies, wanted)
            )

    async def matching(
        self, wanted: EntryFilter, *, start: int, stop: int, limit: int, descending: bool = False
    ) -> Sequence[Entry]:
        """Return at most `limit` matching entries from `start` up to but not including `stop`, by index.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        async with self._database.reading() as driver:
            return await Finder(driver, self._tables).matching(
                wanted, start=start, stop=stop, limit=limit, descending=descending, read=partial(_matching, wanted)
            )

    async def sized_matching(
        self, wanted: EntryFilter, *, start: int, limit: int, descending: bool = False
    ) -> tuple[int | None, Sequence[Entry]]:
        """Return how many entries the log has, None without a checkpoint, and what `matching` does, of one instant.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        async with self._database.reading() as driver:
            finder = Finder(driver, self._tables)
            found = await finder.matching(
                wanted, start=start, stop=None, limit=limit, descending=descending, read=partial(_matching, wanted)
            )
            return finder.size, found

    async def matching_each(self, wanted: Sequence[EntryFilter], *, stop: int, limit: int) -> Sequence[Sequence[Entry]]:
        """Return for each filter what `matching` does from the first on; together, it takes as long as for one.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        terms = [[term_number(term) for term in terms_wanted(each)] for each in wanted]
        first = sorted({each[0] for each in terms if each})
        at: dict[int, list[tuple[int, bytes]]] = {term: [] for term in first}
        async with self._database.reading() as driver:
            finder = Finder(driver, self._tables)
            for term, start, held in await finder.postings_of_each(first, stop, limit):
                at[term].append((start, held))
            others = sorted({term for each in terms for term in each[1:]})
            starts = sorted({start for each in terms if each[1:] for start, _ in at[each[0]]})
            also = await finder.postings_at(others, starts)
            found: list[list[int]] = []
            for each in terms:
                indexes: list[int] = []
                for start, held in at[each[0]] if each else ():
                    every = [held, *(also.get((term, start), b"") for term in each[1:])]
                    indexes += sorted(start + position for position in positions_in_all(every)) if all(every) else ()
                found.append([index for index in indexes if index < stop])
            stored = await finder.stored(sorted({index for each in found for index in each}))
        entries = {entry.index: entry for entry in _read(list(stored.items()))}
        answers: list[Sequence[Entry]] = []
        for one, its_terms, its_indexes in zip(wanted, terms, found, strict=True):
            timed = one.start_time is not None or one.end_time is not None
            if timed or not its_terms or len(at[its_terms[0]]) == limit or len(its_indexes) > limit:
                # There is more than was read.
                answers.append(await self.matching(one, start=0, stop=stop, limit=limit))
                continue
            its = (entries[index] for index in its_indexes if index in entries)
            answers.append([entry for entry in its if one.matches(entry)])
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
        async with self._database.reading() as driver:
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

    def _bodies(self, wanted: EntryFilter, found: Sequence[Found]) -> list[bytes]:
        """Return those of some bodies that are wanted.

        Raises:
            LogRootMismatch: One is no entry, and those are not asked for.
        """
        if not self._gives_unreadable:
            return [entry.body for entry in _matching(wanted, found)]
        return [body for _, body in found if _may_match(wanted, body)]


def _checkpoint_of(row: Mapping[str, Any]) -> SignedCheckpoint:
    return SignedCheckpoint(Checkpoint(row["origin"], row["size"], row["root"]), row["note"], row["sign_time"])


def _read(found: Sequence[Found]) -> list[Entry]:
    """Return some entries.

    Raises:
        LogRootMismatch: One is none, or says that it stands elsewhere.
    """
    try:
        entries = read_entries([body for _, body in found])
    except EntryInvalid as error:
        raise LogRootMismatch("a stored entry is not as the log writes it") from error
    for (index, _), entry in zip(found, entries, strict=True):
        if entry.index != index:
            raise LogRootMismatch(f"the entry stored at {index} says that it stands at {entry.index}", index=index)
    return entries


def _matching(wanted: EntryFilter, found: Sequence[Found]) -> list[Entry]:
    """Return those of some entries that are wanted.

    Raises:
        LogRootMismatch: One is none, or says that it stands elsewhere.
    """
    return [entry for entry in _read(found) if wanted.matches(entry)]


def _may_match(wanted: EntryFilter, body: bytes) -> bool:
    """Return whether an entry is wanted, or is none."""
    try:
        return wanted.matches(parse_entry(body))
    except EntryInvalid:
        return True


def _first(data: bytes, wanted: TileRange) -> bytes:
    size = wanted.width * HASH_BYTES
    if len(data) < size:
        raise LogRootMismatch(f"tile {wanted.id.index} of level {wanted.id.level} has lost hashes")
    return data[:size]
