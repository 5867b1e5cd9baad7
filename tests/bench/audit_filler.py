"""Writes a large valid log quickly: what the service would have written, by several processes at once.

The service's own code makes every body, leaf, key and posting, and the tree, its tiles and each signed checkpoint over
them; only the order of the work is another. Processes make the rows of commits and store them, each through its own
connection, and answer with the leaves and the events' keys; over the leaves the tree grows here, commit by commit, and
the keys are stored here, in the order of the log, as its one sequencer stores them: two writers would fill each other's
pages, and their index by place would name half of the table for any stretch. Which number an entry has of its account
is known beforehand, because the accounts of `an_event` take turns.

Nothing is taken for granted afterwards: the benchmark scrubs the log that it fills.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import datetime, timedelta

import asyncpg

from services.audit.domain.checkpoint import Checkpoint, sign_checkpoint
from services.audit.domain.entry import new_entry
from services.audit.domain.signed_note import SigningKey
from services.audit.domain.terms import postings
from services.audit.domain.tiles import TILE_HEIGHT, TILE_WIDTH, RightEdge, Tile, split_hashes
from services.audit.tables import SCHEMA, log_tables
from tests.bench.audit_lab import ACCOUNTS, NOW, an_event

# As many as the service takes together when many callers wait.
COMMIT = 1_000
# Commits that a process makes at a time.
_TOGETHER = 10

# The id of an event, its index and its digest, as `event_key` keeps them.
Key = tuple[str, int, bytes]
Made = Future[tuple[bytes, list[Key]]]


async def fill(url: str, owner_url: str, log: str, count: int, key: SigningKey) -> None:
    """Write the entries of the events 0 to `count` to the log `log`, and go on where an earlier filling ended.

    Args:
        url: Where the service connects; its rights are enough.
        owner_url: Where the tables' owner connects, who looks after them at the end.
        log: Which log.
        count: A multiple of `COMMIT`.
        key: Signs the checkpoints.
    """
    connection = await asyncpg.connect(url)
    await connection.execute("set synchronous_commit = off")
    size = await connection.fetchval(log_tables(log).sql("select max(size) from audit.checkpoint_note"))
    if size == count:
        await connection.close()
        return
    if size is None:
        edge = RightEdge()
        await _store(connection, log, key, [(edge, ())], ())
    elif size < count:
        edge = await _edge(connection, log, size)
    else:
        raise RuntimeError(f"the log {log} was filled with {size:,} entries, not {count:,}: remove its directory")
    began, begun = time.perf_counter(), edge.size
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for start, made in _made(pool, workers, url, log, begun, count):
            joined, keys = await asyncio.wrap_future(made)
            leaves = split_hashes(joined)
            commits = []
            for at in range(0, len(leaves), COMMIT):
                edge, tiles = edge.extended(leaves[at : at + COMMIT])
                commits.append((edge, tiles))
            await _store(connection, log, key, commits, keys)
            if sys.stderr.isatty() or start % 500_000 == 0:
                rate = (edge.size - begun) / (time.perf_counter() - began)
                sys.stderr.write(f"\r{log}: {edge.size:,} of {count:,} entries, {rate:,.0f}/s ")
                sys.stderr.flush()
    sys.stderr.write("\n")
    await connection.close()
    # As a log that grew over months would be: its tables are vacuumed and analysed.
    owner = await asyncpg.connect(owner_url)
    for table in log_tables(log).all:
        await owner.execute(f"vacuum analyze {SCHEMA}.{table.name}")
    await owner.close()


def recorded_time(stop: int) -> datetime:
    """Return when the commit was recorded that ends before the entry `stop`."""
    return NOW + timedelta(microseconds=stop)


def _made(
    pool: ProcessPoolExecutor, workers: int, url: str, log: str, begun: int, count: int
) -> Iterator[tuple[int, Made]]:
    """Yield the work on all entries by its first index, in order, begun a little ahead."""
    step = _TOGETHER * COMMIT
    ahead: list[tuple[int, Made]] = []
    for start in range(begun, count, step):
        ahead.append((start, pool.submit(_rows, url, log, start, min(start + step, count))))
        if len(ahead) > 2 * workers:
            yield ahead.pop(0)
    yield from ahead


def _rows(url: str, log: str, start: int, stop: int) -> tuple[bytes, list[Key]]:
    """Store the rows of some commits, in a process of its own; return their leaves in one, and the keys to store."""
    return asyncio.run(_store_rows(url, log, start, stop))


async def _store_rows(url: str, log: str, start: int, stop: int) -> tuple[bytes, list[Key]]:
    tables = log_tables(log)
    connection = await asyncpg.connect(url)
    await connection.execute("set synchronous_commit = off")
    rows, keys, found = [], [], []
    for first in range(start, stop, COMMIT):
        events = [an_event(number) for number in range(first, min(first + COMMIT, stop))]
        recorded = recorded_time(first + len(events))
        for index, event in enumerate(events, first):
            number = index // ACCOUNTS + 1
            entry = new_entry(event, index=index, account_sequence=number, recorded_time=recorded)
            rows.append((index, entry.leaf, entry.body))
            keys.append((event.event_id, index, event.digest))
        found += [(term, first, each) for term, each in postings(events).items()]
    # They are there already when the filling before ended between them and their checkpoint.
    found_there = await connection.fetchval(tables.sql("select exists (select from audit.entry where idx = $1)"), start)
    tables_and_rows = () if found_there else ((tables.entry, rows), (tables.posting, found))
    async with connection.transaction():
        for table, records in tables_and_rows:
            columns = [column.name for column in table.columns]
            await connection.copy_records_to_table(table.name, schema_name=SCHEMA, columns=columns, records=records)
    await connection.close()
    return b"".join(leaf for _, leaf, _ in rows), keys


async def _edge(connection: asyncpg.Connection, log: str, size: int) -> RightEdge:
    """Return the edge of the tree of `size` leaves, a multiple of `COMMIT`, from what is stored."""
    levels = -(-size.bit_length() // TILE_HEIGHT)
    partials = []
    for level in range(levels):
        first = (size >> TILE_HEIGHT * (level + 1)) * TILE_WIDTH
        if level:
            query = "select root from audit.tile where level = $1 and idx >= $2 order by idx"
            rows = await connection.fetch(log_tables(log).sql(query), level - 1, first)
        else:
            query = "select leaf from audit.entry where idx >= $1 and idx < $2 order by idx"
            rows = await connection.fetch(log_tables(log).sql(query), first, size)
        partials.append([row[0] for row in rows])
    return RightEdge.of(size, partials)


async def _store(
    connection: asyncpg.Connection,
    log: str,
    key: SigningKey,
    commits: Sequence[tuple[RightEdge, Sequence[Tile]]],
    keys: Sequence[Key],
) -> None:
    tables = log_tables(log)
    notes = []
    for edge, _ in commits:
        checkpoint = Checkpoint(key.name, edge.size, edge.root())
        note = sign_checkpoint(checkpoint, [key])
        notes.append((checkpoint.size, checkpoint.root, checkpoint.origin, note, recorded_time(edge.size)))
    tiles = [(each.id.level, each.id.index, each.root, each.data) for _, full in commits for each in full]
    async with connection.transaction():
        for table, records in ((tables.event_key, keys), (tables.tile, tiles), (tables.checkpoint_note, notes)):
            columns = [column.name for column in table.columns]
            await connection.copy_records_to_table(table.name, schema_name=SCHEMA, columns=columns, records=records)
