"""Orders for pairs of currencies as FIX says them, and what is said of them as we book it. Pure.

Ours: an order of a pair is an amount of one currency, and its prices are what a unit of that costs in `currency`, the
other. FIX: the pair is the Symbol <55>, `CCY1/CCY2`; Currency <15> is the dealt currency, of which OrderQty <38> is an
amount and which Side <54> is about; prices are what one CCY1 costs in CCY2, whichever is dealt. Commission is in the
dealt currency where CommCurrency <479> does not say another.

Source: FIX specification 4.4, volume 6 (fields 12, 15, 55, 138, 167, 460, 479);
that quantity and side are about Currency <15>, for instance "USD/CAD sell CAD: 15=CAD, 54=2", in brokers' rules as they
are quoted at https://documentation.softwareag.com (Bank of America FXtransact) and on the list of QuickFIX/J
(https://sourceforge.net/p/quickfixj/mailman/message/36444739).
"""

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.domain.currencies import dealt_currency, turn_over, turned_over
from services.execution.domain.order import FillCorrected, Filled, Replaced, Report, Restated
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import FieldInvalid, Message
from services.execution.fix.protocol.validation import entries
from services.execution.fix.protocol.values import Pair
from services.execution.venues.fix44.bounds import FEE_MAX, PRICE_MAX
from services.execution.venues.fix44.hearing import charged
from services.execution.venues.fix44.said import OrderSaid
from services.execution.venues.fix44.words import (
    COMM_CURRENCY,
    COMM_TYPE,
    COMMISSION,
    CURRENCY,
    LAST_PX,
    MISC_FEE_AMT,
    MISC_FEE_BASIS,
    MISC_FEE_CURR,
    NO_MISC_FEES,
    PRICE,
    PRODUCT,
    PRODUCT_CURRENCY,
    SECURITY_TYPE,
    SECURITY_TYPE_FOREIGN_EXCHANGE,
)
from services.kernel.decimals import plain
from services.kernel.ids import InstrumentId
from services.kernel.money import CENT

ZERO = Decimal(0)
# What is told of a price that was turned over: four digits more than rates are quoted with.
TOLD_QUANTUM = Decimal("1e-9")


def kind_of(instrument_id: InstrumentId, currency: str) -> list[Pair]:
    """Return the fields that say that an instrument is a pair of currencies; none for what else is traded."""
    if dealt_currency(instrument_id, currency) is None:
        return []
    return [(PRODUCT, PRODUCT_CURRENCY), (SECURITY_TYPE, SECURITY_TYPE_FOREIGN_EXCHANGE)]


def fix_currency(instrument_id: InstrumentId, currency: str) -> str:
    """Return Currency <15> of what is paid in `currency`, and what is paid in, given Currency <15>."""
    return dealt_currency(instrument_id, currency) or currency


def as_quoted(instrument_id: InstrumentId, currency: str, price: Decimal) -> Decimal:
    """Return a price above 0 in `currency` as the market quotes it."""
    if not turned_over(instrument_id, currency):
        return price
    return Decimal(plain((1 / price).quantize(TOLD_QUANTUM, rounding=ROUND_HALF_EVEN)))


def as_paid(instrument_id: InstrumentId, currency: str, price: Decimal) -> Decimal:
    """Return a price above 0 as the market quotes it in `currency`."""
    return turn_over(price) if turned_over(instrument_id, currency) else price


def paid_at(message: Message, tag: int, instrument_id: InstrumentId, currency: str, price: Decimal) -> Decimal:
    """Return `as_paid` of the price above 0 that a field has.

    Raises:
        FieldInvalid: It is no rate: turned over, it would be nothing, or beyond all reckoning.
    """
    try:
        paid = as_paid(instrument_id, currency, price)
    except ArithmeticError:
        paid = ZERO
    if not 0 < paid < PRICE_MAX:
        raise FieldInvalid(tag, message.get(tag), "a rate that can be turned over")
    return paid


def as_booked(instrument_id: InstrumentId, currency: str, message: Message, said: OrderSaid) -> OrderSaid:
    """Return what an ExecutionReport <8> says of an order of ours for a pair, in the `currency` that it is paid in.

    Raises:
        FieldInvalid: It is about an amount of another currency than we dealt, or fees are in a third, or a rate or an
            amount cannot be reckoned with.
    """
    dealt = fix_currency(instrument_id, currency)
    if message.text(CURRENCY) not in (None, dealt):
        raise FieldInvalid(CURRENCY, message.get(CURRENCY), f"{dealt}, which was dealt")
    standing = said.standing
    if standing is not None:
        inverse, fees_in = turned_over(instrument_id, currency), message.text(COMM_CURRENCY) or dealt
        standing = standing._replace(
            # An average of rates says nothing of the sum of what was paid by them turned over.
            average_price=None if inverse else standing.average_price,
            fees=standing.fees if fees_in == currency or not standing.fees else None,
        )
    report = None if said.report is None else _report(instrument_id, currency, message, said.report)
    return said._replace(report=report, standing=standing)


def _report(instrument_id: InstrumentId, currency: str, message: Message, report: Report) -> Report:
    match report:
        case Filled() | FillCorrected():
            price = paid_at(message, LAST_PX, instrument_id, currency, report.price)
            fee = _fee(message, fix_currency(instrument_id, currency), currency, report.quantity, price)
            return replace(report, price=price, fee=fee)
        case Replaced() | Restated() if report.limit_price is not None and report.limit_price > 0:
            return replace(report, limit_price=paid_at(message, PRICE, instrument_id, currency, report.limit_price))
        case _:
            return report


def _fee(message: Message, dealt: str, paid: str, quantity: Decimal, price: Decimal) -> Decimal:
    """Return what a fill of `quantity` at `price` cost beside, in the currency that it is paid in, in cents."""
    amount, total = quantity * price, ZERO
    lines = [(message, COMMISSION, COMM_TYPE, COMM_CURRENCY)]
    if message.get(NO_MISC_FEES) is not None:
        lines += [
            (line, MISC_FEE_AMT, MISC_FEE_BASIS, MISC_FEE_CURR) for line in entries(message, fix_4_4(), NO_MISC_FEES)
        ]
    for line, value_tag, kind_tag, currency_tag in lines:
        value, kind, currency = line.decimal(value_tag) or ZERO, line.text(kind_tag), line.text(currency_tag)
        fee = charged(kind, value, quantity, amount)
        # A percentage of what was paid is in its currency already.
        if kind != "2" and value and currency != paid:
            if currency not in (None, dealt):
                raise FieldInvalid(currency_tag, line.get(currency_tag), "a currency of the pair")
            fee *= price
        total += fee
    if not 0 <= total < FEE_MAX:
        raise FieldInvalid(
            COMMISSION, message.get(COMMISSION), f"at least 0 and below {FEE_MAX:f}, with all other fees"
        )
    return total.quantize(CENT, rounding=ROUND_HALF_EVEN)
