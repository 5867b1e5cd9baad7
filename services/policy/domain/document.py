"""What a policy can say.

A `Document` is the rules of one node: partial, because what it leaves out is inherited. The merged document of an
account has the same type. Fields are defined here once, with their unit and range; `FIELDS` lists them for everything
that treats fields alike. Names, units and meaning are those of `evenkeel.policy.v1.PolicyDocument`.

Weights are fractions of account value from 0 to 1; `_bps` are hundredths of a percent. Equal content is equal: numbers
compare by value, and lists whose order means nothing are kept sorted.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from services.kernel.ids import InstrumentId, PolicyNodeId
from services.policy.domain.eligibility import NO_LISTS, Eligibility
from services.policy.domain.fields import Fields, Merge
from services.policy.domain.mixes import NO_TARGETS, UNBOUNDED, Distance, Targets, model_references
from services.policy.domain.personal_rules import (
    NO_PREFERENCES,
    NO_RULE,
    NO_TERMS,
    ClientTerms,
    PreferenceLimits,
    ProfileRule,
)
from services.policy.domain.risk_limits import NO_LIMITS, RiskLimits
from services.policy.domain.units import (
    Amount,
    BasisPoints,
    CostFactor,
    Count,
    Days,
    Fraction,
    Price,
    Seconds,
    StepDays,
    Steps,
    TaxYear,
    Turnover,
    Volatility,
    Weight,
    Worth,
    Years,
)

_ONE = Decimal(1)


class LotMethod(StrEnum):
    """How lots are chosen for a sale."""

    LOWEST_TAX = "lowest_tax"
    FIRST_IN_FIRST_OUT = "first_in_first_out"
    HIGHEST_COST = "highest_cost"


class FilingStatus(StrEnum):
    """How a taxpayer of the United States files."""

    SINGLE = "single"
    MARRIED_JOINT = "married_joint"
    MARRIED_SEPARATE = "married_separate"
    HEAD_OF_HOUSEHOLD = "head_of_household"


class OrderKind(StrEnum):
    """Kinds of orders."""

    MARKET = "market"
    LIMIT = "limit"


class Schedule(StrEnum):
    """How an order is spread over the day."""

    IMMEDIATE = "immediate"
    TIME_WEIGHTED = "time_weighted"
    VOLUME_WEIGHTED = "volume_weighted"
    PARTICIPATION = "participation"
    IMPLEMENTATION_SHORTFALL = "implementation_shortfall"


class RestrictionKind(StrEnum):
    """What is forbidden."""

    NO_BUY = "no_buy"
    NO_SELL = "no_sell"
    NO_TRADE = "no_trade"
    EXCLUDED = "excluded"


class RestrictionCause(StrEnum):
    """Where a restriction comes from."""

    CLIENT = "client"
    MANDATE = "mandate"
    ESG = "esg"
    CROSS_BORDER = "cross_border"
    LEGAL = "legal"
    INSIDER = "insider"


@dataclass(frozen=True, slots=True)
class Bands:
    """How far from the target needs no trade."""

    trigger: Distance = UNBOUNDED
    destination: Distance = UNBOUNDED
    minimum_trade: Amount = None
    ladder_steps: Steps = None
    ladder_days: StepDays = None
    minimum_position: Amount = None


@dataclass(frozen=True, slots=True)
class Triggers:
    """What makes the platform look at an account."""

    drift: bool | None = None
    cash_drift: Weight = None
    calendar_days: Days = None
    net_benefit_minimum: Amount = None
    cash_flow_minimum: Amount = None
    total_drift: Weight = None
    tracking_error: Volatility = None


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
class YearlyGainBudget:
    """Most net gain to realise in one tax year, named by the calendar year in which it begins."""

    tax_year: TaxYear
    amount: Worth


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
    defer_short_term_gains: bool | None = None
    gain_harvest_room: Amount = None
    gain_harvest_importance: Fraction = None
    yearly_allowance: Amount = None
    taxable_income: Amount = None
    filing_status: FilingStatus | None = None
    state_rate: Fraction = None
    gain_budgets: tuple[YearlyGainBudget, ...] = ()

    def __post_init__(self) -> None:
        """Sort the budgets."""
        object.__setattr__(self, "gain_budgets", tuple(sorted(self.gain_budgets, key=_of_year)))


def _of_year(budget: YearlyGainBudget) -> tuple[int, str]:
    return (budget.tax_year, str(budget.amount))


@dataclass(frozen=True, slots=True)
class CostSettings:
    """What trading costs, and how much of it is allowed."""

    spread_bps: BasisPoints = None
    commission: Amount = None
    turnover_limit: Turnover = None
    minimum_hold_days: Days = None
    impact_coefficient: CostFactor = None
    spread_factor: CostFactor = None


@dataclass(frozen=True, slots=True)
class Restriction:
    """An instrument, or all of a screen, that may not be traded freely; from `expire_time` on it no longer holds."""

    instrument_id: InstrumentId | None = None
    kind: RestrictionKind | None = None
    reason: str = ""
    expire_time: datetime | None = None
    screen: str | None = None
    cause: RestrictionCause | None = None

    def __post_init__(self) -> None:
        """Refuse a restriction of nothing, or without saying what is forbidden and why."""
        if (self.instrument_id is None) == (self.screen is None):
            raise ValueError("a restriction is of an instrument or of a screen")
        if self.kind is None or not self.reason:
            raise ValueError("a restriction says what is forbidden, and why")

    @property
    def subject(self) -> str:
        """Return the instrument, or the screen by its name."""
        return self.instrument_id if self.instrument_id is not None else f"screen {self.screen}"

    def holds(self, at: datetime) -> bool:
        """Return whether the restriction holds at the instant `at`."""
        return self.expire_time is None or at < self.expire_time


def _restricted(item: Restriction) -> tuple[str, ...]:
    return (item.subject, str(item.kind), item.reason, str(item.expire_time), str(item.cause))


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What may not be bought, sold or held."""

    items: Annotated[tuple[Restriction, ...], Merge.GATHER] = ()

    def __post_init__(self) -> None:
        """Sort the items, each once."""
        object.__setattr__(self, "items", tuple(sorted(set(self.items), key=_restricted)))


@dataclass(frozen=True, slots=True)
class Pause:
    """A span of time in which nothing is planned, from `start_time` to `end_time`, which is outside."""

    start_time: datetime
    end_time: datetime
    reason: str

    def holds(self, at: datetime) -> bool:
        """Return whether `at` is in the span."""
        return self.start_time <= at < self.end_time


@dataclass(frozen=True, slots=True)
class SafetyNets:
    """What stops or slows trading."""

    review_turnover: Turnover = None
    review_value: Amount = None
    review_gain: Amount = None
    daily_orders_limit: Count = None
    daily_value_limit: Amount = None
    paused: bool | None = None
    review_cost_bps: BasisPoints = None
    review_tax: Amount = None
    pause_drift: Weight = None
    pauses: Annotated[tuple[Pause, ...], Merge.GATHER] = ()

    def __post_init__(self) -> None:
        """Sort the pauses, each once."""
        pauses = tuple(sorted(set(self.pauses), key=lambda each: (each.start_time, each.end_time, each.reason)))
        object.__setattr__(self, "pauses", pauses)


@dataclass(frozen=True, slots=True)
class ExecutionPreferences:
    """How orders are to be sent."""

    order_kind: OrderKind | None = None
    limit_distance_bps: BasisPoints = None
    aggregation_consent: bool | None = None
    venue_id: str | None = None
    schedule: Schedule | None = None
    participation_limit: Fraction = None
    crossing_consent: Annotated[bool | None, Merge.EVERY] = None


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
        maximum_step: Largest distance of a number from the value that holds at the guardrail's own node, edge inside;
            while that node has no value it binds nothing.
    """

    field: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    allowed: tuple[str, ...] = ()
    locked: bool = False
    reason: str | None = None
    maximum_step: Decimal | None = None

    def __post_init__(self) -> None:
        """Sort the allowed values, each once."""
        object.__setattr__(self, "allowed", tuple(sorted(set(self.allowed))))


def _bounded(guardrail: Guardrail) -> tuple[str, ...]:
    said = (
        guardrail.minimum,
        guardrail.maximum,
        guardrail.locked,
        guardrail.allowed,
        guardrail.reason,
        guardrail.maximum_step,
    )
    return (guardrail.field, *map(str, said))


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Whose approval a change needs, beyond the one that every change needs.

    Attributes:
        count: How many different people, 1 to 8.
        role: The role that they must have; any when None.
        account_minimum: Asks of changes that reach at least so many accounts; of all when None.
        asset_minimum: Asks of changes whose accounts are worth so much together, or may be; of all when None.
        fields: Asks of changes of these fields or sections; of all when empty.
        reason: For people.
    """

    count: int
    role: str | None = None
    account_minimum: int | None = None
    fields: tuple[str, ...] = ()
    reason: str | None = None
    asset_minimum: Amount = None

    def __post_init__(self) -> None:
        """Sort the fields, each once."""
        object.__setattr__(self, "fields", tuple(sorted(set(self.fields))))


def _asked(rule: ApprovalRule) -> tuple[str, ...]:
    return tuple(map(str, (rule.role, rule.account_minimum, rule.fields, rule.count, rule.reason)))


@dataclass(frozen=True, slots=True)
class Document:
    """The rules of one node, or, merged from root to leaf, of one account."""

    targets: Targets = NO_TARGETS
    bands: Bands = Bands()
    triggers: Triggers = Triggers()
    objective: Objective = Objective()
    tax: TaxSettings = TaxSettings()
    cost: CostSettings = CostSettings()
    risk: RiskLimits = NO_LIMITS
    restrictions: Restrictions = Restrictions()
    safety: SafetyNets = SafetyNets()
    execution: ExecutionPreferences = ExecutionPreferences()
    data: DataRequirements = DataRequirements()
    guardrails: Annotated[tuple[Guardrail, ...], Merge.GATHER] = ()
    eligibility: Eligibility = NO_LISTS
    profile_rule: ProfileRule = NO_RULE
    preferences: PreferenceLimits = NO_PREFERENCES
    client: ClientTerms = NO_TERMS
    approvals: Annotated[tuple[ApprovalRule, ...], Merge.GATHER] = ()

    def __post_init__(self) -> None:
        """Sort the guardrails and the approval rules, each once."""
        approvals = tuple(sorted(set(self.approvals), key=_asked))
        if approvals != self.approvals:
            object.__setattr__(self, "approvals", approvals)
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


def models_in(document: Document) -> set[PolicyNodeId]:
    """Return the models that a document refers to, in its targets or in its profile rule."""
    rows = document.profile_rule.models
    return {*model_references(document.targets.weights), *(row.model_node_id for row in rows)}
