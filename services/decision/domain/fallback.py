"""What to do when the solver gives no optimum: ask it for less, then a rule of thumb, and nothing at last.

Each grade is labelled in the certificate, passes the same exact check as any plan, and has the same certificate, whose
gap says how far it may be from the best. A plan by the rule of thumb waits for a person.
"""

import numpy as np

from services.decision.domain.convex import ConvexProblem, ConvexSolution, Floats, Prices, Solve, by_instrument
from services.decision.domain.decision import Fallback
from services.decision.domain.directions import Chosen
from services.decision.domain.reference_model import TOLERANCE
from services.decision.domain.reference_model import solve as solve_reference

# A thousand times the reference's own: a hundredth of a basis point, still far below what rounding costs.
RELAXED_TOLERANCE = 1_000 * TOLERANCE
# Of what the reference is given at first.
RELAXED_ITERATIONS = 4

HEURISTIC_SOLVER = "HEURISTIC"
HEURISTIC_DETAIL = "toward the targets, sales by tax, purchases by the cash there is"


def relaxed(convex: ConvexProblem, *, iterations_max: int) -> Chosen | None:
    """Return the solution at a wider tolerance, each instrument going one way; None when there is none either."""
    convex = one_way(convex)
    answer: Solve = solve_reference(
        convex, iterations_max=RELAXED_ITERATIONS * iterations_max, tolerance=RELAXED_TOLERANCE
    )
    if answer.solution is None:
        return None
    return Chosen(convex, answer.solution, answer.solver, f"{Fallback.RELAXED}: {answer.detail}")


def heuristic(convex: ConvexProblem) -> Chosen:
    """Return trades toward the targets: what is above is sold by tax, what is below is bought by the cash there is."""
    convex = one_way(convex)
    gap = convex.target - convex.start
    sold = _sold_by_tax(convex, np.maximum(-gap, 0.0))
    wanted = np.minimum(np.maximum(gap, 0.0), convex.buy_cap)
    brought = float(((1.0 - convex.cost) * by_instrument(convex, sold)).sum())
    needed = float(((1.0 + convex.cost) * wanted).sum())
    cash = max(convex.cash + brought - convex.cash_floor, 0.0)
    bought = wanted * min(1.0, cash / needed) if needed > 0 else wanted
    groups = len(convex.group_min)
    free = Prices(0.0, 0.0, 0.0, 0.0, np.zeros(groups), np.zeros(groups))
    return Chosen(convex, ConvexSolution(sold, bought, free), HEURISTIC_SOLVER, HEURISTIC_DETAIL)


def one_way(convex: ConvexProblem) -> ConvexProblem:
    """Return the problem in which what could be sold at a loss and bought back goes one way: toward its target."""
    torn = convex.torn
    sells = convex.summed_over_identity(convex.start - convex.target) >= 0
    return convex.restricted(may_buy=~(torn & sells), may_sell=~(torn & ~sells))


def _sold_by_tax(convex: ConvexProblem, wanted: Floats) -> Floats:
    """Return what is sold of each lot, shape (m,), so that each instrument sells what is wanted, the cheapest first."""
    sold = np.zeros(len(convex.lot_cap))
    left = wanted.copy()
    for lot in np.lexsort((convex.lot_tax, convex.lot_instrument)):
        row = convex.lot_instrument[lot]
        sold[lot] = min(left[row], convex.lot_cap[lot])
        left[row] -= sold[lot]
    return sold
