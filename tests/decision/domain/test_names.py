"""A limit on names and a least position, beside every choice of names, and through whole decisions."""

from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision.domain.checker import Rule, violations
from services.decision.domain.convex import ConvexProblem, Solve, SolveStatus
from services.decision.domain.decide import decide
from services.decision.domain.decision import ConstraintKind, NoTradeReason, Outcome
from services.decision.domain.directions import Chosen
from services.decision.domain.names import GAP_BPS, GAP_SHARE, Names, Selected, select
from services.decision.domain.problem import AccountProblem, DecideOptions, Engine, Limits, Side
from services.decision.domain.reference_model import solve
from tests.support.convex_cases import a_convex_problem
from tests.support.portfolios import an_account, independent
from tests.support.random_accounts import accounts, risk_models

D = Decimal
AT_ONCE = DecideOptions(ignore_triggers=True)
REFERENCE = partial(solve, iterations_max=200)
# Of the reference solver, in basis points.
NOISE_BPS = 1e-3
FAST = DecideOptions(ignore_triggers=True, engine=Engine.KERNEL)


def best_of_every_choice(convex: ConvexProblem, names: Names) -> float:
    """Return the least objective over all choices of names, each solved by the reference model as it is."""
    n = len(convex.start)
    best = np.inf
    stays = names.held & ~names.can_go
    for kept in combinations(range(n), names.most):
        out = ~np.isin(np.arange(n), kept)
        if (out & stays).any():
            continue
        # Not a weight more than nothing of its own, by a limit for each.
        chosen = replace(
            convex.restricted(may_buy=~out, may_sell=np.ones(n, dtype=np.bool_)),
            groups=np.vstack([convex.groups, np.eye(n)[out]]),
            group_min=np.concatenate([convex.group_min, np.full(out.sum(), -1.0)]),
            group_max=np.concatenate(
                [convex.group_max, np.where(names.can_go, convex.start - convex.sell_cap, convex.start)[out]]
            ),
        )
        found = solve(chosen, iterations_max=200)
        if found.solution is not None:
            best = min(best, Chosen(chosen, found.solution, "", "").objective)
    return best


def some_names(convex: ConvexProblem, most: int) -> Names:
    n = len(convex.start)
    held = convex.start > 0
    return Names(most, held, held & (convex.sell_cap > convex.start - 1e-12), np.zeros((2, n)))


@pytest.mark.parametrize(("seed", "most"), [(0, 3), (1, 5), (2, 3), (4, 5), (5, 3), (9, 5)])
def test_no_other_choice_of_names_is_better(seed, most):
    convex = a_convex_problem(seed, instruments=7, impact=seed % 2 == 0)
    if seed % 3:
        convex = replace(convex, turnover=np.inf, gain_budget=np.inf)
    names = some_names(convex, most)
    best = best_of_every_choice(convex, names)
    found = select(convex, names, np.zeros(len(convex.start)), REFERENCE)

    if not np.isfinite(best):
        assert isinstance(found, Solve)
        assert found.status is not SolveStatus.SOLVED
        return
    assert isinstance(found, Selected)
    value = found.chosen.objective
    assert found.bound <= best + NOISE_BPS
    assert best - NOISE_BPS <= value <= best + max(GAP_BPS, GAP_SHARE * abs(best)) + NOISE_BPS
    assert value - found.bound <= max(GAP_BPS, GAP_SHARE * abs(value)) + NOISE_BPS
    assert found.left_out is not None
    assert (~found.left_out).sum() <= most


def three_names(**limits) -> AccountProblem:
    """An account of 10,000 that wants three names, and holds them away from their targets."""
    return (
        an_account(cash=500)
        .holding("AAA", units=50, target="0.4", spread_bps=4)
        .holding("BBB", units=35, target="0.4", spread_bps=4)
        .holding("CCC", units=10, target="0.15", spread_bps=4)
        .having(limits=Limits(**limits))
        .build()
    )


SAME_RISK = independent(AAA=0.04, BBB=0.04, CCC=0.04)


def sides(decision):
    return {trade.instrument_id: (trade.side, trade.quantity) for trade in decision.trades}


@pytest.mark.parametrize("options", [AT_ONCE, replace(AT_ONCE, engine=Engine.COLUMNS)])
def test_the_name_that_is_wanted_least_makes_room(options):
    problem = three_names(names=2)
    decision = decide(problem, SAME_RISK, options)

    assert decision.outcome is Outcome.TRADE
    assert sides(decision)["CCC"] == (Side.SELL, D(10))
    assert not violations(problem, decision.trades)
    # Of 10,000: rounding to whole shares of 100 is all that may be left unproven.
    assert decision.certificate.gap_bps < D("0.5")
    (limit,) = [each for each in decision.explanation.binding if each.kind is ConstraintKind.NAMES]
    assert (limit.limit, limit.subject) == (D(2), "")
    assert limit.price > 0
    (sold,) = [each for each in decision.explanation.trades if each.instrument_id == "CCC"]
    assert sold.net_benefit < 0
    assert sold.required_by is ConstraintKind.NAMES
    assert "the most instruments that may be held" in sold.sentence


def test_a_limit_with_room_changes_nothing():
    without, with_room = (decide(three_names(names=each), SAME_RISK, AT_ONCE) for each in (None, 3))

    assert with_room == without


def test_a_name_is_not_bought_beyond_the_limit():
    account = an_account(cash=5000).holding("AAA", units=50, target="0.5").holding("BBB", target="0.25")
    problem = account.holding("CCC", target="0.2").having(limits=Limits(names=2)).build()
    decision = decide(problem, independent(AAA=0.04, BBB=0.04, CCC=0.04), AT_ONCE)

    assert sides(decision) == {"BBB": (Side.BUY, D(25))}


def test_what_is_held_away_is_no_name_and_less_than_an_increment_neither():
    account = an_account(cash=5000).holding("AAA", units=50, target="0.5").holding("BBB", held_away_value=100)
    account = account.holding("CCC", units="0.5", target="0.4").having(limits=Limits(names=2))
    decision = decide(account.build(), independent(AAA=0.04, BBB=0.04, CCC=0.04), AT_ONCE)

    assert sides(decision)["CCC"] == (Side.BUY, D(40))


def test_names_that_may_not_be_sold_are_said_to_be_too_many():
    account = an_account(cash=500).holding("AAA", units=50, target="0.4", no_sell="pledged")
    account = account.holding("BBB", units=35, target="0.4", no_sell="locked").holding("CCC", units=10, target="0.15")
    decision = decide(account.having(limits=Limits(names=1)).build(), SAME_RISK, AT_ONCE)

    assert decision.outcome is Outcome.INFEASIBLE
    conflict = {(each.kind, each.subject) for each in decision.explanation.conflicting}
    assert conflict == {
        (ConstraintKind.NAMES, ""),
        (ConstraintKind.NO_SELL, "AAA"),
        (ConstraintKind.NO_SELL, "BBB"),
    }
    (way_out,) = decision.explanation.binding
    assert (way_out.kind, way_out.limit, way_out.price) == (ConstraintKind.NAMES, D(1), D(1))
    said = decision.explanation.summary.sentence
    assert "At most 1 instrument may be held; AAA may not be sold: pledged; BBB may not be sold: locked" in said
    assert "the most instruments that may be held, 1, would have to give way by 1" in said


def test_turnover_that_does_not_suffice_to_sell_enough_is_said():
    decision = decide(three_names(names=2, turnover=D("0.05")), SAME_RISK, AT_ONCE)

    assert decision.outcome is Outcome.INFEASIBLE
    assert [each.kind for each in decision.explanation.conflicting] == [ConstraintKind.NAMES, ConstraintKind.TURNOVER]


def test_a_position_is_worth_the_least_or_is_not_held():
    def after(units: int, target: str, least: int = 1000):
        account = an_account(cash=10_000 - 100 * units).holding("AAA", units=units, target=target)
        holdings = tuple(replace(each, minimum_position=D(least)) for each in account.parts["holdings"])
        problem = account.having(holdings=holdings).build()
        decision = decide(problem, independent(AAA=0.04), AT_ONCE)
        assert not violations(problem, decision.trades)
        return decision

    # A purchase goes to the least, or is not made.
    assert sides(after(0, "0.10")) == {"AAA": (Side.BUY, D(10))}
    assert sides(after(0, "0.09")) == {"AAA": (Side.BUY, D(10))}
    too_little = after(0, "0.04")
    assert too_little.trades == ()
    assert too_little.explanation.no_trade_reason is NoTradeReason.BELOW_MINIMUM
    # A sale leaves the least, or nothing.
    assert sides(after(20, "0.10")) == {"AAA": (Side.SELL, D(10))}
    assert sides(after(20, "0.08")) == {"AAA": (Side.SELL, D(10))}
    assert sides(after(20, "0.03")) == {"AAA": (Side.SELL, D(20))}
    # What is there and is not traded may be smaller.
    assert after(5, "0.05").trades == ()


def test_the_check_finds_a_position_that_is_too_small_and_names_that_are_too_many():
    problem = three_names()
    holdings = tuple(replace(each, minimum_position=D(3000)) for each in problem.holdings)
    trades = decide(problem, SAME_RISK, AT_ONCE).trades
    asked = replace(problem, holdings=holdings, limits=Limits(names=2))

    broken = {(each.rule, each.subject) for each in violations(asked, trades)}
    assert broken == {(Rule.MINIMUM_POSITION, "CCC"), (Rule.NAMES, "account-1")}
    assert {each.rule for each in violations(asked, ())} == {Rule.NAMES}


@settings(max_examples=20, deadline=None)
@given(accounts(), risk_models(), st.integers(1, 4), st.sampled_from([D(0), D(400), D(3000)]))
def test_plans_keep_the_limits_and_their_bounds(problem, risk, most, least):
    holdings = tuple(replace(each, minimum_position=least) for each in problem.holdings)
    problem = replace(problem, holdings=holdings, limits=replace(problem.limits, names=most))
    decision = decide(problem, risk, FAST)

    certificate = decision.certificate
    if decision.outcome is not Outcome.INFEASIBLE:
        assert certificate.primal_bps >= certificate.dual_bps - D("0.001") or not decision.trades
    if decision.trades:
        assert not violations(problem, decision.trades)
