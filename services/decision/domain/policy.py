"""What an account's effective policy says, as decision reads it.

Policy sends the merged document of an account; this is the part of it that decides trades, flat and typed. A field that
no node of the tree set is None, or has the default that is named here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.problem import ONE, ZERO, LotMethod
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.kernel.decimals import EXACT
from services.kernel.ids import InstrumentId
from services.kernel.money import Money

# Where a policy says nothing about the age of its inputs, a plan rests on nothing older than a day, and lives for one.
AGE_MAX_DEFAULT = timedelta(days=1)
PLAN_LIFE_DEFAULT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance from a target weight: of its parts the larger, or the smaller; 0 without any."""

    absolute: Decimal | None = None
    relative: Decimal | None = None
    smaller: bool = False

    def at(self, target: Decimal) -> Decimal:
        """Return the distance from the weight `target`, as a weight from 0 to 1."""
        parts = [] if self.absolute is None else [self.absolute]
        if self.relative is not None:
            parts.append(EXACT.multiply(self.relative, target))
        if not parts:
            return ZERO
        return min(ONE, min(parts) if self.smaller else max(parts))


class RestrictionKind(StrEnum):
    """What is forbidden."""

    NO_BUY = "NO_BUY"
    NO_SELL = "NO_SELL"
    NO_TRADE = "NO_TRADE"
    # Must not be bought; what is held is sold.
    EXCLUDED = "EXCLUDED"


@dataclass(frozen=True, slots=True)
class Restriction:
    """An instrument that may not be traded freely, until `expire_time`, from which on it may."""

    instrument_id: InstrumentId
    kind: RestrictionKind
    reason: str
    expire_time: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Return whether it is in force at `at`."""
        return self.expire_time is None or at < self.expire_time


@dataclass(frozen=True, slots=True)
class TaxSettings:
    """How gains are taxed and what is done about it.

    Attributes:
        gain_harvest_room: Net gain of a tax year on which no tax falls due; gains are realized up to it.
        gain_harvest_importance: What counts of the tax that such a gain saves later.
        gain_budgets: Instead of `gain_budget`, by the calendar year in which a tax year begins.
        taxable_income: Of the taxpayer, after allowances, where gains depend on it; None for the policy's rate.
        filing_status: How an American taxpayer files; None for the policy's rates.
        state_rate: Of the taxpayer's state on net gains, on top of the brackets of income.
    """

    jurisdiction: str | None = None
    short_term_rate: Decimal | None = None
    long_term_rate: Decimal | None = None
    lot_method: LotMethod = LotMethod.LOWEST_TAX
    harvest_losses: bool = True
    harvest_minimum: Money | None = None
    gain_budget: Money | None = None
    defer_short_term_gains: bool = False
    yearly_allowance: Money | None = None
    gain_harvest_room: Money | None = None
    gain_harvest_importance: Decimal = ONE
    gain_budgets: Mapping[int, Money] = field(default_factory=dict)
    taxable_income: Money | None = None
    filing_status: FilingStatus | None = None
    state_rate: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class SafetyNets:
    """What stops or slows trading; None never does."""

    review_turnover: Decimal | None = None
    review_value: Money | None = None
    review_gain: Money | None = None
    daily_orders_limit: int | None = None
    daily_value_limit: Money | None = None
    paused: bool = False
    review_cost_bps: Decimal | None = None
    review_tax: Money | None = None
    pause_drift: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ExecutionPreferences:
    """How orders are to be sent. `limit_distance_bps` is None for market orders.

    `schedule` is by the name that policies have for it, empty for at once; `participation_limit` the largest part of
    what is traded that may be ours, None for any.
    """

    limit_distance_bps: Decimal | None = None
    aggregation_consent: bool = False
    venue_id: str = ""
    schedule: str = ""
    participation_limit: Decimal | None = None
    crossing_consent: bool = False


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """Least and most weight of an asset class after a plan."""

    asset_class: str
    minimum: Decimal = ZERO
    maximum: Decimal = ONE


@dataclass(frozen=True, slots=True)
class FactorLimit:
    """Least and most of Σ weight · exposure after a plan; None for no bound, and no exposure where none is said."""

    name: str
    exposures: Mapping[InstrumentId, Decimal]
    minimum: Decimal | None = None
    maximum: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StressLimit:
    """Most loss after a plan in an event in which prices change, by instrument or else by asset class, -1 or more."""

    name: str
    changes: Mapping[InstrumentId, Decimal]
    class_changes: Mapping[str, Decimal]
    loss_limit: Decimal

    def loss(self, instrument_id: InstrumentId, asset_class: str) -> Decimal:
        """Return what a unit of weight of an instrument loses; negative for a gain."""
        return -self.changes.get(instrument_id, self.class_changes.get(asset_class, ZERO))


@dataclass(frozen=True, slots=True)
class Policy:
    """The effective policy of an account, of one instant.

    Attributes:
        weights: Target weight of each instrument, groups multiplied out; with `cash_weight` they sum to 1.
        trigger: Farther from its target than this, an instrument calls for trades.
        destination: A trade brings it at least this near.
        drift_triggers: Whether drift calls for trades at all.
        cash_drift: Cash farther above its target than this calls for trades; None never does.
        cash_flow_minimum: So much money that came or went calls for trades; None never does.
        calendar_days: The account is decided at least every so many days, inside its bands or not; None for never.
        tracking_variance_price_bps: Price of a yearly tracking variance of 1, a year, in basis points.
        band_excess_price_bps: Price of one weight outside the destination, in basis points.
        horizon_years: How long a deviation that is not traded away is suffered.
        spread_bps: Full spread where no quote gives one.
        tracking_error_limit: As yearly volatility; a plan above it waits for a person.
        volatility_limit: The same, of the account's return.
        tail_loss_limit: Expected loss of the worst 5 % of years, as a fraction; a plan above it waits for a person.
        risk_budget: Yearly volatility that the client's profile allows; an account above it defers no gain.
        drawdown_limit: The same, of the largest fall that is to be expected within a year.
        own_triggers: Of instruments for which the policy says another than `trigger`.
        own_destinations: The same of `destination`.
        net_benefit_minimum: A plan that is better than doing nothing by less is not made.
        account_minimum: Plans of accounts of less value wait for a person.
        identical: Sets of instruments that are substantially identical, beside those that the book names.
        minimum_hold_days: A lot is not sold before it was held for so many days.
        impact_coefficient: Y of the square-root law of impact.
        spread_factor: What is paid of half the spread.
        total_drift: Half the sum of absolute deviations above which trades are called for; None never does.
        tracking_error_trigger: The same of the tracking error of a year.
        ladder_steps: In how many steps a rebalance is made; None for all at once.
        ladder_days: Days between them; 1 where nothing is said.
        leverage_limit: Most that may be held over the account's value; None for no limit.
        names_limit: Most instruments held after a plan; None for no limit.
        minimum_position: A trade leaves at least so much of an instrument, or none.
        hold: Why nothing may be planned, though nobody paused the account: a consent or the mix is missing.
    """

    weights: Mapping[InstrumentId, Decimal]
    cash_weight: Decimal = ZERO
    trigger: Distance = Distance()
    destination: Distance = Distance()
    minimum_trade: Money | None = None
    drift_triggers: bool = True
    cash_drift: Decimal | None = None
    cash_flow_minimum: Money | None = None
    calendar_days: int | None = None
    tracking_variance_price_bps: Decimal = ZERO
    band_excess_price_bps: Decimal = ZERO
    tax_importance: Decimal = ONE
    cost_importance: Decimal = ONE
    horizon_years: Decimal = ONE
    tax: TaxSettings = TaxSettings()
    spread_bps: Decimal = ZERO
    commission: Money | None = None
    turnover_limit: Decimal | None = None
    instrument_weight_limit: Decimal | None = None
    tracking_error_limit: Decimal | None = None
    cash_floor: Decimal = ZERO
    cash_ceiling: Decimal | None = None
    restrictions: tuple[Restriction, ...] = ()
    safety: SafetyNets = SafetyNets()
    execution: ExecutionPreferences = ExecutionPreferences()
    price_age_max: timedelta = AGE_MAX_DEFAULT
    snapshot_age_max: timedelta = AGE_MAX_DEFAULT
    plan_life: timedelta = PLAN_LIFE_DEFAULT
    own_triggers: Mapping[InstrumentId, Distance] = field(default_factory=dict)
    own_destinations: Mapping[InstrumentId, Distance] = field(default_factory=dict)
    net_benefit_minimum: Money | None = None
    account_minimum: Money | None = None
    volatility_limit: Decimal | None = None
    tail_loss_limit: Decimal | None = None
    drawdown_limit: Decimal | None = None
    risk_budget: Decimal | None = None
    issuer_weight_limit: Decimal | None = None
    class_limits: tuple[ClassLimit, ...] = ()
    identical: tuple[frozenset[InstrumentId], ...] = ()
    hold: str | None = None
    minimum_hold_days: int = 0
    impact_coefficient: Decimal = ONE
    spread_factor: Decimal = ONE
    leverage_limit: Decimal | None = None
    factor_limits: tuple[FactorLimit, ...] = ()
    stress_limits: tuple[StressLimit, ...] = ()
    total_drift: Decimal | None = None
    tracking_error_trigger: Decimal | None = None
    ladder_steps: int | None = None
    ladder_days: int | None = None
    names_limit: int | None = None
    minimum_position: Money | None = None


@dataclass(frozen=True, slots=True)
class TargetLine:
    """One line of a target mix: an instrument, or a group with members, and its fraction of the level above.

    `cash_weight` is the fraction of a group that stays in cash.
    """

    weight: Decimal
    instrument_id: InstrumentId | None = None
    members: tuple["TargetLine", ...] = field(default=())
    cash_weight: Decimal = ZERO


def flattened(lines: tuple[TargetLine, ...]) -> Mapping[InstrumentId, Decimal]:
    """Return each instrument's weight in the account, by id; an instrument on several lines gets their sum."""
    weights: dict[InstrumentId, Decimal] = {}
    _flatten(lines, ONE, weights)
    return {instrument_id: weights[instrument_id] for instrument_id in sorted(weights)}


def cash_within(lines: tuple[TargetLine, ...], share: Decimal = ONE) -> Decimal:
    """Return the weight in the account of what groups keep in cash; `share` is the lines' own."""
    total = ZERO
    for line in lines:
        weight = EXACT.multiply(share, line.weight)
        total = EXACT.add(total, EXACT.multiply(weight, line.cash_weight))
        total = EXACT.add(total, cash_within(line.members, weight))
    return total


def _flatten(lines: tuple[TargetLine, ...], share: Decimal, weights: dict[InstrumentId, Decimal]) -> None:
    for line in lines:
        weight = EXACT.multiply(share, line.weight)
        if line.instrument_id is not None:
            weights[line.instrument_id] = EXACT.add(weights.get(line.instrument_id, ZERO), weight)
        _flatten(line.members, weight, weights)
