"""Reads the log's tables row by row, for a scrub that believes none of them."""

import struct
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Text, any_, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.audit.domain.entry import ACCOUNT, EntryInvalid, parse_entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.sequencing import Known
from services.audit.domain.stored import Counts, Part, Posting, StoredCheckpoint, StoredEntry
from services.audit.domain.terms import positions, subject_term, term_number
from services.audit.domain.tiles import TILE_HEIGHT, TILE_WIDTH, RightEdge, Tile, TileId, split_hashes, tile_range
from services.audit.store.reader import PostgresReader
from services.audit.tables import EVENTS, disposed_number, log_tables
from services.runtime.database import Database

_POSTINGS = """
    select term, start, positions
    from audit.posting
    join unnest(cast(:terms as bigint[]), cast(:starts as bigint[])) as wanted (term, start) using (term, start)
"""
_TILES = """
    select level, idx, root, data
    from audit.tile
    join unnest(cast(:levels as smallint[]), cast(:indexes as bigint[])) as wanted (level, idx) using (level, idx)
"""


_LAST_POSTINGS = """
    select wanted.term, wanted.before, last.start, last.positions
    from unnest(cast(:terms as bigint[]), cast(:befores as bigint[])) as wanted (term, before)
    cross join lateral (
        select start, positions from audit.posting as earlier
        where earlier.term = wanted.term and earlier.start < wanted.before
        order by start desc limit 1
    ) as last
"""
_BODIES = "select body from audit.entry where idx = any(cast(:indexes as bigint[]))"

# Rows that follow one another, joined by the server to two values: the driver makes no object for each, and wakes once.
_LINES = """
    select string_agg(int8send(idx), ''::bytea), string_agg(body, '\\x0a'::bytea)
    from (select idx, body from audit.entry where idx >= $1 and idx < $2 order by idx) as row
"""

# Entries of a kind that are looked at for one that nobody bent.
_NEWEST_OF_KIND = 10
# PostgreSQL's bigint.
_INDEX_MAX = 2**63 - 1


class PostgresContents:
    """Everything that is stored of the log."""

    def __init__(self, database: Database, log: str = EVENTS) -> None:
        """Read the log `log` through `database`."""
        self._database = database
        self._tables = log_tables(log)
        self._postings = text(self._tables.sql(_POSTINGS))
        self._tiles = text(self._tables.sql(_TILES))
        self._last_postings = text(self._tables.sql(_LAST_POSTINGS))
        self._bodies = text(self._tables.sql(_BODIES))
        self._reader = PostgresReader(database, log)

    async def checkpoints(self, after: int, limit: int) -> Sequence[StoredCheckpoint]:
        """Return at most `limit` checkpoints of sizes above `after`, by size."""
        note = self._tables.checkpoint_note.c
        query = (
            select(note.origin, note.size, note.root, note.note, note.sign_time)
            .where(note.size > after)
            .order_by(note.size)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [StoredCheckpoint(*row) for row in await connection.execute(query)]

    async def commit_end(self, size: int) -> int:
        """Return the least size of a checkpoint that is `size` or more; the newest size when none is, 0 without any."""
        note = self._tables.checkpoint_note.c
        least = select(func.min(note.size)).where(note.size >= size).scalar_subquery()
        newest = select(func.max(note.size)).scalar_subquery()
        async with self._database.read() as connection:
            return int((await connection.execute(select(func.coalesce(least, newest, 0)))).scalar_one())

    async def rows(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Return the rows from `start` up to but not including `stop`, by index."""
        entry = self._tables.entry.c
        query = (
            select(entry.idx, entry.leaf, entry.body).where(entry.idx >= start, entry.idx < stop).order_by(entry.idx)
        )
        async with self._database.read() as connection:
            return [StoredEntry(*row) for row in await connection.execute(query)]

    async def lines(self, start: int, stop: int) -> tuple[Sequence[int], bytes]:
        """Return the indexes from `start` up to but not including `stop`, and their bodies, a newline between two."""
        async with self._database.reading() as driver:
            indexes, text = await driver.fetchrow(self._tables.sql(_LINES), start, stop)
        return ((), b"") if text is None else (struct.unpack(f">{len(indexes) // 8}q", indexes), text)

    async def beside(self, keys: Collection[str], postings: Collection[Posting], tiles: Collection[TileId]) -> Part:
        """Return what is stored under these keys."""
        event_key = self._tables.event_key
        known = select(event_key.c.event_id, event_key.c.idx, event_key.c.digest).where(
            event_key.c.event_id == any_(literal(list(keys), ARRAY(UUID(as_uuid=False))))
        )
        pairs = {"terms": [term for term, _ in postings], "starts": [start for _, start in postings]}
        ids = {"levels": [each.level for each in tiles], "indexes": [each.index for each in tiles]}
        async with self._database.read() as connection:
            stored_keys = {row.event_id: Known(row.idx, row.digest) for row in await connection.execute(known)}
            stored_postings = {
                (term, start): positions for term, start, positions in await connection.execute(self._postings, pairs)
            }
            stored_tiles = {
                TileId(level, index): Tile(TileId(level, index), root, data)
                for level, index, root, data in (await connection.execute(self._tiles, ids) if tiles else ())
            }
        return Part(stored_keys, stored_postings, stored_tiles)

    async def numbers(self, accounts: Collection[str], before: int) -> Mapping[str, int]:
        """Return the last number of each of `accounts` in commits that begin before an index; 0 without entries."""
        found = dict.fromkeys(accounts, 0)
        left = dict.fromkeys(accounts, before)
        while left:
            terms = {account: term_number(subject_term(ACCOUNT, account)) for account in left}
            parameters = {"terms": list(terms.values()), "befores": list(left.values())}
            async with self._database.read() as connection:
                rows = (await connection.execute(self._last_postings, parameters)).all()
                last = {(row.term, row.before): (row.start, list(positions(row.positions))) for row in rows}
                indexes = [start + at for start, held in last.values() for at in held]
                bodies = (await connection.execute(self._bodies, {"indexes": indexes})).scalars().all()
            numbers: dict[str | None, int] = {}
            for body in bodies:
                entry = parse_entry(body)
                numbers[entry.event.account] = max(entry.account_sequence, numbers.get(entry.event.account, 0))
            for account, limit in list(left.items()):
                held = last.get((terms[account], limit))
                if account in numbers or held is None:
                    found[account] = numbers.get(account, 0)
                    del left[account]
                else:
                    # Another term has the same number, and stands later in the log.
                    left[account] = held[0]
        kept = disposed_number.c
        query = (
            select(kept.account, func.max(kept.number))
            .where(kept.log == self._tables.log, kept.stop <= before)
            .where(kept.account == any_(literal(list(accounts), ARRAY(Text))))
            .group_by(kept.account)
        )
        async with self._database.read() as connection:
            for account, number in await connection.execute(query):
                found[account] = max(number, found[account])
        return found

    async def leaves(self, start: int, stop: int) -> Mapping[int, bytes]:
        """Return leaves by their index, from the full tiles; those that no tile has are absent."""
        tile = self._tables.tile.c
        first, last = start // TILE_WIDTH, (stop - 1) // TILE_WIDTH
        query = select(tile.idx, tile.data).where(tile.level == 0, tile.idx.between(first, last)).order_by(tile.idx)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        found = {row.idx * TILE_WIDTH + at: leaf for row in rows for at, leaf in enumerate(split_hashes(row.data))}
        return {index: found[index] for index in range(start, stop) if index in found}

    async def edge(self, size: int) -> RightEdge:
        """Return the edge of the tree of `size` leaves, as the tiles say.

        Raises:
            LogRootMismatch: Hashes are missing.
        """
        levels = range(-(-size.bit_length() // TILE_HEIGHT))
        partial = [TileId(level, size >> TILE_HEIGHT * (level + 1)) for level in levels]
        wanted = [tile_range(each, size) for each in partial if size >> TILE_HEIGHT * each.level & TILE_WIDTH - 1]
        held = await self._reader.tiles(wanted)
        return RightEdge.of(size, [split_hashes(held.get(each, b"")) for each in partial])

    async def cosignatures(self, size: int) -> Sequence[str]:
        """Return the lines that witnesses signed of the checkpoint of `size`, by their names."""
        cosignature = self._tables.cosignature.c
        query = select(cosignature.line).where(cosignature.size == size).order_by(cosignature.witness)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def newest_of(self, kind: str) -> bytes | None:
        """Return the body of the newest entry of `kind` that hashes to its leaf; of the newest `_NEWEST_OF_KIND`."""
        wanted = EntryFilter(kind=kind)
        reader = PostgresReader(self._database, self._tables.log, gives_unreadable=True)
        newest = await reader.bodies(wanted, start=0, stop=_INDEX_MAX, limit=_NEWEST_OF_KIND, descending=True)
        for body in newest:
            try:
                entry = parse_entry(body)
            except EntryInvalid:
                continue
            rows = await self.rows(entry.index, entry.index + 1)
            if [row.leaf for row in rows] == [entry.leaf]:
                return body
        return None

    async def counts(self, start: int, size: int) -> Mapping[str, Counts]:
        """Return how many rows each table has for the first `size` entries, and beyond the newest checkpoint.

        Of entries, keys and postings, only for those from `start` on.
        """
        tables = self._tables
        entry, event_key, posting = tables.entry, tables.event_key, tables.posting
        tile, checkpoint_note = tables.tile, tables.checkpoint_note
        newest = select(func.coalesce(func.max(checkpoint_note.c.size), 0)).scalar_subquery()
        # A tile of level L is full when the log has (index + 1) * 256^(L + 1) entries.
        filled = (tile.c.idx + 1) * func.power(2, TILE_HEIGHT * (tile.c.level + 1))
        conditions = {
            **{
                name: (column.between(start, size - 1), or_(column >= newest, column < 0))
                for name, column in (
                    ("entry", entry.c.idx),
                    ("event_key", event_key.c.idx),
                    ("posting", posting.c.start),
                )
            },
            "tile": (filled <= size, filled > newest),
            "checkpoint_note": (checkpoint_note.c.size <= size, checkpoint_note.c.size > newest),
        }
        # One statement, so that all of it is seen at one instant.
        query = select(
            *(select(func.count()).where(each).scalar_subquery() for pair in conditions.values() for each in pair)
        )
        async with self._database.read() as connection:
            found = list((await connection.execute(query)).one())
        return {table: Counts(found[2 * at], found[2 * at + 1]) for at, table in enumerate(conditions)}
