"""Rows as PostgreSQL copies them, by columns: one message a row, and no object for any of them.

Source: PostgreSQL's documentation of COPY, "Binary Format".
"""

import asyncio

import numpy as np
from asyncpg import Connection

from services.audit.domain.scanning import Bytes, Ints, compiled
from services.audit.domain.stretch import suspect

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_LEAST_ROW_BYTES, _FIELD_BYTES = 2, 4

# The server sends 8 KB at a time, and who is always given the processor wakes for each, which costs more than what is
# in it. So after a small part the next ones are left to gather in the system's buffer.
_PART_BYTES = 1 << 16
_GATHER_S = 0.001


class Copied:
    """Rows that were copied, none of whose fields is null."""

    def __init__(self, data: bytes, columns: int) -> None:
        """Find the fields of the rows in `data`, each with `columns` of them.

        Raises:
            Suspicion: A field is null.
        """
        if not data.startswith(_SIGNATURE):
            raise ValueError("rows were not copied as this version of the format has them")
        self._data = np.frombuffer(data, np.uint8)
        most = len(data) // (_LEAST_ROW_BYTES + _FIELD_BYTES * columns)
        spans = np.empty((most, columns, 2), np.int64)
        count = _fields(self._data, len(_SIGNATURE), spans)
        if count < 0:
            suspect("what is stored has null in it")
        self._spans = spans[:count]

    def column(self, number: int) -> bytes:
        """Return the fields of a column, one after the other."""
        return self._joined(number, 0).tobytes()

    def separated(self, number: int) -> bytes:
        """Return the fields of a column, a comma between two."""
        return self._joined(number, 1)[:-1].tobytes()

    def lengths(self, number: int) -> bytes:
        """Return how long each field of a column is: four bytes, big end first."""
        return self._lengths(number).astype(">i4").tobytes()

    def by_place(self, number: int) -> tuple["Copied", Ints]:
        """Return the rows in the order of a column of eight bytes, and what is in it."""
        places = np.frombuffer(self.column(number), ">i8").astype(np.int64)
        if (places[1:] >= places[:-1]).all():
            return self, places
        order = np.argsort(places, kind="stable")
        return self._of(self._spans[order]), places[order]

    def rows(self, start: int, stop: int) -> "Copied":
        """Return the rows with these numbers."""
        return self._of(self._spans[start:stop])

    def _of(self, spans: Ints) -> "Copied":
        rows = object.__new__(Copied)
        rows._data, rows._spans = self._data, spans
        return rows

    def _lengths(self, number: int) -> Ints:
        lengths: Ints = self._spans[:, number, 1] - self._spans[:, number, 0]
        return lengths

    def _joined(self, number: int, gap: int) -> Bytes:
        into = np.full(int(self._lengths(number).sum()) + gap * len(self._spans), ord(","), np.uint8)
        _join(self._data, self._spans, number, gap, into)
        return into


async def copied(driver: Connection, query: str, start: int, stop: int, columns: int) -> Copied:
    """Return the rows of `query`, which has `columns` and two whole numbers as its parameters.

    Raises:
        Suspicion: A field is null.
    """
    parts: list[bytes] = []

    async def keep(part: bytes) -> None:
        parts.append(part)
        if len(part) < _PART_BYTES:
            await asyncio.sleep(_GATHER_S)

    # COPY has no parameters.
    bounded = query.replace("$1", f"{start:d}").replace("$2", f"{stop:d}")
    await driver.copy_from_query(bounded, output=keep, format="binary")
    return Copied(b"".join(parts), columns)


def warm_up() -> None:
    """Compile what is compiled, or load it."""
    Copied(_SIGNATURE + b"\xff\xff", 1).column(0)


@compiled
def _fields(data: Bytes, at: int, spans: Ints) -> int:
    """Write where each field begins and ends; return how many rows there are, -1 when one is not as `spans` has it."""
    columns = spans.shape[1]
    row = 0
    while at + 2 <= len(data):
        found = data[at] << 8 | data[at + 1]
        at += 2
        if found == 0xFFFF:
            return row if at == len(data) else -1
        if found != columns or row == len(spans):
            return -1
        for column in range(columns):
            if at + 4 > len(data):
                return -1
            length = np.int64(data[at]) << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
            at += 4
            # Null is -1, which is more than any field has.
            if at + length > len(data):
                return -1
            spans[row, column, 0], spans[row, column, 1] = at, at + length
            at += length
        row += 1
    return -1


@compiled
def _join(data: Bytes, spans: Ints, column: int, gap: int, into: Bytes) -> None:
    """Write the fields of a column to `into`, each followed by a gap."""
    at = 0
    for row in range(len(spans)):
        begins, ends = spans[row, column, 0], spans[row, column, 1]
        here, there = into[at : at + ends - begins], data[begins:ends]
        for n in range(len(here)):
            here[n] = there[n]
        at += ends - begins + gap
