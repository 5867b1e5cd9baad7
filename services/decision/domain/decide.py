"""Decides one account: problem in, decision out, the same bytes for the same inputs.

The steps: ask the triggers; solve the convex problem, for each piece of the tax; choose which way each instrument goes
and solve again; round to what a venue takes; check exactly; compare with doing nothing; certify; explain.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from services.decision.domain.case import NO_SOLVER, NOT_SOLVED, Bound, Case, case_of, nothing_done
from services.decision.domain.certificate import dual_bound
from services.decision.domain.checker import violations
from services.decision.domain.conflicts import (
    conflict_sentence,
    conflicting,
    conflicting_with_names,
    limits_of,
    relaxations,
)
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, ConvexSolution, Solve, SolveStatus, exact
from services.decision.domain.decision import (
    Decision,
    Explanation,
    Fallback,
    NoTradeReason,
    Outcome,
    Trade,
    TriggerKind,
)
from services.decision.domain.directions import choose
from services.decision.domain.entering import enter
from services.decision.domain.explanation import objective_bps, plan_of, summary, tracking_error_bps, trade_reasons
from services.decision.domain.fallback import heuristic, relaxed
from services.decision.domain.ladder import ladder_sentence, later_steps, next_step_date, share_of
from services.decision.domain.names import NODES_FEW, TOO_MANY, Selected, select
from services.decision.domain.problem import AccountProblem, DecideOptions, RiskModel
from services.decision.domain.reference_model import least_relaxation
from services.decision.domain.rounding import EQUAL_BPS, rounded
from services.decision.domain.solving import solver
from services.decision.domain.tax import TaxView, jurisdiction
from services.decision.domain.triggers import triggers
from services.decision.domain.words import BPS_UNIT

# In weight: a trade that is larger than any.
NEVER = 1e9
EVERYTHING_WITHIN = "Nothing is traded: every weight is inside its band and cash inside its corridor."
NOT_WORTH_IT = "Nothing is traded: no trade is worth its tax and cost."
BELOW_MINIMUM = "Nothing is traded: the trades that would help are below the smallest that may be made."
NO_PLAN = "Nothing is traded: no plan keeps every limit."
NO_ANSWER = "Nothing is traded: the solver and its fallbacks gave no usable answer, and a person should look."


def decide(
    problem: AccountProblem, risk: RiskModel, options: DecideOptions | None = None, *, tax: TaxView | None = None
) -> Decision:
    """Return what the account should trade.

    Args:
        problem: The account.
        risk: Covers every instrument of the account.
        options: How to decide.
        tax: What the tax rules say of the account; asked of its jurisdiction when left out.

    Raises:
        Invalid: The jurisdiction is not known, or the risk model lacks an instrument.
    """
    options = options or DecideOptions()
    tax = jurisdiction(problem.tax.jurisdiction).view(problem) if tax is None else tax
    convex = enter(problem, risk, tax)
    asked = triggers(problem, options, exact(tracking_error_bps(convex, convex.start - convex.target), BPS_UNIT))
    case = case_of(problem, options, tax, convex.every_piece, asked)
    if not case.asked:
        return case.without_trades(Outcome.NO_TRADE, EVERYTHING_WITHIN, NOT_SOLVED, reason=NoTradeReason.WITHIN_BANDS)
    due = next_step_date(problem, asked)
    if due is not None:
        waiting = f"Nothing is traded: a step of the ladder was made, and the next one is due on {due}."
        return case.without_trades(Outcome.NO_TRADE, waiting, NOT_SOLVED, reason=NoTradeReason.BETWEEN_STEPS)
    by_flow = _only_by_flow(case)
    decision = _solved(case, risk) if by_flow is None else _solved(by_flow, risk)
    if by_flow is not None and decision.outcome is not Outcome.TRADE:
        # Money alone does not do it.
        decision = _solved(case, risk)
    return decision if problem.ladder is None else _first_step(case, risk, decision)


def _only_by_flow(case: Case) -> Case | None:
    """Return the case in which money that came is only bought for, or money that is missing only sold for.

    For an account of which no weight asks for more: deposits, dividends and withdrawals are used first. None where
    something else asks.
    """
    kinds = {each.kind for each in case.asked}
    every = np.ones(len(case.convex.start), dtype=np.bool_)
    flow = case.problem.cash_rule.flow
    brings = kinds == {TriggerKind.CASH_CEILING} or (
        flow > 0 and kinds <= {TriggerKind.CASH_FLOW, TriggerKind.CASH_CEILING}
    )
    takes = kinds == {TriggerKind.CASH_FLOOR} or (flow < 0 and kinds <= {TriggerKind.CASH_FLOW, TriggerKind.CASH_FLOOR})
    if not brings and not takes:
        return None
    may_buy, may_sell = every if brings else ~every, every if takes else ~every
    narrowed = tuple(each.restricted(may_buy=may_buy, may_sell=may_sell) for each in case.pieces)
    return case_of(case.problem, case.options, case.tax, narrowed, case.asked)


def _first_step(case: Case, risk: RiskModel, full: Decision) -> Decision:
    """Return the first step of what `full` does at once, with the steps that are meant after it."""
    problem, ladder = case.problem, case.problem.ladder
    if ladder is None or not full.trades:
        return full
    at_once = replace(case.options, ignore_triggers=True)

    def decided(later: AccountProblem) -> Decision:
        return decide(later, risk, at_once)

    first = decide(share_of(problem, full, ladder.steps), risk, at_once)
    if not first.trades:
        # A share of it is not worth making, or does not keep the limits that all of it keeps.
        return full
    steps = later_steps(problem, first, decided)
    explained = first.explanation
    told = replace(explained.summary, sentence=explained.summary.sentence + ladder_sentence(problem, steps))
    return replace(first, explanation=replace(explained, triggers=case.asked, summary=told, ladder=steps))


def _solved(case: Case, risk: RiskModel) -> Decision:
    """Return what is best, something having asked for it."""
    problem, tax = case.problem, case.tax
    found = _best_piece(case)
    if isinstance(found, Solve):
        return _unsolved(case, risk, found)
    case = found
    trades = rounded(problem, tax, case.chosen.convex, case.chosen.near, case.left_out)
    if trades is None:
        # Without what was left out for being small there may be no way to keep the limits.
        trades = rounded(problem, tax, case.convex, case.chosen.near, case.left_out)
    decision = _released(case, trades)
    return _by_fallback(case) if decision.outcome is Outcome.FALLBACK_HOLD else decision


def _best_piece(case: Case) -> Case | Solve:
    """Return the case solved for the piece of the tax that has the best plan, with what bounds the others.

    A piece whose bound at the prices found so far is no better than the best plan is not solved.
    """
    best: tuple[ConvexProblem, Selected] | None = None
    bounds: list[Bound] = []
    failed: Solve | None = None
    for piece in case.pieces:
        if best is not None:
            near = _at_best_hinges(piece, best[1].chosen.near)
            bound = dual_bound(piece, near, case.names.least)
            if bound >= best[1].chosen.objective - EQUAL_BPS:
                bounds.append(Bound(piece, near, bound))
                continue
        found = _choose(case, piece)
        if isinstance(found, Solve):
            failed = found
            nothing = nothing_done(piece)
            bounds.append(Bound(piece, nothing, dual_bound(piece, nothing, case.names.least)))
            continue
        bounds.append(Bound(piece, found.chosen.near, found.bound))
        if best is None or found.chosen.objective < best[1].chosen.objective:
            best = piece, found
    if best is None:
        return failed or Solve(SolveStatus.FAILED, NO_SOLVER)
    selected = best[1]
    return replace(
        case,
        convex=best[0],
        chosen=selected.chosen,
        bounds=tuple(bounds),
        left_out=selected.left_out,
        one_more=selected.worth,
    )


def _choose(case: Case, piece: ConvexProblem) -> Selected | Solve:
    """Return the best plan on a piece of the tax, and what bounds it."""
    least, solve = case.names.least, solver(case.options)
    # What cannot be made is left out, however much of it is wanted.
    smallest = np.where(np.isfinite(least), least, NEVER)
    if case.problem.limits.names is not None:
        return select(piece, case.names, smallest, solve)
    chosen = choose(piece, smallest, solve)
    return chosen if isinstance(chosen, Solve) else Selected(chosen, dual_bound(piece, chosen.near, least), None)


def _at_best_hinges(piece: ConvexProblem, near: ConvexSolution) -> ConvexSolution:
    """Return a solution of another piece with the prices of this one's hinges at which they stand there."""
    over = piece.hinge_lots @ near.sold if len(piece.hinge_price) else piece.hinge_price
    hinges = np.where(over > piece.hinge_above, BPS_PER_ONE * piece.hinge_price, 0.0)
    return replace(near, prices=replace(near.prices, hinges=hinges))


def _has_plan(case: Case, convex: ConvexProblem, most: int) -> bool | None:
    """Return whether there is a plan with at most so many names; None when a short search does not tell."""
    # What the problem lets go, others than the account may.
    freed = case.names.held & (convex.sell_cap > case.convex.sell_cap)
    names = replace(case.names, most=most, can_go=case.names.can_go | freed)
    found = select(convex, names, np.zeros(len(convex.start)), solver(case.options), NODES_FEW)
    if isinstance(found, Selected):
        return True
    return False if found.status is SolveStatus.INFEASIBLE else None


def _released(case: Case, trades: tuple[Trade, ...] | None) -> Decision:
    """Return the decision to make the trades, or none when they are not worth it or do not keep the limits."""
    problem, detail = case.problem, case.chosen.detail
    standing = violations(problem, ())
    if trades is None:
        if standing:
            return case.without_trades(Outcome.INFEASIBLE, NO_PLAN, detail)
        return case.without_trades(Outcome.NO_TRADE, BELOW_MINIMUM, detail, reason=NoTradeReason.BELOW_MINIMUM)
    broken = violations(problem, trades)
    if broken:
        detail = f"CHECK_FAILED {broken[0].rule} {broken[0].subject}"
        return case.without_trades(Outcome.FALLBACK_HOLD, NO_ANSWER, detail)
    plan, hold = plan_of(problem, case.convex, trades), plan_of(problem, case.convex, ())
    needed = BPS_PER_ONE * float(problem.objective.net_benefit_min / problem.mix_value) + EQUAL_BPS
    if not standing and (not trades or objective_bps(hold) - objective_bps(plan) < needed):
        # When trades of any size do not beat doing nothing, nothing can; else it is increments and minimum trades.
        any_size = min(dual_bound(each.piece, each.near) for each in case.bounds)
        proven = objective_bps(hold) - any_size < needed
        if proven or trades:
            return case.without_trades(Outcome.NO_TRADE, NOT_WORTH_IT, detail, reason=NoTradeReason.NOT_WORTH_IT)
        return case.without_trades(Outcome.NO_TRADE, BELOW_MINIMUM, detail, reason=NoTradeReason.BELOW_MINIMUM)
    binding = case.binding()
    return Decision(
        outcome=Outcome.TRADE,
        trades=trades,
        certificate=case.certificate(plan, detail),
        explanation=Explanation(case.asked, trade_reasons(plan, binding, case.chosen.near), binding, summary(plan)),
    )


def _unsolved(case: Case, risk: RiskModel, answer: Solve) -> Decision:
    """Return the answer when the solver gave no solution: the limits in conflict, or what a fallback gives."""
    if answer.detail == TOO_MANY:
        limits = limits_of(case.problem, risk, case.tax, case.convex)
        conflict, way_out = conflicting_with_names(case.problem, case.convex, limits, partial(_has_plan, case))
        sentence = NO_PLAN + conflict_sentence(conflict, way_out)
        return case.without_trades(Outcome.INFEASIBLE, sentence, answer.detail, binding=way_out, conflicting=conflict)
    if answer.status is SolveStatus.INFEASIBLE:
        iterations_max = case.options.iterations_max
        relaxation = least_relaxation(case.convex, iterations_max=iterations_max)
        way_out = relaxations(case.problem, relaxation) if relaxation is not None else ()
        if way_out:
            conflict = conflicting(case.problem, risk, case.tax, case.convex, iterations_max=iterations_max)
            sentence = NO_PLAN + conflict_sentence(conflict, way_out)
            return case.without_trades(
                Outcome.INFEASIBLE, sentence, answer.detail, binding=way_out, conflicting=conflict
            )
    return _by_fallback(case, answer.detail)


def _by_fallback(case: Case, detail: str | None = None) -> Decision:
    """Return the plan of the first fallback that gives one; else nothing is traded."""
    # What the pieces of the tax leave out matters least here: the certificate counts what the tax really is.
    grades = (
        (Fallback.RELAXED, relaxed(case.convex, iterations_max=case.options.iterations_max)),
        (Fallback.HEURISTIC, heuristic(case.convex)),
    )
    for fallback, chosen in grades:
        if chosen is None:
            continue
        tried = replace(case, chosen=chosen, fallback=fallback, bounds=_bounds_at(case, chosen.near))
        trades = rounded(case.problem, case.tax, chosen.convex, chosen.near)
        if trades and not violations(case.problem, trades):
            decision = _released(tried, trades)
            if decision.trades:
                return decision
    hold = replace(case, fallback=Fallback.HOLD)
    return hold.without_trades(Outcome.FALLBACK_HOLD, NO_ANSWER, case.chosen.detail if detail is None else detail)


def _bounds_at(case: Case, near: ConvexSolution) -> tuple[Bound, ...]:
    """Return what bounds each piece of the tax at a solution, each at its own hinges."""
    at = [(piece, _at_best_hinges(piece, near)) for piece in case.pieces]
    return tuple(Bound(piece, there, dual_bound(piece, there, case.names.least)) for piece, there in at)
