"""How good a plan provably is: its objective, and a bound that no plan can beat, from this code and no solver's.

The bound is Lagrange's. Give every coupling row of `convex` a price, replace the factor term by its tangent
½λ‖Fᵀd‖² ≥ νᵀFᵀd − ‖ν‖²/2λ and each impact by its own, and the problem falls apart into two convex piecewise quadratic
functions per instrument, one for selling and one for buying, whose least values are found exactly. An instrument goes
one way, so the smaller of the two counts; and where trades have a least size, only no trade and trades of that size and
more do. The bound holds although neither choice is convex. Whatever the prices, the sum is below every plan that keeps
the limits; with the right ones it meets the optimum of the convex problem. Prices come from the solver, but wrong ones
only make the bound weaker, never false.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.convex import (
    BPS_PER_ONE,
    ConvexProblem,
    ConvexSolution,
    Floats,
    Prices,
    by_instrument,
    tax_of,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of the objective in basis points of the account, weighted as the policy says."""

    deviation: float
    outside_band: float
    idle_cash: float
    cost: float
    tax: float

    @property
    def total(self) -> float:
        """The objective."""
        return self.deviation + self.outside_band + self.idle_cash + self.cost + self.tax


def terms(convex: ConvexProblem, sold: Floats, bought: Floats) -> Terms:
    """Return the objective's parts at weights sold per lot, shape (m,), and bought per instrument, shape (n,).

    Tax is by the problem's own piece.
    """
    sold_of = by_instrument(convex, sold)
    d = convex.start - sold_of + bought - convex.target
    factor = convex.exposures.T @ d
    linear = float(convex.cost @ (sold_of + bought))
    impact = float(convex.impact @ (sold_of**1.5 + bought**1.5))
    cash = convex.cash + float((sold_of - bought).sum()) - linear
    return Terms(
        deviation=BPS_PER_ONE * convex.risk_aversion / 2 * float(factor @ factor + convex.specific_variance @ d**2),
        outside_band=BPS_PER_ONE * convex.band_price * float(np.maximum(np.abs(d) - convex.band, 0.0).sum()),
        idle_cash=BPS_PER_ONE * convex.band_price * max(cash - convex.cash_ceiling, 0.0),
        cost=BPS_PER_ONE * convex.cost_weight * (linear + impact),
        tax=BPS_PER_ONE
        * (
            float(convex.lot_tax @ sold)
            + float(convex.hinge_price @ np.maximum(_gained(convex, sold) - convex.hinge_above, 0.0))
            + convex.tax_constant
        ),
    )


def plan_terms(convex: ConvexProblem, sold: Floats, bought: Floats) -> Terms:
    """Return the objective's parts as `terms` does, with what the tax really is: the least of its pieces."""
    return replace(terms(convex, sold, bought), tax=tax_of(convex, sold))


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """What one more unit of weight costs, in basis points, at the prices of the rows.

    Attributes:
        sell: Sold out of each lot, shape (m,): cost, tax and use of limits; cash it brings in is a saving.
        buy: Bought, shape (n,).
        there: Being there, shape (n,): its pull on the factors and on group limits, its own risk and band left out.
    """

    sell: Floats
    buy: Floats
    there: Floats


def marginal_costs(convex: ConvexProblem, near: ConvexSolution) -> Marginal:
    """Return the marginal costs at a solution and its prices."""
    prices = _in_range(convex, near.prices)
    sold_of = by_instrument(convex, near.sold)
    d = convex.start - sold_of + near.bought - convex.target
    cost_price = BPS_PER_ONE * convex.cost_weight + prices.cash
    linear = (cost_price - prices.ceiling) * convex.cost
    cash = prices.cash - prices.ceiling
    sell_rate = linear + 1.5 * cost_price * convex.impact * np.sqrt(sold_of)
    buy_rate = linear + 1.5 * cost_price * convex.impact * np.sqrt(near.bought)
    tax = BPS_PER_ONE * convex.lot_tax + prices.gains * convex.lot_gain
    if len(prices.hinges):
        tax = tax + prices.hinges @ convex.hinge_lots
    pull = BPS_PER_ONE * convex.risk_aversion * (convex.exposures @ (convex.exposures.T @ d))
    return Marginal(
        sell=sell_rate[convex.lot_instrument] + tax + prices.turnover - cash,
        buy=buy_rate + prices.turnover + cash,
        there=pull + convex.groups.T @ (prices.group_max - prices.group_min),
    )


def dual_bound(convex: ConvexProblem, near: ConvexSolution, least: Floats | None = None) -> float:
    """Return a value, in basis points, that no plan within the limits is below.

    Args:
        convex: The account.
        near: Prices of the rows, and the trades at which tangents are taken: the bound is tight when they are optimal.
        least: Least weight that a sale and a purchase of each instrument have, infinite where there is none, shape
            (2, n); without it trades may be of any size.
    """
    slopes = marginal_costs(convex, near)
    return constant_of_bound(convex, near) + float(np.minimum(*least_each_way(convex, slopes, least)).sum())


def constant_of_bound(convex: ConvexProblem, near: ConvexSolution) -> float:
    """Return what of the bound at these prices is no instrument's own, in basis points."""
    prices = _in_range(convex, near.prices)
    risk = BPS_PER_ONE * convex.risk_aversion
    sold_of = by_instrument(convex, near.sold)
    factor = convex.exposures.T @ (convex.start - sold_of + near.bought - convex.target)
    cost_price = BPS_PER_ONE * convex.cost_weight + prices.cash

    constant = prices.cash * (convex.cash_floor - convex.cash) + prices.ceiling * (convex.cash - convex.cash_ceiling)
    constant -= prices.turnover * convex.turnover if prices.turnover else 0.0
    constant -= prices.gains * convex.gain_budget if prices.gains else 0.0
    constant += BPS_PER_ONE * convex.tax_constant - float(prices.hinges @ convex.hinge_above)
    # Groups limit w, and `there` prices w − t.
    constant -= float(prices.group_max @ (convex.group_max - convex.groups @ convex.target))
    constant += float(prices.group_min @ (convex.group_min - convex.groups @ convex.target))
    constant -= risk / 2 * float(factor @ factor)
    constant -= cost_price / 2 * float(convex.impact @ (sold_of**1.5 + near.bought**1.5))
    return constant


def _in_range(convex: ConvexProblem, prices: Prices) -> Prices:
    """Return the nearest prices for which the bound holds."""
    return Prices(
        cash=max(prices.cash, 0.0),
        ceiling=min(max(prices.ceiling, 0.0), BPS_PER_ONE * convex.band_price),
        turnover=max(prices.turnover, 0.0) if np.isfinite(convex.turnover) else 0.0,
        gains=max(prices.gains, 0.0) if np.isfinite(convex.gain_budget) else 0.0,
        group_min=np.maximum(prices.group_min, 0.0),
        group_max=np.maximum(prices.group_max, 0.0),
        hinges=_hinges_in_range(convex, prices.hinges),
    )


def _hinges_in_range(convex: ConvexProblem, prices: Floats) -> Floats:
    if len(prices) != len(convex.hinge_price):
        # Prices of another piece say nothing of these hinges.
        return np.zeros(len(convex.hinge_price))
    return np.clip(prices, 0.0, BPS_PER_ONE * convex.hinge_price)


def _gained(convex: ConvexProblem, sold: Floats) -> Floats:
    """Return what each hinge counts, shape (h,)."""
    return convex.hinge_lots @ sold if len(convex.hinge_price) else convex.hinge_price


def least_each_way(convex: ConvexProblem, slopes: Marginal, least: Floats | None = None) -> tuple[Floats, Floats]:
    """Return each instrument's least value over its sales and over its purchases, no trade among both, shape (n,)."""
    none, selling, buying, _ = least_by_way(convex, slopes, least)
    return np.minimum(none, selling), np.minimum(none, buying)


def least_by_way(
    convex: ConvexProblem, slopes: Marginal, least: Floats | None = None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return what each instrument costs untouched, the least by a sale and by a purchase, and sold out, shape (n,).

    Going up from the weight with everything sold means keeping lots, the dearest to sell first: a convex function. It
    ends, and purchases begin, where a trade has its `least` size; see `dual_bound`. A way that is not open costs
    infinitely much; sold out is all that may be sold, if anything may.
    """
    n = len(convex.start)
    least_sold, least_bought = np.zeros((2, n)) if least is None else least
    order = np.lexsort((-slopes.sell, convex.lot_instrument))
    row, length, slope = convex.lot_instrument[order], convex.lot_cap[order], -slopes.sell[order]
    first = np.searchsorted(row, np.arange(n))
    all_sold = by_instrument(convex, slopes.sell * convex.lot_cap)
    sold_out = convex.start - convex.sell_cap
    left = sold_out[row] + _before(length, row, first)
    end = np.maximum(convex.start - least_sold, sold_out)[row]
    value_left = all_sold[row] + _before(slope * length, row, first)
    large = np.isfinite(least_sold)[row] & (left <= end)
    length = np.minimum(length, end - left)
    sales = _Segments(row[large], left[large], length[large], slope[large], value_left[large])
    every = np.arange(n)
    able = np.flatnonzero(least_bought <= convex.buy_cap)
    begin, buy = least_bought[able], slopes.buy[able]
    purchases = _Segments(able, convex.start[able] + begin, convex.buy_cap[able] - begin, buy, buy * begin)
    none = _Segments(every, convex.start, np.zeros(n), np.zeros(n), np.zeros(n))
    some = np.flatnonzero(convex.sell_cap > 0)
    nothing = np.zeros(len(some))
    emptied = _Segments(some, sold_out[some], nothing, nothing, all_sold[some])
    untouched, selling, buying, out = (
        _least_on(convex, slopes.there, way) for way in (none, sales, purchases, emptied)
    )
    return untouched, selling, buying, out


@dataclass(frozen=True, slots=True, eq=False)
class _Segments:
    """Pieces of the final weight on which a trade's cost is linear: where they start, with which value and slope."""

    row: NDArray[np.int64]
    left: Floats
    length: Floats
    slope: Floats
    value_left: Floats


def _least_on(convex: ConvexProblem, there: Floats, pieces: _Segments) -> Floats:
    """Return each instrument's least value on its pieces, infinite where it has none, shape (n,)."""
    row, left, slope = pieces.row, pieces.left, pieces.slope
    t, band, q = (
        convex.target[row],
        convex.band[row],
        BPS_PER_ONE * convex.risk_aversion * convex.specific_variance[row],
    )
    price = BPS_PER_ONE * convex.band_price
    pull = there[row] + slope
    corners = [left, left + pieces.length, t - band, t + band]
    if convex.risk_aversion > 0:
        # Where the quadratic is level: inside the band, above it, below it.
        corners += [t - pull / q, t - (pull + price) / q, t - (pull - price) / q]
    w = np.clip(np.stack(corners), left, left + pieces.length)
    d = w - t
    value = slope * (w - left) + q / 2 * d**2 + there[row] * d + price * np.maximum(np.abs(d) - band, 0.0)
    least = np.full(len(convex.start), np.inf)
    np.minimum.at(least, row, pieces.value_left + value.min(axis=0))
    return least


def _before(values: Floats, row: NDArray[np.int64], first: NDArray[np.int64]) -> Floats:
    """Return, for each value, the sum of those before it in the same row."""
    before: Floats = np.concatenate([[0.0], np.cumsum(values)])
    return before[:-1] - before[first][row]
