"""Why there is no plan, and what answers instead of the solver."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.checker import violations
from services.decision.domain.conflicts import irreducible
from services.decision.domain.decide import decide
from services.decision.domain.decision import ConstraintKind, Fallback, Outcome
from services.decision.domain.problem import CashRule, DecideOptions, Engine, GroupLimit, LimitKind, Limits, Side
from tests.support.portfolios import TODAY, a_lot, a_market, an_account, independent

AT_ONCE = DecideOptions(ignore_triggers=True)


@given(st.integers(1, 40), st.data())
def test_what_the_deletion_filter_leaves_is_hopeless_and_none_of_it_can_be_left_out(count, data):
    conflicts = data.draw(st.lists(st.sets(st.integers(0, count - 1), min_size=1), min_size=1, max_size=4))

    def hopeless(kept):
        return any(each <= set(kept) for each in conflicts)

    found = irreducible(count, hopeless)

    assert hopeless(found)
    assert not any(hopeless(found[:row] + found[row + 1 :]) for row in range(len(found)))


def test_the_deletion_filter_asks_few_times_when_few_matter():
    asked = []

    def hopeless(kept):
        asked.append(kept)
        return {17, 801} <= set(kept)

    assert irreducible(1000, hopeless) == [17, 801]
    assert len(asked) < 60


def test_the_limits_that_cannot_be_kept_together_are_named_and_those_that_do_not_matter_are_not():
    account = (
        an_account(
            cash=1000,
            cash_rule=CashRule(floor=Decimal(5000)),
            limits=Limits(
                turnover=Decimal("0.9"), groups=(GroupLimit("class:equity", ("VTI",), weight_max=Decimal("0.95")),)
            ),
        )
        .holding("VTI", units=80, target="0.8", no_sell="locked until 2030")
        .holding("BND", units=10, target="0.1")
    )
    decision = decide(account.build(), independent(VTI=0.04, BND=0.01), AT_ONCE)

    assert decision.outcome is Outcome.INFEASIBLE
    # 1,000 of cash and 1,000 of BND are less than 5,000; only VTI could bring the rest.
    assert [(each.kind, each.subject) for each in decision.explanation.conflicting] == [
        (ConstraintKind.NO_SELL, "VTI"),
        (ConstraintKind.CASH_FLOOR, ""),
    ]
    (way_out,) = decision.explanation.binding
    assert (way_out.kind, way_out.price) == (ConstraintKind.CASH_FLOOR, Decimal("3000.00"))
    assert decision.explanation.summary.sentence == (
        "Nothing is traded: no plan keeps every limit. These cannot be kept together: VTI may not be sold: locked "
        "until 2030; At least USD 5,000.00 of cash must be there. The cheapest way out: the cash that must be there, "
        "USD 5,000.00, would have to give way by USD 3,000.00. The largest drift is 0.00 %."
    )


def a_drifted_account():
    return (
        an_account(cash=1000)
        .holding("AAA", units=70, target="0.5", spread_bps=4)
        .holding("BBB", units=20, target="0.4", spread_bps=4)
    )


def giving_up_after(iterations):
    """Return options with which the reference model fails: it needs some ten iterations."""
    return DecideOptions(ignore_triggers=True, iterations_max=iterations)


def test_a_solver_that_fails_is_asked_for_less_and_the_plan_says_so():
    problem, risk = a_drifted_account().build(), a_market(1, ["AAA", "BBB"])
    optimum = decide(problem, risk, AT_ONCE)
    decision = decide(problem, risk, giving_up_after(3))

    assert optimum.certificate.fallback is Fallback.NONE
    assert decision.outcome is Outcome.TRADE
    assert decision.certificate.fallback is Fallback.RELAXED
    assert decision.certificate.status.startswith("RELAXED: ")
    assert abs(decision.certificate.primal_bps - optimum.certificate.primal_bps) < Decimal("0.05")


def test_the_rule_of_thumb_keeps_every_limit_and_shows_how_far_from_the_best_it_may_be():
    problem, risk = a_drifted_account().build(), a_market(1, ["AAA", "BBB"])
    optimum = decide(problem, risk, AT_ONCE)
    decision = decide(problem, risk, giving_up_after(1))

    assert decision.certificate.fallback is Fallback.HEURISTIC
    assert {(trade.instrument_id, trade.side) for trade in decision.trades} == {("AAA", Side.SELL), ("BBB", Side.BUY)}
    assert violations(problem, decision.trades) == ()
    # The bound holds for every plan, so the gap covers what the rule of thumb lost.
    assert decision.certificate.dual_bps <= optimum.certificate.primal_bps <= decision.certificate.primal_bps
    assert decision.certificate.gap_bps >= decision.certificate.primal_bps - optimum.certificate.primal_bps


def test_when_nothing_answers_nothing_is_traded_and_it_says_so():
    # Nothing may be sold and there is no cash: the rule of thumb has nothing to do either.
    account = (
        an_account(cash=0)
        .holding("AAA", units=70, target="0.5", no_sell="locked")
        .holding("BBB", units=30, target="0.5", no_sell="locked")
    )
    decision = decide(account.build(), a_market(1, ["AAA", "BBB"]), giving_up_after(1))

    assert (decision.outcome, decision.certificate.fallback) == (Outcome.FALLBACK_HOLD, Fallback.HOLD)
    assert "a person should look" in decision.explanation.summary.sentence


@pytest.mark.parametrize("kind", ["least", "most"])
def test_a_factor_limit_is_kept_in_whole_shares_and_named_with_its_price(kind):
    bound = {"weight_max": Decimal("3.5"), "weight_min": Decimal(-10)}
    if kind == "least":
        bound = {"weight_max": Decimal(100), "weight_min": Decimal("6.5")}
    limits = Limits(groups=(GroupLimit("duration", ("LONG", "SHORT"), **bound, **a_factor(Decimal(9), Decimal(2))),))
    account = (
        an_account(cash=10_000, limits=limits)
        .holding("LONG", units=0, target="0.5" if kind == "most" else "0.2")
        .holding("SHORT", units=0, target="0.4")
    )
    problem, risk = account.build(), independent(LONG=0.04, SHORT=0.02)
    decision = decide(problem, risk, AT_ONCE)

    assert decision.outcome is Outcome.TRADE
    weights = {each.instrument_id: each.weight_after for each in decision.explanation.trades}
    exposure = 9 * weights["LONG"] + 2 * weights.get("SHORT", 0)
    # 0.5 · 9 + 0.4 · 2 is 5.3; 0.2 · 9 + 0.4 · 2 is 2.6.
    assert exposure == pytest.approx(Decimal("3.5") if kind == "most" else Decimal("6.5"), abs=Decimal("0.1"))
    assert exposure <= Decimal("3.5") if kind == "most" else exposure >= Decimal("6.5")
    named = {each.kind: each for each in decision.explanation.binding}
    binding = named[ConstraintKind.FACTOR_MAX if kind == "most" else ConstraintKind.FACTOR_MIN]
    assert binding.sentence.startswith(f"Exposure to duration is at {kind} {'3.5' if kind == 'most' else '6.5'}.")
    assert binding.price > 0
    assert decision.certificate.convex_gap_bps < Decimal("0.001")
    broken = violations(replace(problem, limits=tightened(problem.limits, kind)), decision.trades)
    assert [each.rule for each in broken] == ["FACTOR_MAX" if kind == "most" else "FACTOR_MIN"]


def a_factor(*exposures):
    return {"kind": LimitKind.FACTOR, "exposures": exposures}


def tightened(limits, kind):
    (group,) = limits.groups
    by = {"weight_max": Decimal(3)} if kind == "most" else {"weight_min": Decimal(7)}
    return replace(limits, groups=(replace(group, **by),))


def test_the_kernel_leaves_limits_that_weigh_to_the_reference_model():
    limits = Limits(groups=(GroupLimit("beta", ("AAA",), Decimal(-1), Decimal("0.6"), **a_factor(Decimal("1.5"))),))
    problem = a_drifted_account().having(limits=limits).build()
    decision = decide(problem, a_market(1, ["AAA", "BBB"]), replace(AT_ONCE, engine=Engine.KERNEL))

    assert decision.certificate.solver == "CLARABEL"
    assert violations(problem, decision.trades) == ()


def test_leverage_is_the_sum_of_what_is_held():
    limits = Limits(
        groups=(GroupLimit("leverage", ("AAA", "BBB"), weight_max=Decimal("0.8"), kind=LimitKind.LEVERAGE),)
    )
    account = (
        an_account(cash=5000, limits=limits)
        .holding("AAA", units=50, target="0.5")
        .holding("BBB", units=0, target="0.5")
    )
    decision = decide(account.build(), independent(AAA=0.04, BBB=0.04), AT_ONCE)

    after = sum(each.weight_after for each in decision.explanation.trades)
    assert Decimal("0.5") + after <= Decimal("0.8") or after <= Decimal("0.8")
    assert ConstraintKind.LEVERAGE in {each.kind for each in decision.explanation.binding}
    assert decision.explanation.summary.cash_after >= 2000


def test_a_lot_younger_than_the_minimum_hold_is_kept_and_the_next_day_it_may_go():
    young = replace(a_lot("young", 60, 100), acquired_date=TODAY - timedelta(days=29))
    account = an_account(cash=4000).holding("VTI", lots=[young], target="0.5")
    held = account.having(limits=Limits(minimum_hold_days=30)).build()
    released = account.having(limits=Limits(minimum_hold_days=29)).build()
    kept, sold = decide(held, independent(VTI=0.04), AT_ONCE), decide(released, independent(VTI=0.04), AT_ONCE)

    assert kept.trades == ()
    assert [each.kind for each in kept.explanation.binding] == [ConstraintKind.NO_SELL]
    assert "held for at least 30 days" in kept.explanation.binding[0].sentence
    assert [trade.side for trade in sold.trades] == [Side.SELL]
    assert [each.rule for each in violations(held, sold.trades)] == ["MINIMUM_HOLD"]
