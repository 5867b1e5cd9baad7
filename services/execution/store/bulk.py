"""Writes many rows in one statement.

A block has thousands of orders, and a statement per row would spend its time on the way. Here the columns travel as
arrays and the server makes rows of them: an order of magnitude faster, and still one plain statement.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Integer, LargeBinary, Numeric, Table, Text, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.execution.store.rows import Values

_TYPES = {
    Text: "text",
    Numeric: "numeric",
    BigInteger: "bigint",
    Integer: "integer",
    Boolean: "boolean",
    Date: "date",
    DateTime: "timestamptz",
    LargeBinary: "bytea",
}


async def insert_rows(connection: AsyncConnection, table: Table, rows: Sequence[Values]) -> None:
    """Insert `rows`, which all name the same columns."""
    if rows:
        await connection.execute(_insert(table, tuple(rows[0])), _columns(rows))


async def update_rows(
    connection: AsyncConnection, table: Table, key: str, rows: Sequence[Values], only_if: str = "true"
) -> int:
    """Write over the rows of `table` with the same `key`, and return how many there were.

    Args:
        connection: Where.
        table: Which.
        key: Name of the column that names a row.
        rows: The key and the columns to change; all name the same.
        only_if: A condition in SQL on the row as it is, which is called `was`.
    """
    if not rows:
        return 0
    changed = await connection.execute(_update(table, key, tuple(rows[0]), only_if), _columns(rows))
    return changed.rowcount


def _columns(rows: Sequence[Values]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@lru_cache(maxsize=64)
def _insert(table: Table, names: tuple[str, ...]) -> TextClause:
    # The names come from our own tables and never from a request.
    return text(f"INSERT INTO {table.fullname} ({', '.join(names)}) SELECT * FROM {_arrays(table, names)}")  # noqa: S608 - see above


@lru_cache(maxsize=64)
def _update(table: Table, key: str, names: tuple[str, ...], only_if: str) -> TextClause:
    changes = ", ".join(f"{name} = now.{name}" for name in names if name != key)
    return text(
        f"UPDATE {table.fullname} AS was SET {changes} FROM {_arrays(table, names)} AS now ({', '.join(names)})"  # noqa: S608 - as above
        f" WHERE was.{key} = now.{key} AND {only_if}"
    )


def _arrays(table: Table, names: tuple[str, ...]) -> str:
    arrays = (f"CAST(:{name} AS {_TYPES[type(table.c[name].type)]}[])" for name in names)
    return f"unnest({', '.join(arrays)})"
