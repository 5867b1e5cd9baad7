"""Which names are held, when only so many may be? A branch and bound over names, with a proven bound.

How many names are held is not convex. At the prices of the other limits, though, the certificate's bound falls apart by
name: each costs so much when it may be held, and so much when it is not. The least sum with at most K held is found by
sorting what holding is worth. The K that are worth most are then the names of a plan: the others are sold out or not
bought, exactly, and the convex problem of the rest is solved. Its prices bound the node again. Where the plan leaves
out a name, the one that would gain most is put in, and left out for good: a node each. The node with the least bound is
looked at first (Land and Doig 1960), until the best plan is proven, or so many nodes were looked at.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.certificate import constant_of_bound, dual_bound, least_by_way, marginal_costs
from services.decision.domain.convex import ConvexProblem, ConvexSolution, Floats, Solve, SolveStatus, by_instrument
from services.decision.domain.directions import NOISE, Chosen, Solver, choose
from services.decision.domain.increments import Tradable

Flags = NDArray[np.bool_]

# In basis points: a plan proven so near to the best is the best; or this share of what it costs.
GAP_BPS = 1e-2
GAP_SHARE = 1e-4
# Nodes looked at, each a convex solve or a few.
NODES_MAX = 100
# The same where it is only asked whether there is a plan.
NODES_FEW = 3

TOO_MANY = "no choice of names keeps the other limits"
NOT_FOUND = f"no choice of names that keeps the other limits was found in {NODES_MAX} nodes"


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What a limit on names says of the arrays.

    Attributes:
        most: Names that may be held after a plan: all, without a limit.
        held: Which are held now, shape (n,).
        can_go: Which of them may be sold out, shape (n,).
        least: Least weight that a sale and a purchase of each have, as `certificate.dual_bound` takes it.
    """

    most: int
    held: Flags
    can_go: Flags
    least: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """The best plan found.

    Attributes:
        chosen: The problem with directions closed, and its solution, in which names that are left out are sold.
        bound: No plan within the limits is below it, in basis points.
        left_out: Names that may not be held after the plan, shape (n,); None without a limit on names.
        worth: What one more name would gain at the plan's prices, in basis points.
    """

    chosen: Chosen
    bound: float
    left_out: Flags | None
    worth: float = 0.0


def names_of(most: int | None, each_allows: Sequence[Tradable], least: Floats) -> Names:
    """Return the limit of `most` names, None for no limit, on what each instrument allows; `least` as in `Names`."""
    held = [each.is_held_after(0) for each in each_allows]
    stays = [each.is_held_after(each.lowest) for each in each_allows]
    held_now = np.array(held, dtype=np.bool_)
    return Names(len(held) if most is None else most, held_now, held_now & ~np.array(stays, dtype=np.bool_), least)


def select(
    convex: ConvexProblem, names: Names, smallest: Floats, solve: Solver, nodes_max: int = NODES_MAX
) -> Selected | Solve:
    """Return the best plan that holds at most so many names.

    Args:
        convex: Both ways open.
        names: The limit.
        smallest: As `directions.choose` takes it.
        solve: The solver.
        nodes_max: Of the search.

    Returns:
        The plan with its bound. Or the solver's answer where there is none without the limit either; INFEASIBLE with
        `TOO_MANY` where no choice of names keeps the other limits, and FAILED with `NOT_FOUND` where none was found.
    """
    free = choose(convex, smallest, solve)
    if isinstance(free, Solve):
        return free
    left_out = ~_held_after(convex, names, free.near)
    if int((~left_out).sum()) <= names.most:
        return Selected(free, dual_bound(convex, free.near, names.least), left_out)
    return _Search(convex, names, smallest, solve, nodes_max).run(free.near)


def least_turnover(convex: ConvexProblem, names: Names) -> float:
    """Return the least weight that must be sold so that no more than `most` names are held; infinite where too few may.

    Those that are worth least go first.
    """
    too_many = int(names.held.sum()) - names.most
    worth = np.sort(convex.sell_cap[names.can_go])
    return float("inf") if too_many > len(worth) else float(worth[: max(too_many, 0)].sum())


def _held_after(convex: ConvexProblem, names: Names, near: ConvexSolution) -> Flags:
    emptied = names.can_go & (by_instrument(convex, near.sold) >= convex.sell_cap - NOISE)
    bought: Flags = near.bought > NOISE
    return (names.held & ~emptied) | bought


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """Names that may be held, and that may not, shape (n,) each; prices at which it is bounded first, and its bound."""

    may: Flags
    must_not: Flags
    near: ConvexSolution
    bound: float


class _Search:
    """The search's state: the best plan so far, and the least bound of what is closed."""

    def __init__(self, convex: ConvexProblem, names: Names, smallest: Floats, solve: Solver, nodes_max: int) -> None:
        self.convex, self.names, self.smallest, self.solve = convex, names, smallest, solve
        self.nodes_max, self.nodes = nodes_max, 0
        self.best: tuple[float, Chosen, Flags] | None = None
        self.closed = np.inf

    def run(self, near: ConvexSolution) -> Selected | Solve:
        """Search from the solution without the limit."""
        stays = self.names.held & ~self.names.can_go
        root = _Node(stays, np.zeros(len(stays), dtype=np.bool_), near, -np.inf)
        waiting = [(root.bound, 0, root)] if least_turnover(self.convex, self.names) <= self.convex.turnover else []
        count = 0
        while waiting:
            bound, _, node = heapq.heappop(waiting)
            if bound >= self.enough or self.nodes >= self.nodes_max:
                # No other that waits is below it.
                self.closed = min(self.closed, bound)
                break
            for child in self._look(node):
                count += 1
                heapq.heappush(waiting, (child.bound, count, child))
        if self.best is not None:
            value, chosen, left_out = self.best
            _, gains = self._by_name(chosen.near)
            worth = max(float(gains[left_out].max(initial=0.0)), 0.0)
            return Selected(chosen, min(self.closed, value), left_out, worth)
        if np.isfinite(self.closed) or waiting:
            return Solve(SolveStatus.FAILED, NOT_FOUND)
        return Solve(SolveStatus.INFEASIBLE, TOO_MANY)

    @property
    def enough(self) -> float:
        """What a node's bound must be below for it to be looked at."""
        return np.inf if self.best is None else self.best[0] - max(GAP_BPS, GAP_SHARE * abs(self.best[0]))

    def _look(self, node: _Node) -> list[_Node]:
        """Make a plan of the names that are worth most in the node, and return what is left to look at."""
        self.nodes += 1
        above, wanted, gains = self._bounded(node, node.near)
        above = max(above, node.bound)
        if above >= self.enough:
            self.closed = min(self.closed, above)
            return []
        left_out = ~wanted
        rest = self._without(left_out)
        found: Chosen | Solve = Solve(SolveStatus.INFEASIBLE, TOO_MANY)
        if rest.turnover >= 0:
            found = choose(rest, self.smallest, self.solve)
        near = node.near
        if isinstance(found, Chosen):
            near = self._keep(found, left_out)
            again, _, gains = self._bounded(node, near)
            above = max(above, again)
        open_names = left_out & ~node.must_not
        undecided = bool(open_names.any()) and int(node.may.sum()) < self.names.most
        if undecided and above < self.enough:
            return self._split(node, near, above, int(np.where(open_names, gains, -np.inf).argmax()))
        if undecided or isinstance(found, Chosen) or found.status is not SolveStatus.INFEASIBLE:
            self.closed = min(self.closed, above)
        return []

    @staticmethod
    def _split(node: _Node, near: ConvexSolution, above: float, pick: int) -> list[_Node]:
        may, must_not = node.may.copy(), node.must_not.copy()
        may[pick] = must_not[pick] = True
        return [_Node(may, node.must_not, near, above), _Node(node.may, must_not, near, above)]

    def _keep(self, found: Chosen, left_out: Flags) -> ConvexSolution:
        """Return a solution with what is left out sold, and remember it when it is the best."""
        convex, of_lots = self.convex, left_out[self.convex.lot_instrument]
        near = replace(found.near, sold=np.where(of_lots, convex.lot_cap, found.near.sold))
        value = found.objective
        if self.best is None or value < self.best[0]:
            closed = replace(
                convex,
                buy_cap=found.convex.buy_cap,
                lot_cap=np.where(of_lots, convex.lot_cap, found.convex.lot_cap),
            )
            gap = value - dual_bound(found.convex, found.near)
            self.best = value, replace(found, convex=closed, near=near, gap_bps=gap), left_out
        return near

    def _bounded(self, node: _Node, near: ConvexSolution) -> tuple[float, Flags, Floats]:
        """Return the node's bound at prices, the names of the plan that it is of, and what holding each is worth."""
        cost, gains = self._by_name(near)
        slots = self.names.most - int(node.may.sum())
        if slots < 0:
            return np.inf, node.may, gains
        order = np.lexsort((np.arange(len(gains)), -gains))
        free = [row for row in order.tolist() if not node.may[row] and not node.must_not[row] and gains[row] > 0]
        wanted = node.may.copy()
        wanted[free[:slots]] = True
        saved = np.where(wanted, np.maximum(gains, 0.0), 0.0)
        return constant_of_bound(self.convex, near) + float((cost - saved).sum()), wanted, gains

    def _by_name(self, near: ConvexSolution) -> tuple[Floats, Floats]:
        """Return what each name costs when it is not held, and how much less when it may be, shape (n,).

        What cannot go costs what it costs, and gains nothing.
        """
        names = self.names
        untouched, sold, bought, gone = least_by_way(self.convex, marginal_costs(self.convex, near), names.least)
        kept = np.where(names.held, np.minimum(untouched, np.minimum(sold, bought)), bought)
        cost = np.where(names.can_go, gone, np.where(names.held, kept, untouched))
        return cost, cost - kept

    def _without(self, left_out: Flags) -> ConvexProblem:
        """Return the problem in which names are sold out, or not bought; what that costs and brings is constant in it.

        Where it sells a loss nothing identical is bought.
        """
        convex = self.convex
        of_lots = left_out[convex.lot_instrument]
        sold = np.where(of_lots, convex.lot_cap, 0.0)
        sold_of = by_instrument(convex, sold)
        linear, impact = float(convex.cost @ sold_of), float(convex.impact @ sold_of**1.5)
        washes = by_instrument(convex, sold * (convex.lot_wash | (convex.lot_tax_least < 0)))
        barred = left_out | convex.of_identity(washes)
        tax = convex.tax_constant + float(convex.lot_tax @ sold)
        hinged = convex.hinge_lots @ sold if len(convex.hinge_price) else convex.hinge_price
        return replace(
            convex,
            start=convex.start - sold_of,
            buy_cap=np.where(barred, 0.0, convex.buy_cap),
            lot_cap=np.where(of_lots, 0.0, convex.lot_cap),
            cash=convex.cash + float(sold_of.sum()) - linear,
            cash_floor=convex.cash_floor + impact,
            turnover=convex.turnover - float(sold_of.sum()),
            gain_budget=convex.gain_budget - float(convex.lot_gain @ sold),
            hinge_above=convex.hinge_above - hinged,
            tax_constant=tax + convex.cost_weight * (linear + impact),
        )
