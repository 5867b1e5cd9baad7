"""Keeps the numbers that closing entries commit to."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from sqlalchemy import BigInteger, any_, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from services.audit.domain.closing import CLOSE_KIND, Leaf, StoredNumber
from services.audit.domain.entry import ACCOUNT, EntryInvalid, body_index
from services.audit.domain.filter import EntryFilter
from services.audit.store.reader import PostgresReader
from services.audit.tables import EVENTS, disposed_number, log_tables
from services.runtime.database import Database

# In the body of an entry. No text in it holds these bytes: a quotation mark inside a text is escaped.
_SUBJECTS = b',"subjects":'
_TRACE = b',"trace_parent":"'
_SEQUENCE = b'{"account_sequence":'

_ADD = """
    insert into audit.close_number (account_hash, size, last)
    select account_hash, :size, last
    from unnest(cast(:hashes as bytea[]), cast(:lasts as bigint[])) as changed (account_hash, last)
    on conflict do nothing
"""
_ROWS_TOGETHER = 10_000
_CLOSINGS_TOGETHER = 500
# PostgreSQL's bigint.
_INDEX_MAX = 2**63 - 1


class PostgresCloses:
    """What closing one log needs to remember and to read."""

    def __init__(self, database: Database, log: str = EVENTS) -> None:
        """Keep it for the log `log` in `database`."""
        self._database = database
        self._tables = log_tables(log)
        # A scrub looks at what closes the log, and tells where it was bent.
        self._reader = PostgresReader(database, log, gives_unreadable=True)

    async def accounts(self, start: int, stop: int, step: int) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Yield account and number of the entries from `start` up to but not including `stop`, `step` together."""
        entry = self._tables.entry.c
        for first in range(start, stop, step):
            query = (
                select(entry.body).where(entry.idx >= first, entry.idx < min(first + step, stop)).order_by(entry.idx)
            )
            async with self._database.read() as connection:
                bodies = (await connection.execute(query)).scalars().all()
            yield [found for body in bodies if (found := account_and_number(body)) is not None]

    async def add_numbers(self, size: int, leaves: Sequence[Leaf]) -> None:
        """Store what the last numbers of these accounts are among the first `size` entries. Safe to repeat."""
        statement = text(self._tables.sql(_ADD))
        for first in range(0, len(leaves), _ROWS_TOGETHER):
            part = leaves[first : first + _ROWS_TOGETHER]
            values = {"size": size, "hashes": [each.account_hash for each in part], "lasts": [e.last for e in part]}
            async with self._database.begin() as transaction:
                await transaction.connection.execute(statement, values)

    async def numbers(self, size: int) -> Sequence[Leaf]:
        """Return the last number of each account among the first `size` entries, ordered by the account's hash."""
        number = self._tables.close_number.c
        query = (
            select(number.account_hash, func.max(number.last))
            .where(number.size <= size)
            .group_by(number.account_hash)
            .order_by(number.account_hash)
        )
        async with self._database.read() as connection:
            return [Leaf(account, last) for account, last in await connection.execute(query)]

    async def gone(self, stops: Collection[int], account: str | None = None) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return by account the stretches of numbers in destroyed partitions that ended at `stops`, joined."""
        found: dict[str, list[tuple[int, int]]] = {}
        if not stops:
            return found
        kept = disposed_number.c
        query = (
            select(kept.account, kept.first_number, kept.number)
            .where(kept.log == self._tables.log, kept.stop == any_(literal(list(stops), ARRAY(BigInteger))))
            .where(kept.first_number.is_not(None))
            .order_by(kept.account, kept.number)
        )
        if account is not None:
            query = query.where(kept.account == account)
        async with self._database.read() as connection:
            for owner, first, last in await connection.execute(query):
                stretches = found.setdefault(owner, [])
                if stretches and stretches[-1][1] + 1 == first:
                    first, _ = stretches.pop()  # noqa: PLW2901 - one stretch with the one before
                stretches.append((first, last))
        return found

    async def rows(self, after: int, upto: int) -> Sequence[StoredNumber]:
        """Return the numbers stored for sizes above `after` up to and including `upto`, by size."""
        number = self._tables.close_number.c
        query = (
            select(number.account_hash, number.size, number.last)
            .where(number.size > after, number.size <= upto)
            .order_by(number.size)
        )
        async with self._database.read() as connection:
            return [StoredNumber(*row) for row in await connection.execute(query)]

    async def closings(self, start: int, stop: int | None) -> Sequence[bytes]:
        """Return the bodies of the closing entries from `start` up to but not including `stop`, None for the end."""
        wanted, found, until = EntryFilter(kind=CLOSE_KIND), list[bytes](), _INDEX_MAX if stop is None else stop
        while True:
            some = await self._reader.bodies(wanted, start=start, stop=until, limit=_CLOSINGS_TOGETHER)
            found += some
            if len(some) < _CLOSINGS_TOGETHER:
                return found
            start = max(_index(body, start) for body in some) + 1

    async def closing_before(self, index: int) -> bytes | None:
        """Return the body of the last closing entry before `index`."""
        bodies = await self._reader.bodies(EntryFilter(kind=CLOSE_KIND), start=0, stop=index, limit=1, descending=True)
        return bodies[0] if bodies else None


def _index(body: bytes, least: int) -> int:
    """Return the index that an entry says; `least` when it was bent and says none."""
    try:
        return body_index(body)
    except EntryInvalid:
        return least


def account_and_number(body: bytes) -> tuple[str, int] | None:
    """Return the account of an entry and its number, without reading the rest; None when it is about none."""
    number, _, _ = body[len(_SEQUENCE) : len(_SEQUENCE) + 20].partition(b",")
    if number == b"0":
        return None
    subjects = json.loads(body[body.rindex(_SUBJECTS) + len(_SUBJECTS) : body.rindex(_TRACE)])
    return subjects[ACCOUNT], int(number)
