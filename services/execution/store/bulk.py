"""Writes many rows in one statement.

A block has thousands of orders, and a statement per row would spend its time on the way. Here each column travels as
the text of an array (`services/runtime/arrays.py`) and the server makes rows of them: still one plain statement.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CursorResult,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    TextClause,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.execution.store.rows import Columns, Values
from services.kernel.errors import Conflict
from services.runtime.arrays import all_one, plain_array, text_array
from services.runtime.write_behind import WriteBehind

# Rows of one statement: few enough that PostgreSQL has begun before all are gathered.
ROWS_AT_ONCE = 1_000

# In so many rows a column that says one thing is told once. With fewer there would be a statement for each mixture.
ALIKE_ROWS_MIN = 100
# Types whose values travel as texts of ours.
_WRITTEN_OUT = frozenset({LargeBinary, JSONB})

_TYPES = {
    Text: "text",
    Numeric: "numeric",
    BigInteger: "bigint",
    Integer: "integer",
    Boolean: "boolean",
    Date: "date",
    DateTime: "timestamptz",
    LargeBinary: "bytea",
    JSONB: "jsonb",
}


Value = TypeVar("Value")


def parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Return `values` in parts of which each is one statement; none when there are none."""
    for start in range(0, len(values), ROWS_AT_ONCE):
        yield values[start : start + ROWS_AT_ONCE]


def columns_of(rows: Sequence[Values]) -> Columns:
    """Return rows, of which there is one at least and which all name the same columns, as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


async def insert_rows(
    connection: WriteBehind, table: Table, rows: Sequence[Values], on_conflict: str | None = None
) -> None:
    """Insert `rows`, which all name the same columns; see `insert`."""
    await insert(connection, table, rows, columns_of, on_conflict)


async def insert(
    connection: WriteBehind,
    table: Table,
    values: Sequence[Value],
    columns: Callable[[Sequence[Value]], Columns],
    on_conflict: str | None = None,
) -> None:
    """Insert a row for each of `values`.

    Args:
        connection: Where.
        table: Which.
        values: What the rows are of.
        columns: Makes the columns of a part of them, by name: rows that are never made take no time.
        on_conflict: What follows ON CONFLICT, in SQL; without it a conflict is an error.
    """
    for part in parts(values):
        told = columns(part)
        alike = _alike(table, told)
        await connection.send(_insert(table, tuple(told), alike, on_conflict), _values(table, told, alike))


async def update_rows(connection: WriteBehind, table: Table, key: str, rows: Sequence[Values]) -> None:
    """Write over the rows of `table` with the same `key`; all of `rows` name the same columns. See `update`."""
    await update(connection, table, key, rows, columns_of)


async def update(
    connection: WriteBehind,
    table: Table,
    key: str,
    values: Sequence[Value],
    columns: Callable[[Sequence[Value]], Columns],
    only_if: str = "true",
) -> None:
    """Write over the row of each of `values`.

    Args:
        connection: Where.
        table: Which.
        key: Name of the column that names a row.
        values: What the rows are of.
        columns: Makes the columns to change of a part of them, and the key, by name.
        only_if: A condition in SQL on the row as it is, which is called `was`.

    Raises:
        Conflict: A row is not there, or not as `only_if` says.
    """
    for part in parts(values):
        told = columns(part)
        alike = _alike(table, told)
        statement = _update(table, key, tuple(told), alike, only_if)
        await connection.send(statement, _values(table, told, alike), all_of(len(part), table))


def all_of(rows: int, table: Table) -> Callable[[CursorResult[Any]], None]:
    """Return what makes sure that a statement changed so many rows, and raises `Conflict` when it did not."""

    def look(changed: CursorResult[Any]) -> None:
        if changed.rowcount != rows:
            raise Conflict(f"{rows - changed.rowcount} rows of {table.name} were not as they must be")

    return look


def _alike(table: Table, columns: Columns) -> frozenset[str]:
    """Return the columns in which all of many rows say the same, which is told once; those of few have no such."""
    alike = frozenset(
        name
        for name, values in columns.items()
        if len(values) >= ALIKE_ROWS_MIN and type(table.c[name].type) not in _WRITTEN_OUT and all_one(values)
    )
    # How many rows there are is said by the columns in which they differ.
    return alike if len(alike) < len(columns) else frozenset()


def _values(table: Table, columns: Columns, alike: frozenset[str]) -> dict[str, object]:
    return {
        name: values[0] if name in alike else _column(type(table.c[name].type), values)
        for name, values in columns.items()
    }


def _column(kind: type, values: list[Any]) -> str:
    if kind is JSONB:
        return text_array([json.dumps(each) for each in values])
    if kind is LargeBinary:
        return text_array([f"\\x{each.hex()}" for each in values])
    if values[0] is None and values.count(None) == len(values):
        # What is selected beside longer columns is NULL behind its end.
        return "{}"
    return text_array(values) if kind is Text else plain_array(values)


@lru_cache(maxsize=256)
def _insert(table: Table, names: tuple[str, ...], alike: frozenset[str], on_conflict: str | None) -> TextClause:
    # The names come from our own tables and never from a request.
    otherwise = "" if on_conflict is None else f" ON CONFLICT {on_conflict}"
    selected = ", ".join(_selected(table, name, alike) for name in names)
    return text(f"INSERT INTO {table.fullname} AS was ({', '.join(names)}) SELECT {selected}{otherwise}")


@lru_cache(maxsize=256)
def _update(table: Table, key: str, names: tuple[str, ...], alike: frozenset[str], only_if: str) -> TextClause:
    changes = ", ".join(f"{name} = now.{name}" for name in names if name != key)
    selected = ", ".join(f"{_selected(table, name, alike)} AS {name}" for name in names)
    return text(
        f"UPDATE {table.fullname} AS was SET {changes} FROM (SELECT {selected}) AS now"  # noqa: S608 - as above
        f" WHERE was.{key} = now.{key} AND {only_if}"
    )


def _selected(table: Table, name: str, alike: frozenset[str]) -> str:
    kind = _TYPES[type(table.c[name].type)]
    return f"CAST(:{name} AS {kind})" if name in alike else f"unnest(CAST(CAST(:{name} AS text) AS {kind}[]))"
