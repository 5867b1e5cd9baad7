"""One account as the optimiser is asked about it; values that cannot be are refused here, by name.

Everything is exact (`Decimal`, `date`) and in the account's currency. Weights are fractions of the account's
*mix value*: cash that is free, everything held, and what is held away but counts in the mix. The values depend on
nothing but what the caller loaded.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property

from services.decision.domain.problem.holdings import ONE, QUANTITY_DECIMALS_MAX, ZERO, Holding
from services.decision.domain.problem.rules import (
    CashRule,
    GroupLimit,
    Ladder,
    LimitKind,
    Limits,
    Objective,
    RecentTrade,
    TaxProfile,
    TotalTriggers,
)
from services.kernel.errors import Violations
from services.kernel.ids import AccountId


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
    total_triggers: TotalTriggers = field(default_factory=TotalTriggers)

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
