"""What is booked of a German sale of a fund within the year is what the exact assessment says, lump sums included."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import HoldingKind, Position, booked, corrected
from services.decision.domain.book.account import AccountBook, TaxWrapper
from services.decision.domain.book.gains import DayGain
from services.decision.domain.crediting import NOTHING_TAXED, base_rates, lump_sums
from services.decision.domain.fund_years import FundYear
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import ZERO, LotState
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import History, TaxAccount
from services.decision.domain.tax.depots import GermanyPlanning
from tests.decision.books import CLOSE, an_allocation
from tests.decision.domain.tax.assessment.histories import bought, sold

# 100 € · 0.87 % · 70 % = 0.609 of 2018 and 75 € · 0.52 % · 70 % = 0.273 of 2019, a unit.
YEARS = (FundYear("VTI", 2018, Decimal(100), Decimal(110)), FundYear("VTI", 2019, Decimal(75), Decimal(110)))
FUND = Instrument("VTI", "EUR", Decimal("0.001"), asset_kind=AssetKind.EQUITY_FUND, fund_years=YEARS)
DAY = date(2020, 3, 2)


def a_depot(*lots, currency="EUR", **changes):
    position = Position("VTI", HoldingKind.TRADED, sum((each.quantity for each in lots), ZERO), lots)
    account = AccountBook(
        account_id="a1",
        household_id=None,
        custodian="bank",
        currency=currency,
        tax_wrapper=TaxWrapper.TAXABLE,
        cash=ZERO,
        reserved_cash=ZERO,
        realized=(),
        positions=(position,),
        snapshot_id="s1",
        as_of_time=CLOSE,
    )
    return replace(account, **changes)


def a_lot(name="l1", acquired=date(2017, 5, 2), units=100, cost=5000):
    return LotState(name, acquired, Decimal(units), Decimal(cost))


def a_sale(units, value, position=1, day=DAY, currency="EUR", **changes):
    said = {"currency": currency, "trade_date": day, "settlement_date": day + timedelta(days=2), **changes}
    return an_allocation(position, "SELL", "VTI", units, value, **said)


def book(account, allocation, fund=FUND):
    sums = lump_sums(fund, base_rates({}))
    return booked(account, allocation, [], ZERO, kind=fund.asset_kind, lump_sums=sums)


def others(account, year=2020):
    """What Germany counts of the year's gain on all but shares."""
    return account.pots(GermanyPlanning().tax_year, year)[1]


def test_lump_sums_are_taken_off_what_is_booked_of_a_sale_before_partial_exemption():
    after, booking = book(a_depot(a_lot()), a_sale(100, 8000))

    # 100 · 0.609 + 100 · 0.273 = 88.20; of 3,000 - 88.20 the fund's kind exempts 30 %.
    assert [each.taxed_before for each in booking.sold_lots] == [Decimal("88.20")]
    assert after.realized == (DayGain(DAY, ZERO, Decimal(3000), ZERO, Decimal("88.20") + Decimal("873.54")),)
    assert others(after) == Decimal("2038.26")
    # What the trade brought is told as it was.
    assert booking.realized_gain == 3000


def test_parts_of_a_lot_have_together_what_all_of_it_has():
    after, account = ZERO, a_depot(a_lot(units="0.7", cost=30))
    for number, units in enumerate(("0.1", "0.1", "0.2", "0.3"), 1):
        account, booking = book(account, a_sale(units, 10, position=number))
        after += sum(each.taxed_before for each in booking.sold_lots)

    # 0.7 · 0.609 = 0.4263 and 0.7 · 0.273 = 0.1911, each to the cent.
    assert after == Decimal("0.43") + Decimal("0.19")


def test_nothing_is_taken_off_in_another_currency_in_a_wrapper_or_of_the_year_itself():
    dollars, _ = book(a_depot(a_lot(), currency="USD"), a_sale(100, 8000, currency="USD"))
    wrapped, _ = book(a_depot(a_lot(), tax_wrapper=TaxWrapper.EXEMPT), a_sale(100, 8000))
    same_year, _ = book(a_depot(a_lot()), a_sale(100, 8000, day=date(2018, 3, 2)))
    share, _ = book(a_depot(a_lot()), a_sale(100, 8000), replace(FUND, asset_kind=AssetKind.SHARE))

    assert (dollars.realized[0].exempt, wrapped.realized) == (900, ())
    assert (same_year.realized[0].exempt, share.realized[0].exempt) == (900, 0)


def test_a_busted_sale_takes_its_lump_sums_back_whatever_the_book_tells_since():
    before = a_depot(a_lot())
    sale = a_sale(60, 4800)
    after, booking = book(before, sale)
    bust = replace(a_sale(60, 4800, position=2), replaces=sale, quantity=ZERO, value=ZERO, fees=ZERO)
    undone, _ = corrected(after, bust, booking, kind=FUND.asset_kind, lump_sums=NOTHING_TAXED)

    assert (undone.realized, undone.positions) == ((), before.positions)


prices = st.decimals(50, 200, places=2)


@given(
    kind=st.sampled_from((AssetKind.EQUITY_FUND, AssetKind.REAL_ESTATE_FUND, AssetKind.OTHER_FUND)),
    years=st.dictionaries(st.integers(2018, 2024), st.tuples(prices, prices, st.decimals(0, 5, places=2))),
    lots=st.lists(
        st.tuples(
            st.dates(date(2016, 1, 4), date(2024, 12, 30)),
            st.decimals(1, 1000, places=3),
            st.decimals(1, 100_000, places=2),
            st.lists(st.decimals("0.01", 1, places=2), min_size=1, max_size=3),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_the_year_that_is_booked_is_the_year_that_is_assessed(kind, years, lots):
    fund_years = tuple(FundYear("VTI", year, *amounts) for year, amounts in sorted(years.items()))
    fund = replace(FUND, asset_kind=kind, fund_years=fund_years)
    lots = sorted(lots)
    held = [a_lot(f"l{number}", day, units, cost) for number, (day, units, cost, _) in enumerate(lots)]
    account, day, sales, cut = a_depot(*held), date(2025, 1, 2), [], 0
    for lot, (*_, parts) in zip(held, lots, strict=True):
        left = lot.quantity
        for number, part in enumerate(parts):
            units = left if number == len(parts) - 1 else (left * part).quantize(Decimal("0.001"))
            if units == 0:
                continue
            left -= units
            value = (units * 60).quantize(Decimal("0.01"))
            account, _ = book(account, a_sale(units, value, position=len(sales) + 1, day=day), fund)
            sales.append(sold(f"s{len(sales)}", day.isoformat(), "A", str(units), str(value)))
            cut += left > 0
            day += timedelta(days=7)

    bought_rows = [
        bought(each.lot_id, each.acquired_date.isoformat(), "A", str(each.quantity), str(each.basis_total))
        for each in held
    ]
    rules = Germany({"ACME": kind}, tuple(replace(each, asset="ACME") for each in fund_years))
    history = History((TaxAccount("A"),), tuple(bought_rows), tuple(sales))
    assessed = sum((each.counted_gain for each in rules.assess(history, 2025).of_year()), ZERO)

    # Lots sold at once are the same to the cent. A cut lot has together the same gain; what of each part of it is
    # exempt may be rounded the other way, by a cent for the part and one for what is left.
    assert abs(others(account, 2025) - assessed) <= 2 * cut * Decimal("0.01")
