"""The statements of one transaction, written behind: whoever writes goes on while PostgreSQL works.

A large change is some statements one after the other, each of thousands of values that take as long to gather as
PostgreSQL takes to write them. So a write is sent and its answer awaited only by the next statement: half of the time
both work. Order and meaning stay: a read sees every write before it, and an error of a write is raised by what follows,
at the latest by `settled`, which must be awaited before the transaction ends.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncConnection

# Parameters by name; several of them execute a statement for each.
Values: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class WriteBehind:
    """One transaction's connection, used through here only."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Begin with nothing under way."""
        self._connection = connection
        self._under_way: asyncio.Task[None] | None = None

    async def execute(self, statement: Executable, values: Values | None = None) -> CursorResult[Any]:
        """Execute `statement` after all before it, and return what it answers."""
        await self.settled()
        return await self._connection.execute(statement, values)

    async def send(
        self,
        statement: Executable,
        values: Values,
        answered: Callable[[CursorResult[Any]], None] | None = None,
    ) -> None:
        """Execute `statement` after all before it, and return as soon as it is on its way.

        Args:
            statement: What writes.
            values: Its parameters.
            answered: Looks at the answer, and raises if it is not as it must be.
        """
        await self.settled()
        self._under_way = asyncio.create_task(self._execute(statement, values, answered))
        # The task's first step hands the statement to the connection.
        await asyncio.sleep(0)

    async def settled(self) -> None:
        """Wait for the answer to what was sent last. Raises whatever that raised."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            await under_way

    async def abandoned(self) -> None:
        """Wait until nothing is under way, when the transaction will be rolled back whatever came of it."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            await asyncio.wait([under_way])
            if not under_way.cancelled():
                under_way.exception()

    async def _execute(
        self,
        statement: Executable,
        values: Values,
        answered: Callable[[CursorResult[Any]], None] | None,
    ) -> None:
        answer = await self._connection.execute(statement, values)
        if answered is not None:
            answered(answer)
