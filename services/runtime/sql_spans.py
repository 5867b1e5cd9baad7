"""One span for each SQL statement, named by what it does to which table, without any value.

Only within a trace: a worker that looks for work and finds none leaves nothing behind.
"""

from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from sqlalchemy import event
from sqlalchemy.engine import Compiled, Engine, ExceptionContext
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from services.runtime.telemetry import tracer

_SPAN = "evenkeel_span"

# What a compiled statement does to which table; SQLAlchemy keeps the statements, so each is looked at once.
_names: WeakKeyDictionary[Compiled, tuple[str, str | None]] = WeakKeyDictionary()


def trace_statements(engine: Engine, schema: str) -> None:
    """Make a span of every statement that `engine` runs."""

    def before(_connection: object, _cursor: object, statement: str, _values: object, context: Any, _: bool) -> None:  # noqa: ANN401 - SQLAlchemy's own
        if not trace.get_current_span().get_span_context().is_valid:
            return
        operation, table = _named(statement, context)
        attributes = {"db.system.name": "postgresql", "db.namespace": schema, "db.operation.name": operation}
        if table:
            attributes["db.collection.name"] = table
        name = f"{operation} {table}" if table else operation
        setattr(context, _SPAN, tracer().start_span(name, kind=SpanKind.CLIENT, attributes=attributes))

    def after(_connection: object, _cursor: object, _sql: str, _values: object, context: object, _: bool) -> None:
        span = getattr(context, _SPAN, None)
        if span is not None:
            span.end()

    def failed(error: ExceptionContext) -> None:
        span = getattr(error.execution_context, _SPAN, None)
        if span is not None:
            span.set_attribute("error.type", type(error.original_exception).__name__)
            span.set_status(Status(StatusCode.ERROR))
            span.end()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


def _named(statement: str, context: Any) -> tuple[str, str | None]:  # noqa: ANN401 - SQLAlchemy's own
    compiled = getattr(context, "compiled", None)
    if compiled is None:
        return _read(statement)
    name = _names.get(compiled)
    if name is None:
        name = _names[compiled] = _said(compiled.statement, statement)
    return name


def _said(expression: object, statement: str) -> tuple[str, str | None]:
    if isinstance(expression, UpdateBase):
        return type(expression).__name__.upper(), getattr(expression.table, "name", None)
    if isinstance(expression, Select):
        sources = expression.get_final_froms()
        return "SELECT", getattr(sources[0], "name", None) if sources else None
    return _read(statement)


def _read(statement: str) -> tuple[str, str | None]:
    """Return what a statement written as text does; of an INSERT also to which table, which stands third in it."""
    operation, *rest = statement.split(None, 3)
    if operation.upper() != "INSERT":
        return operation.upper(), None
    return "INSERT", rest[1].partition("(")[0].rpartition(".")[2]
