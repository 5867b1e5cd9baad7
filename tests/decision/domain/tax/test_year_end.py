"""The compiled year-end beside the exact assessment, over random households: the same to the cent."""

import os
import random
import sys
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision.domain.problem import TaxProfile
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    History,
    Owner,
    TaxAccount,
)
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.batch import columns_of, year_end
from services.decision.domain.tax.batch.columns import NotInColumns
from services.decision.domain.tax.batch.days import civil, long_from, ordinal
from services.decision.domain.tax.batch.marginal import marginal_costs
from services.decision.domain.tax.batch.whole import rounded, share, value
from services.decision.domain.tax.united_states import long_term_from, marginal_rates

YEAR, TODAY = 2025, date(2025, 12, 31)
ASSETS = {"SPY": 0, "VOO": 1, "BND": 2}
PRICES = {"SPY": Decimal("103.25"), "VOO": Decimal("48.5"), "BND": Decimal(0)}
ACCOUNTS = (
    TaxAccount("A"),
    TaxAccount("B"),
    TaxAccount("IRA", sheltered=True),
    TaxAccount("SPOUSE", Owner.AFFILIATED),
)
LINES = (
    "net_short_term", "net_long_term", "net_gain", "loss_deducted", "short_term_carried_forward",
    "long_term_carried_forward", "income_tax", "net_investment_income_tax", "state_tax", "tax",
)  # fmt: skip


def household(chosen):
    """Trades on few days of few units, so that they meet, wash and chain; nothing is sold that is not there."""
    acquisitions, disposals = [], []
    held = {(account.account_id, asset): Decimal(0) for account in ACCOUNTS for asset in ASSETS}
    day = date(2024, 12, 1) - timedelta(days=chosen.choice((0, 0, 400)))
    for number in range(chosen.randint(0, 24)):
        day = min(day + timedelta(days=chosen.choice((0, 0, 1, 15, 29, 30, 30, 31))), TODAY)
        account = chosen.choice(ACCOUNTS).account_id
        asset = chosen.choice(("SPY", "SPY", "VOO", "BND"))
        units = Decimal(chosen.randint(1, 12_000)) / 1000
        amount = Decimal(chosen.randint(0, 2_000_00)) / 100
        have = held[account, asset]
        if have and chosen.random() < 0.5:
            units = min(units, have)
            held[account, asset] -= units
            lots = [each.lot_id for each in acquisitions if chosen.random() < 0.2]
            chosen.shuffle(lots)
            disposals.append(Disposal(f"s{number:02}", day, account, asset, units, amount, tuple(lots)))
        else:
            held[account, asset] += units
            acquisitions.append(Acquisition(f"l{number:02}", day, account, asset, units, amount))
    income, short, long, investment = (
        Decimal(chosen.randint(0, most)) / 100 for most in (700_000_00, 9_000_00, 9_000_00, 700_000_00)
    )
    state_rate = Decimal(chosen.randint(0, 133)) / 1000
    rules = UnitedStatesYear(chosen.choice(tuple(FilingStatus)), income, short, long, investment, state_rate)
    identical = {"SPY": "S&P 500", "VOO": "S&P 500"}
    return rules, History(ACCOUNTS, tuple(acquisitions), tuple(disposals), identical=identical)


def prices():
    return np.array([int(PRICES[asset] * 10**6) for asset in ASSETS], dtype=np.int64)


def agree(said):
    """The compiled year-end of all households together, and the exact assessment of each."""
    got = year_end(columns_of(said, ASSETS), YEAR, TODAY.toordinal(), prices())
    assert not got.missing.any()
    lot = 0
    for row, (stated, history) in enumerate(said):
        rules = stated.carried_into(history, YEAR)
        exact = rules.assess(history, YEAR)
        assert [money(each) for each in got.years[row]] == [exact.amount(name) for name in LINES]
        assert money(got.disallowed[row]) == exact.amount("wash_sales_disallowed")
        assert money(got.permanently_lost[row]) == exact.permanently_lost
        losses, waits, savings = harvestable(rules, history, exact)
        assert money(got.savings[row]) == savings
        for group in history.groups_in_order:
            rows = [each for each in history.acquisitions if each.asset in group]
            for each in sorted(rows, key=lambda acquired: (acquired.day, acquired.lot_id)):
                assert money(got.losses[lot]) == losses.get(each.lot_id, 0)
                assert int(got.free_days[lot]) == waits.get(each.lot_id, 0)
                lot += 1


def money(cents):
    return Decimal(int(cents)).scaleb(-2)


def harvestable(rules, history, exact):
    """What each lot would lose today, when a purchase washes it, and the tax saved by all that is free: plainly."""
    losses, waits, free = {}, {}, {True: Decimal(0), False: Decimal(0)}
    for each in exact.remaining:
        price, account = PRICES[each.asset], history.account[each.account_id]
        value = Decimal(round(Fraction(each.quantity) * Fraction(price) * 100)).scaleb(-2)
        if not price or account.owner is not Owner.TAXPAYER or account.sheltered or value >= each.cost:
            continue
        losses[each.lot_id] = losses.get(each.lot_id, Decimal(0)) + each.cost - value
        days = [
            other.acquired_date
            for other in exact.remaining
            if other.may_replace
            and history.identity(other.asset) == history.identity(each.asset)
            and other.lot_id != each.lot_id
            and abs((TODAY - other.acquired_date).days) <= 30
        ]
        if days:
            waits[each.lot_id] = (max(days) + timedelta(days=31)).toordinal()
        else:
            free[long_term_from(each.held_from_date) <= TODAY] += each.cost - value
    short, long = rules.net(exact.of_year())
    harvested = UnitedStatesYear(
        rules.filing_status, rules.ordinary_income, free[False] - short, free[True] - long,
        rules.investment_income, rules.state_rate,
    )  # fmt: skip
    return losses, waits, exact.amount("tax") - harvested.assess(History(ACCOUNTS), YEAR).amount("tax")


def test_columns_and_the_exact_assessment_agree_to_the_cent():
    agree([household(random.Random(seed)) for seed in range(80)])


@pytest.mark.chaos
def test_columns_and_the_exact_assessment_agree_over_many_histories(capsys):
    count = int(os.environ.get("EVENKEEL_CHAOS_YEARS", "20000"))
    first = random.SystemRandom().randrange(10**9)
    for begin in range(first, first + count, 100):
        agree([household(random.Random(seed)) for seed in range(begin, begin + 100)])
    with capsys.disabled():
        sys.stdout.write(f"\n{count} random households agreed, seeds {first} to {first + count - 1}\n")


@given(amount=st.integers(0, 10**13), units=st.integers(0, 10**14), more=st.integers(0, 10**14))
def test_a_share_is_the_exact_one(amount, units, more):
    of = units + more
    if of:
        expected = amount if units == of else round(Fraction(amount) * units / of)
        assert share(amount, units, of) == expected


@given(units=st.integers(0, 10**15), price=st.integers(0, 10**10))
def test_a_value_is_the_exact_one(units, price):
    if units * price < 10**25:
        assert value(units, price) == round(Fraction(units * price, 10**10))


@given(amount=st.integers(-(10**15), 10**15), step=st.sampled_from((2, 3, 10_000)))
def test_rounding_is_half_to_even(amount, step):
    assert rounded(amount, step) == round(Fraction(amount, step))


@given(day=st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_days_are_the_calendars(day):
    assert civil(day.toordinal()) == (day.year, day.month, day.day)
    assert ordinal(day.year, day.month, day.day) == day.toordinal()
    assert long_from(day.toordinal()) == long_term_from(day).toordinal()


@settings(max_examples=40)
@given(
    said=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 800), st.integers(1, 10**9), st.integers(0, 10**7)), max_size=4),
            st.integers(-(10**6), 10**6),
            st.integers(-(10**6), 10**6),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_marginal_costs_are_those_of_the_optimisers_view(said):
    """Of every lot: its gain, and the rate and term that `UnitedStates.view` gives it."""
    rows = [(owner, *lot) for owner, (lots, _, _) in enumerate(said) for lot in lots]
    starts = np.cumsum([0, *(len(lots) for lots, _, _ in said)])
    _, ago_days, units_of, bases = np.array(rows, dtype=np.int64).reshape(len(rows), 4).T.copy()
    realized = np.array([nets for _, *nets in said], dtype=np.int64)
    rates, price = np.tile(np.array([4080, 2380]), (len(said), 1)), 101_250_000
    got = marginal_costs(
        starts, TODAY.toordinal() - ago_days, units_of, bases, np.full(len(rows), price), realized, rates,
        TODAY.toordinal(),
    )  # fmt: skip

    for row, (owner, ago, units, basis) in enumerate(rows):
        profile = TaxProfile("US", True, Decimal("0.408"), Decimal("0.238"), None, *map(Decimal, said[owner][1:]))
        is_long = long_term_from(TODAY - timedelta(days=ago)) <= TODAY
        gain = round(Fraction(units * price, 10**10)) - basis
        rate = marginal_rates(profile)[is_long]
        assert tuple(int(each[row]) for each in got) == (gain, int(rate * 10_000), is_long)


def test_what_columns_cannot_say_is_refused_and_goes_by_the_exact_road():
    lot = Acquisition("l", date(2025, 1, 2), "A", "SPY", Decimal(1), Decimal(100))
    changed = History(ACCOUNTS, (lot,), cost_changes=(CostChange(date(2025, 2, 3), "A", "SPY", Decimal(-5)),))
    given = History(ACCOUNTS, (replace(lot, purchased=False),))
    finer = History(ACCOUNTS, (Acquisition("l", lot.day, "A", "SPY", Decimal("0.0000001"), Decimal(1)),))

    for history in (changed, given, finer):
        with pytest.raises(NotInColumns, match="household 0"):
            columns_of([(UnitedStatesYear(), history)], ASSETS)


def test_more_sold_than_bought_is_said_of_its_household_only():
    lot = Acquisition("l", date(2025, 1, 2), "A", "SPY", Decimal(1), Decimal(100))
    sale = Disposal("s", date(2025, 2, 3), "A", "SPY", Decimal(3), Decimal(300))
    said = [(UnitedStatesYear(), History(ACCOUNTS, (lot,))), (UnitedStatesYear(), History(ACCOUNTS, (lot,), (sale,)))]

    assert list(year_end(columns_of(said, ASSETS), YEAR, TODAY.toordinal(), prices()).missing) == [0, 2_000_000]
