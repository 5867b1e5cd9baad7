"""One transaction of a FIX session in PostgreSQL, in as few answers of the server as it can be.

Each statement costs an answer, and on a busy machine an answer is a wait. So what is written last waits until the unit
ends: the session's numbers, its journal, and what an application writes beside them (`beside`) are one statement then.
A unit that is nothing else is that statement alone, which commits by itself.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

from asyncpg import Connection as Driver
from asyncpg import DivisionByZeroError

from services.execution.fix.protocol.store import Journaled, Numbers, NumbersMoved, SessionId
from services.runtime.arrays import plain_array, text_array

_PLACEHOLDER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """What can be written beside other things: common table expressions, apart by commas, with `$1` and so on.

    Their names must be no others' in the statement; none may be `spoke`, `moved` or `journaled`.

    Attributes:
        text: The expressions.
        guard: Names the one that has a row if what was read before still holds, and none if not; empty without one.
    """

    text: str
    guard: str = ""


# A number that this does not move is another's to move, and its row is another's to lock.
_STAYS = Part(
    """
    moved AS (SELECT FROM execution.fix_session WHERE session = $1 AND generation = $2)
""",
    guard="moved",
)
_MOVES_OUT = Part(
    """
    moved AS (
        UPDATE execution.fix_session SET next_out = $4
        WHERE session = $1 AND generation = $2 AND next_out = $3
        RETURNING session
    )
""",
    guard="moved",
)
_MOVES_IN = Part(
    """
    moved AS (
        UPDATE execution.fix_expected SET next_in = $4
        WHERE session = $1 AND generation = $2 AND next_in = $3
        RETURNING session
    )
""",
    guard="moved",
)
_MOVES_BOTH = Part(
    """
    spoke AS (
        UPDATE execution.fix_session SET generation = $5, next_out = $6, next_in = $7, since = $8
        WHERE session = $1 AND generation = $2 AND next_out = $3
        RETURNING session
    ), moved AS (
        UPDATE execution.fix_expected AS expected SET generation = $5, next_in = $7
        FROM spoke
        WHERE expected.session = spoke.session AND expected.generation = $2 AND expected.next_in = $4
        RETURNING expected.session
    )
""",
    guard="moved",
)
# Mostly it is one message: its values by themselves take both sides half the time of arrays with one element.
_JOURNAL_ONE = Part("""
    journaled AS (
        INSERT INTO execution.fix_message (session, generation, direction, number, msg_type, data, time)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
    )
""")
# Mostly several came together, or left together.
_JOURNAL_RUN = Part("""
    journaled AS (
        INSERT INTO execution.fix_message (session, generation, direction, number, msg_type, data, time)
        SELECT $1::text, $2::integer, $3::text, unnest($4::text::bigint[]), unnest($5::text::text[]),
            unnest($6::bytea[]), $7::timestamptz
    )
""")
_JOURNAL = Part("""
    journaled AS (
        INSERT INTO execution.fix_message (session, generation, direction, number, msg_type, data, time)
        SELECT $1, entry.*
        FROM unnest(
            $2::text::bigint[], $3::text::text[], $4::text::bigint[], $5::text::text[], $6::bytea[],
            $7::text::timestamptz[]
        ) AS entry (generation, direction, number, msg_type, data, time)
    )
""")
# Divides by zero, which undoes the statement, where the numbers, or what was read, are not as they should be.
_IF_ONE = "1 / (SELECT count(*) FROM {})"
_CLAIM = """
    INSERT INTO execution.fix_claim (session, key)
    SELECT $1, key FROM unnest($2::text[]) AS claimed (key)
    ON CONFLICT DO NOTHING
    RETURNING key
"""


@dataclass(frozen=True, slots=True)
class _Move:
    session: SessionId
    was: Numbers
    becomes: Numbers
    journal: Sequence[Journaled]


class PostgresUnit:
    """One transaction, begun when somebody needs it before the end."""

    def __init__(self, driver: Driver, transaction: AsyncExitStack) -> None:
        """Write through a connection of the driver.

        Args:
            driver: Nobody else's while the unit lasts.
            transaction: Commits when left normally, undoes when left by an error.
        """
        self._driver = driver
        self._transaction = transaction
        self._has_begun = False
        self._beside: tuple[Part, Sequence[object]] | None = None
        self._again: Callable[[], Awaitable[None]] | None = None
        self._move: _Move | None = None
        self._after_commit: list[Callable[[], None]] = []

    async def begun(self) -> Driver:
        """Return the connection, within the transaction: it sees what was written before."""
        if not self._has_begun:
            await self._transaction.enter_async_context(self._driver.transaction())
            self._has_begun = True
        await self.finish()
        return self._driver

    async def glanced(self, again: Callable[[], Awaitable[None]]) -> Driver | None:
        """Return the connection for reading without a lock, before the transaction; None where it has begun already.

        Args:
            again: Does what follows once more, within the transaction, where a guard shows that what was read holds no
                more when it is written. Nothing of the first time is written then.
        """
        if self._has_begun or self._beside is not None or self._move is not None:
            return None
        self._again = again
        return self._driver

    async def beside(self, part: Part, *values: object) -> None:
        """Write `part` at the end of the unit, together with the numbers; sooner, if something comes after it."""
        if self._beside is not None:
            await self.begun()
        self._beside = (part, values)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` made when the transaction is on disk, and never otherwise."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """Make the calls that waited for the commit."""
        for call in self._after_commit:
            call()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """See `Unit`."""
        driver, kept = await self.begun(), len(self._after_commit)
        try:
            async with driver.transaction():
                yield
        except BaseException:
            self._beside = self._move = None
            del self._after_commit[kept:]
            raise

    async def advance(
        self, session: SessionId, was: Numbers, becomes: Numbers, journal: Sequence[Journaled] = ()
    ) -> None:
        """See `Unit`."""
        if self._move is not None:
            await self.begun()
        self._move = _Move(session, was, becomes, journal)

    async def claim(self, session: SessionId, keys: Sequence[str]) -> frozenset[str]:
        """See `Unit`."""
        if not keys:
            return frozenset()
        fresh = await (await self.begun()).fetch(_CLAIM, str(session), sorted(set(keys)))
        return frozenset(row["key"] for row in fresh)

    async def finish(self) -> None:
        """Write what waits.

        Raises:
            NumbersMoved: See `Unit.advance`.
        """
        beside, move, again = self._beside, self._move, None if self._has_begun else self._again
        self._beside = self._move = self._again = None
        parts: list[tuple[Part, Sequence[object]]] = []
        if move is not None:
            parts.append(_moving(move))
            if move.journal:
                parts.append(_journaled(move))
        if beside is not None:
            parts.append(beside)
        if not parts:
            return
        statement = _statement(tuple(part for part, _ in parts))
        try:
            await self._driver.execute(statement, *(value for _, values in parts for value in values))
        except DivisionByZeroError as error:
            if again is not None:
                await self.begun()
                await again()
                self._move = move
                await self.finish()
                return
            if move is None:
                raise
            raise NumbersMoved(f"{move.session} is not at {move.was}") from error


def _moving(move: _Move) -> tuple[Part, Sequence[object]]:
    name, was, becomes = str(move.session), move.was, move.becomes
    out, come = was.moves_out(becomes), was.moves_in(becomes)
    if out and come:
        before = (name, was.generation, was.next_out, was.next_in)
        return _MOVES_BOTH, (*before, becomes.generation, becomes.next_out, becomes.next_in, becomes.since)
    if out:
        return _MOVES_OUT, (name, was.generation, was.next_out, becomes.next_out)
    if come:
        return _MOVES_IN, (name, was.generation, was.next_in, becomes.next_in)
    return _STAYS, (name, was.generation)


def _journaled(move: _Move) -> tuple[Part, Sequence[object]]:
    name, entries = str(move.session), [each.entry for each in move.journal]
    if len(entries) == 1:
        one, entry = move.journal[0], entries[0]
        values = (one.generation, one.direction, entry.number, entry.msg_type, entry.data, entry.time)
        return _JOURNAL_ONE, (name, *values)
    numbers, types = plain_array([each.number for each in entries]), text_array([each.msg_type for each in entries])
    frames, times = [each.data for each in entries], [each.time for each in entries]
    if times.count(times[0]) == len(times) and len(places := {each[:2] for each in move.journal}) == 1:
        return _JOURNAL_RUN, (name, *places.pop(), numbers, types, frames, times[0])
    return _JOURNAL, (
        name,
        plain_array([each.generation for each in move.journal]),
        text_array([each.direction for each in move.journal]),
        numbers,
        types,
        frames,
        plain_array(times),
    )


@lru_cache(maxsize=64)
def _statement(parts: tuple[Part, ...]) -> str:
    """Return parts as one statement, their values one after the other; undone where a guard has no row."""
    texts, values = [], 0
    for part in parts:
        first = values
        texts.append(_PLACEHOLDER.sub(partial(_shifted, by=first), part.text))
        values += max((int(number) for number in _PLACEHOLDER.findall(part.text)), default=0)
    guards = ", ".join(_IF_ONE.format(part.guard) for part in parts if part.guard)
    return f"WITH {', '.join(texts)} SELECT {guards}"


def _shifted(placeholder: re.Match[str], by: int) -> str:
    return f"${int(placeholder[1]) + by}"
