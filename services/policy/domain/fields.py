"""One way to see any document: as values at field paths.

A document is a tree of frozen dataclasses. Its leaves are the *fields*: what a person sets, a guardrail bounds, a merge
inherits, a diff compares and an explanation names. This module finds them by reading the dataclasses, so a new field is
written down once, where its section is defined, and everything else works for it.

A leaf that is None, or an empty tuple, is not set.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

D = TypeVar("D")

# Python has no type for "a type hint" or for "an instance of some dataclass".
Hint: TypeAlias = Any
Section: TypeAlias = Any


class Merge(StrEnum):
    """What happens when a node and its ancestor both set a field."""

    REPLACE = "replace"
    """The node's value holds."""
    GATHER = "gather"
    """Both hold: the ancestor's items, then the node's."""
    EVERY = "every"
    """A consent: it holds where every node that says anything says yes, and no descendant lifts a no."""


@dataclass(frozen=True, slots=True)
class Number:
    """Says of a field that it is a number: what it counts, and what it can be at all, whatever the guardrails.

    Edges are inside, except for `above`.
    """

    unit: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    above: Decimal | None = None

    def violation(self, number: Decimal) -> str | None:
        """Return what is wrong with `number`, or None."""
        if not number.is_finite():
            return f"must be a finite number, was {number}"
        if self.above is not None and number <= self.above:
            return f"must be above {self.above}, was {number}"
        if self.minimum is not None and number < self.minimum:
            return f"must be at least {self.minimum}, was {number}"
        if self.maximum is not None and number > self.maximum:
            return f"must be at most {self.maximum}, was {number}"
        return None


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf of a document.

    Attributes:
        path: The names from the document down, with dots: `bands.trigger.absolute`.
        kind: Type of the value, or of each item of a list.
        many: Whether the value is a tuple of `kind`.
        number: What the number counts and may be; None for what is no number.
        merge: How a node's value joins its ancestor's.
        read: Takes the value out of a document.
    """

    path: str
    kind: type
    many: bool
    number: Number | None
    merge: Merge
    read: typing.Callable[[Any], Any]


class Fields(Generic[D]):
    """The fields of the document type `D`, in the order of their definition."""

    def __init__(self, root: type[D]) -> None:
        """Read the dataclass `root` and its sections."""
        self._root = root
        self._by_path = {field.path: field for field in _found(root, ())}

    def __iter__(self) -> typing.Iterator[Field]:
        """Yield the fields."""
        return iter(self._by_path.values())

    def __getitem__(self, path: str) -> Field:
        """Return the field at `path`.

        Raises:
            KeyError: There is none.
        """
        return self._by_path[path]

    def get(self, path: str) -> Field | None:
        """Return the field at `path`, or None."""
        return self._by_path.get(path)

    def set_in(self, document: D) -> list[tuple[Field, Any]]:
        """Return the fields that are set and their values, in the order of the fields."""
        read = ((field, field.read(document)) for field in self._by_path.values())
        return [(field, value) for field, value in read if value is not None and value != ()]

    def values(self, document: D) -> dict[str, Any]:
        """Return what is set, by path, in the order of the fields."""
        return {field.path: value for field, value in self.set_in(document)}

    def document(self, values: Mapping[str, Any]) -> D:
        """Return the document in which exactly `values` are set.

        Raises:
            KeyError: A path is not a field.
        """
        for path in values:
            self._by_path[path]
        built: D = _built(self._root, values, "")
        return built

    def replaced(self, document: D, values: Mapping[str, Any]) -> D:
        """Return `document` with `values` set; sections that do not change are the same objects."""
        nested: dict[str, Any] = {}
        for path, value in values.items():
            *sections, name = path.split(".")
            place = nested
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = value
        replaced: D = _replaced(document, nested)
        return replaced


def _found(section: type, above: tuple[str, ...]) -> typing.Iterator[Field]:
    hints = typing.get_type_hints(section, include_extras=True)
    for item in dataclasses.fields(section):
        hint, *marks = _unmarked(hints[item.name])
        names = (*above, item.name)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _found(hint, names)
            continue
        origin: Hint = typing.get_origin(hint)
        many = origin is tuple
        yield Field(
            path=".".join(names),
            kind=typing.get_args(hint)[0] if many else only_type(hint),
            many=many,
            number=next((mark for mark in marks if isinstance(mark, Number)), None),
            merge=next((mark for mark in marks if isinstance(mark, Merge)), Merge.REPLACE),
            read=attrgetter(".".join(names)),
        )


def _unmarked(hint: Hint) -> tuple[Hint, ...]:
    """Return the type of a hint, then the marks that `Annotated` put on it."""
    origin: Hint = typing.get_origin(hint)
    return typing.get_args(hint) if origin is typing.Annotated else (hint,)


def only_type(hint: Hint) -> Hint:
    """Return `X` for the type hint `X | None`, and any other hint as it is."""
    origin: Hint = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        (present,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        return present
    return hint


@cache
def _hints(section: Hint) -> Mapping[str, Hint]:
    return typing.get_type_hints(section)


def _built(section: Hint, values: Mapping[str, Any], prefix: str) -> Section:
    hints = _hints(section)
    arguments: dict[str, Any] = {}
    for item in dataclasses.fields(section):
        path = prefix + item.name
        if dataclasses.is_dataclass(hints[item.name]):
            arguments[item.name] = _built(hints[item.name], values, path + ".")
        elif path in values:
            arguments[item.name] = values[path]
    return section(**arguments)


def _replaced(section: Section, nested: Mapping[str, Any]) -> Section:
    arguments = {
        name: _replaced(getattr(section, name), value) if isinstance(value, dict) else value
        for name, value in nested.items()
    }
    return dataclasses.replace(section, **arguments)
