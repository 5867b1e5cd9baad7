"""Why a plan is as it is: what asked for it, what each trade is worth, which limits hold it back, what it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.decision.trades import TradeCost
from services.decision.domain.problem import ZERO, LimitKind, Side
from services.kernel.ids import InstrumentId


class NoTradeReason(StrEnum):
    """Why nothing is traded."""

    # Every weight is inside its trigger band, cash inside its corridor, and no money came or went.
    WITHIN_BANDS = "WITHIN_BANDS"
    # Triggered, but no trade improves on doing nothing after tax and cost.
    NOT_WORTH_IT = "NOT_WORTH_IT"
    # The best trades are smaller than the minimum trade or the quantity increment.
    BELOW_MINIMUM = "BELOW_MINIMUM"
    # A step of a ladder was made, and the next one is not due.
    BETWEEN_STEPS = "BETWEEN_STEPS"


class TriggerKind(StrEnum):
    """What asks for a rebalance."""

    DRIFT = "DRIFT"
    CASH_FLOOR = "CASH_FLOOR"
    CASH_CEILING = "CASH_CEILING"
    CASH_FLOW = "CASH_FLOW"
    REQUESTED = "REQUESTED"
    # All deviations together, and the risk that they are.
    TOTAL_DRIFT = "TOTAL_DRIFT"
    TRACKING_ERROR = "TRACKING_ERROR"
    # Something happened that is not in the account.
    EVENT = "EVENT"
    CALENDAR = "CALENDAR"


class ConstraintKind(StrEnum):
    """A limit that a plan may press against."""

    CASH_FLOOR = "CASH_FLOOR"
    TURNOVER = "TURNOVER"
    GAIN_BUDGET = "GAIN_BUDGET"
    GROUP_MIN = "GROUP_MIN"
    GROUP_MAX = "GROUP_MAX"
    FACTOR_MIN = "FACTOR_MIN"
    FACTOR_MAX = "FACTOR_MAX"
    LEVERAGE = "LEVERAGE"
    STRESS_LOSS = "STRESS_LOSS"
    WEIGHT_MAX = "WEIGHT_MAX"
    NO_BUY = "NO_BUY"
    NO_SELL = "NO_SELL"
    # How many instruments are held.
    NAMES = "NAMES"


# The kinds of a limit's least and most.
LIMIT_KINDS: Mapping[LimitKind, tuple[ConstraintKind, ConstraintKind]] = {
    LimitKind.GROUP: (ConstraintKind.GROUP_MIN, ConstraintKind.GROUP_MAX),
    LimitKind.FACTOR: (ConstraintKind.FACTOR_MIN, ConstraintKind.FACTOR_MAX),
    LimitKind.LEVERAGE: (ConstraintKind.LEVERAGE, ConstraintKind.LEVERAGE),
    LimitKind.STRESS: (ConstraintKind.STRESS_LOSS, ConstraintKind.STRESS_LOSS),
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something outside its corridor. `value` and `limit` are weights, or currency for a cash flow or floor."""

    kind: TriggerKind
    instrument_id: InstrumentId | None
    value: Decimal
    limit: Decimal
    sentence: str


@dataclass(frozen=True, slots=True)
class TradeReason:
    """Why one trade is made, in currency.

    Attributes:
        weight_before: Before the plan.
        weight_after: After the plan.
        target_weight: What it should be.
        deviation_benefit: How much less the mix's deviation costs, tax and trading cost left out, with this trade
            than with the same plan without it; its money stays in, or comes from, cash.
        risk_benefit_bps: How much lower tracking error is with it, in basis points a year.
        cost: Spread, commission and impact.
        tax: Tax; negative is a credit.
        net_benefit: deviation_benefit − cost − tax, each weighted as the policy says.
        required_by: The limit that forces it when the net benefit is negative.
        without: What happens without it, in a sentence.
        sentence: For the client.
    """

    instrument_id: InstrumentId
    side: Side
    weight_before: Decimal
    weight_after: Decimal
    target_weight: Decimal
    deviation_benefit: Decimal
    risk_benefit_bps: Decimal
    cost: TradeCost
    tax: Decimal
    net_benefit: Decimal
    required_by: ConstraintKind | None
    without: str
    sentence: str


@dataclass(frozen=True, slots=True)
class BindingConstraint:
    """A limit that holds the plan back.

    Attributes:
        subject: Group name or instrument id; empty for a limit of the account.
        limit: Where it is: currency for cash and gains, a number of names, weight for the rest.
        price: What one more unit of the limit would be worth, in currency per currency; of a name as a fraction of the
            account. For an infeasible problem the least change of `limit` that makes it feasible, in the limit's unit.
        sentence: For the client.
    """

    kind: ConstraintKind
    subject: str
    limit: Decimal
    price: Decimal
    sentence: str


@dataclass(frozen=True, slots=True)
class ObjectiveTerms:
    """The parts of the objective in basis points of the account, weighted as the policy says; a credit is negative."""

    deviation_bps: Decimal
    outside_band_bps: Decimal
    idle_cash_bps: Decimal
    cost_bps: Decimal
    tax_bps: Decimal

    @property
    def total_bps(self) -> Decimal:
        """The objective."""
        return self.deviation_bps + self.outside_band_bps + self.idle_cash_bps + self.cost_bps + self.tax_bps

    @property
    def suffered_bps(self) -> Decimal:
        """What is suffered over time: all but the cost and tax of trading."""
        return self.deviation_bps + self.outside_band_bps + self.idle_cash_bps


@dataclass(frozen=True, slots=True)
class TaxFigures:
    """What the plan's gains and losses come to together, in the year that they fall into; in currency.

    Attributes:
        short_before: Net short-term gain of the year without the plan, carried losses taken off; negative for a loss.
            Where the law keeps losses on shares apart it is that on shares, here and below.
        long_before: The same of all other gain.
        short_after: With the plan.
        long_after: With the plan.
        net_after: Both together.
        tax: What the plan adds to the year's tax, to the cent; negative for what it takes off.
        carried: What it adds to the losses that are carried on to later years; negative when it uses some up.
        carried_apart: The part of it that is of short-term losses, or of losses on shares.
        carried_worth: What those are taken to be worth.
        alone: What the tax would be if each lot were taxed by itself, at the rate of its kind.
        short_marginal: What one more unit of short-term gain would cost after the plan, 0 to 1.
        long_marginal: The same of long-term gain.
        source: Law and paragraph of the netting.
        sentence: For the client; empty when nothing is sold.
    """

    short_before: Decimal
    long_before: Decimal
    short_after: Decimal
    long_after: Decimal
    net_after: Decimal
    tax: Decimal
    carried: Decimal
    carried_worth: Decimal
    alone: Decimal
    short_marginal: Decimal
    long_marginal: Decimal
    source: str
    sentence: str
    carried_apart: Decimal = ZERO

    @property
    def liability(self) -> Decimal:
        """What all lots' taxes sum to: the tax less the worth of what is carried."""
        return self.tax - self.carried_worth


@dataclass(frozen=True, slots=True)
class DriftFigures:
    """Drift by its usual definitions, of instruments and cash.

    Attributes:
        half_sum: Half the sum of absolute deviations, as a weight: what must be traded to be on target.
        largest: The largest absolute deviation, as a weight.
        largest_relative: The largest deviation over its target weight, of those that have a target; cash left out.
        euclidean: Root of the sum of squared deviations, as a weight.
        tracking_error_bps: Of a year, by the risk model.
    """

    half_sum: Decimal
    largest: Decimal
    largest_relative: Decimal
    euclidean: Decimal
    tracking_error_bps: Decimal


@dataclass(frozen=True, slots=True)
class LadderStep:
    """A step that is meant after the one that is made now; money in the account's currency."""

    step_date: date
    bought_value: Decimal
    sold_value: Decimal
    cost: Decimal
    tax: Decimal
    drift_after: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """The account before and after. Drift is half the sum of absolute deviations, cash included, as a weight.

    Attributes:
        objective_before: The objective when nothing is traded; None in what an earlier build recorded.
        objective_after: The objective after the plan.
        break_even_years: How long deviations must be suffered for before the plan has paid for its cost and tax, in
            years to three places; None when there is nothing to pay, or no deviation is less.
        taxes: What all sales come to together; None of an account that is not taxed, or when nothing is sold.
    """

    mix_value: Decimal
    drift_before: Decimal
    drift_after: Decimal
    drift_max_before: Decimal
    drift_max_after: Decimal
    tracking_error_before_bps: Decimal
    tracking_error_after_bps: Decimal
    cash_before: Decimal
    cash_after: Decimal
    bought_value: Decimal
    sold_value: Decimal
    turnover: Decimal
    cost: Decimal
    gain_short: Decimal
    gain_long: Decimal
    # Tax on the gains, zero or more.
    tax_realized: Decimal
    # Credit for the losses, zero or more.
    tax_saved: Decimal
    net_benefit: Decimal
    sentence: str
    objective_before: ObjectiveTerms | None = None
    objective_after: ObjectiveTerms | None = None
    break_even_years: Decimal | None = None
    drift_figures_before: DriftFigures | None = None
    drift_figures_after: DriftFigures | None = None
    taxes: TaxFigures | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons, structured for programs and as sentences for people; both say the same figures.

    Attributes:
        binding: The limits that hold the plan back; of an infeasible problem those that would have to give way, and by
            how much at least.
        ladder: Steps that are meant after this one, and do not bind.
        conflicting: Of an infeasible problem a smallest set of limits that no plan keeps together.
    """

    triggers: tuple[Trigger, ...]
    trades: tuple[TradeReason, ...]
    binding: tuple[BindingConstraint, ...]
    summary: Summary
    no_trade_reason: NoTradeReason | None = None
    conflicting: tuple[BindingConstraint, ...] = ()
    ladder: tuple[LadderStep, ...] = ()
