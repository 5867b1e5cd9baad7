"""One value, one text, one hash.

Content is named by the hash of its bytes, so equal content must have equal bytes, in every process and every version.
This is the JSON Canonicalization Scheme (RFC 8785) on its float-free part: keys in the order of their UTF-16 code
units, no spaces, the shortest escapes. What JSON lacks is written as text: `Decimal` in plain digits without trailing
zeros, instants in RFC 3339 with `Z`, dates in ISO 8601.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from json.encoder import encode_basestring
from operator import itemgetter
from types import NoneType
from typing import Any, TypeAlias

from services.kernel.decimals import plain

JsonValue: TypeAlias = "bool | int | str | Decimal | date | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

# RFC 7493: beyond this, readers whose numbers are doubles see another integer. Write larger ones as `Decimal`.
SAFE_INTEGER_MAX = 2**53 - 1

# Objects of one kind of event have the same keys in the same order: so many are remembered in canonical order.
_SHAPES_MAX = 4_096
# Objects with more keys are mostly maps of ids, and no shape.
_SHAPE_KEYS_MAX = 32
# Classes of values, of which so many are remembered with what writes them.
_KINDS_MAX = 256


def canonical_json(value: JsonValue) -> bytes:
    """Return the one UTF-8 text of `value`.

    Raises:
        TypeError: Something in `value` is a float or of another type that has no canonical text.
        ValueError: An instant without time zone, a number that is not finite, an integer beyond 2**53 - 1, or text
            that is not Unicode.
    """
    return _written(value).encode()


def canonical_texts(values: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    """Return, of each object, the text whose UTF-8 bytes `canonical_json` returns.

    Those beside each other that have the same keys are written together, which is faster.

    Raises:
        TypeError: As `canonical_json` does.
        ValueError: As `canonical_json` does.
    """
    texts = _objects(values)
    for text in texts:
        if not text.isascii():
            # Raises for halves of a pair, which have no bytes.
            text.encode()
    return texts


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
    return _utc_text(instant) if instant.tzinfo is UTC else _utc_text(instant.astimezone(UTC))


# What happens together says the same time. In UTC equal instants have equal texts, which elsewhere `fold` may prevent.
@lru_cache(maxsize=1_024)
def _utc_text(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat() + "Z"


def _written(value: JsonValue) -> str:
    return _writer(type(value))(value)


def _writer_for(kind: type) -> Callable[[Any], str]:
    """Return what writes values of a class."""
    for known, write in _WRITERS:
        if issubclass(kind, known):
            return write
    raise TypeError(f"{kind.__name__} has no canonical text")


# Looked for once for each class, not for each value: there are few classes, and `Mapping` is an abstract one.
_writer: Callable[[type], Callable[[Any], str]] = lru_cache(maxsize=_KINDS_MAX)(_writer_for)


def _integer(value: int) -> str:
    if abs(value) > SAFE_INTEGER_MAX:
        raise ValueError(f"an integer must be within 2**53 - 1 either way, was {value}; write it as a Decimal")
    return int.__repr__(value)


def _list(value: Sequence[Any]) -> str:
    kinds = set(map(type, value))
    if kinds == {dict}:
        return f"[{','.join(_objects(value))}]"
    if kinds == {list} and len(value) > 1 and len(set(map(len, value))) == 1:
        columns = [_column(values) for values in zip(*value, strict=True)]
        rows = [f"[{','.join(row)}]" for row in zip(*columns, strict=True)] if columns else ["[]"] * len(value)
        return f"[{','.join(rows)}]"
    return f"[{','.join([_writer(type(each))(each) for each in value])}]"


def _objects(values: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    texts: list[str] = []
    for keys, alike in groupby(values, key=tuple):
        objects = list(alike)
        if len(objects) > 1 and 1 < len(keys) <= _SHAPE_KEYS_MAX:
            texts += _column_by_column(_shape(keys), objects)
        else:
            texts += map(_object, objects)
    return texts


def _object(value: Mapping[str, JsonValue]) -> str:
    keys = tuple(value)
    shape = _shape(keys) if len(keys) <= _SHAPE_KEYS_MAX else _shaped(keys)
    texts = []
    for key, before in shape:
        each = value[key]
        # What most values are, first; a look-up and a call for each of them would take longer than writing it.
        if type(each) is str:
            texts.append(before + encode_basestring(each))
        elif type(each) is Decimal:
            texts.append(f'{before}"{plain(each)}"')
        else:
            texts.append(before + _writer(type(each))(each))
    return f"{{{','.join(texts)}}}"


def _column_by_column(shape: Sequence[tuple[str, str]], objects: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    """Return the texts of objects that have the same keys: what writes a value is looked up for each key, once."""
    read = itemgetter(*[key for key, _ in shape])
    columns = [_column(values) for values in zip(*map(read, objects), strict=True)]
    between = ",".join([before.replace("%", "%%") + "%s" for _, before in shape])
    pattern = f"{{{between}}}"
    return [pattern % row for row in zip(*columns, strict=True)]


def _column(values: Sequence[Any]) -> Sequence[str]:
    kinds = set(map(type, values))
    if len(kinds) > 1:
        return [_writer(type(each))(each) for each in values]
    write = _writer(kinds.pop())
    if values[0] is values[-1] and len(set(map(id, values))) == 1:
        return [write(values[0])] * len(values)
    return list(map(write, values))


# Truth values are integers and instants are dates for Python: what is more special comes first.
_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (NoneType, lambda _: "null"),
    (bool, lambda value: "true" if value else "false"),
    (str, encode_basestring),
    (dict, _object),
    (list, _list),
    (tuple, _list),
    (int, _integer),
    (Decimal, lambda value: f'"{plain(value)}"'),
    (datetime, lambda value: f'"{rfc3339(value)}"'),
    (date, lambda value: f'"{value.isoformat()}"'),
    (Mapping, lambda value: _object(dict(value))),
)


def _shaped(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the keys in their order, each with what is written before its value."""
    return [(key, f"{encode_basestring(key)}:") for key in _in_order(keys)]


# Keys that are equal and not of one type, such as True and 1, are no texts: they are refused, and nothing is kept.
_shape = lru_cache(maxsize=_SHAPES_MAX)(_shaped)


def _in_order(keys: tuple[str, ...]) -> list[str]:
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
