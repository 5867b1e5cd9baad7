"""The account as the solvers see it: float64 arrays, weights as fractions of the mix value, objective in basis points.

The one way into floating point is `entering.enter`, and here is the one way out for estimates, `exact`; trades leave
by `rounding`, which counts them in whole increments. The arrays define the problem that `reference_model` states, any
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

from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

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


def tax_of(convex: ConvexProblem, sold: Floats) -> float:
    """Return the tax of weights sold per lot, shape (m,), as it counts, in basis points: the least of its pieces."""
    if not convex.pieces:
        return BPS_PER_ONE * float(convex.lot_tax @ sold)
    short, long = float(convex.lot_short @ sold), float(convex.lot_long @ sold)
    owed = min(each.at(short, long) for each in convex.pieces)
    return BPS_PER_ONE * (owed - float(convex.lot_credit @ sold))


def by_instrument(convex: ConvexProblem, of_lots: Floats) -> Floats:
    """Return the sum over each instrument's lots, shape (n,)."""
    sums = np.zeros(len(convex.start))
    np.add.at(sums, convex.lot_instrument, of_lots)
    return sums


def exact(value: float, unit: Decimal) -> Decimal:
    """Return `value` rounded half-even to a multiple of `unit`, a power of ten."""
    rounded = Decimal(value).quantize(unit, rounding=ROUND_HALF_EVEN)
    return rounded or unit - unit  # Never minus zero: it would be another byte for the same number.
