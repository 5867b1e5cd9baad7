"""Reads the log's tables row by row, for a scrub that believes none of them."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import any_, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.audit.domain.scrub import Counts, Part, Posting, StoredCheckpoint, StoredEntry
from services.audit.domain.sequencing import Known
from services.audit.domain.tiles import TILE_HEIGHT, Tile, TileId
from services.audit.tables import EVENTS, log_tables
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


class PostgresContents:
    """Everything that is stored of the log."""

    def __init__(self, database: Database, log: str = EVENTS) -> None:
        """Read the log `log` through `database`."""
        self._database = database
        self._tables = log_tables(log)
        self._postings = text(self._tables.sql(_POSTINGS))
        self._tiles = text(self._tables.sql(_TILES))

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

    async def rows(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Return the rows from `start` up to but not including `stop`, by index."""
        entry = self._tables.entry.c
        query = (
            select(entry.idx, entry.leaf, entry.body).where(entry.idx >= start, entry.idx < stop).order_by(entry.idx)
        )
        async with self._database.read() as connection:
            return [StoredEntry(*row) for row in await connection.execute(query)]

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

    async def counts(self, size: int) -> Mapping[str, Counts]:
        """Return how many rows each table has for the first `size` entries, and beyond the newest checkpoint."""
        tables = self._tables
        entry, event_key, posting = tables.entry, tables.event_key, tables.posting
        tile, checkpoint_note = tables.tile, tables.checkpoint_note
        newest = select(func.coalesce(func.max(checkpoint_note.c.size), 0)).scalar_subquery()
        # A tile of level L is full when the log has (index + 1) * 256^(L + 1) entries.
        filled = (tile.c.idx + 1) * func.power(2, TILE_HEIGHT * (tile.c.level + 1))
        conditions = {
            "entry": (entry.c.idx < size, entry.c.idx >= newest),
            "event_key": (event_key.c.idx < size, event_key.c.idx >= newest),
            "posting": (posting.c.start < size, posting.c.start >= newest),
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
