"""Booking: money, units and basis are conserved, whatever execution reports and in whatever pieces."""

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import (
    HoldingKind,
    PlannedLot,
    account_from_content,
    accounts,
    booked,
    corrected,
)
from services.decision.domain.book.gains import DayGain, realized_on
from services.decision.domain.book.snapshot import Snapshot
from services.decision.domain.decision import Character
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.pools import CanadaPlanning, UnitedKingdomPlanning
from services.decision.domain.tax.united_states import UnitedStates
from services.kernel.canonical import canonical_json
from tests.decision.books import CLOSE, TRADE_DATE, an_account, an_allocation, columns, lot

SNAPSHOT = Snapshot("snapshot-1", "custodian-a", CLOSE, "sha256:0", 1, 1, 1, CLOSE)


def opened(account):
    return next(iter(accounts(columns(account, unit_scale=9), SNAPSHOT, 0)))


def lots_of(account, instrument_id="VTI"):
    position = account.position(instrument_id, HoldingKind.TRADED)
    return {} if position is None else {each.lot_id: (each.quantity, each.basis_total) for each in position.lots}


def basis_of(account):
    return sum((each.basis_total for position in account.positions for each in position.lots), ZERO)


def planned(*lots):
    return [PlannedLot(lot_id, Decimal(units)) for lot_id, units in lots]


HELD = opened(
    an_account("a1", cash=1000).holding(
        "VTI", lot("old", 10, 1000), lot("mid", 10, 3000, "2021-12-27"), lot("new", 10, 2000, "2022-12-20")
    )
)


def test_a_buy_is_a_new_lot_whose_basis_is_what_was_paid():
    after, booking = booked(HELD, an_allocation(7, "BUY", "BND", 4, 300, fees="1.50"), [], ZERO)

    assert after.cash == Decimal("698.50")
    assert lots_of(after, "BND") == {booking.bought_lot_id: (4, Decimal("301.50"))}
    assert after.position("BND", HoldingKind.TRADED).lots[0].acquired_date == TRADE_DATE
    assert (after.booked_position, after.realized) == (7, ())


def test_where_the_law_pools_each_unit_sold_costs_the_average_and_what_is_left_keeps_it():
    sale = an_allocation(1, "SELL", "VTI", 12, 2400, fees=12)
    pool = [PlannedLot("mid", Decimal(10), pooled=True), PlannedLot("old", Decimal(2), pooled=True)]
    after, booking = booked(HELD, sale, pool, ZERO)

    # 30 units cost 6,000.
    assert [each.basis for each in booking.sold_lots] == [2000, 400]
    assert lots_of(after) == {"old": (8, 1600), "new": (10, 2000)}


def test_a_sale_takes_the_lots_of_its_plan_in_the_plans_order():
    sale = an_allocation(1, "SELL", "VTI", 12, 2400, fees=12)
    after, booking = booked(HELD, sale, planned(("mid", 10), ("old", 5)), ZERO)

    assert [(each.lot_id, each.quantity, each.proceeds, each.basis) for each in booking.sold_lots] == [
        ("mid", 10, 1990, 3000),
        ("old", 2, 398, 200),
    ]
    assert lots_of(after) == {"old": (8, 800), "new": (10, 2000)}
    assert after.cash == 3388


def test_a_later_part_of_a_sale_goes_on_where_the_earlier_one_stopped():
    plan = planned(("mid", 10), ("old", 5))
    first, _ = booked(HELD, an_allocation(1, "SELL", "VTI", 4, 800), plan, ZERO)
    second, booking = booked(first, an_allocation(2, "SELL", "VTI", 8, 1600), plan, Decimal(4))

    assert [(each.lot_id, each.quantity) for each in booking.sold_lots] == [("mid", 6), ("old", 2)]
    assert lots_of(second) == lots_of(booked(HELD, an_allocation(1, "SELL", "VTI", 12, 2400), plan, ZERO)[0])


def test_units_that_the_named_lots_lack_come_out_of_the_oldest():
    after, booking = booked(HELD, an_allocation(1, "SELL", "VTI", 7, 700), planned(("gone", 4), ("new", 3)), ZERO)

    assert [(each.lot_id, each.quantity) for each in booking.sold_lots] == [("new", 3), ("old", 4)]
    assert booking.uncovered_quantity == 0
    assert lots_of(after)["old"] == (6, 600)


def test_a_gain_is_long_from_the_day_after_a_year():
    def sold(day):
        sale = an_allocation(1, "SELL", "VTI", 10, 2000, trade_date=day)
        return booked(HELD, sale, planned(("mid", 10)), ZERO)

    just_short, _ = sold(date(2022, 12, 27))
    just_long, booking = sold(date(2022, 12, 28))

    assert just_short.realized == (DayGain(date(2022, 12, 27), -1000, 0),)
    assert just_long.realized == (DayGain(date(2022, 12, 28), 0, -1000),)
    assert booking.sold_lots[0].character is Character.LONG


def test_gains_of_a_new_year_begin_at_nothing():
    sale = an_allocation(1, "SELL", "VTI", 1, 150, trade_date=date(2023, 1, 3))
    carried = opened(an_account("a1", long_term_gain=77).holding("VTI", lot("old", 10, 1000)))
    after, _ = booked(carried, sale, [], ZERO)

    calendar = UnitedStates().tax_year
    assert (carried.gains(calendar, 2022), carried.gains(calendar, 2023)) == ((0, 77), (0, 0))
    assert (after.gains(calendar, 2022), after.gains(calendar, 2023)) == ((0, 77), (0, 50))


def test_gains_count_in_the_tax_year_of_whichever_country_taxes_them():
    sale = an_allocation(1, "SELL", "VTI", 1, 150, trade_date=date(2023, 4, 5))
    later = an_allocation(2, "SELL", "VTI", 1, 160, trade_date=date(2023, 4, 6))
    # The snapshot is of 27 December 2022: it says what was realized until then in the year that began on 6 April.
    opening = opened(an_account("a1", long_term_gain=77).holding("VTI", lot("old", 10, 1000)))
    after, _ = booked(booked(opening, sale, [], ZERO)[0], later, [], ZERO)
    british, calendar = UnitedKingdomPlanning().tax_year, UnitedStates().tax_year

    assert [after.gains(british, year)[1] for year in (2021, 2022, 2023)] == [0, 127, 60]
    assert [after.gains(calendar, year)[1] for year in (2021, 2022, 2023)] == [0, 77, 110]


def test_a_canadian_gain_counts_when_it_settles():
    """CRA document 2012-0468931C6; the same sale in dollars of the United States on the day it was made."""
    days = {"trade_date": date(2023, 12, 29), "settlement_date": date(2024, 1, 3)}

    def gains(currency):
        opening = opened(an_account("a1", currency=currency).holding("VTI", lot("old", 10, 1000)))
        after, booking = booked(opening, an_allocation(1, "SELL", "VTI", 1, 150, currency=currency, **days), [], ZERO)
        wrong = an_allocation(2, "SELL", "VTI", 1, 160, currency=currency, replaces=booking.allocation, **days)
        right, _ = corrected(after, wrong, booking)
        years = (2023, 2024)
        return [each.gains(CanadaPlanning().tax_year, year)[1] for each in (after, right) for year in years]

    assert gains("CAD") == [0, 50, 0, 60]
    assert gains("USD") == [50, 0, 60, 0]


def test_gains_on_shares_are_kept_beside_all_others():
    opening = opened(an_account("a1", long_term_gain=77, share_gain=-20).holding("VTI", lot("old", 10, 1000)))
    on_share = booked(opening, an_allocation(1, "SELL", "VTI", 1, 150), [], ZERO, kind=AssetKind.SHARE)[0]
    after = booked(on_share, an_allocation(2, "SELL", "VTI", 1, 160), [], ZERO)[0]

    assert after.gains(UnitedStates().tax_year, 2022) == (0, 187)
    assert after.pots(UnitedStates().tax_year, 2022) == (30, 157)
    assert account_from_content(after.content()) == after


def test_what_germany_exempts_of_a_fund_is_kept_beside_its_gain():
    """InvStG § 20 Abs. 1: 30 % of 50 and of 60 gained; the gain itself, which other laws tax, stays whole."""
    opening = opened(an_account("a1", long_term_gain=77).holding("VTI", lot("old", 10, 1000)))
    sales = (an_allocation(1, "SELL", "VTI", 1, 150), an_allocation(2, "SELL", "VTI", 1, 160))
    first = booked(opening, sales[0], [], ZERO, kind=AssetKind.EQUITY_FUND)[0]
    after = booked(first, sales[1], [], ZERO, kind=AssetKind.EQUITY_FUND)[0]

    assert after.gains(UnitedStates().tax_year, 2022) == (0, 187)
    assert after.pots(UnitedStates().tax_year, 2022) == (0, 154)
    assert account_from_content(after.content()) == after


def test_gains_are_kept_for_as_long_as_any_tax_year_lasts():
    first = realized_on((), date(2023, 4, 6), Decimal(1), ZERO)
    last_day = realized_on(first, date(2024, 4, 5), Decimal(2), ZERO)
    next_year = realized_on(last_day, date(2024, 4, 8), ZERO, Decimal(3))

    assert [each.day for each in last_day] == [date(2023, 4, 6), date(2024, 4, 5)]
    assert [each.day for each in next_year] == [date(2024, 4, 5), date(2024, 4, 8)]
    assert realized_on(first, date(2023, 4, 6), Decimal(-1), ZERO) == ()


def test_an_account_that_was_recorded_before_gains_were_kept_by_day_is_read_as_of_its_last_day():
    account = booked(HELD, an_allocation(1, "SELL", "VTI", 1, 150), [], ZERO)[0]
    fields = json.loads(account.content())
    assert account_from_content(account.content()) == account
    del fields["realized"]
    fields |= {"short_term_gain": "1.5", "long_term_gain": "50", "gain_year": 2022}

    assert account_from_content(canonical_json(fields)).realized == (DayGain(TRADE_DATE, Decimal("1.5"), Decimal(50)),)


def test_a_wrapper_realizes_no_gain():
    inside = opened(an_account("a1", tax_wrapper="TAX_WRAPPER_EXEMPT").holding("VTI", lot("old", 10, 1000)))
    after, booking = booked(inside, an_allocation(1, "SELL", "VTI", 10, 5000), [], ZERO)

    assert after.realized == ()
    assert booking.sold_lots[0].character is Character.EXEMPT
    assert after.positions == ()


def test_what_is_locked_or_held_away_is_not_sold():
    account = opened(an_account("a1").holding("VTI", lot("old", 10, 1000), kind="HOLDING_LOCKED"))
    after, booking = booked(account, an_allocation(1, "SELL", "VTI", 3, 300), planned(("old", 3)), ZERO)

    assert after.positions == account.positions
    assert booking.uncovered_quantity == 3
    assert after.cash == account.cash + 300


def test_a_position_of_unknown_cost_gets_no_lots():
    account = opened(an_account("a1").holding("VTI", units=5))
    bought, booking = booked(account, an_allocation(1, "BUY", "VTI", 2, 200), [], ZERO)
    sold, sale = booked(bought, an_allocation(2, "SELL", "VTI", 3, 300), [], ZERO)

    assert (bought.units, sold.units) == ({"VTI": 7}, {"VTI": 4})
    assert (booking.bought_lot_id, sale.sold_lots, sale.realized_gain) == (None, (), 0)


def test_an_allocation_of_another_account_currency_or_time_is_refused():
    with pytest.raises(ValueError, match="of account a2"):
        booked(HELD, an_allocation(1, "BUY", "VTI", 1, 1, account_id="a2"), [], ZERO)
    with pytest.raises(ValueError, match="in EUR"):
        booked(HELD, an_allocation(1, "BUY", "VTI", 1, 1, currency="EUR"), [], ZERO)
    with pytest.raises(ValueError, match="booked up to 1"):
        booked(
            booked(HELD, an_allocation(1, "BUY", "VTI", 1, 1), [], ZERO)[0],
            an_allocation(1, "BUY", "VTI", 1, 1),
            [],
            ZERO,
        )


units = st.decimals("0.000000001", "500", places=9)
cents = st.decimals("0", "100000", places=2)


@st.composite
def books(draw):
    lots = draw(st.lists(st.tuples(units, cents, st.integers(0, 1500)), min_size=1, max_size=5))
    account = an_account("a1", cash=draw(cents)).holding(
        "VTI",
        *(
            lot(f"l{row}", quantity, basis, (TRADE_DATE - timedelta(days=1 + age)).isoformat())
            for row, (quantity, basis, age) in enumerate(lots)
        ),
    )
    return opened(account)


trades = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), units, cents, st.decimals("0", "20", places=2)), max_size=8
)
plans = st.lists(st.tuples(st.sampled_from(["l0", "l1", "l2", "gone"]), units), max_size=4)


@given(books(), trades, plans)
def test_money_units_and_basis_are_conserved_by_any_sequence_of_allocations(account, sequence, plan):
    cash, held, basis, sold_units = account.cash, account.units.get("VTI", ZERO), basis_of(account), ZERO
    for position, (side, quantity, value, fees) in enumerate(sequence, 1):
        allocation = an_allocation(position, side, "VTI", quantity, value, fees=fees)
        account, booking = booked(account, allocation, planned(*plan) if side == "SELL" else [], sold_units)
        if side == "BUY":
            cash, held, basis = cash - value - fees, held + quantity, basis + value + fees
        else:
            sold_units += quantity
            cash, held = cash + value - fees, held - (quantity - booking.uncovered_quantity)
            basis -= sum((each.basis for each in booking.sold_lots), ZERO)
            assert sum((each.quantity for each in booking.sold_lots), ZERO) == quantity - booking.uncovered_quantity
            if not booking.uncovered_quantity:
                gain = sum((each.gain + each.basis for each in booking.sold_lots), ZERO)
                assert gain == value - fees

        assert account.cash == cash
        assert account.units.get("VTI", ZERO) == held
        assert basis_of(account) == basis
        for each in account.positions:
            assert all(one.quantity > 0 and one.basis_total >= 0 for one in each.lots)
            assert sum((one.quantity for one in each.lots), ZERO) == each.quantity


@given(books(), trades)
def test_an_account_is_read_back_from_its_content(account, sequence):
    for position, (side, quantity, value, fees) in enumerate(sequence, 1):
        account, _ = booked(account, an_allocation(position, side, "VTI", quantity, value, fees=fees), [], ZERO)

    again = account_from_content(account.content())

    assert again == account
    assert again.account_hash == account.account_hash


def test_carried_losses_are_part_of_an_accounts_content_only_where_there_are_any():
    carrying = replace(HELD, carried_year=2022, carried_short=Decimal("1.50"))

    assert b"carried" not in HELD.content()
    assert account_from_content(carrying.content()) == carrying
    assert carrying.account_hash != HELD.account_hash
