"""What the optimiser is asked: one account, its rules, and the risk model it is judged by.

Everything is exact (`Decimal`, `date`) and in the account's currency. Weights are fractions of the account's
*mix value*: cash that is free, everything held, and what is held away but counts in the mix. The values depend on
nothing but what the caller loaded; a value that cannot be is refused here, by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.brackets import Brackets
from services.decision.domain.gain_rules import GainRules
from services.kernel.errors import Violations
from services.kernel.ids import AccountId, InstrumentId

LotId = NewType("LotId", str)

ZERO = Decimal(0)
ONE = Decimal(1)
# Finest increment that any venue we know trades: a billionth of a share.
QUANTITY_DECIMALS_MAX = 9


class Side(StrEnum):
    """Which way a trade goes."""

    BUY = "BUY"
    SELL = "SELL"


class LotMethod(StrEnum):
    """In which order a sale takes the lots that may be sold."""

    # Those whose sale costs least first, use of the gain budget counted.
    LOWEST_TAX = "LOWEST_TAX"
    # The oldest first.
    FIRST_IN_FIRST_OUT = "FIRST_IN_FIRST_OUT"
    # Those of the highest cost a unit first.
    HIGHEST_COST = "HIGHEST_COST"


@dataclass(frozen=True, slots=True)
class LotState:
    """Units bought together, as they stand now. `quantity` is positive; `basis_total` is the cost of all of them."""

    lot_id: LotId
    acquired_date: date
    quantity: Decimal
    basis_total: Decimal

    def __reduce__(self) -> tuple[type["LotState"], tuple[LotId, date, Decimal, Decimal]]:
        """Return what makes it again: lots are sent to computing processes by the ten thousand."""
        return LotState, (self.lot_id, self.acquired_date, self.quantity, self.basis_total)


@dataclass(frozen=True, slots=True)
class Band:
    """How far a weight may be from its target, either side, edges included, as absolute weights.

    Attributes:
        trigger: Farther than this and the account is rebalanced.
        destination: A rebalance brings the weight at least this near, if that is worth its price.
    """

    trigger: Decimal
    destination: Decimal


@dataclass(frozen=True)  # Without slots, so that what is added up is kept.
class Holding:
    """One instrument that the account holds, may hold, or has a target for.

    Attributes:
        price: Of one unit, in the account's currency; positive.
        quantity_increment: Quantities traded are whole multiples of it: 1 for whole shares, 0.000000001 at the finest.
        lots: What is held now; empty when only targeted.
        target_weight: 0 to 1.
        spread_bps: Full quoted spread; a trade pays half of it.
        commission_bps: Of the traded value.
        commission_per_trade: In currency, once for every trade.
        average_daily_value: Traded in the market per day, in currency; None leaves market impact out.
        minimum_trade: A trade is worth at least this much, in currency, or is not made. Selling all of it is exempt.
        minimum_position: After a trade the lots are worth at least this much, in currency, or all of them are sold.
            What is not traded may be smaller.
        held_away_value: Value of the same instrument held elsewhere: counts in the mix, is never traded.
        weight_max: Purchases never take the weight above it; None for no limit. A weight that the market took above
            it is not bought, and is brought back by its band, not by force.
        identity_set: Instruments with the same one are substantially identical to tax rules; None when it is alone.
        no_buy: Why it may not be bought; None when it may. Wash-sale windows are added by the tax rules, not here.
        no_sell: Why it may not be sold; None when it may.
        asset_kind: What it is to tax laws that ask: whether losses on it are kept apart, what of its gains is exempt.
    """

    instrument_id: InstrumentId
    price: Decimal
    quantity_increment: Decimal
    target_weight: Decimal
    band: Band
    lots: tuple[LotState, ...] = ()
    spread_bps: Decimal = ZERO
    commission_bps: Decimal = ZERO
    commission_per_trade: Decimal = ZERO
    average_daily_value: Decimal | None = None
    minimum_trade: Decimal = ZERO
    minimum_position: Decimal = ZERO
    held_away_value: Decimal = ZERO
    weight_max: Decimal | None = None
    identity_set: str | None = None
    no_buy: str | None = None
    no_sell: str | None = None
    asset_kind: AssetKind = AssetKind.OTHER

    @property
    def share(self) -> bool:
        """Whether it is a share in a company, for laws that keep losses on shares apart."""
        return self.asset_kind is AssetKind.SHARE

    @property
    def identity(self) -> str:
        """The name of what it is identical to: its set, or itself."""
        return self.identity_set or self.instrument_id

    @cached_property
    def quantity(self) -> Decimal:
        """Units held in all lots."""
        return sum((lot.quantity for lot in self.lots), ZERO)

    @cached_property
    def value(self) -> Decimal:
        """What the lots are worth at `price`."""
        return self.quantity * self.price

    @cached_property
    def mix_value(self) -> Decimal:
        """What counts in the mix: the lots and what is held away."""
        return self.value + self.held_away_value


@dataclass(frozen=True, slots=True)
class CashRule:
    """What cash must do.

    Attributes:
        floor: Least cash after the plan and its costs, in currency.
        floor_weight: The same as a weight; the larger of the two holds.
        ceiling_weight: Cash above this weight is outside its corridor: it triggers, and it costs like any excess.
        withdrawal: Money to raise on top of the floor, in currency: it leaves the account after the plan, or is spoken
            for otherwise, so it is no part of the mix.
        flow: A deposit (positive) or withdrawal that arrived since the last decision; not zero triggers.
    """

    floor: Decimal = ZERO
    floor_weight: Decimal = ZERO
    ceiling_weight: Decimal = ONE
    withdrawal: Decimal = ZERO
    flow: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class TaxProfile:
    """How the account's gains are taxed.

    Attributes:
        jurisdiction: Name of the registered rules, for instance `US`.
        taxable: False inside a wrapper (pension, ISA): sales have no tax and losses no value.
        short_rate: Of short-term gains, 0 to 1.
        long_rate: Of long-term gains, 0 to 1.
        gain_budget: Most net gain that may be realized in the tax year, in currency; None for no limit.
        realized_short: Net short-term gain of the year so far; negative for a loss. Where the law keeps losses on
            shares apart, what is called short-term is on shares, and what is called long-term on all else.
        realized_long: Net long-term gain of the year so far.
        carried_short: Unused short-term losses of earlier years, 0 or more: the year's gains meet them.
        carried_long: The same of long-term losses.
        allowance: What of the law's yearly amount the account may use, in currency: in the United States of losses that
            other income meets, elsewhere of gains that are free. None for what the law's rules take without being told.
        lot_method: In which order sales take lots.
        harvest_minimum: A lot whose whole loss is smaller, in currency, is not worth selling for it: its credit does
            not count.
        defer_short_term_gains: Lots with a short-term gain are kept until it is long-term.
        gain_credit: What a unit of gain that is not short-term saves later, 0 to 1, when it is realized now.
        lower_rate: Of taxed gains of a tax year within `lower_room`, 0 to 1, where the law knows no terms; of those
            above it is `long_rate`.
        lower_room: Taxed gains of a tax year that cost `lower_rate`, in currency, 0 or more.
        later_long_rate: Of long-term gains in later years, where this year's is another; None where it is not.
        brackets: Which the gains fill on top of other income, where they are planned so; the two rates are then those
            of the first gains.
    """

    jurisdiction: str
    taxable: bool
    short_rate: Decimal = ZERO
    long_rate: Decimal = ZERO
    gain_budget: Decimal | None = None
    realized_short: Decimal = ZERO
    realized_long: Decimal = ZERO
    lot_method: LotMethod = LotMethod.LOWEST_TAX
    harvest_minimum: Decimal = ZERO
    defer_short_term_gains: bool = False
    carried_short: Decimal = ZERO
    carried_long: Decimal = ZERO
    gain_credit: Decimal = ZERO
    allowance: Decimal | None = None
    lower_rate: Decimal = ZERO
    lower_room: Decimal = ZERO
    later_long_rate: Decimal | None = None
    brackets: Brackets | None = None


@dataclass(frozen=True, slots=True)
class RecentTrade:
    """A trade of the last weeks, for the wash-sale windows. `realized_gain` is of a sale; negative is a loss.

    `elsewhere` is of another account of the household, made or about to be.
    """

    instrument_id: InstrumentId
    side: Side
    trade_date: date
    realized_gain: Decimal = ZERO
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Objective:
    """What the account's policy cares about: the weights of one objective, all in currency per currency.

    Attributes:
        risk_aversion: ½ · risk_aversion · yearly tracking variance is the fraction of the account that the
            deviation is felt to cost. At 10, a tracking error of 1 % costs 5 basis points.
        band_excess_price: Cost of each unit of weight outside its destination band (and of cash above its ceiling).
        tax_weight: 1 counts tax in full, 0 ignores it.
        cost_weight: 1 counts spread, commission and impact in full.
        loss_credit_weight: Part of a realized loss's tax credit that counts: at 0 a loss has no value.
        impact_coefficient: Y of the square-root law, impact = Y · daily volatility · √(value / daily value).
        net_benefit_min: A plan must beat doing nothing by at least this, in currency.
        horizon_years: How long `risk_aversion` lets a deviation be suffered for, above 0.
    """

    risk_aversion: Decimal
    band_excess_price: Decimal
    tax_weight: Decimal = ONE
    cost_weight: Decimal = ONE
    loss_credit_weight: Decimal = ONE
    impact_coefficient: Decimal = ZERO
    net_benefit_min: Decimal = ZERO
    horizon_years: Decimal = ONE


class LimitKind(StrEnum):
    """What a limit of several instruments together is about."""

    # Their weight: an asset class, an issuer, a sector.
    GROUP = "GROUP"
    # Their exposure to a factor: duration, beta, a currency.
    FACTOR = "FACTOR"
    # All that is held over the account's value; nothing is sold short, so the sum of weights.
    LEVERAGE = "LEVERAGE"
    # What is lost in a stress: only the most counts.
    STRESS = "STRESS"


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """Least and most of several instruments together: `weight_min` ≤ Σ exposure · weight ≤ `weight_max`.

    Attributes:
        weight_min: 0 to 1 for a group; any number for a factor, in units of its exposures.
        weight_max: The same, and at least `weight_min`.
        exposures: Of a FACTOR or a STRESS, of a unit of weight of each instrument, in their order; empty for 1 each.
    """

    name: str
    instrument_ids: tuple[InstrumentId, ...]
    weight_min: Decimal = ZERO
    weight_max: Decimal = ONE
    kind: LimitKind = LimitKind.GROUP
    exposures: tuple[Decimal, ...] = ()

    @property
    def exposure_of(self) -> Mapping[InstrumentId, Decimal]:
        """What one unit of weight of each instrument adds to what is limited."""
        return dict(zip(self.instrument_ids, self.exposures or (ONE,) * len(self.instrument_ids), strict=True))


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of one plan.

    Attributes:
        turnover: Purchases plus sales over the mix value; None for no limit.
        groups: Also limits of factors, and of leverage.
        minimum_hold_days: A lot is not sold before it was held for so many days; 0 for no limit.
        names: Most instruments of which lots are held after the plan, 1 or more; what is left of one counts when it is
            an increment or more, and what is held away does not. None for no limit.
    """

    turnover: Decimal | None = None
    groups: tuple[GroupLimit, ...] = ()
    minimum_hold_days: int = 0
    names: int | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """A rebalance made in `steps`, 2 or more, `days` apart, 1 or more.

    `gains` is what the policy asks of the tax years that later steps fall into; None for what holds in this one.
    """

    steps: int
    days: int
    gains: GainRules | None = None


@dataclass(frozen=True, slots=True)
class TotalTriggers:
    """What asks for a rebalance besides single weights; None never does.

    Attributes:
        drift: Half the sum of absolute deviations, cash included, above this.
        tracking_error: Of a year, as a fraction, above this.
    """

    drift: Decimal | None = None
    tracking_error: Decimal | None = None


@dataclass(frozen=True)  # Without slots, so that what is added up is kept.
class AccountProblem:
    """Everything that decides what one account should trade.

    Attributes:
        cash: Settled and available, in currency; may be negative.
        as_of_date: The day the plan would trade: holding periods and wash-sale windows count from it.
        recent_trades: At least those of the last 30 days.
    """

    account_id: AccountId
    currency: str
    as_of_date: date
    cash: Decimal
    holdings: tuple[Holding, ...]
    tax: TaxProfile
    objective: Objective
    cash_rule: CashRule = field(default_factory=CashRule)
    limits: Limits = field(default_factory=Limits)
    recent_trades: tuple[RecentTrade, ...] = ()
    ladder: Ladder | None = None
    total_triggers: TotalTriggers = TotalTriggers()

    def __post_init__(self) -> None:
        """Refuse values that cannot be.

        Raises:
            Invalid: With one violation per field that is wrong.
        """
        found = Violations()
        _check_holdings(self, found)
        _check_rules(self, found)
        if not len(found) and self.mix_value <= 0:
            found.add("holdings", f"the account's value must be positive, was {self.mix_value}")
        found.raise_if_any()

    @cached_property
    def mix_value(self) -> Decimal:
        """What weights are fractions of: cash without what is withdrawn, holdings, and what is held away."""
        return self.cash - self.cash_rule.withdrawal + sum((h.mix_value for h in self.holdings), ZERO)

    @cached_property
    def cash_floor(self) -> Decimal:
        """Least cash after the plan and its costs, in currency, the withdrawal included."""
        return max(self.cash_rule.floor, self.cash_rule.floor_weight * self.mix_value) + self.cash_rule.withdrawal


@dataclass(frozen=True, slots=True, eq=False)
class RiskModel:
    """Covariance of yearly returns as F Fᵀ + diag(D).

    Attributes:
        instrument_ids: Order of the rows, each id once.
        exposures: F, shape (n, k), in yearly standard deviations.
        specific_variance: D, shape (n,), yearly, positive.
        source: How it was estimated, in words that name the method.
    """

    instrument_ids: tuple[InstrumentId, ...]
    exposures: NDArray[np.float64]
    specific_variance: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        """Refuse shapes and numbers that cannot be.

        Raises:
            Invalid: With one violation per field that is wrong.
        """
        n = len(self.instrument_ids)
        found = Violations()
        if len(set(self.instrument_ids)) != n:
            found.add("instrument_ids", "must be unique")
        if self.exposures.ndim != 2 or self.exposures.shape[0] != n:
            found.add("exposures", f"must have shape ({n}, k), was {self.exposures.shape}")
        elif not np.isfinite(self.exposures).all():
            found.add("exposures", "must be finite")
        if self.specific_variance.shape != (n,):
            found.add("specific_variance", f"must have shape ({n},), was {self.specific_variance.shape}")
        elif not (np.isfinite(self.specific_variance).all() and (self.specific_variance > 0).all()):
            found.add("specific_variance", "must be finite and positive")
        found.raise_if_any()


class Engine(StrEnum):
    """What solves the convex problem."""

    # cvxpy and Clarabel: the definition.
    REFERENCE = "REFERENCE"
    # The compiled kernel; the reference model where the kernel does not reach the optimum.
    KERNEL = "KERNEL"
    # Many accounts at once, compiled from columns to columns; the kernel for an account that does not fit those.
    COLUMNS = "COLUMNS"


@dataclass(frozen=True, slots=True)
class DecideOptions:
    """How to decide; part of what a plan's hash covers.

    Attributes:
        ignore_triggers: Decide even if nothing is outside its trigger: a person asked, a preview, or the calendar.
        engine: What solves; the kernel is a hundred times as fast once it is compiled.
        event: What happened that asks for a rebalance, in words; empty for nothing.
        due: It is the calendar that asks.
        iterations_max: The reference solver's limit. A count, not a time, so that the same inputs give the same plan.
    """

    ignore_triggers: bool = False
    engine: Engine = Engine.REFERENCE
    iterations_max: int = 200
    event: str = ""
    due: bool = False


def _check_holdings(problem: AccountProblem, found: Violations) -> None:
    seen: set[str] = set()
    lots: set[str] = set()
    for holding in problem.holdings:
        name = f"holdings[{holding.instrument_id}]"
        if holding.instrument_id in seen:
            found.add(name, "instrument appears twice")
        seen.add(holding.instrument_id)
        _positive(found, f"{name}.price", holding.price)
        _positive(found, f"{name}.quantity_increment", holding.quantity_increment)
        if (
            holding.quantity_increment.is_finite()
            and holding.quantity_increment % Decimal(1).scaleb(-QUANTITY_DECIMALS_MAX) != 0
        ):
            found.add(
                f"{name}.quantity_increment",
                f"must have at most {QUANTITY_DECIMALS_MAX} decimals, was {holding.quantity_increment}",
            )
        _within(found, f"{name}.target_weight", holding.target_weight, ZERO, ONE)
        _within(found, f"{name}.band.destination", holding.band.destination, ZERO, ONE)
        _within(found, f"{name}.band.trigger", holding.band.trigger, holding.band.destination, ONE)
        for part in (
            "spread_bps",
            "commission_bps",
            "commission_per_trade",
            "minimum_trade",
            "minimum_position",
            "held_away_value",
        ):
            _not_negative(found, f"{name}.{part}", getattr(holding, part))
        if holding.average_daily_value is not None:
            _positive(found, f"{name}.average_daily_value", holding.average_daily_value)
        if holding.weight_max is not None:
            _within(found, f"{name}.weight_max", holding.weight_max, ZERO, ONE)
        for lot in holding.lots:
            where = f"{name}.lots[{lot.lot_id}]"
            if lot.lot_id in lots:
                found.add(where, "lot appears twice")
            lots.add(lot.lot_id)
            _positive(found, f"{where}.quantity", lot.quantity)
            _not_negative(found, f"{where}.basis_total", lot.basis_total)
            if lot.acquired_date > problem.as_of_date:
                found.add(f"{where}.acquired_date", f"must not be after {problem.as_of_date}, was {lot.acquired_date}")
    targets = sum((h.target_weight for h in problem.holdings if h.target_weight.is_finite()), ZERO)
    if targets > ONE:
        found.add("holdings", f"target weights must sum to at most 1, were {targets}")


def _check_rules(problem: AccountProblem, found: Violations) -> None:
    objective, cash, tax, limits = problem.objective, problem.cash_rule, problem.tax, problem.limits
    for part in (
        "risk_aversion",
        "band_excess_price",
        "tax_weight",
        "cost_weight",
        "impact_coefficient",
        "net_benefit_min",
    ):
        _not_negative(found, f"objective.{part}", getattr(objective, part))
    _within(found, "objective.loss_credit_weight", objective.loss_credit_weight, ZERO, ONE)
    _positive(found, "objective.horizon_years", objective.horizon_years)
    if not problem.cash.is_finite():
        found.add("cash", f"must be finite, was {problem.cash}")
    _not_negative(found, "cash_rule.floor", cash.floor)
    _not_negative(found, "cash_rule.withdrawal", cash.withdrawal)
    _within(found, "cash_rule.floor_weight", cash.floor_weight, ZERO, ONE)
    _within(found, "cash_rule.ceiling_weight", cash.ceiling_weight, cash.floor_weight, ONE)
    _within(found, "tax.short_rate", tax.short_rate, ZERO, ONE)
    _within(found, "tax.long_rate", tax.long_rate, ZERO, ONE)
    _within(found, "tax.gain_credit", tax.gain_credit, ZERO, ONE)
    _within(found, "tax.lower_rate", tax.lower_rate, ZERO, ONE)
    _not_negative(found, "tax.lower_room", tax.lower_room)
    if tax.gain_budget is not None:
        _not_negative(found, "tax.gain_budget", tax.gain_budget)
    if tax.allowance is not None:
        _not_negative(found, "tax.allowance", tax.allowance)
    if limits.turnover is not None:
        _not_negative(found, "limits.turnover", limits.turnover)
    if limits.minimum_hold_days < 0:
        found.add("limits.minimum_hold_days", f"must be at least 0, was {limits.minimum_hold_days}")
    if limits.names is not None and limits.names < 1:
        found.add("limits.names", f"must be at least 1, was {limits.names}")
    if problem.ladder is not None:
        for name, count, least in (("steps", problem.ladder.steps, 2), ("days", problem.ladder.days, 1)):
            if count < least:
                found.add(f"ladder.{name}", f"must be at least {least}, was {count}")
    known = {holding.instrument_id for holding in problem.holdings}
    for group in limits.groups:
        name = f"limits.groups[{group.name}]"
        _check_bounds(found, name, group)
        for instrument_id in sorted(set(group.instrument_ids) - known):
            found.add(name, f"instrument {instrument_id} is not among the holdings")


def _check_bounds(found: Violations, name: str, group: GroupLimit) -> None:
    for bound in ("weight_min", "weight_max"):
        if not getattr(group, bound).is_finite():
            found.add(f"{name}.{bound}", f"must be finite, was {getattr(group, bound)}")
            return
    if group.kind is LimitKind.GROUP:
        _within(found, f"{name}.weight_min", group.weight_min, ZERO, ONE)
        _within(found, f"{name}.weight_max", group.weight_max, group.weight_min, ONE)
    elif group.weight_max < group.weight_min:
        found.add(f"{name}.weight_max", f"must be at least {group.weight_min}, was {group.weight_max}")
    if group.exposures and len(group.exposures) != len(group.instrument_ids):
        found.add(
            f"{name}.exposures", f"must be one for each of {len(group.instrument_ids)}, were {len(group.exposures)}"
        )
    for each in group.exposures:
        if not each.is_finite():
            found.add(f"{name}.exposures", f"must be finite, was {each}")


def _positive(found: Violations, name: str, value: Decimal) -> None:
    if not value.is_finite() or value <= 0:
        found.add(name, f"must be positive, was {value}")


def _not_negative(found: Violations, name: str, value: Decimal) -> None:
    if not value.is_finite() or value < 0:
        found.add(name, f"must be at least 0, was {value}")


def _within(found: Violations, name: str, value: Decimal, low: Decimal, high: Decimal) -> None:
    if not value.is_finite() or not low <= value <= high:
        found.add(name, f"must be from {low} to {high}, was {value}")
