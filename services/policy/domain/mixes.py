"""The mix that a portfolio should have: hierarchical targets, and how far from them is near enough.

Weights are fractions of the level above, from 0 to 1, and multiply out exactly. Lines are kept sorted, so that equal
mixes are equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from services.kernel.decimals import EXACT
from services.kernel.ids import InstrumentId, PolicyNodeId
from services.policy.domain.units import Amount, Multiple, Weight

_ONE = Decimal(1)


class Combine(StrEnum):
    """Which of the two parts of a distance counts."""

    LARGER = "larger"
    SMALLER = "smaller"


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance from a target weight: of two parts the larger, or the smaller where `combine` says so."""

    absolute: Weight = None
    relative: Multiple = None
    combine: Combine | None = None

    def at(self, target: Decimal) -> Decimal | None:
        """Return the distance from a target weight of `target`, as a weight; None when neither part is present."""
        parts = []
        if self.absolute is not None:
            parts.append(self.absolute)
        if self.relative is not None:
            parts.append(EXACT.multiply(self.relative, target))
        if not parts:
            return None
        return min(parts) if self.combine is Combine.SMALLER else max(parts)


UNBOUNDED = Distance()
"""Says no distance."""


def _item(line: "TargetWeight") -> tuple[int, str]:
    if line.group is not None:
        return (1, line.group.name)
    return (0, line.instrument_id) if line.instrument_id is not None else (2, line.model_node_id or "")


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A named part of the target mix; its members' weights, and its cash, are fractions of the group."""

    name: str
    members: tuple["TargetWeight", ...]
    cash_weight: Weight = None

    def __post_init__(self) -> None:
        """Sort the members."""
        object.__setattr__(self, "members", tuple(sorted(self.members, key=_item)))


@dataclass(frozen=True, slots=True)
class TargetWeight:
    """One line of the target mix: an instrument, a group or a model, and its fraction of the parent.

    Attributes:
        model_node_id: A node whose mix takes this place, its cash included.
        substitutes: Of an instrument: what takes its place where it may not be bought, the best first.
        trigger: Instead of `bands.trigger`; for groups and models it bounds the sum of what is inside.
        destination: Instead of `bands.destination`, likewise.
    """

    weight: Decimal
    instrument_id: InstrumentId | None = None
    group: TargetGroup | None = None
    model_node_id: PolicyNodeId | None = None
    substitutes: tuple[InstrumentId, ...] = ()
    trigger: Distance = UNBOUNDED
    destination: Distance = UNBOUNDED

    def __post_init__(self) -> None:
        """Refuse a line that is for nothing, or for two things, and substitutes of what is no instrument."""
        items = (self.instrument_id, self.group, self.model_node_id)
        if sum(item is not None for item in items) != 1:
            raise ValueError("a target weight is for an instrument, for a group or for a model")
        if self.substitutes and self.instrument_id is None:
            raise ValueError("only an instrument has substitutes")


@dataclass(frozen=True, slots=True)
class Targets:
    """The mix the portfolio should have."""

    weights: tuple[TargetWeight, ...] = ()
    cash_weight: Weight = None
    model_name: str | None = None
    account_minimum: Amount = None
    # Said by effective policies only.
    problem: str | None = None

    def __post_init__(self) -> None:
        """Sort the lines."""
        object.__setattr__(self, "weights", tuple(sorted(self.weights, key=_item)))


NO_TARGETS = Targets()
"""Says nothing about the mix."""


def instrument_weights(weights: tuple[TargetWeight, ...], of: Decimal = _ONE) -> Iterator[tuple[InstrumentId, Decimal]]:
    """Yield each instrument of a target mix with its weight in the account, groups multiplied out, models left out.

    Args:
        weights: Lines of one level.
        of: Weight of that level in the account.
    """
    for line in weights:
        if line.instrument_id is not None:
            yield line.instrument_id, EXACT.multiply(of, line.weight)
        elif line.group is not None:
            yield from instrument_weights(line.group.members, EXACT.multiply(of, line.weight))


def cash_target(targets: Targets) -> Decimal:
    """Return the weight of cash in the account: its own, and that of the groups."""
    return EXACT.add(targets.cash_weight or Decimal(0), _cash_in(targets.weights, _ONE))


def model_references(weights: tuple[TargetWeight, ...]) -> Iterator[PolicyNodeId]:
    """Yield the models that a target mix refers to, each as often as it does."""
    for line in weights:
        if line.model_node_id is not None:
            yield line.model_node_id
        elif line.group is not None:
            yield from model_references(line.group.members)


def _cash_in(weights: tuple[TargetWeight, ...], of: Decimal) -> Decimal:
    total = Decimal(0)
    for line in weights:
        if line.group is not None:
            share = EXACT.multiply(of, line.weight)
            total = EXACT.add(total, EXACT.multiply(share, line.group.cash_weight or Decimal(0)))
            total = EXACT.add(total, _cash_in(line.group.members, share))
    return total
