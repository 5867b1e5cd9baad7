"""What the optimiser answers: trades, how good they provably are, and why.

A `Decision` is plain exact data: no floats, stable order, so that the same inputs give the same bytes. Money is
in the account's currency, rounded half-even to the cent where it is an estimate (`CENT`); quantities are exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.problem import ZERO, LimitKind, LotId, Side
from services.kernel.ids import InstrumentId

CENT = Decimal("0.01")


class Outcome(StrEnum):
    """What became of an account."""

    TRADE = "TRADE"
    NO_TRADE = "NO_TRADE"
    # No trades satisfy the limits; the explanation names those that conflict and the cheapest way out.
    INFEASIBLE = "INFEASIBLE"
    # The solver gave no usable answer; nothing is traded, and the certificate says what it said.
    FALLBACK_HOLD = "FALLBACK_HOLD"


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


class Character(StrEnum):
    """How a gain is taxed."""

    SHORT = "SHORT"
    LONG = "LONG"
    # Where the law does not ask how long the units were held.
    ANY = "ANY"
    # The same, and each unit costs the average of all that are held.
    POOLED = "POOLED"
    # Inside a wrapper that is not taxed.
    EXEMPT = "EXEMPT"
    # On a share, where losses on shares meet gains on shares only.
    SHARE = "SHARE"

    @property
    def apart(self) -> bool:
        """Whether it is of the kind that a liability takes first: short-term, or on shares. All else is of another."""
        return self in (Character.SHORT, Character.SHARE)


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


class Fallback(StrEnum):
    """What answered when the solver gave no optimum, from the best to the last."""

    # The solver's own optimum.
    NONE = "NONE"
    # The solver at a tolerance a thousand times as wide.
    RELAXED = "RELAXED"
    # A rule of thumb: toward the targets, as far as limits allow.
    HEURISTIC = "HEURISTIC"
    # Nothing is traded.
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something outside its corridor. `value` and `limit` are weights, or currency for a cash flow or floor."""

    kind: TriggerKind
    instrument_id: InstrumentId | None
    value: Decimal
    limit: Decimal
    sentence: str


@dataclass(frozen=True, slots=True)
class LotSale:
    """Units sold out of one lot, and their tax.

    Attributes:
        gain: Proceeds before costs minus basis; negative is a loss.
        rate: What a unit of gain of that character costs on average in this plan, 0 to 1: gains and losses meet. Of
            what the law exempts it is less.
        tax: gain · rate, to the cent so that all lots of a plan sum to what it owes; negative is a credit.
        exempt_gain: What of the gain the law does not count, in cents; of a loss negative.
    """

    lot_id: LotId
    acquired_date: date
    quantity: Decimal
    proceeds: Decimal
    basis: Decimal
    gain: Decimal
    character: Character
    rate: Decimal
    tax: Decimal
    exempt_gain: Decimal = ZERO

    @property
    def counted_gain(self) -> Decimal:
        """The gain that the law counts."""
        return self.gain - self.exempt_gain


@dataclass(frozen=True, slots=True)
class TradeCost:
    """Estimated cost of one trade in currency, tax excluded; each part zero or more."""

    spread: Decimal
    commission: Decimal
    impact: Decimal

    @property
    def total(self) -> Decimal:
        """All parts."""
        return self.spread + self.commission + self.impact


@dataclass(frozen=True, slots=True)
class Trade:
    """A planned change of one position. `quantity` is positive, a multiple of the increment; `value` is at `price`."""

    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    price: Decimal
    value: Decimal
    cost: TradeCost
    lot_sales: tuple[LotSale, ...] = ()

    @property
    def tax(self) -> Decimal:
        """Estimated tax of all lots sold; negative is a credit."""
        return sum((sale.tax for sale in self.lot_sales), ZERO)


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far the plan can at most be from the best, checked by code that is not the solver.

    All values are basis points of the account's mix value. The bound holds for every plan within the limits,
    whichever one way each instrument goes, whole shares and minimum trades or not.

    Attributes:
        primal_bps: Objective of the released trades, exactly as rounded.
        dual_bps: No plan can be below this.
        gap_bps: primal − dual: what rounding, minimum trades, chosen directions and the solver cost together, at most.
        hold_bps: Objective of doing nothing.
        convex_gap_bps: The same gap before rounding, with the chosen directions: the solver's own part.
        status: The solver's own word.
        options: What it was run with.
        fallback: What answered instead of the solver's optimum.
    """

    primal_bps: Decimal
    dual_bps: Decimal
    gap_bps: Decimal
    hold_bps: Decimal
    convex_gap_bps: Decimal
    solver: str
    solver_version: str
    status: str
    options: Mapping[str, str] = field(default_factory=dict)
    fallback: Fallback = Fallback.NONE


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


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one account. `trades` is empty unless the outcome is TRADE; sells first, then by instrument id."""

    outcome: Outcome
    trades: tuple[Trade, ...]
    certificate: Certificate
    explanation: Explanation


class Cause(StrEnum):
    """Why an instrument is not traded, the first that holds."""

    # It has its target weight, as near as its increment allows.
    ON_TARGET = "ON_TARGET"
    # It must not be traded that way.
    BARRED = "BARRED"
    # A trade to its target would be smaller than the smallest that may be made.
    BELOW_MINIMUM = "BELOW_MINIMUM"
    # Nothing asks for a rebalance of the account.
    NOT_TRIGGERED = "NOT_TRIGGERED"
    # The trade costs more than it is worth.
    NOT_WORTH_IT = "NOT_WORTH_IT"
    # A limit of the account stands in the way.
    LIMIT = "LIMIT"
    # It would be worth something, by itself at most what the certificate leaves open.
    WITHIN_GAP = "WITHIN_GAP"


@dataclass(frozen=True, slots=True)
class NotTraded:
    """Why one instrument is not traded, and what the better of its trades would be; amounts in currency.

    Attributes:
        side: Which way its target lies; None when it is there.
        value: Of the trade, zero when none can be made.
        deviation_benefit: How much less the mix's deviation would cost.
        cost: Spread, commission and impact.
        tax: Negative is a credit.
        net_benefit: deviation_benefit − cost − tax, as the policy weighs them.
    """

    instrument_id: InstrumentId
    cause: Cause
    weight: Decimal
    target_weight: Decimal
    trigger: Decimal
    side: Side | None
    value: Decimal
    deviation_benefit: Decimal
    cost: Decimal
    tax: Decimal
    net_benefit: Decimal
    sentence: str
