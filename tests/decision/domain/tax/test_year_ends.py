"""Year-ends of many taxpayers: columns and the exact assessment say the same, and each error is one taxpayer's."""

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    Disposal,
    Gift,
    History,
    LotMethod,
    Recipient,
    Split,
    TaxAccount,
)
from services.decision.domain.tax.assessment.results import SoldMoreThanHeld
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import YEARS
from services.decision.domain.tax.year_end import Window, exact_year_end
from services.decision.domain.tax.year_ends import Said, year_ends
from tests.decision.domain.tax.test_year_end import ACCOUNTS, PRICES, TODAY, YEAR, household

QUOTED = {asset: price for asset, price in PRICES.items() if price}


def bought(lot_id, day, units, cost, account="A", asset="SPY", **more):
    return Acquisition(lot_id, date.fromisoformat(day), account, asset, Decimal(units), Decimal(cost), **more)


def sold(sale_id, day, units, proceeds, account="A", asset="SPY", **more):
    return Disposal(sale_id, date.fromisoformat(day), account, asset, Decimal(units), Decimal(proceeds), **more)


def splits(chosen, history):
    """Sometimes a split of an asset that is identical to no other, so that columns can say it."""
    if chosen.random() < 0.5:
        return history
    day = date(2025, 1, 1) + timedelta(days=chosen.randint(0, 300))
    return replace(history, splits=(Split(day, "BND", chosen.randint(1, 4), chosen.choice((1, 2, 5))),))


def holds(history):
    """A split may leave less than what is sold after it: such a history is broken, and stays out."""
    try:
        UnitedStatesYear().assess(history, YEAR)
    except SoldMoreThanHeld:
        return False
    return True


def test_both_roads_agree_in_everything_and_most_households_go_by_columns():
    chosen = random.Random(7)
    said = [(rules, splits(chosen, history)) for rules, history in (household(chosen) for _ in range(120))]
    said = [Said(rules, history) for rules, history in said if holds(history)]

    fast = year_ends(said, YEAR, TODAY, QUOTED)

    exact = [exact_year_end(each.rules, each.history, YEAR, TODAY, QUOTED) for each in said]
    assert [replace(each, compiled=False) for each in fast] == exact
    assert sum(each.compiled for each in fast) > 0.9 * len(said)
    assert any(each.windows for each in exact)
    assert any(loss.free_date for each in exact for loss in each.losses)
    assert any(each.savings for each in exact)


def test_losses_of_earlier_years_are_carried_by_kind_and_cap_also_by_columns():
    history = History(
        ACCOUNTS,
        (bought("l1", "2020-01-02", 10, 30_000), bought("l2", "2022-06-01", 10, 9_000, asset="VOO")),
        (sold("s1", "2021-03-01", 10, 10_000), sold("s2", "2023-01-10", 10, 2_000, asset="VOO")),
    )
    rules = UnitedStatesYear(ordinary_income=Decimal(100_000), short_brought_forward=Decimal(100))
    (fast,) = year_ends([Said(rules, history)], YEAR, TODAY, {})

    amounts = {line.name: line.amount for line in fast.lines}
    # 20,000 long-term less 3,000 in 2021 and 2022; then 7,000 short-term, of which 3,000 in 2023 and 2024 each.
    assert amounts["net_short_term"] == -1_100
    assert amounts["net_long_term"] == -14_000
    assert amounts["loss_deducted"] == 3_000
    assert fast.compiled


@pytest.mark.parametrize(
    "history",
    [
        History(ACCOUNTS, (bought("l", "2024-01-02", 1, 9),), gifts=(
            Gift("g", date(2025, 2, 3), "A", "SPY", Decimal(1), Decimal(9), Recipient.CHARITY),)),
        History(ACCOUNTS, (bought("l", "2024-01-02", 1, "9.005"),)),
        History(ACCOUNTS, (bought("l", "2024-01-02", "0.0000001", 9),)),
        History(ACCOUNTS, (bought("l", "2024-01-02", 1, 10**10),)),
        History(ACCOUNTS, (bought("l", "2024-01-02", 2, 9),), (
            sold("s", "2025-01-02", 1, 5, method=LotMethod.HIGHEST_COST),)),
        History(ACCOUNTS, (bought("l", "2024-01-02", 2, 9),), splits=(Split(date(2025, 1, 2), "SPY", 3, 1),),
                identical={"SPY": "S&P", "VOO": "S&P"}),
        History(ACCOUNTS, (bought("l", "2024-01-02", 2, 9), bought("v", "2024-01-02", 2, 9, asset="VOO")), (
            sold("s", "2025-01-02", 1, 5), sold("t", "2025-03-02", 1, 5)),
            identical_from=((date(2025, 2, 1), {"SPY": "S&P", "VOO": "S&P"}),)),
    ],
)  # fmt: skip
def test_what_columns_cannot_say_goes_by_the_exact_road(history):
    rules = UnitedStatesYear()
    settled = rules.settled(history)
    (got,) = year_ends([Said(rules, settled)], YEAR, TODAY, QUOTED)

    # A split of one of identical assets matters only where both are there.
    both = len(history.groups_in_order[0]) > 1 or not history.splits
    assert got.compiled is not both
    assert replace(got, compiled=False) == exact_year_end(rules, settled, YEAR, TODAY, QUOTED)


def test_a_split_of_one_of_identical_assets_goes_by_the_exact_road():
    history = History(
        ACCOUNTS,
        (bought("l", "2024-01-02", 10, 900), bought("v", "2025-01-20", 5, 400, asset="VOO")),
        (sold("s", "2025-01-02", 10, 500),),
        splits=(Split(date(2025, 6, 2), "SPY", 2, 1),),
        identical={"SPY": "S&P", "VOO": "S&P"},
    )
    (got,) = year_ends([Said(UnitedStatesYear(), history)], YEAR, TODAY, QUOTED)

    # Ten units sold were ten of their day: five of them were replaced.
    assert {line.name: line.amount for line in got.lines}["wash_sales_disallowed"] == 200
    assert not got.compiled


def test_an_error_is_one_taxpayers_and_the_others_go_on():
    lot = bought("l", "2024-01-02", 1, 100)
    fine, broken = History(ACCOUNTS, (lot,)), History(ACCOUNTS, (lot,), (sold("s", "2025-01-02", 3, 300),))
    said = [Said(UnitedStatesYear(), fine), Said(UnitedStatesYear(), broken), Said(Canada(), broken)]
    got = year_ends(said, YEAR, TODAY, QUOTED)

    assert got[0].compiled
    assert [each.reason for each in got[1:]] == ["TAX_HISTORY_INCOMPLETE", "TAX_HISTORY_INCOMPLETE"]
    unknown = year_ends([Said(rules, fine) for rules in (UnitedStatesYear(), Germany())], 2090, TODAY, QUOTED)
    assert [each.reason for each in unknown] == ["JURISDICTION_UNKNOWN"] * 2


def test_amounts_of_law_finer_than_columns_go_by_the_exact_road():
    year = {status: replace(each, investment_income_rate=Decimal("0.03805")) for status, each in YEARS[YEAR].items()}
    rules = UnitedStatesYear(ordinary_income=Decimal(300_000), years={**YEARS, YEAR: year})
    history = History(ACCOUNTS, (bought("l", "2024-01-02", 1, 100),), (sold("s", "2025-06-02", 1, 10_100),))
    (got,) = year_ends([Said(rules, history)], YEAR, TODAY, QUOTED)

    assert not got.compiled
    assert {line.name: line.amount for line in got.lines}["net_investment_income_tax"] == Decimal("380.50")


def test_a_day_of_another_year_saves_nothing_of_this_one():
    history = History(ACCOUNTS, (bought("l", "2024-01-02", 1, 500),))
    rules = UnitedStatesYear(ordinary_income=Decimal(100_000))
    (inside,) = year_ends([Said(rules, history)], YEAR, TODAY, QUOTED)
    (after,) = year_ends([Said(rules, history)], YEAR, TODAY + timedelta(days=1), QUOTED)

    # 396.75 at 22 %, half to even.
    assert (inside.savings, after.savings) == (Decimal("87.28"), 0)
    assert inside.losses == after.losses


def test_other_countries_name_open_losses_windows_and_savings_by_their_own_law():
    accounts = (TaxAccount("A"),)
    history = History(
        accounts,
        (bought("l", "2020-01-02", 30, 9_000), bought("m", "2025-12-20", 10, 3_000)),
        (sold("s", "2025-12-10", 10, 1_000), sold("t", "2025-12-12", 10, 9_000)),
    )
    united_kingdom, canada, germany = (
        year_ends([Said(rules, history)], YEAR, TODAY, QUOTED)[0]
        for rules in (UnitedKingdom(taxable_income=Decimal(60_000)), Canada(Decimal("0.4")), Germany())
    )

    # The United Kingdom looks ahead only: what was lost on 10 December must not be bought before 10 January.
    assert united_kingdom.windows == (Window("SPY", date(2026, 1, 10)),)
    assert [each.free_date for each in united_kingdom.losses] == [None]
    # Canada also looks back: the purchase of 20 December denies a loss until 19 January.
    assert canada.windows == united_kingdom.windows
    assert [each.free_date for each in canada.losses] == [date(2026, 1, 20)]
    assert canada.savings == 0
    assert (germany.windows, [each.free_date for each in germany.losses]) == ((), [None])
