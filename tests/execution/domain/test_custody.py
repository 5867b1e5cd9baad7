"""Each kind of break is found, and as itself."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.custody import BreakKind, Holdings, Trade, compare_holdings, compare_trades
from services.execution.domain.words import Side

DAY = date(2022, 12, 28)


def a_trade(quantity=10, *, account="acc-1", instrument="VTI", side=Side.BUY, day=DAY, reference="", **changes):
    trade = Trade(
        account, instrument, side, day, day + timedelta(days=2), Decimal(quantity), Decimal(quantity) * 100, Decimal(1)
    )
    return replace(trade, reference=reference, **changes)


def theirs(trade, reference="r1", **changes):
    return replace(trade, reference=reference, **changes)


def kinds(ours, custodians):
    return [each.kind for each in compare_trades(ours, custodians)]


OURS = a_trade()


@pytest.mark.parametrize(
    ("kind", "custodians"),
    [
        (BreakKind.MISSING_TRADE, []),
        (BreakKind.QUANTITY, [theirs(OURS, quantity=Decimal(9), amount=Decimal(900))]),
        (BreakKind.PRICE, [theirs(OURS, amount=Decimal("1000.01"))]),
        (BreakKind.FEE, [theirs(OURS, fees=Decimal(2))]),
        (BreakKind.SETTLEMENT_DATE, [theirs(OURS, settlement_date=DAY)]),
        (BreakKind.SIDE, [theirs(OURS, side=Side.SELL)]),
        (BreakKind.ACCOUNT, [theirs(OURS, account_id="acc-9")]),
        (BreakKind.TRADE_DATE, [theirs(OURS, trade_date=DAY - timedelta(days=1))]),
        (BreakKind.DUPLICATE, [theirs(OURS), theirs(OURS)]),
    ],
)
def test_each_kind_of_break_is_found_as_itself(kind, custodians):
    assert kinds([OURS], custodians) == [kind]


def test_a_trade_that_is_not_ours_is_extra_and_one_the_venue_took_back_a_late_bust():
    assert kinds([], [theirs(OURS)]) == [BreakKind.EXTRA_TRADE]
    assert kinds([replace(OURS, busted=True)], [theirs(OURS)]) == [BreakKind.LATE_BUST]
    assert kinds([replace(OURS, busted=True)], []) == []


def test_two_blocks_of_a_day_are_one_trade_to_a_custodian():
    assert kinds([a_trade(4), a_trade(6)], [theirs(OURS, fees=Decimal(2))]) == []


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8, unique=True))
def test_what_agrees_has_no_breaks_in_whatever_order(quantities):
    ours = [a_trade(quantity, account=f"acc-{quantity}") for quantity in quantities]
    custodians = [theirs(trade, f"r{index}") for index, trade in enumerate(reversed(ours))]

    assert kinds(ours, custodians) == []


def test_positions_and_cash_move_by_our_trades_and_by_nothing_else():
    before = Holdings({"VTI": Decimal(5)}, Decimal(2000))
    after = Holdings({"VTI": Decimal(15)}, Decimal(999))

    assert compare_holdings("acc-1", before, [OURS], [], after) == []
    found = compare_holdings(
        "acc-1", before, [OURS], [], replace(after, positions={"BND": Decimal(1)}, cash=Decimal(0))
    )
    assert [(each.kind, each.instrument_id, each.ours, each.theirs) for each in found] == [
        (BreakKind.POSITION, "BND", "0", "1"),
        (BreakKind.POSITION, "VTI", "15", "0"),
        (BreakKind.CASH, None, "999", "0"),
    ]
