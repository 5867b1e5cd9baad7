"""Questions that are asked before an answer to each call: one statement, read by the driver itself.

SQLAlchemy writes the statement, once. Then its connections, its transactions and its rows take three quarters of the
time that such a question takes; the driver's own pool and rows do without. Each question is a statement by itself.
"""

import asyncio
from collections.abc import Mapping, Sequence

from asyncpg import Connection, Pool, Record, create_pool
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.selectable import SelectBase

from services.runtime.telemetry import tracer


class Question:
    """A statement that reads, and the names of its values."""

    def __init__(self, statement: SelectBase, about: str) -> None:
        """Write `statement`; `about` names it in traces, in a word or two: what it reads."""
        compiled = statement.compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call] # published without types
        self.about = about
        self.text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._said = compiled.params

    def values(self, said: Mapping[str, object]) -> list[object]:
        """Return the values in their order; of names that `said` does not have, those of the statement.

        Types are the driver's: nothing is converted.
        """
        return [said.get(name, self._said[name]) for name in self._names]


class Asking:
    """Connections for questions, made as they are needed; the database's own limits hold."""

    def __init__(self, url: str, connections: int, wait_s: float, age_s: float, options: Mapping[str, object]) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: Of the database, as the driver reads it.
            connections: Most at once.
            wait_s: Longest wait for one of them.
            age_s: One that was not used for so long is closed.
            options: How the driver connects.
        """
        self._url = url
        self._connections = connections
        self._wait_s = wait_s
        self._age_s = age_s
        self._options = options
        self._pool: Pool[Record] | None = None
        self._opening = asyncio.Lock()

    async def ask(self, question: Question, values: Sequence[object]) -> list[Record]:
        """Return the rows that answer.

        Raises:
            TimeoutError: No connection became free in time.
            OSError: The database does not answer.
            PostgresError: It refuses.
        """
        pool = self._pool or await self._opened()
        # A wait costs a task of its own, and mostly there is nothing to wait for.
        connection = await pool.acquire(timeout=None if pool.get_idle_size() else self._wait_s)
        try:
            return await answered(connection, question, values)
        finally:
            await pool.release(connection)

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.close()

    async def _opened(self) -> "Pool[Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._connections,
                    max_inactive_connection_lifetime=self._age_s,
                    reset=_as_it_is,
                    **self._options,
                )
            return self._pool


async def answered(connection: Connection, question: Question, values: Sequence[object]) -> list[Record]:
    """Return the rows that answer a question on a connection of the driver, in a span of their own."""
    if not trace.get_current_span().get_span_context().is_valid:
        return await _fetched(connection, question, values)
    span = tracer().start_span(f"SELECT {question.about}", kind=SpanKind.CLIENT, attributes=_ATTRIBUTES)
    try:
        return await _fetched(connection, question, values)
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()


async def _fetched(connection: Connection, question: Question, values: Sequence[object]) -> list[Record]:
    rows: list[Record] = await connection.fetch(question.text, *values)
    return rows


async def _as_it_is(_: Connection) -> None:
    """Leave a connection as it is: a question changes nothing about it, and resetting one costs an answer."""


_ATTRIBUTES = {"db.system.name": "postgresql", "db.operation.name": "SELECT"}
