"""A correction leaves an account as if the right fill had been reported in the first place."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import HoldingKind, PlannedLot, accounts, booked, corrected
from services.decision.domain.book.snapshot import Snapshot
from services.decision.domain.problem import ZERO
from tests.decision.books import CLOSE, an_account, an_allocation, columns, lot

SNAPSHOT = Snapshot("snapshot-1", "custodian-a", CLOSE, "sha256:0", 1, 1, 1, CLOSE)


def opened(account):
    return next(iter(accounts(columns(account, unit_scale=9), SNAPSHOT, 0)))


HELD = opened(
    an_account("a1", cash=100_000).holding(
        "VTI", lot("old", 10, 1000), lot("mid", 10, 3000, "2021-12-27"), lot("new", 10, 2000, "2022-12-20")
    )
)


def lots_of(account, instrument_id="VTI"):
    position = account.position(instrument_id, HoldingKind.TRADED)
    return [] if position is None else [(each.quantity, each.basis_total, each.acquired_date) for each in position.lots]


def worth(account):
    """Everything that counts, whatever lots are called and wherever the stream is."""
    return account.cash, account.units, sorted(lots_of(account)), account.realized


def correction(of, position, **changes):
    return replace(of, position=position, replaces=of, **{name: Decimal(value) for name, value in changes.items()})


reports = st.tuples(st.integers(1, 30), st.integers(1, 5000), st.integers(0, 9))


@given(st.sampled_from(["BUY", "SELL"]), reports, reports, st.booleans())
def test_a_correction_ends_where_the_right_report_would_have(side, wrong, right, planned):
    lots = [PlannedLot("new", Decimal(10)), PlannedLot("mid", Decimal(10))] if planned and side == "SELL" else []
    first = an_allocation(1, side, "VTI", wrong[0], wrong[1], fees=wrong[2])
    then = correction(first, 2, quantity=right[0], value=right[1], fees=right[2])
    if side == "SELL" and right[0] > wrong[0]:
        # What more is sold takes the oldest lots, which the first report could not say.
        lots = []
    after_wrong, booking = booked(HELD, first, lots, ZERO, kind=AssetKind.SHARE)
    after, _ = corrected(after_wrong, then, booking, kind=AssetKind.SHARE)
    if lots and right[0] < wrong[0]:
        lots = [PlannedLot(each.lot_id, each.quantity) for each in booking.sold_lots]
    straight, _ = booked(HELD, replace(then, replaces=None), lots, ZERO, kind=AssetKind.SHARE)

    assert worth(after) == worth(straight)
    assert after.booked_position == 2


@given(st.sampled_from(["BUY", "SELL"]), reports)
def test_a_bust_leaves_the_account_as_it_was(side, wrong):
    first = an_allocation(1, side, "VTI", wrong[0], wrong[1], fees=wrong[2])
    after_wrong, booking = booked(HELD, first, [], ZERO)
    after, undone = corrected(after_wrong, correction(first, 2, quantity=0, value=0, fees=0), booking)

    assert worth(after) == worth(HELD)
    assert (undone.sold_lots, undone.uncovered_quantity, undone.realized_gain) == ((), 0, 0)


def test_units_that_were_sold_since_are_uncovered_when_their_buy_is_busted():
    bought = an_allocation(1, "BUY", "BND", 4, 400)
    one, booking = booked(HELD, bought, [], ZERO)
    two, _ = booked(one, an_allocation(2, "SELL", "BND", 3, 300), [], ZERO)
    after, undone = corrected(two, correction(bought, 3, quantity=0, value=0, fees=0), booking)

    assert after.units.get("BND") is None
    assert undone.uncovered_quantity == 3
    assert after.cash == HELD.cash + 300


def test_a_sale_that_a_newer_snapshot_has_comes_back_into_lots_of_the_same_name():
    sale = an_allocation(1, "SELL", "VTI", 12, 2400)
    _, booking = booked(HELD, sale, [], ZERO)
    newer = opened(an_account("a1", cash=102_400).holding("VTI", lot("mid", 8, 2400, "2021-12-27")))
    after, _ = corrected(newer, correction(sale, 2, quantity=0, value=0, fees=0), booking)

    assert after.cash == 100_000
    position = after.position("VTI", HoldingKind.TRADED)
    assert {each.lot_id: (each.quantity, each.basis_total) for each in position.lots} == {
        "old": (10, 1000),
        "mid": (10, 3000),
    }


def test_a_sale_nobody_booked_comes_back_at_what_it_had_brought():
    sale = an_allocation(1, "SELL", "VTI", 5, 900, fees=1)
    after, _ = corrected(HELD, correction(sale, 2, quantity=0, value=0, fees=0), None)

    assert after.units == {"VTI": 35}
    assert (5, Decimal(899), sale.trade_date) in lots_of(after)


def test_an_allocation_that_replaces_nothing_is_no_correction():
    with pytest.raises(ValueError, match="replaces nothing"):
        corrected(HELD, an_allocation(1, "BUY", "VTI", 1, 100), None)
