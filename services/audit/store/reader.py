"""Reads the log from PostgreSQL.

What a reader sees is committed, and each commit carries the checkpoint that covers it: everything here is published.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.entry import ACCOUNT
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.tiles import TILE_WIDTH, TileId, TileRange
from services.audit.tables import checkpoint_note, entry, event_key, tile
from services.runtime.database import Database

# PostgreSQL's bigint: no log is longer, and a caller may ask about any number.
_INDEX_MAX = 2**63 - 1


class PostgresReader:
    """Reads what is committed."""

    def __init__(self, database: Database) -> None:
        """Read through `database`."""
        self._database = database

    async def checkpoint(self, size: int | None = None) -> SignedCheckpoint | None:
        """Return the checkpoint of `size`, or the newest."""
        note = checkpoint_note.c
        query = select(note.origin, note.size, note.root, note.note, note.sign_time)
        if size is None:
            query = query.order_by(note.size.desc()).limit(1)
        else:
            query = query.where(note.size == min(size, _INDEX_MAX))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else SignedCheckpoint(Checkpoint(*row[:3]), row.note, row.sign_time)

    async def body(self, index: int) -> bytes | None:
        """Return the body of the entry at `index`."""
        query = select(entry.c.body).where(entry.c.idx == min(index, _INDEX_MAX))
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def index_of(self, event_id: str) -> int | None:
        """Return the index of the entry of the event `event_id`."""
        query = select(event_key.c.idx).where(event_key.c.event_id == event_id)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def bodies(
        self, wanted: EntryFilter, *, start: int, stop: int, limit: int, descending: bool = False
    ) -> Sequence[bytes]:
        """Return at most `limit` bodies of matching entries from `start` up to but not including `stop`, by index."""
        async with self._database.read() as connection:
            if wanted.start_time is not None:
                start = max(start, await _size_before(connection, wanted.start_time))
            if wanted.end_time is not None:
                stop = min(stop, await _size_before(connection, wanted.end_time))
            if start >= stop:
                return []
            order = entry.c.idx.desc() if descending else entry.c.idx
            matches = and_(entry.c.idx >= start, entry.c.idx < stop, *_conditions(wanted))
            query = select(entry.c.body).order_by(order).limit(limit)
            if wanted.subjects.keys() - {ACCOUNT}:
                # Subjects are found through an index that has no order. Left alone, the planner would at times rather
                # walk the whole log in order, hoping to meet enough matches soon.
                found = select(entry.c.idx).where(matches).cte("found").prefix_with("materialized")
                query = query.join(found, found.c.idx == entry.c.idx)
            else:
                query = query.where(matches)
            return list((await connection.execute(query)).scalars())

    async def tiles(self, wanted: Collection[TileRange]) -> Mapping[TileId, bytes]:
        """Return the hashes of the tiles `wanted`, each as wide as asked.

        Raises:
            LogRootMismatch: A hash is missing.
        """
        keys = [(each.id.level, each.id.index) for each in wanted]
        query = select(tile.c.level, tile.c.idx, tile.c.data).where(tuple_(tile.c.level, tile.c.idx).in_(keys))
        async with self._database.read() as connection:
            found = {TileId(level, index): data for level, index, data in await connection.execute(query)}
            for each in wanted:
                if each.id not in found:
                    found[each.id] = await _partial_tile(connection, each)
        return {each.id: _first(found[each.id], each) for each in wanted}


async def _size_before(connection: AsyncConnection, instant: datetime) -> int:
    """Return how many entries were recorded before `instant`."""
    note = checkpoint_note.c
    query = select(note.size).where(note.sign_time < instant).order_by(note.sign_time.desc(), note.size.desc()).limit(1)
    return (await connection.execute(query)).scalar_one_or_none() or 0


def _conditions(wanted: EntryFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.kind_prefix is not None:
        # The column sorts by byte, so what begins with `a.` is from `a.` to `a/`, the next byte after the dot.
        conditions += [entry.c.kind >= wanted.kind_prefix, entry.c.kind < wanted.kind_prefix[:-1] + "/"]
    elif wanted.kind is not None:
        conditions.append(entry.c.kind == wanted.kind)
    if wanted.actor is not None:
        conditions.append(entry.c.actor == wanted.actor)
    if wanted.producer is not None:
        conditions.append(entry.c.producer == wanted.producer)
    if wanted.trace_id is not None:
        conditions.append(entry.c.trace_id == wanted.trace_id)
    if ACCOUNT in wanted.subjects:
        conditions.append(entry.c.account == wanted.subjects[ACCOUNT])
    others = [f"{kind}:{subject_id}" for kind, subject_id in sorted(wanted.subjects.items()) if kind != ACCOUNT]
    if others:
        conditions.append(entry.c.subjects.contains(others))
    return conditions


async def _partial_tile(connection: AsyncConnection, wanted: TileRange) -> bytes:
    """Return the hashes of a tile that is not full: leaves at level 0, roots of full tiles above."""
    first = wanted.id.index * TILE_WIDTH
    if wanted.id.level == 0:
        hashes, index, rows = entry.c.leaf, entry.c.idx, entry.c.idx >= first
    else:
        hashes, index = tile.c.root, tile.c.idx
        rows = and_(tile.c.level == wanted.id.level - 1, tile.c.idx >= first)
    query = select(hashes).where(rows, index < first + wanted.width).order_by(index)
    return b"".join((await connection.execute(query)).scalars())


def _first(data: bytes, wanted: TileRange) -> bytes:
    size = wanted.width * HASH_BYTES
    if len(data) < size:
        raise LogRootMismatch(f"tile {wanted.id.index} of level {wanted.id.level} has lost hashes")
    return data[:size]
