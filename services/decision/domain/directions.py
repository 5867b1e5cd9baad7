"""Which way does each instrument go, and which trades are too small to make?

Selling a loss lot and buying the instrument back would pay in the convex problem, and is a wash sale in law. So an
instrument with a loss to sell goes one way, and all that are identical to it go the same. Which one is not a convex
choice. It begins with what is plain: at or above the target it may be sold, below it bought. The prices of that
solution then tell for each instrument what its other way would be worth, and those that would gain turn; all at once,
and when that was too many, the one that gains most. Moehle, Kochenderfer, Boyd and Ang (2021, "Tax-aware portfolio
construction via convex optimization") found that few convex solves are nearly always best; the certificate's bound
covers both ways, so its gap says what the choice may have cost at most.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.certificate import dual_bound, least_each_way, marginal_costs, terms
from services.decision.domain.convex import ConvexProblem, ConvexSolution, Floats, Solve, by_instrument

Flags = NDArray[np.bool_]

# In weight. Smaller trades are the solver's tolerance, not its wish.
NOISE = 1e-7
# In basis points: a tenth of one, 1 in 100,000 of the account. Below it another solve costs more than it may find.
WORTH_ANOTHER_SOLVE_BPS = 0.1
# After the first.
SOLVES_MORE_MAX = 5


class Solver(Protocol):
    """Solves a convex problem in which nothing pays to be both sold and bought."""

    def __call__(self, convex: ConvexProblem) -> Solve:
        """Return the best trades and the prices of the rows."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A problem with directions closed, its solution, and who found it with which word.

    `gap_bps` is what the solver left unproven, where the problem itself does not say: some of its trades were forced.
    """

    convex: ConvexProblem
    near: ConvexSolution
    solver: str
    detail: str
    gap_bps: float | None = None

    @property
    def objective(self) -> float:
        """Of the solution, in basis points."""
        return terms(self.convex, self.near.sold, self.near.bought).total

    @property
    def unproven(self) -> float:
        """What the solver left unproven, in basis points."""
        return self.objective - dual_bound(self.convex, self.near) if self.gap_bps is None else self.gap_bps


def choose(convex: ConvexProblem, smallest: Floats, solve: Solver) -> Chosen | Solve:
    """Return the problem in which every instrument goes one way, and its solution.

    Args:
        convex: Both ways open.
        smallest: Least weight traded of each instrument, or sold and bought, shape (n,) or (2, n); what is below half
            of it is left out.
        solve: The solver.

    Returns:
        The best found, or the solver's answer when it has none for the problem with both ways open either.
    """
    torn = convex.torn
    sells = convex.summed_over_identity(convex.start - convex.target) >= 0
    small = np.zeros(len(sells), dtype=bool)
    best = _solved(convex, torn, sells, small, solve)
    if isinstance(best, Solve):
        # Some way that was closed is needed. With all open the net of each instrument's trades says which.
        opened = solve(convex)
        if opened.solution is None:
            return opened
        net = opened.solution.bought - by_instrument(convex, opened.solution.sold)
        sells = convex.summed_over_identity(net) < 0
        best = _solved(convex, torn, sells, small, solve)
        if isinstance(best, Solve):
            return Chosen(convex, opened.solution, opened.solver, opened.detail)
    many = True
    for _ in range(SOLVES_MORE_MAX):
        smaller = small | _small(best.near, convex, smallest)
        gains = np.where(torn & ~smaller, _gain_of_turning(convex, best.near, sells), 0.0)
        turned = gains > WORTH_ANOTHER_SOLVE_BPS if many else gains >= max(gains.max(), WORTH_ANOTHER_SOLVE_BPS)
        left_out = bool((smaller != small).any())
        if not turned.any() and not left_out:
            break
        found = _solved(convex, torn, sells ^ turned, smaller, solve)
        if isinstance(found, Chosen) and (left_out or found.objective < best.objective):
            best, small, sells = found, smaller, sells ^ turned
        elif many and not left_out:
            many = False
        else:
            break
    return best


def _solved(convex: ConvexProblem, torn: Flags, sells: Flags, small: Flags, solve: Solver) -> Chosen | Solve:
    restricted = convex.restricted(may_buy=~small & ~(torn & sells), may_sell=~small & ~(torn & ~sells))
    answer = solve(restricted)
    if answer.solution is None:
        return answer
    return Chosen(restricted, answer.solution, answer.solver, answer.detail)


def _small(near: ConvexSolution, convex: ConvexProblem, smallest: Floats) -> Flags:
    net = near.bought - by_instrument(convex, near.sold)
    sale, purchase = np.broadcast_to(smallest, (2, len(net)))
    small: Flags = (np.abs(net) > NOISE) & (np.abs(net) < np.where(net < 0, sale, purchase) / 2)
    return small


def _gain_of_turning(convex: ConvexProblem, near: ConvexSolution, sells: Flags) -> Floats:
    """Return by how much, in basis points, each instrument's other way is better at the solution's prices.

    Identical instruments turn together.
    """
    sales, purchases = least_each_way(convex, marginal_costs(convex, near))
    gains = np.where(sells, sales - purchases, purchases - sales)
    return convex.summed_over_identity(gains)
