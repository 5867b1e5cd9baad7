"""Values as they are recorded: one text for equal values, which reads back to an equal value.

What a plan rests on is kept by the hash of its text, so that the plan can be computed again years later. A text is the
canonical JSON of a dataclass: its fields by name, those at their default left out, so a field that a later build adds
does not change the text of what was recorded before.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache, partial
from json.encoder import encode_basestring
from typing import Any, TypeAlias, TypeVar

import numpy as np

from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import RiskModel
from services.kernel.canonical import JsonValue, canonical_json
from services.kernel.decimals import parse_decimal, plain
from services.kernel.ids import InstrumentId

T = TypeVar("T")
# A dataclass, or part of one; and its type. Both are known at run time only.
Value: TypeAlias = Any
Kind: TypeAlias = Any


@dataclasses.dataclass(frozen=True, slots=True)
class InstrumentList:
    """What was known when a run was pinned.

    Attributes:
        instruments: By id.
        reviewed_years: By country, the tax years whose law was reviewed since the release was made.
        amounts: Of law, by name, of each tax year of which others were approved than the release has, as `GB 2027`.
    """

    instruments: tuple[Instrument, ...]
    reviewed_years: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    amounts: Mapping[str, Mapping[str, Decimal]] = dataclasses.field(default_factory=dict)


def recorded_bytes(value: Value) -> bytes:
    """Return the one text of `value`.

    Raises:
        TypeError: `value` holds something that has no exact text, such as a float.
    """
    return recorded_text(value).encode()


def recorded_text(value: Value) -> str:
    """Return the canonical JSON of `plain_value(value)`, written at once: plans are written by the million.

    Raises:
        TypeError: `value` holds something that has no exact text, such as a float.
    """
    kind = type(value)
    if kind is Decimal:
        return f'"{plain(value)}"'
    if kind is str:
        return encode_basestring(value)
    if kind is tuple or kind is list:
        return f"[{','.join(map(recorded_text, value))}]"
    if value is None:
        return "null"
    if isinstance(value, StrEnum):
        return encode_basestring(value.value)
    if isinstance(value, Mapping):
        parts = sorted(((str(key), part) for key, part in value.items()), key=lambda each: each[0].encode("utf-16-be"))
        return f"{{{','.join(f'{encode_basestring(key)}:{recorded_text(part)}' for key, part in parts)}}}"
    if dataclasses.is_dataclass(value):
        return f"{{{','.join(_recorded_fields(value))}}}"
    return canonical_json(plain_value(value)).decode()


def _recorded_fields(value: Value) -> Iterator[str]:
    kind: Kind = type(value)
    for name, shown, default in _sorted_parts(kind):
        part = getattr(value, name)
        if default is _NONE or part != default:
            yield shown + recorded_text(part)


@cache
def _sorted_parts(kind: Kind) -> tuple[tuple[str, str, Value], ...]:
    """Return the fields of a dataclass in the order of their names, each as its text begins, with its default."""
    return tuple((name, f"{encode_basestring(name)}:", default) for name, default in sorted(_parts(kind), key=_name))


def _name(part: tuple[str, Value]) -> str:
    return part[0]


def read_recorded(kind: type[T], data: bytes) -> T:
    """Return the `kind` whose text is `data`.

    Raises:
        ValueError: `data` is not such a text.
    """
    value: T = read_value(kind, json.loads(data))
    return value


def plain_value(value: Value) -> JsonValue:
    """Return `value` as JSON: dataclasses as objects without what is at its default, durations in microseconds."""
    match value:
        case None | bool() | int() | Decimal() | date():
            return value
        case timedelta():
            return value // timedelta(microseconds=1)
        case StrEnum():
            return value.value
        case str():
            return value
        case tuple() | list():
            return [plain_value(each) for each in value]
        case Mapping():
            return {str(key): plain_value(part) for key, part in value.items()}
        case _ if dataclasses.is_dataclass(value):
            kind: Kind = type(value)
            parts = ((name, getattr(value, name), default) for name, default in _parts(kind))
            return {name: plain_value(part) for name, part, default in parts if default is _NONE or part != default}
        case _:
            raise TypeError(f"{type(value).__name__} has no exact text")


_NONE = object()


@cache
def _parts(kind: Kind) -> tuple[tuple[str, Value], ...]:
    """Return the fields of a dataclass, each with its default or `_NONE`. Defaults are immutable, or only compared."""
    return tuple((part.name, _default(part)) for part in dataclasses.fields(kind))


def _default(part: "dataclasses.Field[Value]") -> Value:
    if part.default is not dataclasses.MISSING:
        return part.default
    return _NONE if part.default_factory is dataclasses.MISSING else part.default_factory()


def read_value(kind: Kind, plain: Value) -> Value:
    """Return the `kind` that `plain`, which JSON gave, stands for.

    Raises:
        ValueError: It stands for none.
    """
    return None if plain is None else _reader(kind)(plain)


@cache
def _reader(kind: Kind) -> Callable[[Value], Value]:
    """Return what reads a `kind` that is there. What a type consists of is looked up once."""
    kind = _underlying(kind)
    origin: Kind = typing.get_origin(kind)
    if origin is tuple:
        item = _reader(typing.get_args(kind)[0])
        return lambda plain: tuple(None if each is None else item(each) for each in plain)
    if origin in (Mapping, dict):
        key_of, part_of = map(_reader, typing.get_args(kind))
        return lambda plain: {key_of(key): None if part is None else part_of(part) for key, part in plain.items()}
    return partial(_read_dataclass if dataclasses.is_dataclass(kind) else _read_scalar, kind)


def _read_scalar(kind: Kind, plain: Value) -> Value:
    if kind in (bool, int):
        if type(plain) is not kind:
            raise ValueError(f"must be {kind.__name__}, was {plain!r}")
        return plain
    if kind is timedelta:
        return timedelta(microseconds=plain)
    if not isinstance(plain, str):
        raise ValueError(f"must be text, was {plain!r}")
    if kind is Decimal:
        return parse_decimal(plain)
    if kind in (date, datetime):
        return kind.fromisoformat(plain)
    return kind(plain)


def _read_dataclass(kind: Kind, plain: Mapping[str, Value]) -> Value:
    readers = _field_readers(kind)
    unknown = sorted(plain.keys() - readers.keys())
    if unknown:
        raise ValueError(f"{kind.__name__} has no {unknown[0]}")
    return kind(**{name: None if part is None else readers[name](part) for name, part in plain.items()})


@cache
def _field_readers(kind: Kind) -> Mapping[str, Callable[[Value], Value]]:
    # When the first is read, as a dataclass may hold others of its own kind.
    return {name: _reader(part) for name, part in typing.get_type_hints(kind).items()}


def _underlying(kind: Kind) -> Kind:
    """Return `kind` without the name that a `NewType` gave it, and without `| None`."""
    if isinstance(kind, typing.NewType):
        return _underlying(kind.__supertype__)
    origin: Kind = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        if len(options) != 1:
            raise TypeError(f"{kind} could be several things")
        return _underlying(options[0])
    return kind


def risk_model_bytes(model: RiskModel) -> bytes:
    """Return the one text of a risk model: a line of JSON, then its numbers as little-endian doubles."""
    factors = model.exposures.shape[1]
    head = {"factors": factors, "instruments": list(model.instrument_ids), "source": model.source}
    numbers = (model.exposures, model.specific_variance)
    body = b"".join(np.ascontiguousarray(each, dtype="<f8").tobytes() for each in numbers)
    return canonical_json(head) + b"\n" + body


def read_risk_model(data: bytes) -> RiskModel:
    """Return the risk model whose text is `data`.

    Raises:
        ValueError: `data` is not such a text.
    """
    head, _, body = data.partition(b"\n")
    said = json.loads(head)
    count, factors = len(said["instruments"]), said["factors"]
    numbers = np.frombuffer(body, dtype="<f8")
    if len(numbers) != count * (factors + 1):
        raise ValueError(f"must hold {count * (factors + 1)} numbers, was {len(numbers)}")
    return RiskModel(
        instrument_ids=tuple(InstrumentId(each) for each in said["instruments"]),
        exposures=numbers[: count * factors].reshape(count, factors).astype(np.float64),
        specific_variance=numbers[count * factors :].astype(np.float64),
        source=said["source"],
    )
