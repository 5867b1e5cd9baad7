from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.exchanges import exchange
from services.execution.domain.payment import Movement, Unpaid, sellable, unpaid
from services.execution.domain.settlement import settlement_date
from services.execution.domain.words import Side

NYSE = exchange("XNYS")
# T+2, so that proceeds of yesterday are on their way, too.
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2022, 11, day) for day in (7, 8, 9, 10))


def moved(side, instrument, amount, day, *, cash=0, plan="plan-1", quantity=10):
    settles = settlement_date(day, NYSE, "USD")
    return Movement(plan, Decimal(cash), instrument, side, Decimal(quantity), Decimal(amount), day, settles)


def sold(instrument, amount, day, **fields):
    return moved(Side.SELL, instrument, amount, day, **fields)


def bought(instrument, amount, day, **fields):
    return moved(Side.BUY, instrument, amount, day, **fields)


def test_what_settled_cash_bought_may_be_sold_the_same_day():
    assert unpaid([bought("VTI", 1000, MONDAY, cash=1000)], MONDAY) == {}


def test_what_unsettled_proceeds_bought_may_be_sold_when_they_settle():
    trades = [sold("BND", 1000, MONDAY), bought("VTI", 1000, MONDAY)]

    assert unpaid(trades, MONDAY) == unpaid(trades, TUESDAY) == {"VTI": Unpaid(Decimal(10), WEDNESDAY)}
    assert unpaid(trades, WEDNESDAY) == {}


def test_settled_cash_is_spent_first():
    trades = [
        sold("BND", 1000, MONDAY, cash=600),
        bought("VTI", 600, MONDAY, cash=600),
        bought("VXUS", 500, MONDAY, cash=600),
    ]

    assert unpaid(trades, MONDAY) == {"VXUS": Unpaid(Decimal(10), WEDNESDAY)}


def test_cash_of_a_later_plan_that_is_proceeds_of_an_earlier_one_is_no_settled_cash():
    trades = [sold("BND", 1000, MONDAY), bought("VTI", 900, TUESDAY, plan="plan-2", cash=1000)]

    assert unpaid(trades, TUESDAY) == {"VTI": Unpaid(Decimal(10), WEDNESDAY)}
    assert unpaid(trades[1:], WEDNESDAY) == {}


def test_what_nothing_paid_for_waits_until_its_own_settlement():
    assert unpaid([bought("VTI", 1000, MONDAY, cash=999)], TUESDAY) == {"VTI": Unpaid(Decimal(10), WEDNESDAY)}


def test_only_the_unpaid_units_are_held():
    assert sellable(Decimal(25), "VTI", {"VTI": Unpaid(Decimal(10), WEDNESDAY)}) == 15
    assert sellable(Decimal(5), "VTI", {"VTI": Unpaid(Decimal(10), WEDNESDAY)}) == 0
    assert sellable(Decimal(25), "BND", {"VTI": Unpaid(Decimal(10), WEDNESDAY)}) == 25


@st.composite
def lives(draw):
    """Days of an account: on each a plan that sells some instruments and then buys others, for what it has."""
    return draw(st.integers(0, 2000)), draw(
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 40)), max_size=2, unique_by=lambda t: t[0]),
                st.lists(st.tuples(st.sampled_from("DEF"), st.integers(1, 30)), max_size=3, unique_by=lambda t: t[0]),
                st.booleans(),
            ),
            min_size=1,
            max_size=8,
        )
    )


@given(lives())
def test_no_unit_is_ever_sold_before_its_money_has_settled(life):
    """Judged by another rule than the code's: all money by the day it settles, all purchases in their order."""
    start, days = life
    day, cash, held, trades, purchases = MONDAY, Decimal(start), {}, [], []
    for number, (passing, one, other, swap) in enumerate(days):
        for _ in range(passing):
            day = NYSE.session_after(NYSE.session_of(day).close_time + timedelta(hours=1)).day
        plan, opening = f"plan-{number}", cash
        selling, buying = (other, one) if swap else (one, other)
        not_paid = unpaid([each for each in trades if each.settlement_date > day], day)
        for name, units in selling:
            quantity = min(Decimal(units), sellable(held.get(name, Decimal(0)), name, not_paid))
            if quantity > 0:
                held[name] -= quantity
                cash += quantity * 10
                trades.append(sold(name, quantity * 10, day, cash=opening, plan=plan, quantity=quantity))
                _judge(name, quantity, day, start, trades, purchases)
        for name, units in buying:
            if units * 10 <= cash:
                cash -= units * 10
                held[name] = held.get(name, Decimal(0)) + units
                trades.append(bought(name, units * 10, day, cash=opening, plan=plan, quantity=units))
                purchases.append((name, Decimal(units), Decimal(units) * 10))


def _judge(name, quantity, day, start, trades, purchases):
    """Of `name` at least as much as was ever sold was bought with money that has settled by `day`."""
    settled = start + sum(each.amount for each in trades if each.side is Side.SELL and each.settlement_date <= day)
    spent, paid = Decimal(0), Decimal(0)
    for bought_name, units, cost in purchases:
        spent += cost
        if bought_name == name and spent <= settled:
            paid += units
    ever_sold = sum(each.quantity for each in trades if each.side is Side.SELL and each.instrument_id == name)
    assert ever_sold <= paid
