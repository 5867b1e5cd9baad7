"""How much can be withdrawn from an account at most, and what tax does it cost?

The most is bounded by the policy's limits (cash that must stay, turnover, gain budget, what may not be sold), by whole
increments and by what trading costs. First comes the amount that trades of any size could raise: for an amount, what
they raise at most is a linear program (lots sold, instruments bought, every limit of `convex` but impact), and the
largest amount that it raises is found to the cent (`last_amount`). No plan pays out more than that *bound*. From there
down, plans are made by the production engine until one passes the exact check; the largest found is the answer. The
plan shown is the best for it: least tax, cost and deviation, as the policy weighs them. Beside it stands the most that
can be withdrawn when the year may make no net gain.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
from scipy.optimize import linprog

from services.decision.domain.book import TaxWrapper
from services.decision.domain.conflicts import limits_of, smallest_conflict
from services.decision.domain.convex import ConvexProblem
from services.decision.domain.deciding import AccountInputs, Basis, asked_of, policy_of, problem_of
from services.decision.domain.decision import CENT
from services.decision.domain.entering import enter
from services.decision.domain.hypotheses import Scenario, supposed
from services.decision.domain.last_amount import last_amount
from services.decision.domain.plan import Draft, NothingDecided, PlanOutcome
from services.decision.domain.problem import ZERO
from services.decision.domain.tax import jurisdiction
from services.decision.domain.withdrawals import LargestWithdrawal, WithdrawalLimit
from services.kernel.errors import Fact
from services.kernel.money import Money

# Plans made between one that was found and one that was not.
HALVINGS_MAX = 8
# How far below the bound, as a share of it, the last road is tried where the first ended farther below.
LAST_SHARES = (Decimal("0.0005"), Decimal("0.002"), Decimal("0.008"))
# `linprog` says so of an optimum; what it answers keeps rows to so much.
OPTIMAL, ROUNDING = 0, 1e-9
ALL_SOLD = "Everything that may be sold is sold then."

# Plans an account; None where it has no answer.
Road = Callable[[AccountInputs], Draft | None]


def largest_withdrawals(inputs: AccountInputs, basis: Basis, roads: Sequence[Road]) -> tuple[LargestWithdrawal, ...]:
    """Return the largest withdrawal under the policy's limits, and that without a net gain where gains are taxed.

    Args:
        inputs: Of the account, as it is now.
        basis: Prices, risk and law.
        roads: The first that answers about the account is taken; the last always does.

    Raises:
        PolicyNotInForce: No policy is in force.
        NothingDecided: The policy holds or pauses the account.
        Fact: The inputs are refused.
    """
    policy = policy_of(inputs)
    asked = asked_of(inputs, basis)
    if isinstance(asked, Draft):
        raise NothingDecided(asked.outline.sentence)
    road = next(each for each in roads if each(_with(inputs, ZERO)) is not None)
    ways = [(WithdrawalLimit.POLICY, inputs)]
    if inputs.account.tax_wrapper is TaxWrapper.TAXABLE:
        none = Money(ZERO, inputs.account.currency)
        tax = replace(policy.tax, gain_budget=none, gain_budgets={}, gain_harvest_room=None)
        ways.append((WithdrawalLimit.NO_NET_GAIN, replace(inputs, policy=replace(policy, tax=tax))))
    everything = asked.cash + sum((holding.value for holding in asked.holdings), ZERO)
    most = max(everything, ZERO).quantize(CENT, ROUND_CEILING)
    first, *others = (_largest(limit, each, basis, most, road, roads[-1]) for limit, each in ways)
    # A plan without a net gain keeps the policy's limits too, and searches among increments end where they end.
    better = max((first, *others), key=lambda each: each.amount)
    return (replace(first, amount=better.amount, draft=better.draft), *others)


def _largest(
    limit: WithdrawalLimit, inputs: AccountInputs, basis: Basis, most: Decimal, road: Road, last: Road
) -> LargestWithdrawal:
    bound = last_amount(lambda each: raised_over(_with(inputs, each), basis), most)
    amount, draft = _last_plan(lambda each: road(_with(inputs, each)), bound)
    # The last road takes longer and finds plans where limits leave little room.
    for share in () if road is last else LAST_SHARES:
        tried = (bound * (1 - share)).quantize(CENT, ROUND_FLOOR)
        if tried <= amount:
            break
        found = _paying(last(_with(inputs, tried)))
        if found is not None:
            amount, draft = tried, found
            break
    if draft is None:
        # Not even nothing can be withdrawn; the last road says why.
        draft = last(_with(inputs, amount))
    if draft is None:
        raise ValueError("the last road must answer about every account")
    return LargestWithdrawal(limit, amount, draft, bound, _why_not_more(_with(inputs, bound + CENT), basis))


def _last_plan(planned: Callable[[Decimal], Draft | None], bound: Decimal) -> tuple[Decimal, Draft | None]:
    """Return the largest amount, at most `bound`, for which a plan was found, and the plan; 0 and None for none."""
    low, high, step = ZERO, bound, ZERO
    found: Draft | None = None
    while found is None and step < bound:
        low = bound - step
        found = _paying(planned(low))
        if found is None:
            high, step = low, max(Decimal(1), 4 * step)
    if found is None:
        low = ZERO
        found = _paying(planned(low))
    for _ in range(HALVINGS_MAX):
        middle = ((low + high) / 2).quantize(CENT, ROUND_FLOOR)
        if not low < middle < high:
            break
        tried = _paying(planned(middle))
        if tried is None:
            high = middle
        else:
            low, found = middle, tried
    return low, found


def _paying(draft: Draft | None) -> Draft | None:
    """Return a plan that leaves the amount, and keeps every limit; None of any other."""
    if draft is None or draft.outcome not in (PlanOutcome.TRADE, PlanOutcome.NO_TRADE):
        return None
    return draft


def _with(inputs: AccountInputs, amount: Decimal) -> AccountInputs:
    return supposed(inputs, Scenario("withdrawal", withdrawal=amount, ignore_triggers=True))


def raised_over(inputs: AccountInputs, basis: Basis) -> float:
    """Return what trades of any size raise over what must be there, in money; −∞ where nothing would be left."""
    try:
        problem = problem_of(inputs, policy_of(inputs), basis)
    except Fact:
        return -np.inf
    convex = enter(problem, basis.risk_model, jurisdiction(problem.tax.jurisdiction).view(problem))
    return _over(convex) * float(problem.mix_value)


def _over(convex: ConvexProblem) -> float:
    """Return what trades of any size raise over the cash floor, as a weight."""
    return convex.cash + most_raised(convex) - (convex.cash_floor - ROUNDING)


def most_raised(convex: ConvexProblem) -> float:
    """Return the most cash, as a weight, that trades of any size bring within the limits; −∞ where none keep them.

    Impact is left out, so it is no less than what can be brought.
    """
    n, m = len(convex.start), len(convex.lot_cap)
    of_lot = np.zeros((n, m))
    of_lot[convex.lot_instrument, np.arange(m)] = 1.0
    earned = np.concatenate([1.0 - convex.cost @ of_lot, -1.0 - convex.cost])
    rows = [np.ones(m + n), np.concatenate([convex.lot_gain, np.zeros(n)])]
    most = [convex.turnover, convex.gain_budget]
    moved = convex.groups @ np.hstack([-of_lot, np.eye(n)])
    held = convex.groups @ convex.start
    kept = np.isfinite(most)
    found = linprog(
        -earned,
        A_ub=np.vstack([np.array(rows)[kept], moved, -moved]),
        b_ub=np.concatenate([np.array(most)[kept], convex.group_max - held, held - convex.group_min]),
        bounds=np.stack([np.zeros(m + n), np.concatenate([convex.lot_cap, convex.buy_cap])], axis=1),
        method="highs",
    )
    return -float(found.fun) if found.status == OPTIMAL else -np.inf


def _why_not_more(inputs: AccountInputs, basis: Basis) -> str:
    """Return the limits that keep more from being withdrawn, in words."""
    try:
        problem = problem_of(inputs, policy_of(inputs), basis)
    except Fact:
        return ALL_SOLD
    tax = jurisdiction(problem.tax.jurisdiction).view(problem)
    convex = enter(problem, basis.risk_model, tax)
    found = smallest_conflict(
        convex, limits_of(problem, basis.risk_model, tax, convex), lambda opened: _over(opened) < 0
    )
    return f"More cannot be: {'; '.join(each.sentence.rstrip('.') for each in found)}." if found else ALL_SOLD
