"""Questions that are asked before an answer to each call: one statement, read by the driver itself.

SQLAlchemy writes the statement, once. Then its connections, its transactions and its rows take three quarters of the
time that such a question takes; the driver's own do without. Each question is a statement by itself.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from asyncpg import Connection, PostgresError, Record, connect
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
    """Connections for questions, made as they are needed; the database's own limits hold.

    The driver's pool would do, for a fifth of a question's time: it spends a proxy, a task and a reset on each use.
    """

    def __init__(self, url: str, connections: int, wait_s: float, age_s: float, options: Mapping[str, Any]) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: Of the database, as the driver reads it.
            connections: Most at once.
            wait_s: Longest wait for one of them.
            age_s: Older ones are replaced.
            options: How the driver connects.
        """
        self._url = url
        self._slots = asyncio.Semaphore(connections)
        self._wait_s = wait_s
        self._age_s = age_s
        self._options = options
        # Those that nobody uses, with the time until which they may be; the one used last is used next.
        self._free: list[tuple[Connection, float]] = []

    async def ask(self, question: Question, values: Sequence[object]) -> list[Record]:
        """Return the rows that answer.

        Raises:
            TimeoutError: No connection became free in time.
            OSError: The database does not answer.
            PostgresError: It refuses.
        """
        # Counting seconds costs a timer, and mostly there is nothing to wait for.
        async with asyncio.timeout(self._wait_s) if self._slots.locked() else _AT_ONCE:
            await self._slots.acquire()
        try:
            connection, until_s = await self._taken()
            try:
                return await answered(connection, question, values)
            except PostgresError:
                raise
            except BaseException:
                # Given up in the middle: an answer may still be on its way.
                connection.terminate()
                raise
            finally:
                self._free.append((connection, until_s))
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Close every connection that is free."""
        while self._free:
            await self._free.pop()[0].close()

    async def _taken(self) -> tuple[Connection, float]:
        while self._free:
            connection, until_s = self._free.pop()
            if not connection.is_closed() and time.monotonic() < until_s:
                return connection, until_s
            connection.terminate()
        return await connect(self._url, **self._options), time.monotonic() + self._age_s


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


_ATTRIBUTES = {"db.system.name": "postgresql", "db.operation.name": "SELECT"}
_AT_ONCE = nullcontext()
