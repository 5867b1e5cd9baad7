"""Why an instrument is not traded: examples a person can check, and every figure of a sentence."""

import re
from decimal import Decimal

from hypothesis import given, settings

from services.decision.domain.certificate import terms
from services.decision.domain.convex import BPS_PER_ONE
from services.decision.domain.decide import decide
from services.decision.domain.decision import Cause
from services.decision.domain.entering import enter
from services.decision.domain.explanation import plan_of
from services.decision.domain.not_traded import not_traded
from services.decision.domain.problem import CashRule, DecideOptions, Engine
from services.decision.domain.tax import jurisdiction
from tests.support.portfolios import US_TAXABLE, an_account, independent
from tests.support.random_accounts import accounts, risk_models

FAST = DecideOptions(ignore_triggers=True, engine=Engine.KERNEL)


def reasons(account, options=FAST, **variances):
    problem, risk = account.build(), independent(**variances)
    return {each.instrument_id: each for each in not_traded(problem, risk, decide(problem, risk, options))}


def test_inside_its_band_the_way_to_the_target_and_its_worth_are_told():
    # Of 10,000: ½ · 10 · 0.04 · 0.05² is 5 basis points.
    account = an_account(cash=4500).holding("VTI", units=55, target="0.5", trigger="0.06")
    told = reasons(account, DecideOptions(engine=Engine.KERNEL), VTI=0.04)["VTI"]

    assert (told.cause, told.value, told.deviation_benefit, told.cost) == (Cause.NOT_TRIGGERED, 500, 5, 0)
    assert told.sentence == (
        "VTI is at 55.00 %, with a target of 50.00 %, inside the 6.00 % within which nothing is done. Selling for "
        "USD 500.00 would make its distance cost USD 5.00 less, and cost USD 0.00 to trade and USD 0.00 in tax."
    )


def test_what_is_on_target_needs_nothing():
    account = an_account(cash=5000).holding("VTI", units=50, target="0.5")

    assert reasons(account, VTI=0.04)["VTI"].cause is Cause.ON_TARGET


def test_a_gain_that_costs_more_than_it_helps_is_told_with_its_balance():
    account = an_account(cash=4000, tax=US_TAXABLE).holding("VTI", units=60, basis=10, target="0.58")
    told = reasons(account, VTI=0.04)["VTI"]

    # Two shares: 180 of gain at 15 % is 27; ½ · 10 · 0.04 · 0.02² of 10,000 is 0.80.
    assert (told.cause, told.tax, told.deviation_benefit) == (Cause.NOT_WORTH_IT, 27, Decimal("0.80"))
    assert told.net_benefit == Decimal("-26.20")


def test_a_bar_is_told_in_its_own_words():
    account = an_account(cash=5000).holding("VTI", units=50, target="0.6", no_buy="the client said so")
    told = reasons(account, VTI=0.04)["VTI"]

    assert told.cause is Cause.BARRED
    assert told.sentence.endswith("It may not be bought: the client said so.")


def test_a_trade_below_the_minimum_is_told_with_the_minimum():
    account = an_account(cash=4500).holding("VTI", units=55, target="0.54", minimum_trade=500)

    assert reasons(account, VTI=0.04)["VTI"].sentence.endswith("smaller than the smallest, USD 500.00.")


def test_cash_that_is_not_there_is_the_limit_that_is_named():
    account = (
        an_account(cash=0)
        .holding("AAA", units=80, target="0.5", no_sell="locked")
        .holding("BBB", units=20, target="0.5")
    )
    told = reasons(account, AAA=0.04, BBB=0.04)

    assert told["AAA"].cause is Cause.BARRED
    assert told["BBB"].cause is Cause.LIMIT
    assert "cash floor" in told["BBB"].sentence


def test_where_no_plan_keeps_every_limit_that_is_why():
    # All of it sold is 3,000.91, less a commission of 0.99: it does not come to the floor.
    account = (
        an_account(cash=1000, cash_rule=CashRule(floor=Decimal(3000)))
        .holding("AAA", units=717, price="1.23", commission_per_trade="0.99")
        .holding("BBB", units=1119, price=1, target="0.98")
    )
    told = reasons(account, FAST, AAA=0.04, BBB=0.02)

    assert {each.cause for each in told.values()} == {Cause.LIMIT}
    assert told["BBB"].sentence.endswith("in tax, but no plan keeps every limit.")


@settings(max_examples=60)
@given(accounts(), risk_models())
def test_every_figure_is_the_structures_and_the_structures_are_the_objectives(problem, risk):
    decision = decide(problem, risk, FAST)
    convex = enter(problem, risk, jurisdiction(problem.tax.jurisdiction).view(problem))
    hold = plan_of(problem, convex, decision.trades)
    suffered = terms(convex, hold.sold, hold.bought)

    for told in not_traded(problem, risk, decision):
        amounts = (told.value, told.deviation_benefit, told.cost, told.tax, told.net_benefit)
        shown = {f"{abs(each):,.2f}" for each in amounts}
        shown |= {f"{each * 100:.2f}" for each in (told.weight, told.target_weight, told.trigger)}
        if told.cause in (Cause.NOT_WORTH_IT, Cause.NOT_TRIGGERED):
            for figure in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", told.sentence):
                assert figure in shown, told.sentence
        # No single trade can save more than all deviation there is.
        most = (
            (suffered.deviation + suffered.outside_band + suffered.idle_cash) / BPS_PER_ONE * float(problem.mix_value)
        )
        assert float(told.deviation_benefit) <= most + 0.01
        if told.cause is Cause.WITHIN_GAP:
            gap = float(decision.certificate.gap_bps) / BPS_PER_ONE * float(problem.mix_value)
            assert float(told.net_benefit) <= gap + 0.05
