"""Why is an instrument not traded? By what its trade would bring and cost beside the plan, in the plan's own objective.

For each instrument that a decision leaves alone, the trade to its target and the one to the nearest edge of its
destination band are tried on top of the decision's trades, in whole increments. The better one is told with its
figures: less deviation, cost, tax by lot, and the balance. What forbids it (a bar, a limit, its size) is told first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from services.decision.domain.certificate import plan_terms
from services.decision.domain.checker import violations
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, Prices, exact
from services.decision.domain.deciding import AccountInputs, Basis, Decide, options_of, policy_of, problem_of
from services.decision.domain.decision import CENT, Cause, Decision, NoTradeReason, NotTraded, Outcome, Trade
from services.decision.domain.entering import enter, kept_because
from services.decision.domain.explanation import Plan, plan_of
from services.decision.domain.increments import Tradable, tradables
from services.decision.domain.netting import gains_of
from services.decision.domain.plan import NothingDecided
from services.decision.domain.problem import ZERO, AccountProblem, Holding, RiskModel, Side
from services.decision.domain.rounding import trade_of
from services.decision.domain.tax import TaxView, jurisdiction
from services.decision.domain.words import cents, money, percent, weight


def reasons_not_to_trade(inputs: AccountInputs, basis: Basis, decide: Decide) -> tuple[NotTraded, ...]:
    """Return why each instrument that the account's plan leaves alone is not traded, by id.

    Raises:
        Fact: Nothing can be decided about the account.
    """
    if inputs.refused is not None:
        raise NothingDecided(f"{inputs.refused.reason}: {inputs.refused.message}")
    problem = problem_of(inputs, policy_of(inputs), basis)
    return not_traded(problem, basis.risk_model, decide(problem, basis.risk_model, options_of(inputs, basis)))


def not_traded(problem: AccountProblem, risk: RiskModel, decision: Decision) -> tuple[NotTraded, ...]:
    """Return why each instrument that `decision` leaves alone is not traded, by id.

    Args:
        problem: The account.
        risk: Covers every instrument of the account.
        decision: What was decided for it.

    Raises:
        Invalid: The risk model lacks an instrument.
    """
    tax = jurisdiction(problem.tax.jurisdiction).view(problem)
    convex = enter(problem, risk, tax)
    groups = len(convex.group_min)
    free = Prices(
        cash=0.0, ceiling=0.0, turnover=0.0, gains=0.0, group_min=np.zeros(groups), group_max=np.zeros(groups)
    )
    case = _Case(problem, tax, convex, decision, plan_of(problem, convex, decision.trades))
    traded = {trade.instrument_id for trade in decision.trades}
    allowed = tradables(problem, tax, convex, free)
    left = [each for each in allowed if each.holding.instrument_id not in traded]
    return tuple(_told(case, each) for each in sorted(left, key=lambda each: each.holding.instrument_id))


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """The account, and what was decided for it."""

    problem: AccountProblem
    tax: TaxView
    convex: ConvexProblem
    decision: Decision
    plan: Plan

    def with_trade(self, trade: Trade) -> "_Tried":
        """Return what the trade does on top of the plan."""
        problem = self.problem
        more = plan_of(problem, self.convex, (*self.decision.trades, trade))
        now, then = (plan_terms(self.convex, each.sold, each.bought) for each in (self.plan, more))
        suffered_now = now.deviation + now.outside_band + now.idle_cash
        suffered_then = then.deviation + then.outside_band + then.idle_cash
        benefit = self.plan.currency(suffered_now - suffered_then)
        counted = self.plan.currency(then.tax - now.tax)
        net = benefit - cents(problem.objective.cost_weight * trade.cost.total) - counted
        return _Tried(trade, benefit, net, self._tax(trade))

    def _tax(self, trade: Trade) -> Decimal:
        """Return what the trade adds to what the plan's sales come to together."""
        liability = self.tax.liability
        if liability is None or not trade.lot_sales:
            return trade.tax
        planned = [sale for each in self.decision.trades for sale in each.lot_sales]
        before, after = gains_of(planned), gains_of([*planned, *trade.lot_sales])
        return cents(liability.of(*after) - liability.of(*before))


@dataclass(frozen=True, slots=True)
class _Tried:
    """A trade on top of the plan."""

    trade: Trade
    benefit: Decimal
    net: Decimal
    tax: Decimal


def _told(case: _Case, tradable: Tradable) -> NotTraded:
    problem, holding = case.problem, tradable.holding
    now = holding.mix_value / problem.mix_value
    gap = holding.target_weight - now
    unit = holding.price * holding.quantity_increment / problem.mix_value
    steps = _whole(gap / unit)
    side = None if steps == 0 else Side.BUY if steps > 0 else Side.SELL
    tried = _best(case, tradable, steps, _whole(_to_edge(gap, holding.band.destination) / unit))
    cause, why = _cause(case, tradable, steps, tried)
    shown = NotTraded(
        instrument_id=holding.instrument_id,
        cause=cause,
        weight=weight(now),
        target_weight=weight(holding.target_weight),
        trigger=weight(holding.band.trigger),
        side=side,
        value=ZERO if tried is None else tried.trade.value,
        deviation_benefit=ZERO if tried is None else tried.benefit,
        cost=ZERO if tried is None else tried.trade.cost.total,
        tax=ZERO if tried is None else tried.tax,
        net_benefit=ZERO if tried is None else tried.net,
        sentence="",
    )
    return _with_sentence(shown, why, problem.currency)


def _best(case: _Case, tradable: Tradable, *wanted: int) -> _Tried | None:
    """Return the better of the allowed trades nearest to those wanted; None when none is allowed."""
    found: dict[int, _Tried] = {}
    for steps in wanted:
        nearest = tradable.snapped(steps, away=False)
        if nearest and nearest not in found:
            found[nearest] = case.with_trade(trade_of(case.tax, tradable, nearest))
    return max(found.values(), key=lambda tried: (tried.net, tried.trade.quantity), default=None)


def _cause(case: _Case, tradable: Tradable, steps: int, tried: _Tried | None) -> tuple[Cause, str]:
    """Return the cause, and words that belong to it."""
    problem, holding = case.problem, tradable.holding
    if steps == 0:
        return Cause.ON_TARGET, ""
    barred = _barred(problem, case.tax, holding, Side.BUY if steps > 0 else Side.SELL)
    if barred:
        return Cause.BARRED, barred
    if tried is None:
        return Cause.BELOW_MINIMUM, money(cents(holding.minimum_trade), problem.currency)
    if case.decision.outcome is Outcome.INFEASIBLE:
        # What the plan is proven to is then no measure: its bound is of plans that keep the limits.
        return Cause.LIMIT, "no plan keeps every limit"
    if case.decision.explanation.no_trade_reason is NoTradeReason.WITHIN_BANDS:
        return Cause.NOT_TRIGGERED, ""
    if tried.net <= 0:
        return Cause.NOT_WORTH_IT, ""
    standing = {(each.rule, each.subject) for each in violations(problem, case.decision.trades)}
    broken = violations(problem, (*case.decision.trades, tried.trade))
    new = [each for each in broken if (each.rule, each.subject) not in standing]
    if new:
        return Cause.LIMIT, f"{_words(new[0].rule)}: {new[0].description}"
    if not case.decision.trades and tried.net < problem.objective.net_benefit_min:
        return Cause.NOT_WORTH_IT, money(cents(problem.objective.net_benefit_min), problem.currency)
    gap = exact(float(case.decision.certificate.gap_bps) / BPS_PER_ONE * float(problem.mix_value), CENT)
    return Cause.WITHIN_GAP, money(gap, problem.currency)


def _barred(problem: AccountProblem, tax: TaxView, holding: Holding, side: Side) -> str:
    if side is Side.BUY:
        reason = holding.no_buy or tax.no_buy.get(holding.instrument_id) or ""
        full = holding.weight_max is not None and holding.weight_max < holding.target_weight
        return reason or (f"it may hold at most {percent(weight(holding.weight_max or ZERO))}" if full else "")
    if holding.no_sell is not None:
        return holding.no_sell
    reasons: Sequence[str | None] = [kept_because(problem, holding, lot, tax) for lot in holding.lots]
    if not reasons:
        return "nothing of it can be sold here"
    return max(each for each in reasons if each is not None) if all(reasons) else ""


def _with_sentence(told: NotTraded, why: str, currency: str) -> NotTraded:
    name = told.instrument_id
    where = f"{name} is at {percent(told.weight)}, with a target of {percent(told.target_weight)}"
    verb = "Buying" if told.side is Side.BUY else "Selling"
    trade = (
        f"{verb} for {money(told.value, currency)} would make its distance cost "
        f"{money(told.deviation_benefit, currency)} less, and cost {money(told.cost, currency)} to trade and "
        f"{money(told.tax, currency)} in tax"
    )
    sentences: Mapping[Cause, str] = {
        Cause.ON_TARGET: f"{where}: there is nothing to trade.",
        Cause.BARRED: f"{where}. It may not be {'bought' if told.side is Side.BUY else 'sold'}: {why}.",
        Cause.BELOW_MINIMUM: f"{where}. A trade to its target would be smaller than the smallest, {why}.",
        Cause.NOT_TRIGGERED: (f"{where}, inside the {percent(told.trigger)} within which nothing is done. {trade}."),
        Cause.NOT_WORTH_IT: (
            f"{where}. {trade}: on balance {money(told.net_benefit, currency)}"
            + (f", less than the {why} that a plan must be worth." if why else ".")
        ),
        Cause.LIMIT: f"{where}. {trade}, but {why}.",
        Cause.WITHIN_GAP: (
            f"{where}. {trade}: on balance {money(told.net_benefit, currency)}, within the {why} to which the plan is "
            "proven to be the best."
        ),
    }
    return replace(told, sentence=sentences[told.cause])


def _to_edge(gap: Decimal, destination: Decimal) -> Decimal:
    """Return the way to the nearest edge of the band, nothing from inside."""
    return max(abs(gap) - destination, ZERO).copy_sign(gap)


def _whole(count: Decimal) -> int:
    """Return a number of increments, toward zero."""
    return int(count)


def _words(rule: str) -> str:
    return rule.lower().replace("_", " ")
