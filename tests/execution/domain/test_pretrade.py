from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.domain.limits import DayLimit, LimitKey, LimitKind, Usage, usage_of
from services.execution.domain.pretrade import (
    Leaving,
    Reason,
    check_leaving,
    check_plan,
    pairs_needed,
    unit_cost_max,
)
from services.execution.domain.trading_state import Halt, Scope, ScopeKind, TradingState
from services.execution.domain.words import Side
from tests.execution.builders import LIMITS, NOON, VERSION, WIDE, a_plan, a_price, a_situation, a_trade

BUY, SELL = Side.BUY, Side.SELL


def reasons(plan, **situation):
    return [refusal.reason for refusal in check_plan(plan, a_situation(**situation))]


def test_a_sound_plan_is_taken():
    assert check_plan(a_plan(a_trade(), a_trade("BND", SELL)), a_situation()) == ()


def test_a_plan_expires_at_its_expire_time_and_not_before():
    assert reasons(a_plan(expire_time=NOON + timedelta(microseconds=1))) == []
    assert reasons(a_plan(expire_time=NOON)) == [Reason.PLAN_EXPIRED]


def test_every_policy_version_must_be_in_force():
    assert reasons(a_plan(policy_version_hashes=("sha256:other",))) == [Reason.PLAN_POLICY_NOT_IN_FORCE]


def test_an_instrument_is_traded_once_in_a_plan():
    assert reasons(a_plan(a_trade("VTI"), a_trade("VTI", SELL))) == [Reason.ORDER_DUPLICATE]


@pytest.mark.parametrize(
    "trade",
    [
        a_trade(quantity=0),
        a_trade(quantity=-1),
        a_trade(price=0),
        a_trade(price=-5),
        a_trade(quantity="1.5"),
        a_trade(increment=0),
        a_trade(side=SELL, quantity=11, held=10),
        a_trade(side=SELL, quantity=1, held=-1),
    ],
)
def test_a_trade_that_cannot_be_is_refused(trade):
    assert reasons(a_plan(trade)) == [Reason.TRADE_INVALID]


def test_all_that_is_held_may_be_sold():
    assert reasons(a_plan(a_trade(side=SELL, quantity=10, held=10))) == []


def test_order_limits_include_their_edge():
    limits = replace(LIMITS, order_quantity_max=Decimal(10), order_amount_max=Decimal(1000))

    assert reasons(a_plan(a_trade(quantity=10)), limits=limits) == []
    assert reasons(a_plan(a_trade(quantity=11)), limits=limits) == [Reason.LIMIT_EXCEEDED, Reason.LIMIT_EXCEEDED]


@pytest.mark.parametrize("kind", list(LimitKind))
def test_a_day_is_limited_by_count_and_by_value(kind):
    subject = {
        LimitKind.FIRM: "",
        LimitKind.HOUSEHOLD: "house-1",
        LimitKind.ACCOUNT: "acc-1",
        LimitKind.VENUE: "sandbox",
        LimitKind.INSTRUMENT: "VTI",
    }[kind]
    day = DayLimit(3, Decimal(5000), turnover_max=Decimal(2000))
    limits = replace(LIMITS, days=dict.fromkeys(LimitKind, WIDE) | {kind: day})
    plan = a_plan(household_id="house-1")

    def used(orders, amount, sold=0):
        return {LimitKey(kind, subject): Usage(orders, Decimal(amount), Decimal(sold))}

    assert reasons(plan, limits=limits, usage=used(2, 4000)) == []
    assert reasons(plan, limits=limits, usage=used(3, 0)) == [Reason.LIMIT_EXCEEDED]
    assert reasons(plan, limits=limits, usage=used(0, 4001)) == [Reason.LIMIT_EXCEEDED]
    # With what the plan buys, 2000 are bought and 2000 sold; then one more.
    assert reasons(plan, limits=limits, usage=used(0, 3000, sold=2000)) == []
    assert reasons(plan, limits=limits, usage=used(0, 3002, sold=2001)) == [Reason.LIMIT_EXCEEDED]


def test_what_a_plan_uses_is_counted_for_everything_it_concerns():
    plan = a_plan(a_trade("VTI", quantity=1), a_trade("BND", SELL, 2), household_id="house-1")
    used = usage_of(plan, "sandbox")

    assert used == {
        LimitKey(LimitKind.FIRM): Usage(2, Decimal(300), Decimal(200)),
        LimitKey(LimitKind.HOUSEHOLD, "house-1"): Usage(2, Decimal(300), Decimal(200)),
        LimitKey(LimitKind.ACCOUNT, "acc-1"): Usage(2, Decimal(300), Decimal(200)),
        LimitKey(LimitKind.VENUE, "sandbox"): Usage(2, Decimal(300), Decimal(200)),
        LimitKey(LimitKind.INSTRUMENT, "VTI"): Usage(1, Decimal(100)),
        LimitKey(LimitKind.INSTRUMENT, "BND"): Usage(1, Decimal(200), Decimal(200)),
    }
    assert used[LimitKey(LimitKind.FIRM)].turnover == 100
    assert LimitKind.HOUSEHOLD not in {key.kind for key in usage_of(a_plan(), "sandbox")}


def test_a_trade_abroad_counts_twice_once_as_the_leg_that_turns_its_money():
    abroad, pair = a_price(price=100, currency="EUR"), a_price("EUR/USD", 1)
    plan = a_plan(a_trade(), a_trade("BND", SELL, 2), household_id="house-1")
    prices = {each.instrument_id: each for each in (abroad, pair, a_price("BND"))}
    used = usage_of(plan, "sandbox", pairs_needed(plan, prices))
    whole = Usage(3, Decimal(2200), Decimal(200))

    assert used == {
        LimitKey(LimitKind.FIRM): whole,
        LimitKey(LimitKind.HOUSEHOLD, "house-1"): whole,
        LimitKey(LimitKind.ACCOUNT, "acc-1"): whole,
        LimitKey(LimitKind.VENUE, "sandbox"): whole,
        LimitKey(LimitKind.INSTRUMENT, "VTI"): Usage(1, Decimal(1000)),
        LimitKey(LimitKind.INSTRUMENT, "EUR/USD"): Usage(1, Decimal(1000)),
        LimitKey(LimitKind.INSTRUMENT, "BND"): Usage(1, Decimal(200), Decimal(200)),
    }


@pytest.mark.parametrize("kind", LimitKind)
@pytest.mark.parametrize("limit", [DayLimit(1, Decimal("1e12")), DayLimit(9, Decimal(1999))])
def test_a_leg_that_the_day_has_no_room_for_stops_the_order_before_it_is_sent(kind, limit):
    prices = [a_price(price=100, currency="EUR"), a_price("EUR/USD", 1)]
    plan = a_plan(household_id="house-1")
    # The order alone, or the order and its leg: of instruments, each is counted by itself.
    spent = {LimitKey(kind, "EUR/USD"): Usage(1, Decimal(1000))} if kind is LimitKind.INSTRUMENT else {}
    situation = a_situation(*prices, limits=replace(LIMITS, days=LIMITS.days | {kind: limit}), usage=spent)

    assert [each.reason for each in check_plan(plan, situation)] == [Reason.LIMIT_EXCEEDED]
    assert check_plan(plan, replace(situation, prices={"VTI": a_price()})) == ()


def test_what_cannot_be_turned_is_not_sent():
    prices = [a_price(price=100, currency="EUR"), a_price("EUR/USD", 1)]
    restricted = a_situation(*prices, restricted=frozenset({"EUR/USD"}))
    scope = Scope(ScopeKind.INSTRUMENT, "EUR/USD")
    halted = a_situation(*prices, halts={scope: Halt(scope, TradingState.HALTED, "ruth", NOON, "storm")})

    for situation, reason in ((restricted, Reason.INSTRUMENT_RESTRICTED), (halted, Reason.TRADING_HALTED)):
        (refusal,) = check_plan(a_plan(), situation)
        assert (refusal.reason, refusal.instrument_id) == (reason, "VTI")
        assert "EUR/USD, by which it is turned into USD" in refusal.description
        leaving = Leaving("acc-1", "VTI", BUY, Decimal(100), None, "USD", NOON + timedelta(hours=1), (VERSION,))
        assert [each.reason for each in check_leaving(leaving, situation)] == [reason]
        assert check_plan(a_plan(), replace(situation, prices={"VTI": a_price()})) == ()


def test_prices_outside_the_collar_are_refused_either_way():
    for price, allowed in ((95, True), (105, True), ("94.99", False), ("105.01", False)):
        assert (reasons(a_plan(a_trade(price=price))) == []) is allowed


def test_a_limit_that_rounds_to_nothing_is_refused():
    plan = a_plan(a_trade(price="0.004"), limit_bps=0)

    assert [each.reason for each in check_plan(plan, a_situation(a_price(price="0.004")))] == [Reason.TRADE_INVALID]


def test_a_limit_may_wait_but_not_reach_beyond_the_collar():
    assert reasons(a_plan(limit_bps=500)) == []
    assert reasons(a_plan(limit_bps=501)) == [Reason.PRICE_OUTSIDE_COLLAR]
    assert reasons(a_plan(limit_bps=-900)) == []


def test_no_fresh_reference_price_no_trade():
    day = timedelta(hours=24)
    just_too_old = NOON - day - timedelta(microseconds=1)

    def with_price(price):
        return [refusal.reason for refusal in check_plan(a_plan(), a_situation(price))]

    assert with_price(a_price(at=NOON - day)) == []
    assert with_price(a_price(at=just_too_old)) == [Reason.REFERENCE_STALE]
    assert with_price(a_price("OTHER")) == [Reason.REFERENCE_STALE]
    assert with_price(a_price(currency="EUR")) == [Reason.REFERENCE_STALE]


def test_restricted_instruments_are_refused():
    assert reasons(a_plan(), restricted=frozenset({"VTI"})) == [Reason.INSTRUMENT_RESTRICTED]


def test_a_second_open_order_in_the_same_instrument_is_a_duplicate():
    assert reasons(a_plan(), open_instruments=frozenset({("acc-1", "VTI")})) == [Reason.ORDER_DUPLICATE]
    assert reasons(a_plan(), open_instruments=frozenset({("acc-2", "VTI")})) == []


@pytest.mark.parametrize(
    "scope",
    [
        Scope(ScopeKind.ALL),
        Scope(ScopeKind.VENUE, "sandbox"),
        Scope(ScopeKind.INSTRUMENT, "VTI"),
        Scope(ScopeKind.ACCOUNT, "acc-1"),
    ],
)
def test_a_halt_of_any_scope_that_covers_the_order_refuses_it(scope):
    def halted(state):
        return {scope: Halt(scope, state, "ruth", NOON, "storm")}

    assert reasons(a_plan(), halts=halted(TradingState.HALTED)) == [Reason.TRADING_HALTED]
    assert reasons(a_plan(), halts=halted(TradingState.REDUCING)) == [Reason.TRADING_HALTED]
    assert reasons(a_plan(a_trade(side=SELL)), halts=halted(TradingState.REDUCING)) == []
    assert reasons(a_plan(a_trade(side=SELL)), halts=halted(TradingState.HALTED)) == [Reason.TRADING_HALTED]


def test_a_halt_elsewhere_does_not_matter():
    scope = Scope(ScopeKind.ACCOUNT, "acc-2")

    assert reasons(a_plan(), halts={scope: Halt(scope, TradingState.HALTED, "ruth", NOON, "storm")}) == []


def test_buys_must_be_covered_by_cash_and_sells():
    buy, sell = a_trade("VTI", quantity=20), a_trade("BND", SELL, quantity=10)

    assert reasons(a_plan(buy, sell, cash=1000)) == []
    assert reasons(a_plan(buy, sell, cash="999.99")) == [Reason.CASH_INSUFFICIENT]
    assert reasons(a_plan(sell, cash="-0.01")) == [Reason.CASH_INSUFFICIENT]


def test_buys_use_only_what_sells_bring_above_a_shortfall_of_cash():
    buy, sell = a_trade(quantity=10), a_trade(instrument="BND", side=Side.SELL, quantity=20)

    assert reasons(a_plan(buy, sell, cash=0, cash_shortfall=Decimal(1000))) == []
    assert reasons(a_plan(buy, sell, cash=0, cash_shortfall=Decimal("1000.01"))) == [Reason.CASH_INSUFFICIENT]
    assert reasons(a_plan(sell, cash=0, cash_shortfall=Decimal(5000))) == []
    assert reasons(a_plan(sell, cash=1, cash_shortfall=Decimal(1))) == [Reason.CASH_INSUFFICIENT]
    assert reasons(a_plan(sell, cash=0, cash_shortfall=Decimal(-1))) == [Reason.CASH_INSUFFICIENT]


def test_a_refusal_says_the_value_and_the_limit_and_all_that_is_wrong():
    plan = a_plan(a_trade(quantity=20, price=120), cash=100, expire_time=NOON)

    refusals = check_plan(plan, a_situation())

    assert [refusal.reason for refusal in refusals] == [
        Reason.PLAN_EXPIRED,
        Reason.PRICE_OUTSIDE_COLLAR,
        Reason.CASH_INSUFFICIENT,
    ]
    assert refusals[1].description == "price must be within 5 of the reference 100, was 120"
    assert refusals[1].instrument_id == "VTI"


def test_money_is_set_aside_above_the_reference_or_the_limit():
    assert unit_cost_max(a_plan(), a_trade(price=99), a_price(), LIMITS) == 101
    assert unit_cost_max(a_plan(limit_bps=100), a_trade(price=100), a_price(), LIMITS) == Decimal("102.01")


def test_a_reference_in_another_currency_counts_by_the_rate_of_its_pair():
    abroad, pair = a_price(price="83.50", currency="EUR"), a_price("EUR/USD", "1.2")
    old = a_price("EUR/USD", "1.2", at=NOON - LIMITS.price_age_max - timedelta(microseconds=1))

    def reasons(*prices, **fields):
        return [each.reason for each in check_plan(a_plan(), a_situation(*prices, **fields))]

    # 83.50 EUR are 100.20 USD: within the collar. At 1.3 they are 108.55 USD.
    assert reasons(abroad, pair) == []
    assert reasons(abroad, a_price("EUR/USD", "1.3")) == [Reason.PRICE_OUTSIDE_COLLAR]
    assert reasons(abroad, old) == [Reason.REFERENCE_STALE]
    assert reasons(abroad) == [Reason.REFERENCE_STALE]
    assert reasons(abroad, pair, trades_currencies=False) == [Reason.TRADE_INVALID]
