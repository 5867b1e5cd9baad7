"""What can leave an account at most: a plan that passes the exact check pays it out, and none pays out more."""

from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

import numpy as np
import pytest

from services.decision.clients.solving import check
from services.decision.domain.book import TaxWrapper
from services.decision.domain.bulk import decide_many
from services.decision.domain.checker import violations
from services.decision.domain.decide import decide
from services.decision.domain.deciding import draft_plan, policy_of, problem_of
from services.decision.domain.decision import CENT
from services.decision.domain.entering import enter
from services.decision.domain.hypotheses import Scenario, supposed
from services.decision.domain.idle import idle_decisions
from services.decision.domain.last_amount import last_amount
from services.decision.domain.plan import NothingDecided
from services.decision.domain.policy import SafetyNets
from services.decision.domain.reference_model import solve
from services.decision.domain.tax import jurisdiction
from services.decision.domain.together import Together, draft_plans
from services.decision.domain.withdrawals import WithdrawalLimit
from services.decision.domain.withdrawing import largest_withdrawals, most_raised, raised_over
from services.kernel.money import Money
from tests.bench import books

pytestmark = pytest.mark.timeout(300)

ACCOUNTS, BASIS = books.inputs(3, seed=5, engine="columns")
TOGETHER = Together(idle_decisions, decide_many)
ROADS = [
    lambda inputs: draft_plans([inputs], BASIS, TOGETHER)[0],
    lambda inputs: draft_plan(inputs, BASIS, decide, check),
]


def under(inputs, **changes):
    return replace(inputs, policy=replace(inputs.policy, **changes))


def asked(inputs, amount):
    """What is asked when so much is to leave the account."""
    paying = supposed(inputs, Scenario("", withdrawal=amount))
    return problem_of(paying, policy_of(paying), BASIS)


@pytest.mark.parametrize("turnover", [Decimal("0.3"), Decimal(1)])
def test_a_plan_that_keeps_every_limit_pays_it_out_and_none_pays_more_than_the_bound(turnover):
    inputs = under(ACCOUNTS[0], turnover_limit=turnover)
    by_policy, without_gain = largest_withdrawals(inputs, BASIS, ROADS)

    for each in (by_policy, without_gain):
        trades = each.draft.content.decision.trades
        assert not violations(asked(inputs, each.amount), trades)
        assert Decimal("0.99") * each.bound < each.amount <= each.bound
        assert each.why_not_more
    assert without_gain.amount <= by_policy.amount
    gains = without_gain.draft.outline.totals.realized_gain
    assert gains <= 0
    beyond = asked(inputs, by_policy.bound + 1)
    convex = enter(beyond, BASIS.risk_model, jurisdiction("US").view(beyond))
    assert solve(convex.every_piece[0], iterations_max=200).solution is None


def test_all_of_an_account_that_nothing_limits_can_leave_but_what_its_sale_costs():
    inputs = under(ACCOUNTS[1], turnover_limit=None, cash_floor=Decimal(0))
    by_policy, _ = largest_withdrawals(inputs, BASIS, ROADS)
    problem = asked(inputs, Decimal(0))
    decision = by_policy.draft.content.decision
    assert {trade.instrument_id for trade in decision.trades} == {
        each.instrument_id for each in problem.holdings if each.lots
    }
    cost = by_policy.draft.outline.totals.trading_cost
    assert problem.mix_value - cost - by_policy.amount < Decimal("0.001") * problem.mix_value


def test_what_is_in_cash_leaves_without_a_trade():
    inputs = replace(ACCOUNTS[0], account=replace(ACCOUNTS[0].account, positions=(), cash=Decimal(10_000)))
    by_policy, without_gain = largest_withdrawals(inputs, BASIS, ROADS)

    # The floor of half a percent is of what stays.
    assert by_policy.amount == by_policy.bound == without_gain.amount
    assert by_policy.amount >= Decimal("9999.98")
    assert not by_policy.draft.content.decision.trades


def test_what_trades_raise_is_what_the_linear_program_says():
    """By hand: everything may be sold for a hundredth, at most 30 % be traded, and one of two makes a gain."""
    problem = asked(ACCOUNTS[0], Decimal(0))
    convex = enter(problem, BASIS.risk_model, jurisdiction("US").view(problem))
    n, m = len(convex.start), len(convex.lot_cap)
    plain = replace(convex, cost=np.full(n, 0.01), turnover=0.3, gain_budget=np.inf, buy_cap=np.zeros(n))

    assert most_raised(plain) == pytest.approx(0.3 * 0.99)
    assert most_raised(replace(plain, turnover=np.inf)) == pytest.approx(0.99 * plain.lot_cap.sum())
    gains = np.where(np.arange(m) % 2 == 0, 0.5, 0.0)
    free = plain.lot_cap[gains == 0.0].sum()
    budgeted = replace(plain, turnover=np.inf, lot_gain=gains, gain_budget=0.01)
    assert most_raised(budgeted) == pytest.approx(0.99 * (free + 0.02))


def by_halves(room, most):
    """Return the largest amount that has room, found as one would by hand."""
    low, high = (most, most) if room(most) >= 0 else (Decimal(0), most)
    while high - low > CENT:
        middle = ((low + high) / 2).quantize(CENT, ROUND_FLOOR)
        low, high = (middle, high) if room(middle) >= 0 else (low, middle)
    return low


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"turnover_limit": Decimal("0.05")},
        {"turnover_limit": None},
        {"turnover_limit": None, "cash_floor": Decimal(0)},
        {"turnover_limit": None, "tax": replace(ACCOUNTS[0].policy.tax, gain_budget=Money(Decimal(0), "USD"))},
    ],
    ids=["as it is", "little turnover", "no turnover limit", "nothing limits", "no net gain"],
)
@pytest.mark.parametrize("seed", range(6))
def test_few_questions_find_what_halving_to_the_cent_finds(changes, seed):
    (inputs,), basis = books.inputs(1, seed=seed, engine="columns")
    inputs = under(inputs, **changes)
    asked_about = []

    def room(amount):
        asked_about.append(amount)
        return raised_over(supposed(inputs, Scenario("", withdrawal=amount, ignore_triggers=True)), basis)

    most = Decimal(10_000_000)
    bound = last_amount(room, most)
    assert len(asked_about) <= 16
    assert bound == by_halves(room, most)


def test_a_limit_is_named_where_trades_have_no_impact():
    """A cent too much is no conflict to the solver's tolerance: what sets the bound is named."""
    by_policy, _ = largest_withdrawals(under(ACCOUNTS[0], impact_coefficient=Decimal(0)), BASIS, ROADS)
    assert "At most 30.00 % of the account may be traded" in by_policy.why_not_more


def test_a_paused_account_says_so():
    with pytest.raises(NothingDecided):
        largest_withdrawals(under(ACCOUNTS[0], safety=SafetyNets(paused=True)), BASIS, ROADS)


def test_an_account_that_is_not_taxed_has_one_limit():
    account = replace(ACCOUNTS[0].account, tax_wrapper=TaxWrapper.EXEMPT, positions=(), cash=Decimal(100))
    found = largest_withdrawals(replace(ACCOUNTS[0], account=account), BASIS, ROADS)

    assert [each.limit for each in found] == [WithdrawalLimit.POLICY]
