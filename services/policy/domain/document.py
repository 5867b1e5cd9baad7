"""What a policy can say.

A `Document` is the rules of one node: partial, because what it leaves out is inherited. The merged document of an
account has the same type. Fields are defined here once, with their unit and range; `FIELDS` lists them for everything
that treats fields alike. Names, units and meaning are those of `evenkeel.policy.v1.PolicyDocument`.

Weights are fractions of account value from 0 to 1; `_bps` are hundredths of a percent. Equal content is equal: numbers
compare by value, and lists whose order means nothing are kept sorted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeAlias

from services.kernel.decimals import EXACT
from services.kernel.ids import InstrumentId
from services.kernel.money import Money
from services.policy.domain.fields import Fields, Merge, Number

_ZERO, _ONE = Decimal(0), Decimal(1)

# Kinds of numbers: what they count, and what they can be at all.
Weight: TypeAlias = Annotated[Decimal | None, Number("weight", _ZERO, _ONE)]
Fraction: TypeAlias = Annotated[Decimal | None, Number("fraction", _ZERO, _ONE)]
Multiple: TypeAlias = Annotated[Decimal | None, Number("multiple", _ZERO)]
Turnover: TypeAlias = Annotated[Decimal | None, Number("fraction of account value", _ZERO, Decimal(2))]
Volatility: TypeAlias = Annotated[Decimal | None, Number("volatility a year", _ZERO)]
BasisPoints: TypeAlias = Annotated[Decimal | None, Number("basis points", _ZERO, Decimal(10_000))]
Price: TypeAlias = Annotated[Decimal | None, Number("basis points per unit", _ZERO)]
Years: TypeAlias = Annotated[Decimal | None, Number("years", above=_ZERO)]
Amount: TypeAlias = Annotated[Money | None, Number("currency", _ZERO)]
Count: TypeAlias = Annotated[int | None, Number("count", _ZERO)]
Days: TypeAlias = Annotated[int | None, Number("days", _ONE, Decimal(3660))]
Seconds: TypeAlias = Annotated[int | None, Number("seconds", _ONE)]


class LotMethod(StrEnum):
    """How lots are chosen for a sale."""

    LOWEST_TAX = "lowest_tax"
    FIRST_IN_FIRST_OUT = "first_in_first_out"
    HIGHEST_COST = "highest_cost"


class OrderKind(StrEnum):
    """Kinds of orders."""

    MARKET = "market"
    LIMIT = "limit"


class RestrictionKind(StrEnum):
    """What is forbidden."""

    NO_BUY = "no_buy"
    NO_SELL = "no_sell"
    NO_TRADE = "no_trade"
    EXCLUDED = "excluded"


def _item(line: "TargetWeight") -> tuple[int, str]:
    return (1, line.group.name) if line.group is not None else (0, line.instrument_id or "")


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A named part of the target mix; its members' weights are fractions of the group."""

    name: str
    members: tuple["TargetWeight", ...]

    def __post_init__(self) -> None:
        """Sort the members."""
        object.__setattr__(self, "members", tuple(sorted(self.members, key=_item)))


@dataclass(frozen=True, slots=True)
class TargetWeight:
    """One line of the target mix: an instrument or a group, and its fraction of the parent."""

    weight: Decimal
    instrument_id: InstrumentId | None = None
    group: TargetGroup | None = None

    def __post_init__(self) -> None:
        """Refuse a line that is for nothing, or for two things."""
        if (self.instrument_id is None) == (self.group is None):
            raise ValueError("a target weight is for an instrument or for a group")


@dataclass(frozen=True, slots=True)
class Targets:
    """The mix the portfolio should have."""

    weights: tuple[TargetWeight, ...] = ()
    cash_weight: Weight = None
    model_name: str | None = None

    def __post_init__(self) -> None:
        """Sort the lines."""
        object.__setattr__(self, "weights", tuple(sorted(self.weights, key=_item)))


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance from a target weight: the larger of the parts that are present."""

    absolute: Weight = None
    relative: Multiple = None

    def at(self, target: Decimal) -> Decimal | None:
        """Return the distance from a target weight of `target`, as a weight; None when neither part is present."""
        parts = []
        if self.absolute is not None:
            parts.append(self.absolute)
        if self.relative is not None:
            parts.append(EXACT.multiply(self.relative, target))
        return max(parts, default=None)


@dataclass(frozen=True, slots=True)
class Bands:
    """How far from the target needs no trade."""

    trigger: Distance = Distance()
    destination: Distance = Distance()
    minimum_trade: Amount = None


@dataclass(frozen=True, slots=True)
class Triggers:
    """What makes the platform look at an account."""

    drift: bool | None = None
    cash_drift: Weight = None
    calendar_days: Days = None


@dataclass(frozen=True, slots=True)
class Objective:
    """What the optimizer minimizes, as weights of one objective."""

    tracking_variance_price_bps: Price = None
    band_excess_price_bps: Price = None
    tax_importance: Fraction = None
    cost_importance: Fraction = None
    horizon_years: Years = None
    philosophy: str | None = None


@dataclass(frozen=True, slots=True)
class TaxSettings:
    """How gains are taxed and what is done about it."""

    jurisdiction: str | None = None
    short_term_rate: Fraction = None
    long_term_rate: Fraction = None
    lot_method: LotMethod | None = None
    harvest_losses: bool | None = None
    harvest_minimum: Amount = None
    gain_budget: Amount = None


@dataclass(frozen=True, slots=True)
class CostSettings:
    """What trading costs, and how much of it is allowed."""

    spread_bps: BasisPoints = None
    commission: Amount = None
    turnover_limit: Turnover = None


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What the portfolio may not exceed."""

    instrument_weight_limit: Weight = None
    tracking_error_limit: Volatility = None
    cash_floor: Weight = None
    cash_ceiling: Weight = None


@dataclass(frozen=True, slots=True)
class Restriction:
    """One instrument that may not be traded freely, until `expire_time`, from which on it no longer holds."""

    instrument_id: InstrumentId
    kind: RestrictionKind
    reason: str
    expire_time: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Return whether the restriction holds at the instant `at`."""
        return self.expire_time is None or at < self.expire_time


def _restricted(item: Restriction) -> tuple[str, ...]:
    return (item.instrument_id, item.kind, item.reason, str(item.expire_time))


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What may not be bought, sold or held."""

    items: Annotated[tuple[Restriction, ...], Merge.GATHER] = ()

    def __post_init__(self) -> None:
        """Sort the items, each once."""
        object.__setattr__(self, "items", tuple(sorted(set(self.items), key=_restricted)))


@dataclass(frozen=True, slots=True)
class SafetyNets:
    """What stops or slows trading."""

    review_turnover: Turnover = None
    review_value: Amount = None
    review_gain: Amount = None
    daily_orders_limit: Count = None
    daily_value_limit: Amount = None
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class ExecutionPreferences:
    """How orders are to be sent."""

    order_kind: OrderKind | None = None
    limit_distance_bps: BasisPoints = None
    aggregation_consent: bool | None = None
    venue_id: str | None = None


@dataclass(frozen=True, slots=True)
class DataRequirements:
    """How fresh the inputs must be."""

    price_age_max_s: Seconds = None
    snapshot_age_max_s: Seconds = None
    plan_life_s: Seconds = None


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A bound on what descendants may set.

    Attributes:
        field: Path of the bounded field.
        minimum: Smallest number allowed, edge inside; for money, the amount.
        maximum: Largest number allowed, edge inside.
        allowed: The only values allowed, as text; for targets, the only instruments. Any when empty.
        locked: Descendants may not set the field at all.
        reason: For people.
    """

    field: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    allowed: tuple[str, ...] = ()
    locked: bool = False
    reason: str | None = None

    def __post_init__(self) -> None:
        """Sort the allowed values, each once."""
        object.__setattr__(self, "allowed", tuple(sorted(set(self.allowed))))


def _bounded(guardrail: Guardrail) -> tuple[str, ...]:
    said = (guardrail.minimum, guardrail.maximum, guardrail.locked, guardrail.allowed, guardrail.reason)
    return (guardrail.field, *map(str, said))


@dataclass(frozen=True, slots=True)
class Document:
    """The rules of one node, or, merged from root to leaf, of one account."""

    targets: Targets = Targets()
    bands: Bands = Bands()
    triggers: Triggers = Triggers()
    objective: Objective = Objective()
    tax: TaxSettings = TaxSettings()
    cost: CostSettings = CostSettings()
    risk: RiskLimits = RiskLimits()
    restrictions: Restrictions = Restrictions()
    safety: SafetyNets = SafetyNets()
    execution: ExecutionPreferences = ExecutionPreferences()
    data: DataRequirements = DataRequirements()
    guardrails: Annotated[tuple[Guardrail, ...], Merge.GATHER] = ()

    def __post_init__(self) -> None:
        """Sort the guardrails, each once."""
        guardrails = tuple(sorted(set(self.guardrails), key=_bounded))
        if guardrails != self.guardrails:
            object.__setattr__(self, "guardrails", guardrails)

    def paths(self) -> frozenset[str]:
        """Return the paths of the fields that are set, and of the sections they are in."""
        found: set[str] = set()
        for field, _ in FIELDS.set_in(self):
            names = field.path.split(".")
            found.update(".".join(names[:depth]) for depth in range(1, len(names) + 1))
        return frozenset(found)


FIELDS = Fields(Document)
"""Every field of a document."""

EMPTY = Document()
"""Says nothing: everything is inherited."""


def instrument_weights(weights: tuple[TargetWeight, ...], of: Decimal = _ONE) -> Iterator[tuple[InstrumentId, Decimal]]:
    """Yield each instrument of a target mix with its weight in the account, groups multiplied out.

    Args:
        weights: Lines of one level.
        of: Weight of that level in the account.
    """
    for line in weights:
        if line.instrument_id is not None:
            yield line.instrument_id, EXACT.multiply(of, line.weight)
        elif line.group is not None:
            yield from instrument_weights(line.group.members, EXACT.multiply(of, line.weight))
