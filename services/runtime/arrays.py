"""Columns on their way to PostgreSQL: each one text, which the server reads as an array.

The driver makes an array element by element, with several checks and, for a number, a tuple of its digits each: for
thousands of rows that takes longer than the statement. Joining what Python writes by itself takes a tenth.

    statement = text("SELECT unnest(CAST(CAST(:ids AS text) AS text[])) AS id")
    await connection.execute(statement, {"ids": text_array(ids)})

Several columns are unnested side by side where they are selected: as one table of several functions PostgreSQL stores
each of them twice. Those that are shorter than others end in NULLs.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal


def text_array(values: Sequence[str | None]) -> str:
    """Return the text of an array of texts; None is NULL.

    Raises:
        TypeError: A value is no text.
    """
    if not values:
        return "{}"
    if all_one(values):
        return _repeated("NULL" if values[0] is None else _quoted(values[0]), len(values))
    if None not in values:
        joined = '","'.join(values)  # type: ignore[arg-type] # none is None
        # Nothing to escape: the only quotes are our own.
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}'
    return "{" + ",".join("NULL" if each is None else _quoted(each) for each in values) + "}"


def plain_array(values: Sequence[Decimal | int | date | None]) -> str:
    """Return the text of an array of numbers, truth values, dates or instants, which need no quotes; None is NULL.

    Instants carry their time zone, and PostgreSQL reads them to the microsecond.
    """
    if not values:
        return "{}"
    if all_one(values):
        return _repeated(_plain(values[0]), len(values))
    if any(issubclass(kind, date) for kind in set(map(type, values))):
        # Rows of one statement say few times.
        written = {each: _plain(each) for each in set(values)}
        return f"{{{','.join([written[each] for each in values])}}}"
    # What numbers and truth values are called has no capital N.
    return f"{{{','.join(map(str, values)).replace('None', 'NULL')}}}"


def all_one(values: Sequence[object]) -> bool:
    """Return whether all of `values`, of which there is one at least, are one object.

    So they are in most columns of rows that are written together.
    """
    # A sequence that makes its values when it is asked, as a range does, does not end with the one it begins with.
    return values[0] is values[-1] and len(set(map(id, values))) == 1


def _repeated(written: str, count: int) -> str:
    return f"{{{','.join([written] * count)}}}"


def _plain(value: Decimal | int | date | None) -> str:
    if value is None:
        return "NULL"
    return value.isoformat() if isinstance(value, date) else str(value)


def _quoted(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is needed, was {type(value).__name__}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
