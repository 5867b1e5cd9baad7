"""What prices must be: positive, uncrossed, in line with the set before, and of instruments that are known."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.decision.domain.columns import EPOCH, Numbers
from services.decision.domain.instruments import InstrumentUnknown
from services.decision.domain.prices import (
    HistoryColumns,
    JumpRule,
    PriceColumns,
    PricesInvalid,
    Quote,
    checked_history,
    checked_price_set,
)
from services.kernel.errors import Invalid
from tests.decision.books import CLOSE, MORNING

KNOWN = {"VTI", "BND"}
GOOD = PriceColumns("vendor-a", CLOSE, ["VTI", "BND"], Numbers([19150, 7200], 2))


def price_set(columns=GOOD, jumps=None, now=MORNING):
    return checked_price_set(columns, known=KNOWN, jumps=jumps, now=now, record_time=MORNING)


def wrong(columns, jumps=None):
    with pytest.raises(PricesInvalid) as caught:
        price_set(columns, jumps)
    return {each.field: each.description for each in caught.value.violations}


def test_a_set_is_named_by_what_it_says_and_not_by_how():
    turned = replace(GOOD, instrument_ids=["BND", "VTI"], prices=Numbers([7200000, 19150000], 5))

    assert price_set(turned).price_set_id == price_set().price_set_id
    assert price_set(replace(GOOD, source="vendor-b")).price_set_id != price_set().price_set_id
    assert price_set().price("VTI") == Decimal("191.50")
    assert price_set().price("AAPL") is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prices": Numbers([0, 1], 2)}, "price_set.prices.units[0]"),
        ({"prices": Numbers([1, -1], 2)}, "price_set.prices.units[1]"),
        ({"prices": Numbers([1], 2)}, "price_set.prices"),
        ({"prices": Numbers([1, 1], 10)}, "price_set.prices.scale"),
        ({"bids": Numbers([0, 1], 2)}, "price_set.bids.units[0]"),
        ({"average_daily_volumes": Numbers([0, -1], 0)}, "price_set.average_daily_volumes.units[1]"),
        ({"bids": Numbers([201, 1], 2), "asks": Numbers([2, 1], 0)}, "price_set.bids.units[0]"),
        ({"instrument_ids": ["VTI", "VTI"]}, "price_set.instrument_ids[1]"),
        ({"instrument_ids": ["VTI", "B/D"]}, "price_set.instrument_ids[1]"),
        ({"source": ""}, "price_set.provenance.source"),
        ({"as_of_time": MORNING + timedelta(minutes=6)}, "price_set.provenance.as_of_time"),
    ],
)
def test_what_prices_cannot_be_is_named(change, field):
    assert wrong(replace(GOOD, **change)).keys() == {field}


def test_bid_and_ask_may_be_equal():
    quote = price_set(replace(GOOD, bids=Numbers([2, 1], 0), asks=Numbers([200, 300], 2))).quotes["VTI"]

    assert (quote.bid, quote.ask, quote.spread_bps) == (2, 2, 0)
    assert Quote(Decimal(100), Decimal(99), Decimal(101)).spread_bps == 200
    assert Quote(Decimal(100)).spread_bps is None


def test_an_instrument_that_the_book_does_not_know_has_a_reason_of_its_own():
    with pytest.raises(InstrumentUnknown):
        price_set(replace(GOOD, instrument_ids=["VTI", "TSLA"]))


def test_a_move_of_the_limit_is_believed_and_a_larger_one_must_be_confirmed():
    def rule(before, *confirmed):
        return JumpRule({"VTI": Decimal(before)}, Decimal("0.5"), confirmed)

    assert price_set(jumps=rule("383")).quotes
    assert wrong(GOOD, rule("383.01")) == {
        "price_set.prices.units[0]": ("must be within 0.5 of 383.01 as a fraction, or be confirmed, was 191.50 (VTI)")
    }
    assert price_set(jumps=rule("383.01", "VTI")).quotes
    assert wrong(GOOD, JumpRule({}, Decimal(0))).keys() == {"jump_limit"}


def test_an_instrument_of_the_set_before_must_not_go_missing_unnoticed():
    before = {"VTI": Decimal("191"), "AAPL": Decimal(130)}

    assert wrong(GOOD, JumpRule(before, Decimal(1))).keys() == {"price_set.instrument_ids"}
    assert price_set(jumps=JumpRule(before, Decimal(1), ["AAPL"])).quotes


def a_history(days=60, closes=None, instruments=("VTI", "BND"), scale=2, **changes):
    first = (date(2022, 9, 1) - EPOCH).days
    columns = HistoryColumns(
        "vendor-a",
        CLOSE,
        list(instruments),
        list(range(first, first + days)),
        Numbers(closes if closes is not None else list(range(1, len(instruments) * days + 1)), scale),
    )
    return replace(columns, **changes)


def history(columns):
    return checked_history(columns, now=MORNING, record_time=MORNING)


def wrong_history(columns):
    with pytest.raises(Invalid) as caught:
        history(columns)
    return {each.field for each in caught.value.violations}


def test_a_history_is_a_matrix_of_exact_closes():
    found = history(a_history())

    assert found.units.shape == (2, 60)
    assert found.units[1].tolist() == list(range(61, 121))
    assert (found.dates[0], found.scale) == (date(2022, 9, 1), 2)
    assert history(a_history(scale=3)).price_history_id != found.price_history_id


def test_what_a_history_cannot_be_is_named():
    days = a_history().days

    assert wrong_history(a_history(days=59)) == {"dates"}
    assert wrong_history(a_history(closes=[1] * 119)) == {"closes.units"}
    assert wrong_history(a_history(closes=[1] * 70 + [0] + [1] * 49)) == {"closes.units[70]"}
    assert wrong_history(replace(a_history(), days=[*days[:-1], days[-2]])) == {"dates.days[59]"}
    assert wrong_history(replace(a_history(), days=[*days[:-1], 10**9])) == {"dates.days[59]"}
    assert wrong_history(a_history(instruments=("VTI", "VTI"))) == {"instrument_ids[1]"}
    assert wrong_history(a_history(scale=10)) == {"closes.scale"}
    assert wrong_history(a_history(closes=[], instruments=())) == {"instrument_ids"}
