from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.decide import decide
from services.decision.domain.decision import Character, LotSale, Trade, TradeCost
from services.decision.domain.problem import DecideOptions, Side, TaxProfile
from services.decision.domain.tax.united_states import (
    UnitedStates,
    long_term_from,
    marginal_rates,
)
from services.decision.domain.tax.windows import within_window
from tests.support.portfolios import TODAY, US_TAXABLE, a_loss_sale, a_lot, a_purchase, an_account, independent

ZERO = Decimal(0)
AT_ONCE = DecideOptions(ignore_triggers=True)


@pytest.mark.parametrize(
    ("acquired", "long_from"),
    [
        # IRS Publication 550: bought on 5 February, long-term from 6 February of the next year.
        (date(2021, 2, 5), date(2022, 2, 6)),
        # Rev. Rul. 66-7: bought on the last day of a month, long-term from the first of the thirteenth month after it.
        (date(2021, 4, 30), date(2022, 5, 1)),
        (date(2021, 1, 31), date(2022, 2, 1)),
        (date(2021, 12, 31), date(2023, 1, 1)),
        # The last of February, in common years and around leap years.
        (date(2021, 2, 28), date(2022, 3, 1)),
        (date(2023, 2, 28), date(2024, 3, 1)),
        (date(2024, 2, 29), date(2025, 3, 1)),
        # Not the last day in a leap year, and no 29 February a year later.
        (date(2024, 2, 28), date(2025, 3, 1)),
        # Over 29 February a year has 366 days: more than 365 days is not enough.
        (date(2023, 6, 15), date(2024, 6, 16)),
    ],
)
def test_a_lot_is_long_term_from_the_day_after_its_anniversary(acquired, long_from):
    assert long_term_from(acquired) == long_from


@given(st.dates(date(1950, 1, 1), date(2090, 1, 1)))
def test_long_term_begins_366_or_367_days_after_acquisition(acquired):
    assert (long_term_from(acquired) - acquired).days in (366, 367)


@pytest.mark.parametrize(("days", "inside"), [(0, True), (1, True), (30, True), (31, False)])
def test_the_window_has_30_days_each_side_and_its_edges_are_inside(days, inside):
    day = timedelta(days=days)

    assert within_window(TODAY, TODAY - day) is inside
    assert within_window(TODAY, TODAY + day) is inside


def test_the_window_has_61_days():
    days = [TODAY + timedelta(days=offset) for offset in range(-100, 101)]

    assert sum(within_window(TODAY, day) for day in days) == 61


@pytest.mark.parametrize(("days", "forbidden"), [(0, True), (30, True), (31, False)])
def test_what_was_sold_at_a_loss_may_not_be_bought_for_30_days(days, forbidden):
    account = an_account(cash=1000, tax=US_TAXABLE).holding("VTI", target=1)
    sold = a_loss_sale("VTI", TODAY - timedelta(days=days))

    assert ("VTI" in UnitedStates().view(account.having(recent_trades=(sold,)).build()).no_buy) is forbidden


@pytest.mark.parametrize(("days", "forbidden"), [(0, True), (30, True), (31, False)])
def test_a_loss_may_not_be_sold_for_30_days_after_another_purchase(days, forbidden):
    lots = [a_lot("old", 10, 150), a_lot("new", 1, 90, TODAY - timedelta(days=days))]
    view = UnitedStates().view(an_account(tax=US_TAXABLE).holding("VTI", lots=lots).build())

    assert (view.lots["old"].no_sell is not None) is forbidden
    assert view.lots["new"].no_sell is None, "a gain is never a wash sale"


def test_a_purchase_that_is_no_longer_held_still_forbids_the_loss():
    bought = a_purchase("VTI", TODAY - timedelta(days=10))
    account = an_account(tax=US_TAXABLE, recent_trades=(bought,)).holding("VTI", units=10, basis=150)

    assert UnitedStates().view(account.build()).lots["VTI-1"].no_sell is not None


def test_shares_of_one_purchase_are_no_replacement_of_each_other():
    # Rev. Rul. 56-602: bought as one lot ten days ago, sold in part at a loss to reduce the holding.
    yesterday = TODAY - timedelta(days=10)
    bought = a_purchase("VTI", yesterday)
    account = an_account(tax=US_TAXABLE, recent_trades=(bought,)).holding(
        "VTI", units=10, basis=150, acquired=yesterday
    )

    assert UnitedStates().view(account.build()).lots["VTI-1"].no_sell is None


def test_identical_instruments_are_one_to_the_window():
    yesterday = TODAY - timedelta(days=1)
    account = (
        an_account(cash=1000, tax=US_TAXABLE)
        .holding("VTI", units=10, basis=150, identity_set="us-total")
        .holding("ITOT", units=1, acquired=yesterday, target="0.5", identity_set="us-total")
        .holding("VXUS", target="0.1")
    )
    view = UnitedStates().view(account.build())
    after_loss = UnitedStates().view(account.having(recent_trades=(a_loss_sale("VTI", yesterday),)).build())

    assert "bought again on 2022-12-27" in str(view.lots["VTI-1"].no_sell)
    assert sorted(after_loss.no_buy) == ["ITOT", "VTI"]


def test_a_plan_does_not_buy_what_is_identical_to_what_it_sells_at_a_loss():
    account = (
        an_account(cash=1000, tax=US_TAXABLE)
        .holding("VTI", units=60, basis=200, target="0.2", identity_set="us-total")
        .holding("ITOT", units=30, target="0.7", identity_set="us-total")
    )
    decision = decide(account.build(), independent(VTI=0.04, ITOT=0.04), AT_ONCE)
    separate = tuple(replace(holding, identity_set=None) for holding in account.parts["holdings"])
    free = decide(account.having(holdings=separate).build(), independent(VTI=0.04, ITOT=0.04), AT_ONCE)

    assert {trade.side for trade in free.trades} == {Side.SELL, Side.BUY}
    assert {trade.side for trade in decision.trades} == {Side.SELL}


@pytest.mark.parametrize(
    ("carried", "rates"),
    [
        # Nothing carried: the rates as they are.
        ((0, 0), ("0.35", "0.15")),
        # A carried short-term loss swallows what short-term gain there is, and the next is netted with long-term.
        ((1500, 0), ("0.15", "0.15")),
        # A carried long-term loss leaves only short-term gain.
        ((0, 1500), ("0.35", "0.35")),
        # More is carried than was gained: a gain only uses it up.
        ((5000, 5000), ("0.15", "0.15")),
    ],
)
def test_carried_losses_meet_the_gains_of_the_year_before_they_are_taxed(carried, rates):
    profile = replace(
        US_TAXABLE, realized_short=Decimal(1000), realized_long=Decimal(1000),
        carried_short=Decimal(carried[0]), carried_long=Decimal(carried[1]),
    )  # fmt: skip

    assert marginal_rates(profile) == tuple(Decimal(rate) for rate in rates)


def test_inside_a_wrapper_nothing_is_taxed_and_nothing_forbidden():
    lots = [a_lot("old", 10, 150), a_lot("new", 1, 90, TODAY)]
    account = an_account(recent_trades=(a_loss_sale("VTI", TODAY),)).holding("VTI", lots=lots)
    view = UnitedStates().view(account.build())

    assert view.no_buy == {}
    assert {(lot.character, lot.rate, lot.no_sell) for lot in view.lots.values()} == {(Character.EXEMPT, ZERO, None)}


@pytest.mark.parametrize(
    ("short", "long", "rates"),
    [
        (0, 0, ("0.35", "0.15")),
        (100, 200, ("0.35", "0.15")),
        # Short losses eat long gains: one more of either is taxed as a long gain.
        (-100, 200, ("0.15", "0.15")),
        # Long losses eat short gains.
        (200, -100, ("0.35", "0.35")),
        # A net loss: a gain only uses up what would be carried.
        (-100, 50, ("0.15", "0.15")),
        (-100, 100, ("0.15", "0.15")),
    ],
)
def test_the_marginal_rate_follows_the_netting_of_the_year(short, long, rates):
    profile = TaxProfile(
        "US", True, Decimal("0.35"), Decimal("0.15"), realized_short=Decimal(short), realized_long=Decimal(long)
    )

    assert marginal_rates(profile) == tuple(map(Decimal, rates))


def test_character_changes_on_the_day_after_the_anniversary():
    acquired = date(2021, 12, 27)
    lot = [a_lot("a", 1, 50, acquired)]

    def character(day):
        account = an_account(tax=US_TAXABLE, as_of_date=day).holding("VTI", lots=lot)
        return UnitedStates().view(account.build()).lots["a"]

    assert character(date(2022, 12, 27)).character is Character.SHORT
    assert character(date(2022, 12, 27)).rate == Decimal("0.35")
    assert character(date(2022, 12, 28)).character is Character.LONG
    assert character(date(2022, 12, 28)).rate == Decimal("0.15")


def _sale_at_a_loss() -> Trade:
    sale = LotSale("VTI-1", date(2015, 3, 2), Decimal(1), Decimal(100), Decimal(150), Decimal(-50), Character.LONG,
                   Decimal("0.15"), Decimal("-7.50"))  # fmt: skip
    return Trade("VTI", Side.SELL, Decimal(1), Decimal(100), Decimal(100), TradeCost(ZERO, ZERO, ZERO), (sale,))


def _purchase() -> Trade:
    return Trade("VTI", Side.BUY, Decimal(1), Decimal(100), Decimal(100), TradeCost(ZERO, ZERO, ZERO))


def test_a_plan_that_makes_a_wash_sale_is_told_so():
    account = an_account(cash=1000, tax=US_TAXABLE).holding("VTI", units=10, basis=150)
    rules = UnitedStates()

    assert rules.broken_rules(account.build(), (_sale_at_a_loss(),)) == ()
    assert len(rules.broken_rules(account.build(), (_sale_at_a_loss(), _purchase()))) == 1
    after_loss = account.having(recent_trades=(a_loss_sale("VTI", TODAY - timedelta(days=30)),))
    assert len(rules.broken_rules(after_loss.build(), (_purchase(),))) == 1
    after_purchase = account.having(recent_trades=(a_purchase("VTI", TODAY - timedelta(days=30)),))
    assert len(rules.broken_rules(after_purchase.build(), (_sale_at_a_loss(),))) == 1
    exempt = account.having(tax=TaxProfile("US", taxable=False))
    assert rules.broken_rules(exempt.build(), (_sale_at_a_loss(), _purchase())) == ()


def test_no_plan_buys_what_it_sells_at_a_loss():
    # The harvest is worth more than the way back to the target, so the account sells and does not buy again.
    account = an_account(cash=5000, tax=US_TAXABLE).holding("VTI", units=50, basis=200, target=1)
    decision = decide(account.build(), independent(VTI=0.01), DecideOptions())

    assert [trade.side for trade in decision.trades] == [Side.SELL]
