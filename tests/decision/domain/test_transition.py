"""Transitions over tax years: each step within its year's budget, on the account as the steps before leave it."""

from datetime import date
from decimal import Decimal

from services.decision.domain.checker import violations
from services.decision.domain.decide import decide
from services.decision.domain.gain_rules import GainRules
from services.decision.domain.plan import PlanOutcome
from services.decision.domain.problem import DecideOptions, Engine
from services.decision.domain.transition import steps_of
from tests.support.portfolios import US_TAXABLE, a_lot, a_market, an_account

RISK = a_market(1, ["AAA", "BBB"])
FAST = DecideOptions(ignore_triggers=True, engine=Engine.KERNEL)


def checked(problem, decision):
    return [each.description for each in violations(problem, decision.trades)] if decision.trades else ()


def steps(account, said, years):
    return steps_of(account.build(), RISK, FAST, said, years, decide, checked)


def a_concentrated_account(**tax):
    """9,000 of AAA bought for a fifth of it; two fifths of it are wanted."""
    return (
        an_account(cash=1000, tax=US_TAXABLE)
        .holding("AAA", lots=[a_lot("a-1", 90, 20)], target="0.4")
        .holding("BBB", target="0.5")
        .caring(band_excess_price=1)
    )


def test_each_tax_year_has_a_step_within_its_own_budget_and_the_tracking_error_falls():
    said = GainRules(Decimal("0.15"), gain_budget=Decimal(800), gain_budgets={2024: Decimal(1_600)})
    found = steps(a_concentrated_account(), said, 4)

    assert [(each.step_date, each.tax_year) for each in found] == [
        (date(2022, 12, 28), 2022),
        (date(2023, 1, 1), 2023),
        (date(2024, 1, 1), 2024),
        (date(2025, 1, 1), 2025),
    ]
    # 80 of gain a unit, whole units.
    assert [each.gain_budget for each in found] == [800, 800, 1_600, 800]
    assert [each.realized_gain for each in found] == [800, 800, 1_600, 800]
    assert [each.sold_value for each in found] == [1_000, 1_000, 2_000, 1_000]
    # All of it long-term: 15 %.
    assert [each.tax for each in found] == [120, 120, 240, 120]
    assert {each.outcome for each in found} == {PlanOutcome.TRADE}
    errors = [each.tracking_error_after for each in found]
    assert errors == sorted(errors, reverse=True)
    # From 90 % to 40 % in steps of a tenth, two in 2024: there.
    assert found[-1].drift_after < Decimal("0.01") < found[2].drift_after


def test_without_a_budget_the_first_step_is_all_and_nothing_is_left_for_later_years():
    found = steps(a_concentrated_account(), GainRules(Decimal("0.15")), 3)

    assert found[0].sold_value == 5_000
    assert [each.outcome for each in found[1:]] == [PlanOutcome.NO_TRADE] * 2
    assert [each.gain_budget for each in found] == [None, None, None]


def test_a_loss_of_one_year_meets_the_gains_of_the_next():
    account = (
        an_account(cash=0, tax=US_TAXABLE)
        .holding("AAA", lots=[a_lot("a-1", 50, 20)], target="0.5")
        .holding("BBB", lots=[a_lot("b-1", 50, 250)], target="0.5")
    )
    said = GainRules(Decimal("0.15"), gain_budget=Decimal(0))
    first, second = steps(account, said, 2)

    assert first.realized_gain < 0
    assert first.tax < 0
    assert second.realized_gain <= 0
