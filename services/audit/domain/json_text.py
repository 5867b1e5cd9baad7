"""JSON as the log writes it (RFC 8785), and whether what came is so: by fast ways, and slow ones for the rest."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from services.kernel.canonical import SAFE_INTEGER_MAX, JsonValue, canonical_json

STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _integer(digits: str) -> int:
    value = int(digits)
    if abs(value) > SAFE_INTEGER_MAX:
        raise ValueError(f"an integer must be within 2**53 - 1 either way, was {digits}")
    return value


def _no_float(digits: str) -> float:
    raise ValueError(f"floating-point numbers are not exact; write text instead of {digits}")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_no_float, parse_constant=_no_float)


def json_text(value: JsonValue) -> bytes:
    """Return `canonical_json(value)`, for what JSON itself can hold, many times faster."""
    try:
        data = orjson.dumps(value, option=STRICT)
    except TypeError:
        # Nested deeper than the fast encoder goes, or nothing that JSON holds.
        data = _ENCODER.encode(value).encode()
    return data if sorted_alike(data) else canonical_json(value)


def sorted_alike(data: bytes) -> bool:
    """Return whether sorting by code point, as encoders do, is sorting by UTF-16 unit, as RFC 8785 does.

    It differs only where a character is beyond U+FFFF, and such a one has a byte of 0xF0 or more in UTF-8.
    """
    return data.isascii() or max(data) < 0xF0


@lru_cache(maxsize=4096)
def name_text(name: str) -> bytes:
    """Return a name as JSON; there are few, and each stands in many events."""
    return json_text(name)


def written(instant: datetime) -> bytes:
    """Return an instant as JSON, as `rfc3339` writes it.

    Raises:
        ValueError: `instant` has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, was {instant.isoformat()}")
    return orjson.dumps(instant if instant.tzinfo is UTC else instant.astimezone(UTC), option=orjson.OPT_UTC_Z)


def canonical_object_fault(data: bytes) -> str | None:
    """Return what is wrong with `data` as a canonical JSON object; None when nothing is."""
    if surely_canonical_object(data):
        return None
    try:
        value = _DECODER.decode(data.decode())
        canonical = json_text(value)
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"must be canonical JSON: {error}"
    if not isinstance(value, dict):
        return f"must be a JSON object, was {type(value).__name__}"
    if canonical != data:
        return "must be canonical JSON (RFC 8785): sorted keys, no spaces, each key once"
    return None


def surely_canonical_object(data: bytes) -> bool:
    """Return True for nearly everything that is right; of the rest, the slow way finds out what is wrong with it."""
    try:
        value = orjson.loads(data)
        same: bool = orjson.dumps(value, option=STRICT) == data
    except (ValueError, TypeError):
        return False
    return same and type(value) is dict and sorted_alike(data) and _without_floats(value)


# Of what orjson reads, what is no float and holds none.
_PLAIN = frozenset({str, int, bool, type(None)})


def surely_canonical_objects(data: Sequence[bytes]) -> bool:
    """Return whether `surely_canonical_object` is True for each of `data`, in half the time."""
    try:
        values = orjson.loads(b"[%b]" % b",".join(data))
        # Each is compared by itself: a comma inside one could stand for that between two.
        same = [orjson.dumps(value, option=STRICT) for value in values] == list(data)
    except (ValueError, TypeError):
        return False
    objects = same and set(map(type, values)) <= {dict}
    return objects and all(map(sorted_alike, data)) and all(map(_without_floats, values))


def _without_floats(value: dict[str, Any]) -> bool:
    if _PLAIN.issuperset(map(type, value.values())):
        return True
    inside: list[Any] = [value]
    while inside:
        each = inside.pop()
        for part in each.values() if type(each) is dict else each:
            kind = type(part)
            if kind is float:
                return False
            if kind is dict or kind is list:
                inside.append(part)
    return True
