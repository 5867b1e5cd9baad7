"""One value, one text, one hash.

Content is named by the hash of its bytes, so equal content must have equal bytes, in every process and every version.
This is the JSON Canonicalization Scheme (RFC 8785) on its float-free part: keys in the order of their UTF-16 code
units, no spaces, the shortest escapes. What JSON lacks is written as text: `Decimal` in plain digits without trailing
zeros, instants in RFC 3339 with `Z`, dates in ISO 8601.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeAlias

from services.kernel.decimals import plain

JsonValue: TypeAlias = "bool | int | str | Decimal | date | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

# RFC 7493: beyond this, readers whose numbers are doubles see another integer. Write larger ones as `Decimal`.
SAFE_INTEGER_MAX = 2**53 - 1

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical_json(value: JsonValue) -> bytes:
    """Return the one UTF-8 text of `value`.

    Raises:
        TypeError: Something in `value` is a float or of another type that has no canonical text.
        ValueError: An instant without time zone, a number that is not finite, an integer beyond 2**53 - 1, or text
            that is not Unicode.
    """
    return _ENCODER.encode(_canonical(value)).encode()


def content_hash(data: bytes) -> str:
    """Return the name of `data` by its content: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def rfc3339(instant: datetime) -> str:
    """Return `instant` in UTC with `Z`; microseconds only when there are any.

    Raises:
        ValueError: `instant` has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, was {instant.isoformat()}")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _canonical(value: JsonValue) -> object:
    # What most values are, first.
    if type(value) is str:
        return value
    if isinstance(value, Decimal):
        return plain(value)
    # `Mapping` is asked last: it is an abstract class, and asking it costs more than all others together.
    match value:
        case None | bool() | str():
            return value
        case dict():
            return {key: _canonical(value[key]) for key in _in_order(value)}
        case list() | tuple():
            return [_canonical(each) for each in value]
        case int():
            if abs(value) > SAFE_INTEGER_MAX:
                raise ValueError(f"an integer must be within 2**53 - 1 either way, was {value}; write it as a Decimal")
            return int(value)
        case datetime():
            return rfc3339(value)
        case date():
            return value.isoformat()
        case Mapping():
            return _canonical(dict(value))
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical text")


def _in_order(keys: Mapping[str, JsonValue]) -> list[str]:
    try:
        # In ASCII the order of code units is that of characters, which is built in.
        ascii_only = "".join(keys).isascii()
    except TypeError:
        ascii_only = False
    return sorted(keys) if ascii_only else sorted(keys, key=_utf_16)


def _utf_16(key: str) -> bytes:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text, was {type(key).__name__}")
    return key.encode("utf-16-be")
