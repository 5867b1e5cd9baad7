"""How do values of FIX's types look on the wire?

Source: FIX specification 4.4, volume 1, "FIX data types": decimals in plain notation without exponent; UTC timestamps
`YYYYMMDD-HH:MM:SS[.sss]`; booleans `Y` and `N`; a second of 60 is a leap second.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

# A plain value, or the entries of a repeating group, each a sequence of fields. The encoder counts the entries.
Scalar = str | bytes | int | Decimal | bool | datetime | date
Value = Scalar | Sequence[Sequence[tuple[int, "Value"]]]
Pair = tuple[int, Value]

# Longer numbers than any field needs would only cost time to convert.
DIGITS_MAX = 30

_TIMESTAMP = re.compile(rb"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?")
_INTEGER = re.compile(rb"-?\d{1,%d}" % DIGITS_MAX)
_DECIMAL = re.compile(rb"-?(?:\d{1,%d}(?:\.\d{0,%d})?|\.\d{1,%d})" % (DIGITS_MAX, DIGITS_MAX, DIGITS_MAX))
# The longest of each that can be one.
_TIMESTAMP_MAX = len("20261130-15:04:05.123456789012")
_DECIMAL_MAX = len("-.") + 2 * DIGITS_MAX


def wire(value: Scalar) -> bytes:
    """Return a value as it is written; instants to the millisecond, text as UTF-8.

    Raises:
        ValueError: A number is not finite, or an instant has no time zone.
    """
    for kind, writer in WRITERS.items():
        # A subclass of one of them, for instance an enumeration of texts.
        if isinstance(value, kind):
            return writer(value)
    raise ValueError(f"a {type(value).__name__} is no value of FIX")


def _number(value: Decimal) -> bytes:
    text = str(value)
    # Plain, but for exponents, NaN and Infinity.
    if "E" not in text and "N" not in text and "I" not in text:
        return text.encode()
    if not value.is_finite():
        raise ValueError(f"a number must be finite, was {value}")
    return format(value, "f").encode()


def _flag(value: bool) -> bytes:
    return b"Y" if value else b"N"


def _date(value: date) -> bytes:
    return b"%04d%02d%02d" % (value.year, value.month, value.day)


@lru_cache(maxsize=16)
def timestamp(at: datetime) -> bytes:
    """Return an instant as a UTCTimestamp with milliseconds.

    Raises:
        ValueError: It has no time zone.
    """
    if at.tzinfo is not UTC:
        if at.tzinfo is None:
            raise ValueError(f"an instant needs a time zone, was {at.isoformat()}")
        at = at.astimezone(UTC)
    return b"%04d%02d%02d-%02d:%02d:%02d.%03d" % (
        at.year,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second,
        at.microsecond // 1000,
    )


# How each type is written; of types that are kinds of others the narrower one comes first.
WRITERS: Mapping[type, Callable[[Any], bytes]] = {
    bytes: bytes,
    str: str.encode,
    bool: _flag,
    int: b"%d".__mod__,
    Decimal: _number,
    datetime: timestamp,
    date: _date,
}


def read_timestamp(value: bytes) -> datetime | None:
    """Return the instant that a UTCTimestamp names, to the microsecond; None if it is not one."""
    return _read_timestamp(value) if len(value) <= _TIMESTAMP_MAX else None


# What comes together was sent together: in a burst most instants, prices and quantities have been read before.
@lru_cache(maxsize=256)
def _read_timestamp(value: bytes) -> datetime | None:
    found = _TIMESTAMP.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction = found.groups()
    micros = int(fraction[:6].ljust(6, b"0")) if fraction else 0
    try:
        # A leap second has no datetime of its own: it is the last instant before midnight.
        if second == b"60":
            second, micros = b"59", 999_999
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros, UTC)
    except ValueError:
        return None


def read_integer(value: bytes) -> int | None:
    """Return an integer; None if it is not one, or has more than `DIGITS_MAX` digits."""
    return int(value) if _INTEGER.fullmatch(value) else None


def read_decimal(value: bytes) -> Decimal | None:
    """Return a decimal, trailing zeros kept; None if it is not one, or has more than `DIGITS_MAX` digits."""
    return _read_decimal(value) if len(value) <= _DECIMAL_MAX else None


@lru_cache(maxsize=4096)
def _read_decimal(value: bytes) -> Decimal | None:
    return Decimal(value.decode()) if _DECIMAL.fullmatch(value) else None
