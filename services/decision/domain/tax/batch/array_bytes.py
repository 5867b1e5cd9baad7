"""One-dimensional arrays as PostgreSQL sends them, read as columns: exactly, and without an object for any element.

Each array is the bytes that `array_send` returns: the number of dimensions, a flag, the type of elements; of the one
dimension its length and lower bound; then each element as its length and its bytes, -1 for null. All are whole numbers
in network order. A number is `numeric_send`: how many digits in base 10,000 there are, the power of 10,000 that the
first counts, the sign, decimal places, and the digits.

Sources: PostgreSQL's `array_send`, `numeric_send`, `date_send`, `int4send` and `textsend` (src/backend/utils/adt).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.tax.batch.whole import Flags, Ints, compiled

Bytes: TypeAlias = NDArray[np.uint8]

# Days are counted from here.
_EPOCH = date(2000, 1, 1).toordinal()
_HEADER, _DIMENSION, _LENGTH, _NUMBER_HEADER = 12, 8, 4, 8
_NEGATIVE = 0x4000
# A number with its places must be below this.
_LIMIT = 10**18


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Elements of many arrays, one array after the other.

    Attributes:
        starts: Where each array begins; one more than there are arrays.
        values: As the reader says.
        readable: Of each array: every element is what the reader says; else its values are not to be used.
    """

    starts: Ints
    values: Ints
    readable: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Texts of many arrays in UTF-8, one array after the other.

    Attributes:
        starts: Where each array begins among the texts; one more than there are arrays.
        data: Bytes that have all texts among them.
        begins: Where each text begins in `data`.
        ends: Where it ends.
        readable: Of each array: none of its texts is null.
    """

    starts: Ints
    data: Bytes
    begins: Ints
    ends: Ints
    readable: Flags

    def text(self, row: int) -> str:
        """Return one text."""
        return self.data[self.begins[row] : self.ends[row]].tobytes().decode()


def numbers(arrays: Sequence[bytes], places: int) -> Numbers:
    """Return arrays of `numeric` as whole numbers of 0 to 9 decimal places; what is finer or larger is not readable."""
    data, bounds = _together(arrays)
    starts, readable = _starts(data, bounds)
    values = np.zeros(starts[-1], dtype=np.int64)
    _numbers(data, bounds, starts, places, values, readable)
    return Numbers(starts, values, readable)


def whole_numbers(arrays: Sequence[bytes]) -> Numbers:
    """Return arrays of `integer`."""
    data, bounds = _together(arrays)
    starts, readable = _starts(data, bounds)
    values = np.zeros(starts[-1], dtype=np.int64)
    _integers(data, bounds, starts, values, readable)
    return Numbers(starts, values, readable)


def days(arrays: Sequence[bytes]) -> Numbers:
    """Return arrays of `date` as ordinals, as `date.toordinal` counts."""
    found = whole_numbers(arrays)
    return Numbers(found.starts, found.values + _EPOCH, found.readable)


def texts(arrays: Sequence[bytes]) -> Texts:
    """Return arrays of `text`."""
    data, bounds = _together(arrays)
    starts, readable = _starts(data, bounds)
    begins, ends = np.zeros(starts[-1], dtype=np.int64), np.zeros(starts[-1], dtype=np.int64)
    _texts(data, bounds, starts, begins, ends, readable)
    return Texts(starts, data, begins, ends, readable)


def _together(arrays: Sequence[bytes]) -> tuple[Bytes, Ints]:
    """Return the bytes of all arrays, and where each begins and the last ends."""
    bounds = np.zeros(len(arrays) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in arrays], out=bounds[1:])
    return np.frombuffer(b"".join(arrays), dtype=np.uint8), bounds


def _starts(data: Bytes, bounds: Ints) -> tuple[Ints, Flags]:
    starts, readable = np.zeros(len(bounds), dtype=np.int64), np.ones(len(bounds) - 1, dtype=np.bool_)
    _count(data, bounds, starts, readable)
    return starts, readable


@compiled
def _at(data: Bytes, place: int) -> int:
    """Return the signed number of four bytes."""
    found = (
        np.int64(data[place]) << 24
        | np.int64(data[place + 1]) << 16
        | np.int64(data[place + 2]) << 8
        | np.int64(data[place + 3])
    )
    return int(found - (1 << 32) if found >= 1 << 31 else found)


@compiled
def _short(data: Bytes, place: int) -> int:
    """Return the signed number of two bytes."""
    found = np.int64(data[place]) << 8 | np.int64(data[place + 1])
    return int(found - (1 << 16) if found >= 1 << 15 else found)


@compiled
def _count(data: Bytes, bounds: Ints, starts: Ints, readable: Flags) -> None:
    """Fill `starts` by the lengths of arrays; one that is not of at most one dimension counts as empty."""
    for row in range(len(bounds) - 1):
        count = 0
        dimensions = _at(data, bounds[row]) if bounds[row + 1] - bounds[row] >= _HEADER else -1
        if dimensions == 1 and bounds[row + 1] - bounds[row] >= _HEADER + _DIMENSION:
            count = _at(data, bounds[row] + _HEADER)
            if count < 0 or count * _LENGTH > bounds[row + 1] - bounds[row]:
                count = 0
                readable[row] = False
        elif dimensions != 0:
            readable[row] = False
        starts[row + 1] = starts[row] + count


@compiled
def _element(data: Bytes, place: int, end: int) -> int:
    """Return where the element at `place` ends; -1 when it is null or goes on after `end`."""
    if place + _LENGTH > end:
        return -1
    length = _at(data, place)
    if length < 0 or place + _LENGTH + length > end:
        return -1
    return place + _LENGTH + length


@compiled
def _number(data: Bytes, begin: int, end: int, places: int) -> tuple[int, bool]:
    """Return a number as a whole number of `places`, and whether it is one."""
    if end - begin < _NUMBER_HEADER:
        return 0, False
    digits, weight, sign = _short(data, begin), _short(data, begin + 2), _short(data, begin + 4)
    if (sign != 0 and sign != _NEGATIVE) or digits < 0 or end - begin != _NUMBER_HEADER + 2 * digits:
        return 0, False
    value = 0
    for number in range(digits):
        digit = _short(data, begin + _NUMBER_HEADER + 2 * number)
        power = 4 * (weight - number) + places
        if digit == 0:
            continue
        if power <= -4 or power > 18:
            return 0, False
        if power < 0:
            step = 10**-power
            if digit % step != 0:
                return 0, False
            value += digit // step
        else:
            step = 10**power
            if digit > (_LIMIT - value) // step:
                return 0, False
            value += digit * step
    return -value if sign == _NEGATIVE else value, True


@compiled
def _numbers(data: Bytes, bounds: Ints, starts: Ints, places: int, values: Ints, readable: Flags) -> None:
    for row in range(len(bounds) - 1):
        place = bounds[row] + _HEADER + _DIMENSION
        for number in range(starts[row], starts[row + 1]):
            end = _element(data, place, bounds[row + 1])
            if end < 0:
                readable[row] = False
                break
            values[number], whole = _number(data, place + _LENGTH, end, places)
            if not whole:
                readable[row] = False
                break
            place = end


@compiled
def _integers(data: Bytes, bounds: Ints, starts: Ints, values: Ints, readable: Flags) -> None:
    for row in range(len(bounds) - 1):
        place = bounds[row] + _HEADER + _DIMENSION
        for number in range(starts[row], starts[row + 1]):
            end = _element(data, place, bounds[row + 1])
            if end != place + 2 * _LENGTH:
                readable[row] = False
                break
            values[number] = _at(data, place + _LENGTH)
            place = end


@compiled
def _texts(data: Bytes, bounds: Ints, starts: Ints, begins: Ints, ends: Ints, readable: Flags) -> None:
    for row in range(len(bounds) - 1):
        place = bounds[row] + _HEADER + _DIMENSION
        for number in range(starts[row], starts[row + 1]):
            end = _element(data, place, bounds[row + 1])
            if end < 0:
                readable[row] = False
                break
            begins[number], ends[number] = place + _LENGTH, end
            place = end
