"""Writes the log to PostgreSQL: one session that holds the log's lock and does all the writing itself.

A second session looks up what the next commit needs to know, while the first one is busy with a commit.

The lock is the session's own. When the session ends, for whatever reason, the lock is free and nothing that it was
writing can still be committed. The last line of defence are the primary keys: two sessions that both believed to be the
writer would insert the same index and the same size, and one would fail.

This is the one place that speaks to the driver directly: arrays are three times as fast as rows.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

import asyncpg
from asyncpg import Connection as Driver

from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.entry import ACCOUNT, body_account, parse_entry
from services.audit.domain.errors import LogRootMismatch, LogWriterElsewhere
from services.audit.domain.sequencing import EventsRecorded, Growth, Head, Known
from services.audit.domain.terms import positions, postings_of_columns, subject_term, term_number
from services.audit.domain.tiles import TILE_HEIGHT, TILE_WIDTH, RightEdge
from services.audit.tables import EVENTS, log_tables
from services.runtime.database import Database, driver_of

# PostgreSQL's bigint.
_INDEX_MAX = 2**63 - 1

# Longest wait for an answer of the database, in seconds; a commit takes milliseconds.
ANSWER_S_MAX = 30.0

# A commit is one statement, and so one way there and back: it begins and commits by itself. What has one length is
# passed in one piece and cut by the server, and ids as one text: the driver makes an array element by element.
_INSERT = """
    with entries as (
        insert into audit.entry (idx, leaf, body)
        select $1 + n, substring($2::bytea from 32 * n + 1 for 32), body
        from (select generate_series(0, $3::int - 1) as n, unnest($4::bytea[]) as body) as each
    ),
    keys as (
        insert into audit.event_key (event_id, idx, digest)
        select event_id, $1 + n, substring($5::bytea from 32 * n + 1 for 32)
        from (select generate_series(0, $3::int - 1) as n, unnest($6::text::uuid[]) as event_id) as each
    ),
    postings as (
        insert into audit.posting (term, start, positions)
        select unnest($7::bigint[]), $1, unnest($8::bytea[])
    ),
    tiles as (
        insert into audit.tile (level, idx, root, data)
        select * from unnest($9::smallint[], $10::bigint[], $11::bytea[], $12::bytea[])
    )
    insert into audit.checkpoint_note (size, root, origin, note, sign_time) values ($13, $14, $15, $16, $17)
"""
_KNOWN = "select event_id::text, idx, digest from audit.event_key where event_id = any($1::uuid[])"
# The last entry with each term: that of the last position in its last posting; and how long the log is.
_LAST_ENTRIES = """
    select wanted.term, latest.body, (select max(size) from audit.checkpoint_note) as size
    from unnest($1::bigint[]) as wanted (term)
    left join lateral (
        select start, positions from audit.posting as found
        where found.term = wanted.term and found.start < $2
        order by start desc limit 1
    ) as last on true
    left join audit.entry as latest on latest.idx = last.start
        + 256 * get_byte(last.positions, octet_length(last.positions) - 2)
        + get_byte(last.positions, octet_length(last.positions) - 1)
"""
_POSTING_BEFORE = """
    select start, positions from audit.posting where term = $1 and start < $2 order by start desc limit 1
"""
_DISPOSED_NUMBERS = """
    select account, max(number) from audit.disposed_number where log = $1 and account = any($2::text[]) group by account
"""
_BODIES = "select body from audit.entry where idx = any($1::bigint[])"
_NEWEST_CHECKPOINT = "select origin, size, root, note, sign_time from audit.checkpoint_note order by size desc limit 1"
_LAST_INDEX = "select idx from audit.entry order by idx desc limit 1"
_LEAVES = "select leaf from audit.entry where idx >= $1 order by idx"
_TILE_ROOTS = "select root from audit.tile where level = $1 and idx >= $2 order by idx"


@asynccontextmanager
async def elect(
    database: Database, origin: str, log: str = EVENTS, continues: str | None = None
) -> AsyncIterator["PostgresWriter"]:
    """Become the writer of the log `log`, whose checkpoints say `origin`, until the block ends.

    Its last checkpoint may be of the origin `continues`, when that is given.

    Raises:
        LogWriterElsewhere: Another session is, or this one was lost.
        DatabaseUnreachable: The database does not answer.
    """
    async with database.dedicated() as connection:
        driver = await driver_of(connection)
        async with _lost():
            elected = await driver.fetchval("select pg_try_advisory_lock($1)", _lock_number(origin))
        if not elected:
            raise LogWriterElsewhere("another process holds the log", origin=origin)
        async with database.dedicated() as beside:
            yield PostgresWriter(driver, await driver_of(beside), origin, log, continues)


class PostgresWriter:
    """The session that holds the log, and one beside it that reads."""

    def __init__(
        self, driver: Driver, beside: Driver, origin: str, log: str = EVENTS, continues: str | None = None
    ) -> None:
        """Write the log `log`, called `origin` in its checkpoints, by `driver`, and look up by `beside`."""
        self._driver = driver
        self._beside = beside
        self._origin = origin
        self._tables = log_tables(log)
        self._origins = {origin, continues or origin}
        # Where the log ends, as far as the session that writes knows; 0 before it has looked.
        self._size = 0
        # Numbers of terms, so that they are not computed again.
        self._terms: dict[tuple[str, str], int] = {}

    async def head(self) -> tuple[Head, SignedCheckpoint | None]:
        """Return where the log ends, rebuilt from full tiles and the leaves after them.

        Raises:
            LogRootMismatch: What is stored does not hash to what was signed.
        """
        async with _lost(), self._driver.transaction(isolation="repeatable_read", readonly=True):
            last = await self._driver.fetchval(self._tables.sql(_LAST_INDEX))
            size = self._size = 0 if last is None else last + 1
            partials = []
            for level in range(-(-size.bit_length() // TILE_HEIGHT)):
                first = (size >> TILE_HEIGHT * (level + 1)) * TILE_WIDTH
                query, arguments = (_LEAVES, (first,)) if level == 0 else (_TILE_ROOTS, (level - 1, first))
                rows = await self._driver.fetch(self._tables.sql(query), *arguments)
                partials.append([row[0] for row in rows])
            row = await self._driver.fetchrow(self._tables.sql(_NEWEST_CHECKPOINT))
        try:
            edge = RightEdge.of(size, partials)
        except ValueError as error:
            raise LogRootMismatch(f"the stored tree is not one of {size} entries") from error
        if row is None:
            if size:
                raise LogRootMismatch(f"the log has {size} entries and no checkpoint")
            return Head(edge, None), None
        checkpoint = Checkpoint(row["origin"], row["size"], row["root"])
        if checkpoint.origin not in self._origins or checkpoint != Checkpoint(checkpoint.origin, size, edge.root()):
            raise LogRootMismatch(
                f"the log {self._origin} of {size} entries is not what checkpoint {checkpoint.size} of "
                f"{checkpoint.origin} says"
            )
        return Head(edge, row["sign_time"]), SignedCheckpoint(checkpoint, row["note"], row["sign_time"])

    async def known(self, event_ids: Collection[str]) -> Mapping[str, Known]:
        """Return those of `event_ids` that the log has."""
        async with _lost():
            rows = await self._beside.fetch(self._tables.sql(_KNOWN), list(event_ids))
        return {event_id: Known(index, digest) for event_id, index, digest in rows}

    async def sequences(self, accounts: Collection[str]) -> Mapping[str, int]:
        """Return the last number of each of `accounts` that has an entry."""
        terms = {account: term_number(subject_term(ACCOUNT, account)) for account in accounts}
        # Postings and partitions beyond the end need no look.
        size = self._size
        async with _lost():
            rows = await self._beside.fetch(
                self._tables.sql(_LAST_ENTRIES), list(set(terms.values())), size or _INDEX_MAX
            )
        if any((row["size"] or 0) < size for row in rows):
            raise LogWriterElsewhere("the session that looks up is behind the one that writes", origin=self._origin)
        last = {row["term"]: row["body"] for row in rows if row["body"] is not None}
        found = dict(map(body_account, last.values()))
        sequences = {account: found[account] for account in accounts if account in found}
        for account, term in terms.items():
            if term in last and account not in sequences:
                # Another term has the same number, and stands later in the log.
                sequences[account] = await self._sequence_among(account, term)
        unnumbered = [account for account in accounts if not sequences.get(account)]
        if unnumbered:
            # Those whose entries were all destroyed go on where they were.
            async with _lost():
                rows = await self._beside.fetch(_DISPOSED_NUMBERS, self._tables.log, unnumbered)
            sequences |= {row[0]: row[1] for row in rows}
        return sequences

    async def _sequence_among(self, account: str, term: int) -> int:
        """Return the last number of `account`, 0 if it has none, where another term has its number too."""
        before = _INDEX_MAX
        while True:
            async with _lost():
                row = await self._beside.fetchrow(self._tables.sql(_POSTING_BEFORE), term, before)
                if row is None:
                    return 0
                before = row["start"]
                indexes = [before + at for at in positions(row["positions"])]
                bodies = await self._beside.fetch(self._tables.sql(_BODIES), indexes)
            entries = [parse_entry(body) for (body,) in bodies]
            own = [entry.account_sequence for entry in entries if entry.event.account == account]
            if own:
                return max(own)

    async def commit(self, growth: Growth, checkpoint: SignedCheckpoint) -> None:
        """Store `growth` and the checkpoint that covers it, all or nothing, durably.

        Raises:
            EventsRecorded: The log has one of its events; nothing was stored.
        """
        entries = growth.entries
        events = [entry.event for entry in entries]
        postings = postings_of_columns(
            [(event.actor, event.producer, event.kind) for event in events],
            [event.trace_parent for event in events],
            [event.subjects for event in events],
            self._terms,
        )
        async with _lost(), self._recorded():
            await self._driver.execute(
                self._tables.sql(_INSERT),
                growth.head.edge.size - len(entries),
                b"".join([entry.leaf for entry in entries]),
                len(entries),
                [entry.body for entry in entries],
                b"".join([event.digest for event in events]),
                f"{{{','.join([event.event_id for event in events])}}}",
                list(postings),
                list(postings.values()),
                [tile.id.level for tile in growth.tiles],
                [tile.id.index for tile in growth.tiles],
                [tile.root for tile in growth.tiles],
                [tile.data for tile in growth.tiles],
                checkpoint.checkpoint.size,
                checkpoint.checkpoint.root,
                checkpoint.checkpoint.origin,
                checkpoint.note,
                checkpoint.sign_time,
            )
        self._size = growth.head.edge.size

    @asynccontextmanager
    async def _recorded(self) -> AsyncIterator[None]:
        """Say of a key that is there already that its event is."""
        try:
            yield
        except asyncpg.UniqueViolationError as error:
            if error.table_name != self._tables.event_key.name:
                raise
            raise EventsRecorded from error


def _lock_number(origin: str) -> int:
    """Return the advisory lock of the log `origin`: a bigint that no other use of locks is likely to take."""
    return int.from_bytes(hashlib.sha256(f"evenkeel audit log {origin}".encode()).digest()[:8], "big", signed=True)


@asynccontextmanager
async def _lost() -> AsyncIterator[None]:
    """Say of any error of the driver that the hold on the log is lost; the next writer finds out what was done.

    A server that does not answer at all is lost too: its host may be gone without a word.
    """
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise LogWriterElsewhere("the hold on the log was lost; repeat in a moment") from error
