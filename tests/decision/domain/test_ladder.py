"""Rebalancing in steps, by flows alone, and by what all deviations come to."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from services.decision.domain.bulk.deciding import decide_many
from services.decision.domain.checker import violations
from services.decision.domain.decide import decide
from services.decision.domain.decision import Character, NoTradeReason, TriggerKind
from services.decision.domain.gain_rules import GainRules
from services.decision.domain.ladder import after
from services.decision.domain.problem import CashRule, DecideOptions, Engine, Ladder, RecentTrade, Side, TotalTriggers
from services.decision.domain.tax_years import in_year
from tests.support.portfolios import TODAY, US_TAXABLE, a_lot, a_market, an_account, independent

FAST = DecideOptions(engine=Engine.KERNEL)
RISK = a_market(1, ["AAA", "BBB"])


def a_drifted_account(**parts):
    return (
        an_account(cash=1000, **parts)
        .holding("AAA", units=70, target="0.5", trigger="0.02")
        .holding("BBB", units=20, target="0.4", trigger="0.02")
    )


def test_the_first_step_trades_its_share_and_the_others_are_meant_after_it():
    at_once = decide(a_drifted_account().build(), RISK, FAST)
    laddered = a_drifted_account(ladder=Ladder(steps=4, days=5)).build()
    first = decide(laddered, RISK, FAST)

    full = sum(trade.value for trade in at_once.trades)
    assert 0 < sum(trade.value for trade in first.trades) <= full / 4
    steps = first.explanation.ladder
    assert [each.step_date for each in steps] == [TODAY + timedelta(days=5 * number) for number in (1, 2, 3)]
    drifts = [first.explanation.summary.drift_after, *(each.drift_after for each in steps)]
    assert drifts == sorted(drifts, reverse=True)
    # The last step arrives where all at once does.
    assert drifts[-1] <= at_once.explanation.summary.drift_after + Decimal("0.01")
    assert violations(laddered, first.trades) == ()
    assert "This is one step of 4" in first.explanation.summary.sentence
    assert [each.kind for each in first.explanation.triggers] == [TriggerKind.DRIFT, TriggerKind.DRIFT]


def test_the_next_step_waits_for_its_day_unless_money_asks():
    made = RecentTrade("AAA", Side.SELL, TODAY - timedelta(days=3))
    waiting = a_drifted_account(ladder=Ladder(4, 5)).having(recent_trades=(made,))
    decision = decide(waiting.build(), RISK, FAST)
    due = decide(
        waiting.having(recent_trades=(replace(made, trade_date=TODAY - timedelta(days=5)),)).build(), RISK, FAST
    )
    urgent = decide(waiting.having(cash_rule=CashRule(floor=Decimal(1500))).build(), RISK, FAST)

    assert (decision.trades, decision.explanation.no_trade_reason) == ((), NoTradeReason.BETWEEN_STEPS)
    assert str(TODAY + timedelta(days=2)) in decision.explanation.summary.sentence
    assert due.trades
    assert urgent.trades


def test_a_step_moves_lots_cash_gains_and_the_day():
    account = (
        an_account(cash=1000, tax=US_TAXABLE)
        .holding("AAA", lots=[a_lot("a-1", 50, 80), a_lot("a-2", 20, 100)], target="0.5")
        .holding("BBB", units=20, target="0.4")
    )
    problem = account.build()
    decision = decide(problem, RISK, DecideOptions(ignore_triggers=True))
    said = GainRules(US_TAXABLE.long_rate)
    later = after(problem, decision.trades, 5, said)

    sold = next(trade for trade in decision.trades if trade.side is Side.SELL)
    assert later.mix_value == problem.mix_value - decision.explanation.summary.cost
    assert later.as_of_date == TODAY + timedelta(days=5)
    # The year has ended meanwhile, and with it what was realized in it: a gain carries nothing on.
    assert TODAY.year != later.as_of_date.year
    assert (later.tax.realized_short, later.tax.realized_long) == (0, 0)
    assert after(problem, decision.trades, 1, said).tax.realized_long == sum(
        each.gain for each in sold.lot_sales if each.character is Character.LONG
    )
    holding = next(each for each in later.holdings if each.instrument_id == sold.instrument_id)
    assert holding.quantity == 70 - sold.quantity
    assert {each.trade_date for each in later.recent_trades} == {TODAY}


def test_a_new_tax_year_has_its_own_gain_budget_and_brings_the_old_ones_losses():
    said = GainRules(Decimal("0.15"), gain_budget=Decimal(900), gain_budgets={2023: Decimal(2_000)})
    tax = replace(US_TAXABLE, gain_budget=Decimal(900), realized_short=Decimal(-5_000), realized_long=Decimal(1_000))
    problem = an_account(cash=1000, tax=tax).holding("AAA", units=70, target="0.5").build()
    later = after(problem, (), 5, said).tax

    assert later.gain_budget == 2_000
    assert (later.realized_short, later.realized_long) == (0, 0)
    # 4,000 of loss: 26 U.S.C. § 1211(b) takes 3,000 off other income, § 1212(b) carries the rest as short-term.
    assert (later.carried_short, later.carried_long) == (1_000, 0)
    # A year on, nothing is left of it, and the budget is that of any year.
    far = after(problem, (), 370, said).tax
    assert (far.gain_budget, far.carried_short) == (900, 0)


def test_the_steps_of_a_ladder_over_a_years_end_use_both_years_budgets():
    # 20 a unit of gain, and 3 units may be sold in the old year, all 20 that are asked for in the new one.
    said = GainRules(Decimal("0.15"), gain_budget=Decimal(1_000), gain_budgets={2022: Decimal(60)})
    account = (
        an_account(cash=1000, tax=replace(US_TAXABLE, gain_budget=Decimal(60)))
        .holding("AAA", units=70, basis=80, target="0.5", trigger="0.02")
        .holding("BBB", units=20, target="0.4", trigger="0.02")
        .caring(band_excess_price=1)
    )
    first = decide(account.having(ladder=Ladder(4, 5, said)).build(), RISK, FAST)
    steps = first.explanation.ladder

    assert sum(trade.value for trade in first.trades if trade.side is Side.SELL) == 300
    assert sum(each.sold_value for each in steps) > 1_000


def test_a_gain_harvest_ends_with_its_room_and_begins_anew_with_the_year():
    said = GainRules(Decimal("0.15"), harvest_room=Decimal(1_000))
    problem = an_account(cash=1000, tax=in_year(US_TAXABLE, said, 2022)).holding("AAA", units=70, basis=80).build()
    sale = decide(problem, a_market(1, ["AAA"]), DecideOptions(ignore_triggers=True)).trades

    assert sum(each.gain for trade in sale for each in trade.lot_sales) == 1_000
    assert problem.tax.gain_credit == Decimal("0.15")
    spent, anew = after(problem, sale, 1, said).tax, after(problem, sale, 5, said).tax
    assert (spent.long_rate, spent.gain_budget, spent.gain_credit) == (Decimal("0.15"), None, 0)
    assert (anew.long_rate, anew.gain_budget, anew.gain_credit) == (0, 1_000, Decimal("0.15"))


def test_money_that_came_is_only_bought_for_and_money_that_is_missing_only_sold_for():
    # Inside the trigger, but off the target enough that selling AAA would pay.
    account = (
        an_account(cash=1500)
        .holding("AAA", units=55, target="0.5", trigger="0.2", spread_bps=2, increment="0.001")
        .holding("BBB", units=30, target="0.4", trigger="0.2", spread_bps=2, increment="0.001")
    )
    came = decide(account.having(cash_rule=CashRule(flow=Decimal(500))).build(), RISK, FAST)
    missing = decide(account.having(cash_rule=CashRule(floor=Decimal(2500))).build(), RISK, FAST)
    asked = decide(account.build(), RISK, replace(FAST, ignore_triggers=True))

    assert {trade.side for trade in came.trades} == {Side.BUY}
    assert {trade.side for trade in missing.trades} == {Side.SELL}
    assert {trade.side for trade in asked.trades} == {Side.BUY, Side.SELL}
    assert all(each.certificate.gap_bps < 5 for each in (came, missing, asked))


def test_what_the_columns_do_not_know_takes_the_other_road():
    account = an_account(cash=4500).holding("AAA", units=55, target="0.5", trigger="0.2")
    flow = account.having(cash_rule=CashRule(flow=Decimal(500))).build()
    ladder = a_drifted_account(ladder=Ladder(4, 5)).build()
    risk = a_market(1, ["AAA", "BBB"])

    assert decide_many([flow, ladder], risk, [FAST, FAST]) == [None, None]
    assert decide_many([account.build()], risk, [replace(FAST, event="merger")]) == [None]


def test_nothing_is_bought_that_a_known_withdrawal_will_sell():
    account = an_account(cash=10_000, cash_rule=CashRule(withdrawal=Decimal(9_000))).holding(
        "AAA", units=0, target="0.9", trigger="0.02"
    )
    decision = decide(account.build(), independent(AAA=0.04), FAST)

    assert [(trade.side, trade.value) for trade in decision.trades] == [(Side.BUY, Decimal(900))]
    assert decision.explanation.summary.cash_after >= 9_000


@pytest.mark.parametrize(("limit", "asks"), [("0.2", False), ("0.1999", True)])
def test_all_deviations_together_ask_above_their_limit_and_not_at_it(limit, asks):
    # 0.2 above, 0.2 below.
    account = (
        an_account(cash=1000, total_triggers=TotalTriggers(drift=Decimal(limit)))
        .holding("AAA", units=70, target="0.5", trigger="0.5")
        .holding("BBB", units=20, target="0.4", trigger="0.5")
    )
    decision = decide(account.build(), RISK, FAST)

    kinds = [each.kind for each in decision.explanation.triggers]
    assert kinds == ([TriggerKind.TOTAL_DRIFT] if asks else [])
    figures = decision.explanation.summary.drift_figures_before
    assert (figures.half_sum, figures.largest) == (Decimal("0.200000"), Decimal("0.200000"))
    assert figures.largest_relative == Decimal("0.500000")
    assert figures.euclidean == Decimal("0.282843")


def test_tracking_error_and_events_ask_too():
    account = an_account(cash=4000).holding("VTI", units=60, target="0.5", trigger="0.5")
    # A deviation of 0.1 at a volatility of 0.2.
    above = account.having(total_triggers=TotalTriggers(tracking_error=Decimal("0.0199"))).build()
    below = account.having(total_triggers=TotalTriggers(tracking_error=Decimal("0.0201"))).build()
    event = decide(account.build(), independent(VTI=0.04), replace(FAST, event="merger of AAA and BBB"))

    kinds = [each.kind for each in decide(above, independent(VTI=0.04), FAST).explanation.triggers]
    assert kinds == [TriggerKind.TRACKING_ERROR]
    assert decide(below, independent(VTI=0.04), FAST).explanation.triggers == ()
    (trigger,) = event.explanation.triggers
    assert (trigger.kind, trigger.sentence) == (TriggerKind.EVENT, "Something happened: merger of AAA and BBB.")
    assert event.trades
