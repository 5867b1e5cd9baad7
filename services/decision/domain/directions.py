"""Which way does each instrument go, and which trades are too small to make?

Selling a loss lot and buying the instrument back would pay in the convex problem, and is a wash sale in law. So an
instrument with a loss to sell goes one way. Which one is not a convex choice; the prices of the relaxed problem, in
which both are open, make it: each instrument takes the way whose least Lagrangian value is lower. The problem is then
solved again, and where its new prices prefer the other way by enough, once more. Moehle, Kochenderfer, Boyd and Ang
(2021, "Tax-aware portfolio construction via convex optimization") found two convex solves nearly always best; the
certificate's bound covers both ways, so its gap says what the choice may have cost at most.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.certificate import least_each_way, marginal_costs, terms
from services.decision.domain.convex import ConvexProblem, ConvexSolution, Floats, by_instrument

# In weight. Smaller trades are the solver's tolerance, not its wish.
NOISE = 1e-7
# In basis points: a tenth of one, 1 in 100,000 of the account. Below it another solve costs more than it may find.
WORTH_ANOTHER_SOLVE_BPS = 0.1
# After the first solve with chosen ways.
SOLVES_MORE_MAX = 5


class Solver(Protocol):
    """Solves a convex problem; None when it has no solution."""

    def __call__(self, convex: ConvexProblem) -> ConvexSolution | None:
        """Return the best trades and the prices of the rows."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A problem with directions closed, and its solution."""

    convex: ConvexProblem
    near: ConvexSolution

    @property
    def objective(self) -> float:
        """Of the solution, in basis points."""
        return terms(self.convex, self.near.sold, self.near.bought).total


def choose(convex: ConvexProblem, relaxed: ConvexSolution, smallest: Floats, solve: Solver) -> Chosen:
    """Return the problem in which every instrument goes one way, and its solution.

    Args:
        convex: Both ways open.
        relaxed: Its solution.
        smallest: Least weight traded of each instrument, shape (n,); what is below half of it is left out.
        solve: The solver.

    Returns:
        The best found. Where closing a way leaves no solution, the ways stay open, and the net of each instrument's
        trades is its trade.
    """
    # A round trip can only pay where a loss does: by its credit, or by the room it makes in the gain budget.
    pays = (convex.lot_gain < 0) & ((convex.lot_tax < 0) | np.isfinite(convex.gain_budget))
    torn = (by_instrument(convex, convex.lot_cap * pays) > 0) & (convex.buy_cap > 0)
    small = _small(relaxed, convex, smallest)
    if not (torn | small).any():
        return Chosen(convex, relaxed)
    sells = _prefers_selling(convex, relaxed)
    best = _solved(convex, torn, sells, small, solve)
    if best is None:
        # What the relaxed solution does in sum keeps the limits on cash, turnover and groups at least.
        sells = by_instrument(convex, relaxed.sold) > relaxed.bought
        best = _solved(convex, torn, sells, np.zeros_like(small), solve)
    if best is None:
        return Chosen(convex, relaxed)
    many = True
    for _ in range(SOLVES_MORE_MAX):
        smaller = small | _small(best.near, convex, smallest)
        gains = np.where(torn & ~smaller, _gain_of_turning(convex, best.near, sells), 0.0)
        # All that prefer the other way; when that was too many at once, the one that prefers it most.
        turned = gains > WORTH_ANOTHER_SOLVE_BPS if many else gains >= max(gains.max(), WORTH_ANOTHER_SOLVE_BPS)
        left_out = (smaller != small).any()
        if not turned.any() and not left_out:
            break
        found = _solved(convex, torn, sells ^ turned, smaller, solve)
        if found is not None and (left_out or found.objective < best.objective):
            best, small, sells = found, smaller, sells ^ turned
        elif many and not left_out:
            many = False
        else:
            break
    return best


def _solved(
    convex: ConvexProblem, torn: NDArray[np.bool_], sells: NDArray[np.bool_], small: NDArray[np.bool_], solve: Solver
) -> Chosen | None:
    restricted = convex.restricted(may_buy=~small & ~(torn & sells), may_sell=~small & ~(torn & ~sells))
    near = solve(restricted)
    return None if near is None else Chosen(restricted, near)


def _small(near: ConvexSolution, convex: ConvexProblem, smallest: Floats) -> NDArray[np.bool_]:
    net = np.abs(near.bought - by_instrument(convex, near.sold))
    return (net > NOISE) & (net < smallest / 2)


def _prefers_selling(convex: ConvexProblem, near: ConvexSolution) -> NDArray[np.bool_]:
    sales, purchases = least_each_way(convex, marginal_costs(convex, near))
    return sales <= purchases


def _gain_of_turning(convex: ConvexProblem, near: ConvexSolution, sells: NDArray[np.bool_]) -> Floats:
    """Return by how much, in basis points, each instrument's other way is better at the solution's prices."""
    sales, purchases = least_each_way(convex, marginal_costs(convex, near))
    return np.where(sells, sales - purchases, purchases - sales)
