"""Questions that are asked before an answer to each call: one statement, read by the driver itself.

SQLAlchemy writes the statement, once. Then its connections, its transactions and its rows take three quarters of the
time that such a question takes; the driver's own (`drivers`) do without. Each question is a statement by itself.
"""

from collections.abc import Mapping, Sequence

from asyncpg import Connection, Record
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
