"""What is known about an account while it is decided, and the decisions that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.binding import binding_constraints, names_binding
from services.decision.domain.certificate import dual_bound
from services.decision.domain.convex import ConvexProblem, ConvexSolution, Prices, exact
from services.decision.domain.decision import (
    BindingConstraint,
    Certificate,
    Decision,
    Explanation,
    Fallback,
    NoTradeReason,
    Outcome,
    Trigger,
)
from services.decision.domain.directions import Chosen
from services.decision.domain.explanation import Plan, objective_bps, plan_of, summary
from services.decision.domain.increments import least_trades, tradables
from services.decision.domain.names import Names, names_of
from services.decision.domain.problem import AccountProblem, DecideOptions
from services.decision.domain.solving import solver_version
from services.decision.domain.tax import TaxView
from services.decision.domain.words import CERTIFIED_BPS_UNIT

NOT_SOLVED = "NOT_SOLVED"
NO_SOLVER = "NONE"


def case_of(
    problem: AccountProblem,
    options: DecideOptions,
    tax: TaxView,
    pieces: tuple[ConvexProblem, ...],
    asked: tuple[Trigger, ...],
) -> "Case":
    """Return what is known of an account before anything is solved."""
    none = Chosen(pieces[0], nothing_done(pieces[0]), NO_SOLVER, NOT_SOLVED)
    each_allows = tradables(problem, tax, pieces[0], none.near.prices)
    names = names_of(problem.limits.names, each_allows, least_trades(each_allows, problem.mix_value))
    bounds = tuple(Bound(each, none.near, dual_bound(each, none.near, names.least)) for each in pieces)
    return Case(problem, options, tax, pieces, pieces[0], asked, none, bounds, names)


def nothing_done(convex: ConvexProblem) -> ConvexSolution:
    """Return the solution that trades nothing, at no prices."""
    n, m, g = len(convex.start), len(convex.lot_cap), len(convex.group_min)
    prices = Prices(cash=0.0, ceiling=0.0, turnover=0.0, gains=0.0, group_min=np.zeros(g), group_max=np.zeros(g))
    return ConvexSolution(sold=np.zeros(m), bought=np.zeros(n), prices=prices)


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A piece of the tax, prices that bound it, and a value that no plan on it is below, in basis points."""

    piece: ConvexProblem
    near: ConvexSolution
    proven: float


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is known about the account while it is decided.

    Attributes:
        pieces: The problems with one piece of the tax each, both ways open.
        convex: The one whose plan is best.
        asked: What asks for a rebalance.
        bounds: What bounds each piece.
        names: How many instruments may be held, and what trades each allows.
        chosen: The problem that was solved last, each instrument going one way, and its solution.
        fallback: How it was solved.
        left_out: Instruments for which a limit on names leaves no room, shape (n,).
        one_more: What one more name would gain, in basis points; 0 when there is room.
    """

    problem: AccountProblem
    options: DecideOptions
    tax: TaxView
    pieces: tuple[ConvexProblem, ...]
    convex: ConvexProblem
    asked: tuple[Trigger, ...]
    chosen: Chosen
    bounds: tuple[Bound, ...]
    names: Names
    fallback: Fallback = Fallback.NONE
    left_out: NDArray[np.bool_] | None = None
    one_more: float = 0.0

    @property
    def bound(self) -> float:
        """A value, in basis points, that no plan is below, whichever piece of the tax it is on."""
        return min(each.proven for each in self.bounds)

    def without_trades(
        self,
        outcome: Outcome,
        sentence: str,
        status: str,
        *,
        reason: NoTradeReason | None = None,
        binding: tuple[BindingConstraint, ...] | None = None,
        conflicting: tuple[BindingConstraint, ...] = (),
    ) -> Decision:
        """Return the decision to trade nothing, with its reason."""
        hold = plan_of(self.problem, self.convex, ())
        found = self.binding() if binding is None and status != NOT_SOLVED else binding or ()
        return Decision(
            outcome=outcome,
            trades=(),
            certificate=self.certificate(hold, status),
            explanation=Explanation(self.asked, (), found, summary(hold, sentence), reason, conflicting),
        )

    def binding(self) -> tuple[BindingConstraint, ...]:
        """Return the limits that hold the plan back."""
        found = binding_constraints(self.problem, self.tax, self.convex, self.chosen.near)
        return (*found, *names_binding(self.problem, self.one_more))

    def certificate(self, plan: Plan, status: str) -> Certificate:
        """Return how far the plan can be from the best."""
        primal, dual = objective_bps(plan), self.bound
        hold = objective_bps(plan_of(self.problem, self.convex, ()))
        primal_bps, dual_bps = exact(primal, CERTIFIED_BPS_UNIT), exact(dual, CERTIFIED_BPS_UNIT)
        return Certificate(
            primal_bps=primal_bps,
            dual_bps=dual_bps,
            gap_bps=primal_bps - dual_bps,
            hold_bps=exact(hold, CERTIFIED_BPS_UNIT),
            convex_gap_bps=exact(self.chosen.unproven, CERTIFIED_BPS_UNIT),
            solver=self.chosen.solver,
            solver_version=solver_version(self.chosen.solver),
            status=status,
            options=options_told(self.options),
            fallback=self.fallback,
        )


def options_told(options: DecideOptions) -> Mapping[str, str]:
    """Return the options as a certificate names them."""
    return {
        "ignore_triggers": str(options.ignore_triggers).lower(),
        "iterations_max": str(options.iterations_max),
        "engine": options.engine,
        **({"event": options.event} if options.event else {}),
    }
