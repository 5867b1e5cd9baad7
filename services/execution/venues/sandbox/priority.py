"""Who is served first where the market has only so much to give: price, then time.

The order precedence rules of order-driven markets (Harris, Trading and Exchanges, 2003, chapter 6): whoever offers the
better price comes first, a market order before every limit; among equals whoever came earlier.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from services.execution.app.venue_port import Intent, MarketSetting, Quote, Sizes
from services.execution.domain.currencies import turn_over, turned_over
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import Report
from services.execution.domain.words import OrderType, Side
from services.execution.venues.sandbox.market import RestingOrder, matched, other_side, price_of
from services.kernel.ids import InstrumentId


def in_priority(orders: Iterable[RestingOrder]) -> list[RestingOrder]:
    """Return orders in the sequence in which the market looks at them; what came together, by name."""
    return sorted(orders, key=lambda each: (_distance(each), each.arrival_time, each.intent.client_order_id))


def matched_in_turn(
    orders: Iterable[RestingOrder],
    market: MarketSetting,
    quotes: Mapping[InstrumentId, Quote],
    exchange: Exchange,
) -> tuple[list[tuple[RestingOrder, list[Report]]], dict[InstrumentId, Sizes]]:
    """Let the market look at each order once, and return each with what is said of it, and the sizes that changed.

    Args:
        orders: Open orders; those without a quote wait.
        market: Its spread, fee and seed.
        quotes: By instrument.
        exchange: Whose auctions there are.
    """
    looked_at: list[tuple[RestingOrder, list[Report]]] = []
    left: dict[InstrumentId, Sizes] = {}
    for order in in_priority(orders):
        intent = order.intent
        quote = quotes.get(intent.instrument_id)
        if quote is None:
            continue
        sizes = left.get(intent.instrument_id, quote.sizes)
        offered = None if sizes is None else _offered(intent, market, quote.middle, sizes)
        after, said = matched(order, market, quote.middle, exchange, offered)
        looked_at.append((after, said))
        if sizes is not None and after.filled_quantity > order.filled_quantity:
            left[intent.instrument_id] = _less(sizes, order, after)
    return looked_at, left


def _offered(intent: Intent, market: MarketSetting, middle: Decimal, sizes: Sizes) -> Decimal:
    """Return how much of what an order deals in is offered to it: sizes are of a pair's first currency."""
    if not turned_over(intent.instrument_id, intent.currency):
        return sizes.offered_to(intent.side)
    return sizes.offered_to(other_side(intent.side)) / price_of(intent, market, middle)


def _less(sizes: Sizes, before: RestingOrder, after: RestingOrder) -> Sizes:
    """Return what is left after a fill; who deals in the second currency of a pair pays in the first."""
    intent = before.intent
    if not turned_over(intent.instrument_id, intent.currency):
        return sizes.less(intent.side, after.filled_quantity - before.filled_quantity)
    return sizes.less(other_side(intent.side), after.gross_amount - before.gross_amount)


def _distance(order: RestingOrder) -> tuple[bool, Decimal]:
    """Return how far an order stands behind the best price: less is better."""
    intent = order.intent
    if intent.order_type is OrderType.MARKET or intent.limit_price is None:
        return False, Decimal(0)
    side, limit = intent.side, intent.limit_price
    if turned_over(intent.instrument_id, intent.currency):
        side, limit = other_side(side), turn_over(limit)
    return True, -limit if side is Side.BUY else limit
