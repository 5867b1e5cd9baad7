"""The account as the solvers see it: float64 arrays, weights as fractions of the mix value, objective in basis points.

Here is the one way into floating point, `enter`, and the one way out for estimates, `exact`; trades leave by
`rounding`, which counts them in whole increments. The arrays define the problem that `reference_model` states, any
faster kernel solves, and `certificate` bounds:

    minimize   λ/2 (‖Fᵀd‖² + Σ D_i d_i²)  deviation d = w − t, w = start + bought − sold
             + M Σ (|d_i| − β_i)₊         leaving the corridor
             + M (cash − ceiling)₊        idle cash
             + ω cost                     cost = Σ κ_i (sold_i + bought_i) + Σ ι_i (sold_i^1.5 + bought_i^1.5)
             + Σ γ_l s_l + Σ_h ρ_h (Σ_l η_hl s_l − θ_h)₊ + c       tax, negative for a credit
    subject to 0 ≤ s_l ≤ cap_l,  sold_i = Σ s_l over its lots,  0 ≤ bought_i ≤ buy_cap_i
               cash + Σ (sold_i − bought_i) − cost ≥ floor       [cash]
               Σ (sold_i + bought_i) ≤ turnover                  [turnover]
               Σ g_l s_l ≤ gain_budget                           [gains]
               group_min ≤ G w ≤ group_max                       [groups, factors, leverage]

Idle cash is measured before impact, so that it stays linear in the trades.

What gains come to is not convex, but the least of a few *pieces* that are (`tax.liability`): a price γ of each lot, by
what of its gain counts as short-term and as long-term, and hinges, at which one more unit of gain begins to cost more.
`every_piece` are the problems of which the best is the account's.

Rows are instruments and lots in the order of their ids, so the order in which a caller lists them does not matter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.costs import daily_volatility, impact_rate, linear_cost_rate
from services.decision.domain.decision import Character
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotState, RiskModel
from services.decision.domain.tax import LotTax, TaxView
from services.decision.domain.tax.liability import Area, Liability
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import InstrumentId

Floats = NDArray[np.float64]

BPS_PER_ONE = 1e4
# Stands for "no limit" where a solver needs a number: sales and purchases together, and the gains of sales, are less.
# It is of the mix, or of what is held where that is more, because most of it is about to leave the account.
NO_LIMIT = 4.0


def no_limit(start: Floats) -> float:
    """Return the number that stands for no limit in an account of such weights, shape (n,)."""
    return NO_LIMIT * max(1.0, float(start.sum()))


def no_hinges() -> Floats:
    """Return the prices of no hinges."""
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class TaxPiece:
    """A convex function that the tax is nowhere above, of the plan's net gains over the mix value, as it counts.

    Attributes:
        short: Slope of short-term gain.
        long: Slope of long-term gain.
        hinges: Of each ρ, its weights of short-term and of long-term gain, and θ.
        constant: c.
    """

    short: float
    long: float
    hinges: tuple[tuple[float, float, float, float], ...] = ()
    constant: float = 0.0

    def at(self, short: float, long: float) -> float:
        """Return its value at net gains."""
        bent = sum(rate * max(a * short + b * long - above, 0.0) for rate, a, b, above in self.hinges)
        return self.constant + self.short * short + self.long * long + bent


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
        hinge_lots: η, shape (h, m).
        hinge_above: θ, shape (h,).
        hinge_price: ρ, positive, shape (h,).
        tax_constant: c.
        lot_short: What of each lot's gain counts as short-term, or as on shares where those are apart, per unit of
            weight sold, shape (m,); empty without pieces.
        lot_long: What of it counts as long-term.
        lot_credit: What a gain saves later when it is realized now, per unit of weight sold, shape (m,), 0 or more.
        pieces: Of the tax; none where each lot is taxed by itself.
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
    hinge_lots: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    hinge_above: Floats = field(default_factory=no_hinges)
    hinge_price: Floats = field(default_factory=no_hinges)
    tax_constant: float = 0.0
    lot_short: Floats = field(default_factory=no_hinges)
    lot_long: Floats = field(default_factory=no_hinges)
    lot_credit: Floats = field(default_factory=no_hinges)
    pieces: tuple[TaxPiece, ...] = ()

    @property
    def every_piece(self) -> tuple["ConvexProblem", ...]:
        """Return the problems with one piece of the tax each: the account's best plan is the best of theirs."""
        return tuple(self.with_piece(each) for each in self.pieces) or (self,)

    def with_piece(self, piece: TaxPiece) -> "ConvexProblem":
        """Return the problem with this piece for its tax."""
        weights = np.array([[a, b] for _, a, b, _ in piece.hinges], dtype=np.float64).reshape(len(piece.hinges), 2)
        return replace(
            self,
            lot_tax=piece.short * self.lot_short + piece.long * self.lot_long - self.lot_credit,
            hinge_lots=weights @ np.stack([self.lot_short, self.lot_long]),
            hinge_above=np.array([above for _, _, _, above in piece.hinges], dtype=np.float64),
            hinge_price=np.array([rate for rate, _, _, _ in piece.hinges], dtype=np.float64),
            tax_constant=piece.constant,
        )

    @property
    def lot_tax_least(self) -> Floats:
        """Return the least that a unit of each lot can cost, by whichever hinges it is over, shape (m,)."""
        least: Floats = self.lot_tax
        for price, lots in zip(self.hinge_price, self.hinge_lots, strict=True):
            least = least + np.minimum(price * lots, 0.0)
        return least

    @property
    def torn(self) -> NDArray[np.bool_]:
        """Return where both ways are open and a round trip may pay, shape (n,): something must choose one of them.

        It can only pay where a loss does, by its credit or by the room it makes in the gain budget, or where a gain has
        a credit. From one instrument to an identical one it may be made for other reasons too, so those are torn where
        any has a loss.
        """
        pays = self.lot_wash & ((self.lot_tax_least < 0) | np.isfinite(self.gain_budget))
        several = self.summed_over_identity(np.ones(len(self.start))) > 1
        lots = np.where(several[self.lot_instrument], self.lot_wash, pays) | (self.lot_tax_least < 0)
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

    `ceiling` is at most the band price, as the excess over the ceiling is soft, and a hinge's at most ρ. Groups have
    shape (g,), hinges (h,).
    """

    cash: float
    ceiling: float
    turnover: float
    gains: float
    group_min: Floats
    group_max: Floats
    hinges: Floats = field(default_factory=no_hinges)


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
    counted = [
        gain_counted(problem, gain, gain * holding.price * lot.quantity)
        for gain, (_, holding, lot) in zip(gains, lots, strict=True)
    ]
    credited = [
        gain_credit(problem, tax.lots[lot.lot_id], gain, gain * holding.price * lot.quantity)
        for gain, (_, holding, lot) in zip(gains, lots, strict=True)
    ]
    taxed = [
        gain * tax.lots[lot.lot_id].rate * objective.tax_weight - credit
        for gain, credit, (_, _, lot) in zip(counted, credited, lots, strict=True)
    ]
    limits = problem.limits
    budget = gain_budget_left(problem)
    convex = ConvexProblem(
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
    if tax.liability is None:
        return convex
    short = [tax.lots[lot.lot_id].character.apart for _, _, lot in lots]
    convex = replace(
        convex,
        lot_short=_floats(gain if is_short else ZERO for gain, is_short in zip(counted, short, strict=True)),
        lot_long=_floats(ZERO if is_short else gain for gain, is_short in zip(counted, short, strict=True)),
        lot_credit=_floats(credited),
        pieces=tax_pieces(problem, tax.liability.within(reachable(problem, tax))),
    )
    return convex.every_piece[0]


def tax_pieces(problem: AccountProblem, liability: Liability) -> tuple[TaxPiece, ...]:
    """Return a liability's pieces as they count for the account's objective."""
    weight, value = problem.objective.tax_weight, problem.mix_value
    return tuple(
        TaxPiece(
            float(weight * each.short),
            float(weight * each.long),
            tuple(
                (float(weight * hinge.rate), float(hinge.short), float(hinge.long), float(hinge.above / value))
                for hinge in each.hinges
                if weight > 0
            ),
            float(weight * each.constant / value),
        )
        for each in liability.pieces
    )


def tax_of(convex: ConvexProblem, sold: Floats) -> float:
    """Return the tax of weights sold per lot, shape (m,), as it counts, in basis points: the least of its pieces."""
    if not convex.pieces:
        return BPS_PER_ONE * float(convex.lot_tax @ sold)
    short, long = float(convex.lot_short @ sold), float(convex.lot_long @ sold)
    owed = min(each.at(short, long) for each in convex.pieces)
    return BPS_PER_ONE * (owed - float(convex.lot_credit @ sold))


def reachable(problem: AccountProblem, tax: TaxView) -> Area:
    """Return the net gains, as they count, that selling any lots can bring, in currency."""
    edges = {True: [ZERO, ZERO], False: [ZERO, ZERO]}
    for holding in problem.holdings:
        for lot in holding.lots:
            if may_be_sold(problem, holding, lot, tax):
                taxed = tax.lots[lot.lot_id]
                of_lot = taxed.gain_per_unit * lot.quantity
                edges[taxed.character.apart][of_lot > 0] += gain_counted(problem, of_lot, of_lot)
    return Area(*edges[True], *edges[False])


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


def gain_credit(problem: AccountProblem, lot: LotTax, gain: Decimal, whole: Decimal) -> Decimal:
    """Return what a gain saves later when it is realized now, as the objective counts it, 0 or more.

    Args:
        problem: The account.
        lot: Out of which it is.
        gain: The gain.
        whole: What all of the lot would gain.
    """
    if gain <= 0 or whole < problem.tax.harvest_minimum or lot.character in (Character.SHORT, Character.EXEMPT):
        return ZERO
    return gain * problem.tax.gain_credit * problem.objective.tax_weight


def gain_counted(problem: AccountProblem, gain: Decimal, of_lot: Decimal) -> Decimal:
    """Return what of a gain counts in the objective, of a lot that all of it would gain `of_lot`; a loss may not."""
    if gain >= 0:
        return gain
    return ZERO if -of_lot < problem.tax.harvest_minimum else gain * problem.objective.loss_credit_weight


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
