"""On which of the exchange's days a block's fills were made: each day is a trade of its own, and settles on its own."""

from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.app.records import BlockRecord
from services.execution.domain.allocation import DayFills
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import AVERAGE_PRICE_QUANTUM, FillCorrected, LiveFill

ZERO = Decimal(0)


def fills_by_day(record: BlockRecord, exchange: Exchange) -> list[DayFills]:
    """Return a block's live fills by trade date at the exchange, in order.

    A fill that was corrected is of the day of the fill that it corrects, whenever the correction came.
    """
    corrected = {each.report_id: each.corrects for each in record.reports if isinstance(each, FillCorrected)}
    days: dict[date, list[LiveFill]] = {}
    for fill in record.order.fills.values():
        days.setdefault(exchange.date_at(_traded_at(fill.report_id, corrected, record)), []).append(fill)
    return [_together(day, days[day]) for day in sorted(days)]


def _traded_at(report_id: str, corrected: dict[str, str], record: BlockRecord) -> datetime:
    first = report_id
    # A correction may have overtaken what it corrects: then its own day is the best that is known.
    while first in corrected and corrected[first] in record.times:
        first = corrected[first]
    return record.times[first]


def _together(day: date, fills: list[LiveFill]) -> DayFills:
    quantity = sum((fill.quantity for fill in fills), ZERO)
    amount = sum((fill.quantity * fill.price for fill in fills), ZERO)
    return DayFills(
        trade_date=day,
        quantity=quantity,
        gross_amount=amount,
        average_price=(amount / quantity).quantize(AVERAGE_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN),
        fee=sum((fill.fee for fill in fills), ZERO),
    )
