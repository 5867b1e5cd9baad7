"""Finds entries by what they say: where their terms stand, and the bodies that stand there.

A question with one term or none, which most have, is one statement: from the index of the terms to the bodies.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from asyncpg import Connection

from services.audit.domain.filter import EntryFilter
from services.audit.domain.terms import POSITIONS_MAX, positions_in_all, term_number, terms_wanted
from services.audit.tables import LogTables

_T = TypeVar("_T")
# An index, and the body of the entry that is stored there.
Found = tuple[int, bytes]

# Whoever adds an entry adds the checkpoint that covers it: of one statement, size and entries are of one instant.
# Entries with a term, all in one row: how many entries the log has, where those stand that are wanted, and the bodies
# that are there. No commit that begins before the one that has the entry `$2` reaches it. Which places are wanted is
# decided before their bodies are read, and these are found by one look along the index.
_WITH_TERM = """
    with place as materialized (
        select array(
            select start + get_byte(positions, at) * 256 + get_byte(positions, at + 1) as idx
            from audit.posting, generate_series({from_at}) as at
            where term = $1
                and start >= (select coalesce(max(size), 0) from audit.checkpoint_note where size <= $2)
                and start < $3
                and start + get_byte(positions, at) * 256 + get_byte(positions, at + 1) between $2 and $3 - 1
            order by start {order}, at {order}
            limit $4
        ) as wanted
    )
    select (select size from audit.checkpoint_note order by size desc limit 1), wanted, stored.idx, body
    from place
    cross join lateral (
        select array_agg(idx) as idx, array_agg(body) as body from audit.entry where idx = any(wanted)
    ) as stored
"""
_ALL = """
    select size, found.idx, body
    from (select size from audit.checkpoint_note order by size desc limit 1) as newest
    left join lateral (
        select idx, body from audit.entry where idx >= $1 and idx < $2 order by idx {order} limit $3
    ) as found on true
"""
_ASCENDING = {"order": "asc", "from_at": "0, octet_length(positions) - 2, 2"}
_DESCENDING = {"order": "desc", "from_at": "octet_length(positions) - 2, 0, -2"}
_ONE_TERM = {False: _WITH_TERM.format(**_ASCENDING), True: _WITH_TERM.format(**_DESCENDING)}
_NO_TERM = {False: _ALL.format(**_ASCENDING), True: _ALL.format(**_DESCENDING)}

_SIZE = "select max(size) from audit.checkpoint_note"
_SIZE_BEFORE = """
    select size from audit.checkpoint_note where sign_time < $1 order by sign_time desc, size desc limit 1
"""
_WITH_FIRST = """
    select start, positions from audit.posting
    where term = $1 and start > $2 and start < $3
    order by start {order} limit $4
"""
_POSTINGS = {False: _WITH_FIRST.format(**_ASCENDING), True: _WITH_FIRST.format(**_DESCENDING)}
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
_BODIES = """
    select idx, body from unnest($1::bigint[]) as wanted (idx) join audit.entry using (idx)
"""

# PostgreSQL's bigint: no log is longer, and a caller may ask about any number.
INDEX_MAX = 2**63 - 1


class Finder:
    """Finds entries of one log through one connection."""

    def __init__(self, driver: Connection, tables: LogTables) -> None:
        """Read through `driver`."""
        self._driver = driver
        self._tables = tables
        # How many entries the log had when it was first looked at; None when it has no checkpoint.
        self.size: int | None = None

    async def matching(
        self,
        wanted: EntryFilter,
        *,
        start: int,
        stop: int | None,
        limit: int,
        descending: bool,
        read: Callable[[list[Found]], list[_T]],
    ) -> list[_T]:
        """Return at most `limit` of what `read` makes of entries that may match, in the order of the log or against it.

        Args:
            wanted: What they match.
            start: The first index.
            stop: The index after the last; None for all that the log has, of which `size` tells the number then.
            limit: 1 or more.
            descending: Whether the newest come first.
            read: Makes of some entries, in their order, what is wanted of those that do match.
        """
        terms = [term_number(term) for term in terms_wanted(wanted)]
        if stop is None and (len(terms) > 1 or wanted.start_time is not None or wanted.end_time is not None):
            # What comes with the log's next commit is beyond what was there at first.
            self.size = stop = await self._driver.fetchval(self._tables.sql(_SIZE))
            if stop is None:
                return []
        start, stop = min(start, INDEX_MAX), INDEX_MAX if stop is None else min(stop, INDEX_MAX)
        if wanted.start_time is not None:
            start = max(start, await self._size_before(wanted.start_time))
        if wanted.end_time is not None:
            stop = min(stop, await self._size_before(wanted.end_time))
        if len(terms) > 1:
            return await self._with_each(terms, start, stop, limit, descending, read)
        some = self._with_term if terms else self._of_all
        matching: list[_T] = []
        while start < stop:
            asked = limit - len(matching)
            places, stored = await some(terms, start, stop, asked, descending)
            matching += read([(index, stored[index]) for index in places if index in stored])
            if len(places) < asked or len(matching) == limit:
                break
            start, stop = (start, places[-1]) if descending else (places[-1] + 1, stop)
        return matching

    async def postings_of_each(self, terms: Sequence[int], stop: int, limit: int) -> list[tuple[int, int, bytes]]:
        """Return of each of `terms` the first `limit` commits below `stop` that have it: term, start and positions."""
        return [tuple(row) for row in await self._driver.fetch(self._tables.sql(_POSTINGS_OF_EACH), terms, stop, limit)]

    async def postings_at(self, terms: Sequence[int], starts: Sequence[int]) -> Mapping[tuple[int, int], bytes]:
        """Return where `terms` stand in the commits that begin at `starts`."""
        if not terms or not starts:
            return {}
        rows = await self._driver.fetch(self._tables.sql(_POSTINGS_AT), terms, starts)
        return {(term, start): held for term, start, held in rows}

    async def stored(self, indexes: Sequence[int]) -> Mapping[int, bytes]:
        """Return the bodies of the entries at `indexes`; of those that are gone, none."""
        return dict(await self._driver.fetch(self._tables.sql(_BODIES), indexes)) if indexes else {}

    async def _with_term(
        self, terms: Sequence[int], start: int, stop: int, limit: int, descending: bool
    ) -> tuple[list[int], Mapping[int, bytes]]:
        """Return where the first entries with the one term stand, and the bodies of those that are not gone."""
        query = self._tables.sql(_ONE_TERM[descending])
        size, places, indexes, bodies = await self._driver.fetchrow(query, *terms, start, stop, limit)
        self._note(size)
        return places, dict(zip(indexes or (), bodies or (), strict=True))

    async def _of_all(
        self, _: Sequence[int], start: int, stop: int, limit: int, descending: bool
    ) -> tuple[list[int], Mapping[int, bytes]]:
        """Return where the first entries stand, and their bodies."""
        rows = await self._driver.fetch(self._tables.sql(_NO_TERM[descending]), start, stop, limit)
        self._note(rows[0][0] if rows else None)
        # One row without a place says that there is none.
        stored = {index: body for _, index, body in rows if index is not None}
        return sorted(stored, reverse=descending), stored

    def _note(self, size: int | None) -> None:
        if self.size is None:
            self.size = size

    async def _size_before(self, instant: datetime) -> int:
        """Return how many entries were recorded before `instant`."""
        return await self._driver.fetchval(self._tables.sql(_SIZE_BEFORE), instant) or 0

    async def _with_each(
        self,
        terms: Sequence[int],
        start: int,
        stop: int,
        limit: int,
        descending: bool,
        read: Callable[[list[Found]], list[_T]],
    ) -> list[_T]:
        matching: list[_T] = []
        ahead: list[int] = []
        async for indexes in self._common(terms, start, stop, limit, descending):
            ahead += indexes
            while len(ahead) >= limit - len(matching) > 0:
                asked = limit - len(matching)
                matching += read(await self._in_order(ahead[:asked]))
                ahead = ahead[asked:]
            if len(matching) == limit:
                return matching
        return matching + read(await self._in_order(ahead))

    async def _in_order(self, indexes: Sequence[int]) -> list[Found]:
        stored = await self.stored(indexes)
        return [(index, stored[index]) for index in indexes if index in stored]

    async def _common(
        self, terms: Sequence[int], start: int, stop: int, step: int, descending: bool
    ) -> AsyncIterator[list[int]]:
        """Yield the indexes from `start` to `stop` that have all of `terms`, those of one commit together.

        The commits of the first term are read `step` at a time, by its index and no other: how long that takes depends
        on how many commits have it, not on what the planner believes.
        """
        first, *others = terms
        query = self._tables.sql(_POSTINGS[descending])
        # A commit that began earlier may reach beyond `start`.
        after, before = start - POSITIONS_MAX, stop
        while True:
            rows = await self._driver.fetch(query, first, after, before, step)
            also = await self.postings_at(others, [begin for begin, _ in rows])
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
