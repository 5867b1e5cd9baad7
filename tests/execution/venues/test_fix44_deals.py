"""Pairs of currencies over FIX: what is dealt, at what rate, and what is said of it in the currency that is paid."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from services.execution.domain.currencies import turn_over
from services.execution.domain.order import Filled, OrderState, Replaced, Restated, VenueOrder, after
from services.execution.domain.words import OrderType, Side
from services.execution.fix.protocol.message import FieldInvalid
from services.execution.venues.fix44 import asking, telling
from services.execution.venues.fix44.asked import AllocationAsked, ChangeAsked, OrdersAsked, asked
from services.execution.venues.fix44.deals import as_booked
from services.execution.venues.fix44.hearing import hear
from tests.execution.venues.test_fix44_mapping import an_instruction, an_intent, message_of, sent

AT = datetime(2022, 12, 28, 17, 0, tzinfo=UTC)
LIMIT = turn_over(Decimal("1.19048"))


def a_deal(currency="EUR", limit=LIMIT, **fields):
    """Dollars bought for euros, or euros for dollars."""
    return an_intent(
        instrument_id="EUR/USD",
        quantity=Decimal("350.35"),
        increment=Decimal("0.01"),
        order_type=OrderType.LIMIT,
        limit_price=limit,
        currency=currency,
        settlement_date=date(2022, 12, 30),
        **fields,
    )


def text_of(message, *tags):
    return [message.text(tag) for tag in tags]


def heard(intent, text):
    message = message_of("8=FIX.4.4|35=8|37=B-1|11=c-1|17=e-1|55=EUR/USD|54=1|60=20221228-17:00:00|" + text)
    return as_booked(intent.instrument_id, intent.currency, message, hear(message))


def test_a_pair_is_dealt_in_the_currency_of_its_quantity_at_a_rate_as_it_is_quoted():
    turned = sent(asking.new_order(a_deal(), AT))
    straight = sent(asking.new_order(a_deal("USD", Decimal("1.26")), AT))

    # Symbol, Product, SecurityType, Side, OrderQty, Price, Currency, SettlDate.
    tags = (55, 460, 167, 54, 38, 44, 15, 64)
    assert text_of(turned, *tags) == ["EUR/USD", "4", "FOR", "1", "350.35", "1.19048", "USD", "20221230"]
    assert text_of(straight, *tags) == ["EUR/USD", "4", "FOR", "1", "350.35", "1.26", "EUR", "20221230"]
    assert text_of(sent(asking.new_order(an_intent(), AT)), 460, 167, 64) == [None] * 3


@pytest.mark.parametrize("intent", [a_deal(), a_deal("USD", Decimal("1.26")), a_deal(side=Side.SELL)])
def test_a_deal_arrives_as_it_was_meant(intent):
    assert asked(sent(asking.new_order(intent, AT))) == OrdersAsked((intent,))
    assert asked(sent(asking.new_list("l-1", [intent], AT))) == OrdersAsked((intent,), "l-1")
    changed = sent(asking.replace_order(intent, "r-1", "c-1", Decimal(400), intent.limit_price, AT))
    assert asked(changed) == ChangeAsked("r-1", "c-1", Decimal(400), intent.limit_price)
    assert text_of(changed, 460, 167, 64) == ["4", "FOR", "20221230"]
    assert text_of(sent(asking.cancel_order(intent, "r-2", "c-1", AT)), 55, 460, 167) == ["EUR/USD", "4", "FOR"]
    assert text_of(sent(asking.order_status(intent, "q-1", "c-1")), 55, 460, 167) == ["EUR/USD", "4", "FOR"]


def test_an_allocation_of_a_deal_arrives_as_it_was_meant():
    told = an_instruction(instrument_id="EUR/USD", currency="EUR", average_price=Decimal("0.8"))
    message = sent(asking.allocation(told, "c-1", AT))

    assert text_of(message, 460, 167, 6, 15) == ["4", "FOR", "1.25", "USD"]
    assert asked(message) == AllocationAsked(told)


@pytest.mark.parametrize(("currency", "price"), [("EUR", turn_over(Decimal("1.25"))), ("USD", Decimal("1.25"))])
def test_what_is_said_of_a_deal_is_booked_as_it_was_told(currency, price):
    intent = a_deal(currency, price)
    order = VenueOrder(intent.quantity, price, ours=OrderState.PENDING_NEW)
    for report in (
        Filled("e-1", Decimal("100.35"), price, Decimal("0.28")),
        Replaced("e-2", "r-1", Decimal(400), price),
        Restated("e-3", Decimal(400), price),
    ):
        order = after(order, report)
        message = sent(telling.execution_report(telling.Told(intent, order, "B-1", "r-1", "c-1"), report, AT))
        assert as_booked(intent.instrument_id, intent.currency, message, hear(message)).report == report
        assert text_of(message, 55, 460, 167) == ["EUR/USD", "4", "FOR"]
        assert message.decimal(6) == Decimal("1.25")


def test_a_commission_is_in_the_dealt_currency_where_nothing_else_is_said():
    fill = "150=F|39=2|38=350.35|14=350.35|151=0|6=1.25|32=350.35|31=1.25|"

    def fee(intent, text):
        return heard(intent, fill + text).report.fee

    turned, straight = a_deal(), a_deal("USD", Decimal("1.26"))
    assert heard(turned, fill).report == Filled("e-1", Decimal("350.35"), Decimal("0.8"))
    assert fee(turned, "12=0.50|13=3|479=EUR|") == Decimal("0.50")
    assert fee(turned, "12=0.50|13=3|15=USD|") == fee(turned, "12=0.50|13=3|479=USD|") == Decimal("0.40")
    assert fee(straight, "12=0.40|13=3|") == Decimal("0.50")
    # A tenth of a percent of 280.28 euros, and of 437.94 dollars.
    assert (fee(turned, "12=0.1|13=2|"), fee(straight, "12=0.1|13=2|")) == (Decimal("0.28"), Decimal("0.44"))
    assert fee(turned, "136=1|137=1|138=USD|139=7|") == Decimal("0.80")
    with pytest.raises(FieldInvalid, match="a currency of the pair"):
        fee(turned, "12=0.50|13=3|479=GBP|")


def test_a_report_of_another_amount_than_was_dealt_is_not_understood():
    with pytest.raises(FieldInvalid, match="USD, which was dealt") as refused:
        heard(a_deal(), "15=EUR|150=F|39=2|14=280.28|151=0|6=1.25|32=280.28|31=1.25|")
    assert refused.value.tag == 15


# Rates that are none turned over, or whose turn is no price; and an amount beyond all reckoning, as a fee in percent.
TINY, HUGE = "0." + "0" * 29 + "1", "9" * 30


@pytest.mark.parametrize(
    ("kind", "text", "tag"),
    [
        ("F", f"39=2|151=0|14=1|6=1|32=1|31={TINY}|", 31),
        ("F", f"39=2|151=0|14=1|6=1|32=1|31={HUGE}|", 31),
        ("G", f"39=2|151=0|14=1|6=1|19=e-0|32=1|31={HUGE}|", 31),
        ("5", f"39=0|151=1|14=0|6=0|38=1|44={TINY}|", 44),
        ("D", f"39=0|151=1|14=0|6=0|38=1|44={HUGE}|", 44),
        ("F", "39=2|151=0|14=1|6=1|32=1|31=0.000000000001|", 31),
        ("F", f"39=2|151=0|14=1|6=1|32=1|31=1.25|12={HUGE}|13=2|", 12),
        ("F", f"39=2|151=0|14=1|6=1|32=1|31=1.25|136=1|137={HUGE}|138=EUR|139=7|", 12),
    ],
)
def test_what_cannot_be_reckoned_is_not_understood_and_stops_nothing(kind, text, tag):
    with pytest.raises(FieldInvalid) as refused:
        heard(a_deal(), f"150={kind}|{text}")
    assert refused.value.tag == tag


def test_an_order_at_a_rate_that_cannot_be_turned_over_is_not_understood():
    text = f"11=c-1|55=EUR/USD|54=1|60=20221228-17:00:00|38=1|40=2|44={TINY}|15=USD|"
    with pytest.raises(FieldInvalid) as refused:
        asked(message_of(f"8=FIX.4.4|35=D|{text}"))
    assert refused.value.tag == 44


def test_an_average_of_rates_turned_over_says_no_sum_and_fees_only_in_the_currency_that_is_paid():
    answer = "150=I|39=1|14=100|151=250.35|6=1.25|"

    assert heard(a_deal(), answer).standing.average_price is None
    assert heard(a_deal("USD", Decimal("1.26")), answer).standing.average_price == Decimal("1.25")
    assert heard(a_deal(), answer + "12=0.08|13=3|").standing.fees is None
    assert heard(a_deal(), answer + "12=0.08|13=3|479=EUR|").standing.fees == Decimal("0.08")


def test_a_market_order_has_no_rate():
    market = replace(a_deal(), order_type=OrderType.MARKET, limit_price=None)

    assert asked(sent(asking.new_order(market, AT))) == OrdersAsked((market,))
