"""Makes records that do not change, and copies them with some fields changed, where thousands are made at once.

A frozen dataclass sets each field through a call, since its own way of setting is closed; for an order of thirty fields
that takes most of the time of making it. Here a record is made as one of a twin class with the same slots which is not
frozen, and given its own class before anybody sees it. It takes less than half of the time.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, make_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

Record = TypeVar("Record")
Given = ParamSpec("Given")


@dataclass(frozen=True, slots=True)
class _Twin:
    """A class whose objects can become those of another, and what reads all fields of these, in their order."""

    make: Callable[..., Any]
    values: Callable[[Any], tuple[object, ...]]
    names: frozenset[str]


def changed(record: Record, **changes: object) -> Record:
    """Return `record` with other values in some fields: what `dataclasses.replace` returns.

    Raises:
        TypeError: It is no dataclass with slots, one that checks its values when it is made, or has no such field.
    """
    kind: type[Any] = type(record)
    twin = _twin_of(kind)  # type: ignore[arg-type] # every class can be hashed
    after = twin.make(*twin.values(record))
    for name, value in changes.items():
        if name not in twin.names:
            raise TypeError(f"{kind.__name__} has no field {name}")
        setattr(after, name, value)
    after.__class__ = kind
    made: Record = after
    return made


def maker(kind: Callable[Given, Record]) -> Callable[Given, Record]:
    """Return what makes records of `kind` as calling it does, faster.

    Raises:
        TypeError: It is no dataclass with slots, or one that checks its values when it is made.
    """
    make = _twin_of(kind).make

    def made(*given: Given.args, **named: Given.kwargs) -> Record:
        record = make(*given, **named)
        record.__class__ = kind
        one: Record = record
        return one

    return made


@lru_cache(maxsize=64)
def _twin_of(kind: Any) -> _Twin:  # noqa: ANN401 - of whatever kind it is
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} checks its values when it is made, so it must be made")
    known = fields(kind)
    names = [each.name for each in known]
    if set(names) != set(getattr(kind, "__slots__", ())):
        raise TypeError(f"{kind.__name__} must have a slot for each field, and no other")
    if any(each.default_factory is not MISSING or not each.init or each.kw_only for each in known):
        raise TypeError(f"{kind.__name__} must have fields that are given by place, with plain defaults")
    twin = make_dataclass(
        kind.__name__,
        [(each.name, object) if each.default is MISSING else (each.name, object, each.default) for each in known],
        slots=True,
        eq=False,
        repr=False,
    )
    # With one name `attrgetter` returns no tuple.
    read = attrgetter(*names) if len(names) > 1 else lambda record: (getattr(record, names[0]),)
    return _Twin(twin, read, frozenset(names))
