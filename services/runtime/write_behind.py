"""The statements of one transaction, written behind: whoever writes goes on while PostgreSQL works.

A large change is some statements one after the other, each of thousands of values that take as long to gather as
PostgreSQL takes to write them. So a write waits in a line of a few that are done one after the other, and whoever wrote
goes on: both work. Order and meaning stay: a read sees every write before it, and an error of a write is raised by what
follows, at the latest by `settled`, which must be awaited before the transaction ends; nothing behind it is written.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from asyncpg import Record
from sqlalchemy import CursorResult, Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.database import driver_of
from services.runtime.questions import Question, answered

# Parameters by name; several of them execute a statement for each.
Values: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Answered: TypeAlias = Callable[[CursorResult[Any]], None]

# Writes that wait, each some hundred kilobytes: whoever has more to write waits for the first of them.
WAITING_MAX = 16
# Of the event loop: one hears the answer that has come, the next wakes who waited for it, who hands over what is next.
TURNS = 3

_NOTHING = text("SELECT")


class WriteBehind:
    """One transaction's connection, used through here only."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Begin with nothing under way."""
        self._connection = connection
        self._waiting: deque[tuple[Executable, Values, Answered | None]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._room = asyncio.Event()

    async def execute(self, statement: Executable, values: Values | None = None) -> CursorResult[Any]:
        """Execute `statement` after all before it, and return what it answers."""
        await self.settled()
        return await self._connection.execute(statement, values)

    async def ask(self, question: Question, said: Mapping[str, object]) -> list[Record]:
        """Return the rows that answer a question after all before it; for rows by the thousand."""
        await self.settled()
        driver = await driver_of(self._connection)
        if not driver.is_in_transaction():
            # SQLAlchemy begins a transaction with the first statement of its own.
            await self._connection.execute(_NOTHING)
        return await answered(driver, question, question.values(said))

    async def send(self, statement: Executable, values: Values, answered: Answered | None = None) -> None:
        """Execute `statement` after all before it, and return as soon as it is on its way or in line.

        Args:
            statement: What writes.
            values: Its parameters.
            answered: Looks at the answer, and raises if it is not as it must be.
        """
        while len(self._waiting) >= WAITING_MAX:
            self._room.clear()
            await self._room.wait()
        if self._writing is not None and self._writing.done():
            await self.settled()
        self._waiting.append((statement, values, answered))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await self.hand_over()

    async def hand_over(self) -> None:
        """Hear the answer that has come and hand over what is next in line; for whoever works long without writing."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def settled(self) -> None:
        """Wait for the answers to all that was sent. Raises what the first of them that failed raised."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def abandoned(self) -> None:
        """Wait until nothing is under way, when the transaction will be rolled back whatever came of it."""
        self._waiting.clear()
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()

    async def _write(self) -> None:
        try:
            while self._waiting:
                statement, values, answered = self._waiting.popleft()
                self._room.set()
                answer = await self._connection.execute(statement, values)
                if answered is not None:
                    answered(answer)
        finally:
            # After one that failed, nothing behind it counts.
            self._waiting.clear()
            self._room.set()
