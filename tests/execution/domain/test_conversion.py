"""Legs are what fills need, to the cent, however they fail; and accounts are told exactly what their legs moved."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.allocation import DayFills, Share, Statement, Traded, allocate
from services.execution.domain.conversion import Leg, difference, in_account_currency, missing, owed, turned
from services.execution.domain.words import Side
from services.kernel.money import CENT
from tests.execution.domain.test_blocks import TERMS

DAY = date(2022, 12, 28)
NEXT = date(2022, 12, 29)
EUROS = replace(TERMS, currency="EUR", account_currency="USD")


def a_day(quantity, price, fee="0.37", day=DAY):
    quantity, price = Decimal(quantity), Decimal(price)
    return DayFills(day, quantity, quantity * price, price, Decimal(fee))


def a_leg(side, cents, rate, *, filled=None, fee="0.11", name="leg"):
    """A leg that turns so many cents of each order; of all, `filled` cents were."""
    shares = tuple(Share(order, f"acc-{order}", each) for order, each in cents.items())
    statement = Statement(name, CENT, shares)
    quantity = (sum(cents.values()) if filled is None else filled) * CENT
    return Leg(side, statement, [a_day(quantity, rate, fee)] if quantity else [])


def statement(*ordered):
    return Statement("block", Decimal(1), tuple(Share(f"o{n}", f"acc-o{n}", each) for n, each in enumerate(ordered)))


def test_a_buy_owes_its_amount_and_fees_and_a_sale_has_its_amount_less_fees():
    allocations, _ = allocate(statement(10), [a_day(10, "7.5", "0.50")])

    assert owed(allocations, Side.BUY) == {"o0": 75_50}
    assert owed(allocations, Side.SELL) == {"o0": -74_50}


def test_what_a_leg_did_not_do_is_missing_and_what_it_did_too_much_is_sold_again():
    needs = {"o0": 100, "o1": 60}

    assert missing(needs, turned([])) == needs
    assert missing(needs, turned([a_leg(Side.BUY, needs, "1.1", filled=80)])) == {"o0": 50, "o1": 30}
    assert missing(needs, turned([a_leg(Side.BUY, needs, "1.1", filled=0)])) == needs
    assert missing({"o0": 100}, turned([a_leg(Side.BUY, needs, "1.1")])) == {"o1": -60}
    assert missing({}, turned([a_leg(Side.BUY, needs, "1.1"), a_leg(Side.SELL, needs, "1.2")])) == {}


def test_an_account_in_dollars_is_told_dollars_by_the_rate_of_its_leg():
    allocations, _ = allocate(statement(10), [a_day(10, "7.5", "0.50")])
    done = turned([a_leg(Side.BUY, {"o0": 75_50}, "1.2", fee="0.09")])

    (told,) = in_account_currency(allocations, EUROS, done)

    # 75.50 € at 1.2 are 90.60 $, of which 0.60 are the venue's fee.
    assert (told.gross_amount, told.fee, told.average_price) == (90, Decimal("0.69"), 9)
    assert told.traded == Traded("EUR", Decimal("7.5"), Decimal(75), Decimal("0.5"))
    assert difference([told], Side.BUY, done) == 0


def test_a_bust_leaves_the_account_as_it_was_and_the_firm_with_what_the_rate_did():
    done = turned([a_leg(Side.BUY, {"o0": 75_50}, "1.2", fee=0), a_leg(Side.SELL, {"o0": 75_50}, "1.1", fee=0)])

    assert missing({}, done) == {}
    assert in_account_currency((), EUROS, done) == ()
    assert difference((), Side.BUY, done) == Decimal("7.55")


@st.composite
def cases(draw):
    cents = st.decimals(min_value="0.01", max_value=2000, places=2)
    ordered = draw(st.lists(st.integers(min_value=1, max_value=500), min_size=1, max_size=8))
    filled = draw(st.integers(min_value=1, max_value=sum(ordered)))
    first = draw(st.integers(min_value=0, max_value=filled))
    days = [
        a_day(units, draw(cents), draw(st.decimals(min_value=0, max_value=5, places=2)), day)
        for units, day in ((first, DAY), (filled - first, NEXT))
        if units
    ]
    rate = draw(st.decimals(min_value="0.01", max_value=150, places=4))
    portions = draw(st.lists(st.integers(min_value=0, max_value=100), max_size=3))
    return statement(*ordered), days, draw(st.sampled_from(Side)), rate, portions


@given(cases())
def test_legs_in_any_portions_end_exact_and_money_is_neither_made_nor_lost(case):
    block, days, side, rate, portions = case
    allocations, _ = allocate(block, days)
    needs, legs = owed(allocations, side), []
    # The venue fills legs in part, some not at all; the last ones whole.
    for number, portion in enumerate([*portions, 100]):
        rest = missing(needs, turned(legs))
        for direction, wanted in (
            (Side.BUY, {name: cents for name, cents in rest.items() if cents > 0}),
            (Side.SELL, {name: -cents for name, cents in rest.items() if cents < 0}),
        ):
            if wanted:
                filled = sum(wanted.values()) * portion // 100
                legs.append(a_leg(direction, wanted, rate + number, filled=filled, name=f"leg-{number}"))
    done = turned(legs)

    told = in_account_currency(allocations, replace(EUROS, side=side), done)

    assert missing(needs, done) == {}
    assert difference(told, side, done) == 0
    assert [(each.order_id, each.trade_date, each.quantity) for each in told] == sorted(
        (each.order_id, each.trade_date, each.quantity) for each in allocations
    )
    for each in told:
        assert each.gross_amount == each.gross_amount.quantize(CENT)
        assert each.fee >= 0
