"""How the sandbox fills orders: given prices, a spread, a fee, and a seed for everything that chance decides.

A buy pays the middle price plus half the spread, a sell gets it less half; a limit order waits until that is good
enough. An order may be filled in several executions, whose sizes follow from the seed and the order's name alone: the
same orders against the same market make the same fills, whatever the order of their arrival. Where the market has only
so much to give, `priority.py` says who is served first.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from services.execution.app.venue_port import Intent, MarketSetting
from services.execution.domain.currencies import turn_over, turned_over
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import (
    Accepted,
    Canceled,
    ChangeRefused,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    OrderState,
    Paused,
    Replaced,
    Report,
    Restated,
)
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.kernel.money import CENT

ZERO = Decimal(0)
BPS = Decimal(10_000)

# Exchanges quote to this tick at the finest; a fill rounds against whoever asked for it.
TICK = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order as the sandbox has it."""

    intent: Intent
    arrival_time: datetime
    due_time: datetime
    filled_quantity: Decimal = ZERO
    gross_amount: Decimal = ZERO
    fees: Decimal = ZERO
    executions: int = 0
    open: bool = True
    acknowledged: bool = False
    suspended: bool = False

    @property
    def leaves_quantity(self) -> Decimal:
        """Return what is not filled yet."""
        return self.intent.quantity - self.filled_quantity


def acknowledged(order: RestingOrder) -> tuple[RestingOrder, list[Report]]:
    """Return an order that is new in the book, and what the venue says about it."""
    return replace(order, acknowledged=True), [Accepted(f"{order.intent.client_order_id}:accepted")]


def matched(
    order: RestingOrder, market: MarketSetting, middle: Decimal, exchange: Exchange, offered: Decimal | None = None
) -> tuple[RestingOrder, list[Report]]:
    """Return an open order after the market looked at it once: at most one execution, of what is `offered` at most."""
    intent = order.intent
    if order.suspended or _before_its_auction(intent, market.market_time, exchange):
        return order, []
    price, quantity = price_of(intent, market, middle), _size(order, market, offered)
    if quantity == 0 or not _good_enough(intent, price):
        if intent.time_in_force is TimeInForce.DAY:
            return order, []
        return canceled(order)
    amount = quantity * price
    fee = fee_of(amount, market)
    number = order.executions + 1
    filled = replace(
        order,
        filled_quantity=order.filled_quantity + quantity,
        gross_amount=order.gross_amount + amount,
        fees=order.fees + fee,
        executions=number,
    )
    said: list[Report] = [Filled(f"{intent.client_order_id}:{number}", quantity, price, fee)]
    if filled.leaves_quantity == 0:
        return replace(filled, open=False), said
    if intent.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL:
        rest, canceling = canceled(filled)
        return rest, said + canceling
    return filled, said


def _before_its_auction(intent: Intent, market_time: datetime, exchange: Exchange) -> bool:
    """Return whether an order waits for an auction that is not there yet on the day of the market."""
    session = exchange.session_of(exchange.date_at(market_time))
    match intent.time_in_force:
        case TimeInForce.AT_THE_OPENING:
            return market_time < session.open_time
        case TimeInForce.AT_THE_CLOSE:
            return market_time < session.close_time
        case _:
            return False


def fee_of(amount: Decimal, market: MarketSetting) -> Decimal:
    """Return what a fill of `amount` costs, in cents, half to even."""
    return (amount * market.fee_bps / BPS).quantize(CENT, rounding=ROUND_HALF_EVEN)


def canceled(order: RestingOrder) -> tuple[RestingOrder, list[Report]]:
    """Return an open order without what was left of it."""
    return replace(order, open=False), [Canceled(f"{order.intent.client_order_id}:canceled")]


def expired(order: RestingOrder) -> tuple[RestingOrder, list[Report]]:
    """Return an open order after its day is over."""
    return replace(order, open=False), [Expired(f"{order.intent.client_order_id}:expired")]


def too_late(order: RestingOrder, request_id: str) -> Report:
    """Return the answer to a request to change what is over."""
    return ChangeRefused(change_id(order, request_id), request_id, "too late: the order is over")


def change_id(order: RestingOrder, request_id: str) -> str:
    """Return the id of the report that answers a request to change an order."""
    return f"{order.intent.client_order_id}:change:{request_id}"


def replaced(
    order: RestingOrder, request_id: str, quantity: Decimal, limit_price: Decimal | None, now: datetime
) -> tuple[RestingOrder, list[Report]]:
    """Return an open order with another quantity and limit; at or below what is filled, it is over.

    FIX 4.4, volume 7, appendix D, C.3.b and c. One that wants no more and no other price keeps its place among those
    that wait; else it is as if it came `now`.
    """
    kept = max(quantity, order.filled_quantity)
    limit = limit_price if limit_price is not None else order.intent.limit_price
    after = replace(
        order,
        intent=replace(order.intent, quantity=kept, limit_price=limit),
        arrival_time=order.arrival_time if kept <= order.intent.quantity and limit == order.intent.limit_price else now,
        open=kept > order.filled_quantity,
    )
    return after, [Replaced(change_id(order, request_id), request_id, kept, limit)]


def busted(order: RestingOrder, fill: Filled | FillCorrected) -> tuple[RestingOrder, list[Report]]:
    """Return an order without one of its fills. The sandbox does not trade again what it busted: the order is over."""
    after = replace(
        order,
        filled_quantity=order.filled_quantity - fill.quantity,
        gross_amount=order.gross_amount - fill.quantity * fill.price,
        fees=order.fees - fill.fee,
    )
    return _over(order, after, FillBusted(f"{fill.report_id}:bust", fill.report_id))


def corrected(
    order: RestingOrder, fill: Filled | FillCorrected, quantity: Decimal, price: Decimal, fee: Decimal
) -> tuple[RestingOrder, list[Report]]:
    """Return an order after one of its fills was in truth another: no larger than it was."""
    after = replace(
        order,
        filled_quantity=order.filled_quantity + quantity - fill.quantity,
        gross_amount=order.gross_amount + quantity * price - fill.quantity * fill.price,
        fees=order.fees + fee - fill.fee,
    )
    return _over(order, after, FillCorrected(f"{fill.report_id}:corrected", fill.report_id, quantity, price, fee))


def _over(
    before: RestingOrder, after: RestingOrder, said: FillBusted | FillCorrected
) -> tuple[RestingOrder, list[Report]]:
    # An order that was filled, and is not any more, would be open again: appendix D, J.1.a.
    if before.open or before.leaves_quantity > 0 or after.leaves_quantity == 0:
        return after, [said]
    return after, [said, Canceled(f"{said.report_id}:canceled")]


def suspended(order: RestingOrder, number: int) -> tuple[RestingOrder, list[Report]]:
    """Return an open order that rests while its market is halted; appendix D, K.1."""
    said = Paused(f"{order.intent.client_order_id}:halted:{number}", OrderState.SUSPENDED)
    return replace(order, suspended=True), [said]


def resumed(order: RestingOrder, number: int) -> tuple[RestingOrder, list[Report]]:
    """Return an open order whose market trades again."""
    return replace(order, suspended=False), [Restated(f"{order.intent.client_order_id}:resumed:{number}")]


def price_of(intent: Intent, market: MarketSetting, middle: Decimal) -> Decimal:
    """Return what a unit of an order costs now, in its currency.

    Who deals in the second currency of a pair stands on the other side of its quote: euros bought for dollars are
    dollars sold for euros.
    """
    if not turned_over(intent.instrument_id, intent.currency):
        return fill_price(intent.side, market, middle)
    return turn_over(fill_price(other_side(intent.side), market, middle))


def other_side(side: Side) -> Side:
    """Return who trades with an order of `side`."""
    return Side.SELL if side is Side.BUY else Side.BUY


def fill_price(side: Side, market: MarketSetting, middle: Decimal) -> Decimal:
    """Return what a fill of `side` costs now, to the tick, rounded against whoever asked."""
    half = market.spread_bps / (2 * BPS)
    if side is Side.BUY:
        return (middle * (1 + half)).quantize(TICK, rounding=ROUND_CEILING)
    return max((middle * (1 - half)).quantize(TICK, rounding=ROUND_FLOOR), TICK)


def _good_enough(intent: Intent, price: Decimal) -> bool:
    if intent.order_type is OrderType.MARKET or intent.limit_price is None:
        return True
    return price <= intent.limit_price if intent.side is Side.BUY else price >= intent.limit_price


def _size(order: RestingOrder, market: MarketSetting, offered: Decimal | None) -> Decimal:
    """Return how much is filled at once, whole increments; 0 where too little is offered."""
    wanted, increment = _wanted(order, market), order.intent.increment
    if offered is None or wanted <= offered:
        return wanted
    if order.intent.time_in_force is TimeInForce.FILL_OR_KILL:
        return ZERO
    return (offered / increment).to_integral_value(rounding=ROUND_DOWN) * increment


def _wanted(order: RestingOrder, market: MarketSetting) -> Decimal:
    intent = order.intent
    if market.fill_share_max >= 1 or intent.time_in_force is TimeInForce.FILL_OR_KILL:
        return order.leaves_quantity
    # Between half of the largest share and all of it.
    share = market.fill_share_max * (1 + _chance(market.seed, intent.client_order_id, order.executions)) / 2
    increments = (intent.quantity * share / intent.increment).to_integral_value(rounding=ROUND_DOWN)
    return min(max(increments, Decimal(1)) * intent.increment, order.leaves_quantity)


def _chance(seed: int, name: str, number: int) -> Decimal:
    """Return a number from 0 to below 1 that `seed`, `name` and `number` decide."""
    digest = hashlib.sha256(f"{seed}/{name}/{number}".encode()).digest()
    return Decimal(int.from_bytes(digest[:4], "big")) / 2**32
