"""The account as the solvers see it: float64 arrays, weights as fractions of the mix value, objective in basis points.

Here is the one way into floating point, `enter`, and the one way out for estimates, `exact`; trades leave by
`rounding`, which counts them in whole increments. The arrays define the problem that `reference_model` states, any
faster kernel solves, and `certificate` bounds:

    minimize   λ/2 (‖Fᵀd‖² + Σ D_i d_i²)  deviation d = w − t, w = start + bought − sold
             + M Σ (|d_i| − β_i)₊         leaving the corridor
             + M (cash − ceiling)₊        idle cash
             + ω cost                     cost = Σ κ_i (sold_i + bought_i) + Σ ι_i (sold_i^1.5 + bought_i^1.5)
             + Σ γ_l s_l                  tax, negative for a credit
    subject to 0 ≤ s_l ≤ cap_l,  sold_i = Σ s_l over its lots,  0 ≤ bought_i ≤ buy_cap_i
               cash + Σ (sold_i − bought_i) − cost ≥ floor       [cash]
               Σ (sold_i + bought_i) ≤ turnover                  [turnover]
               Σ g_l s_l ≤ gain_budget                           [gains]
               group_min ≤ G w ≤ group_max                       [groups, factors, leverage]

Idle cash is measured before impact, so that it stays linear in the trades.

Rows are instruments and lots in the order of their ids, so the order in which a caller lists them does not matter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.costs import daily_volatility, impact_rate, linear_cost_rate
from services.decision.domain.decision import Character
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotState, RiskModel
from services.decision.domain.tax import LotTax, TaxView
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import InstrumentId

Floats = NDArray[np.float64]

BPS_PER_ONE = 1e4
# Stands for "no limit" where a solver needs a number: sales and purchases together, and the gains of sales, are less.
NO_LIMIT = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class ConvexProblem:
    """One account's arrays: n instruments, m lots, k factors, g groups. Symbols are those of the module's formula.

    Attributes:
        start: Weights before trading, held-away value included, shape (n,).
        target: t, shape (n,).
        exposures: F, shape (n, k).
        specific_variance: D, shape (n,).
        band: β, shape (n,).
        cost_weight: ω.
        cost: κ, shape (n,).
        impact: ι, of weights to the power 1.5, shape (n,).
        buy_cap: Shape (n,); zero where buying is forbidden.
        identity: Equal numbers, below n, for instruments that tax rules take for identical, shape (n,).
        lot_instrument: Row of each lot's instrument, ascending, shape (m,).
        lot_cap: Weight of each lot, zero where selling is forbidden, shape (m,).
        lot_tax: γ, shape (m,).
        lot_gain: g, gain per unit of weight sold, shape (m,).
        lot_wash: Whether tax rules disallow the lot's loss when its like is bought, shape (m,).
        groups: G, shape (g, n): ones where an instrument belongs to a group or counts for leverage, else zeros; the
            exposures of a factor.
        gain_budget: Infinite for no limit, like `turnover`.
    """

    risk_aversion: float
    band_price: float
    cost_weight: float
    start: Floats
    target: Floats
    exposures: Floats
    specific_variance: Floats
    band: Floats
    cost: Floats
    impact: Floats
    buy_cap: Floats
    identity: NDArray[np.int64]
    lot_instrument: NDArray[np.int64]
    lot_cap: Floats
    lot_tax: Floats
    lot_gain: Floats
    lot_wash: NDArray[np.bool_]
    cash: float
    cash_floor: float
    cash_ceiling: float
    turnover: float
    gain_budget: float
    groups: Floats
    group_min: Floats
    group_max: Floats

    @property
    def torn(self) -> NDArray[np.bool_]:
        """Return where both ways are open and a round trip may pay, shape (n,): something must choose one of them.

        It can only pay where a loss does, by its credit or by the room it makes in the gain budget, or where a gain has
        a credit. From one instrument to an identical one it may be made for other reasons too, so those are torn where
        any has a loss.
        """
        pays = self.lot_wash & ((self.lot_tax < 0) | np.isfinite(self.gain_budget))
        several = self.summed_over_identity(np.ones(len(self.start))) > 1
        lots = np.where(several[self.lot_instrument], self.lot_wash, pays) | (self.lot_tax < 0)
        sells = by_instrument(self, self.lot_cap * lots) > 0
        return self.of_identity(sells) & self.of_identity(self.buy_cap > 0)

    def of_identity(self, values: NDArray[np.generic]) -> NDArray[np.bool_]:
        """Return whether any identical instrument's value is not zero, shape (n,)."""
        return self.summed_over_identity(values.astype(np.float64)) > 0

    def summed_over_identity(self, values: Floats) -> Floats:
        """Return the sum of values, shape (n,), over all instruments that each one is identical to, itself included."""
        sums = np.zeros(len(self.start))
        np.add.at(sums, self.identity, values)
        return sums[self.identity]

    @property
    def weighted(self) -> bool:
        """Return whether some limit weighs its instruments, as those of factors do."""
        return not bool(np.isin(self.groups, (0.0, 1.0)).all())

    @property
    def sell_cap(self) -> Floats:
        """Most that can be sold of each instrument, shape (n,)."""
        return by_instrument(self, self.lot_cap)

    def restricted(self, may_buy: NDArray[np.bool_], may_sell: NDArray[np.bool_]) -> "ConvexProblem":
        """Return the problem with some directions closed; both arguments have shape (n,)."""
        return replace(
            self,
            buy_cap=np.where(may_buy, self.buy_cap, 0.0),
            lot_cap=np.where(may_sell[self.lot_instrument], self.lot_cap, 0.0),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Lagrange multipliers of the coupling rows, in basis points per unit of weight, zero or more.

    `ceiling` is at most the band price, as the excess over the ceiling is soft. Groups have shape (g,).
    """

    cash: float
    ceiling: float
    turnover: float
    gains: float
    group_min: Floats
    group_max: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ConvexSolution:
    """What a solver found: weights sold per lot (m,), bought per instrument (n,), and the prices of the rows."""

    sold: Floats
    bought: Floats
    prices: Prices


class SolveStatus(StrEnum):
    """What a solve came to."""

    SOLVED = "SOLVED"
    INFEASIBLE = "INFEASIBLE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, eq=False)
class Solve:
    """A solve's answer.

    Attributes:
        detail: The solver's own word.
        solution: There when the status is SOLVED.
        solver: Who answered.
    """

    status: SolveStatus
    detail: str
    solution: ConvexSolution | None = None
    solver: str = "CLARABEL"


def enter(problem: AccountProblem, risk: RiskModel, tax: TaxView) -> ConvexProblem:
    """Return the account in floating point.

    Raises:
        Invalid: The risk model lacks an instrument of the account.
    """
    holdings = ordered_holdings(problem)
    rows = _risk_rows(holdings, risk)
    exposures = np.ascontiguousarray(risk.exposures[rows])
    specific = risk.specific_variance[rows]
    variance = specific + (exposures**2).sum(axis=1)
    value = problem.mix_value
    objective = problem.objective
    lots = [(row, holding, lot) for row, holding in enumerate(holdings) for lot in ordered_lots(holding)]
    # Impact c · value^1.5 in currency is c · √V · weight^1.5 as a fraction of V.
    root = value.sqrt()
    gains = [tax.lots[lot.lot_id].gain_per_unit / holding.price for _, holding, lot in lots]
    taxed = [
        _tax_counted(problem, tax.lots[lot.lot_id], gain, gain * holding.price * lot.quantity)
        for gain, (_, holding, lot) in zip(gains, lots, strict=True)
    ]
    limits = problem.limits
    budget = gain_budget_left(problem)
    return ConvexProblem(
        risk_aversion=float(objective.risk_aversion),
        band_price=float(objective.band_excess_price),
        cost_weight=float(objective.cost_weight),
        start=_floats(holding.mix_value / value for holding in holdings),
        target=_floats(holding.target_weight for holding in holdings),
        exposures=exposures,
        specific_variance=specific,
        band=_floats(holding.band.destination for holding in holdings),
        cost=_floats(linear_cost_rate(holding) for holding in holdings),
        impact=_floats(
            impact_rate(holding, objective.impact_coefficient, daily_volatility(float(yearly))) * root
            for holding, yearly in zip(holdings, variance, strict=True)
        ),
        buy_cap=_floats(buyable_value(problem, holding, tax.no_buy) / value for holding in holdings),
        identity=np.unique([holding.identity for holding in holdings], return_inverse=True)[1].astype(np.int64),
        lot_instrument=np.array([row for row, _, _ in lots], dtype=np.int64),
        lot_cap=_floats(
            lot.quantity * holding.price / value if may_be_sold(problem, holding, lot, tax) else ZERO
            for _, holding, lot in lots
        ),
        lot_tax=_floats(taxed),
        lot_gain=_floats(gains),
        lot_wash=np.array([problem.tax.taxable and gain < 0 for gain in gains], dtype=np.bool_),
        cash=float(problem.cash / value),
        cash_floor=float(problem.cash_floor / value),
        cash_ceiling=float(
            max(problem.cash_rule.ceiling_weight * value + problem.cash_rule.withdrawal, problem.cash_floor) / value
        ),
        turnover=float("inf") if limits.turnover is None else float(limits.turnover),
        gain_budget=float("inf") if budget is None else float(budget / value),
        groups=np.array(
            [[float(group.exposure_of.get(each.instrument_id, ZERO)) for each in holdings] for group in limits.groups],
            dtype=np.float64,
        ).reshape(len(limits.groups), len(holdings)),
        group_min=_floats(group.weight_min for group in limits.groups),
        group_max=_floats(group.weight_max for group in limits.groups),
    )


def by_instrument(convex: ConvexProblem, of_lots: Floats) -> Floats:
    """Return the sum over each instrument's lots, shape (n,)."""
    sums = np.zeros(len(convex.start))
    np.add.at(sums, convex.lot_instrument, of_lots)
    return sums


def exact(value: float, unit: Decimal) -> Decimal:
    """Return `value` rounded half-even to a multiple of `unit`, a power of ten."""
    rounded = Decimal(value).quantize(unit, rounding=ROUND_HALF_EVEN)
    return rounded or unit - unit  # Never minus zero: it would be another byte for the same number.


def ordered_holdings(problem: AccountProblem) -> list[Holding]:
    """Return the holdings in the order of all arrays."""
    return sorted(problem.holdings, key=lambda holding: holding.instrument_id)


def ordered_lots(holding: Holding) -> list[LotState]:
    """Return a holding's lots in the order of all arrays."""
    return sorted(holding.lots, key=lambda lot: lot.lot_id)


def may_be_sold(problem: AccountProblem, holding: Holding, lot: LotState, tax: TaxView) -> bool:
    """Return whether neither the account nor tax rules keep the lot."""
    return kept_because(problem, holding, lot, tax) is None


def kept_because(problem: AccountProblem, holding: Holding, lot: LotState, tax: TaxView) -> str | None:
    """Return why the lot may not be sold; None when it may."""
    days = problem.limits.minimum_hold_days
    # Of a lot that was held for ever nobody knows the day.
    if holding.no_sell is None and days and (problem.as_of_date - lot.acquired_date).days < days:
        return f"it is held for at least {days} days, since {lot.acquired_date}"
    taxed = tax.lots[lot.lot_id]
    if problem.tax.defer_short_term_gains and taxed.character is Character.SHORT and taxed.gain_per_unit > 0:
        return holding.no_sell or taxed.no_sell or "its gain is short-term, and waits until it is long-term"
    return holding.no_sell or tax.lots[lot.lot_id].no_sell


def buyable_value(problem: AccountProblem, holding: Holding, no_buy: Mapping[InstrumentId, str]) -> Decimal:
    """Return the most that may be bought, in currency."""
    if holding.no_buy is not None or holding.instrument_id in no_buy:
        return ZERO
    # Without a limit of its own a purchase is bounded by the account itself.
    weight_max = Decimal(1) if holding.weight_max is None else holding.weight_max
    return max(ZERO, weight_max * problem.mix_value - holding.mix_value)


def gain_budget_left(problem: AccountProblem) -> Decimal | None:
    """Return how much net gain the plan may realize, or None for no limit. A year over budget leaves nothing."""
    tax = problem.tax
    if tax.gain_budget is None or not tax.taxable:
        return None
    return max(ZERO, tax.gain_budget - tax.realized_short - tax.realized_long)


def gain_credit(problem: AccountProblem, lot: LotTax, gain: Decimal) -> Decimal:
    """Return what a gain out of a lot saves later when it is realized now, as the objective counts it, 0 or more."""
    if gain <= 0 or lot.character in (Character.SHORT, Character.EXEMPT):
        return ZERO
    return gain * problem.tax.gain_credit * problem.objective.tax_weight


def _tax_counted(problem: AccountProblem, lot: LotTax, gain: Decimal, whole: Decimal) -> Decimal:
    """Return tax as the objective counts it, for a gain of `gain`, of a lot that all of it would gain `whole`."""
    tax, weight = gain * lot.rate, problem.objective.tax_weight
    if tax >= 0:
        saved = ZERO if whole < problem.tax.harvest_minimum else gain_credit(problem, lot, gain)
        return tax * weight - saved
    return ZERO if -whole < problem.tax.harvest_minimum else tax * weight * problem.objective.loss_credit_weight


def _risk_rows(holdings: list[Holding], risk: RiskModel) -> list[int]:
    row_of = {instrument_id: row for row, instrument_id in enumerate(risk.instrument_ids)}
    missing = [holding.instrument_id for holding in holdings if holding.instrument_id not in row_of]
    if missing:
        raise Invalid(
            f"the risk model has no row for {', '.join(missing)}",
            violations=[FieldViolation(f"holdings[{each}]", "has no row in the risk model") for each in missing],
        )
    return [row_of[holding.instrument_id] for holding in holdings]


def _floats(values: Iterable[Decimal]) -> Floats:
    return np.array([float(value) for value in values], dtype=np.float64)
