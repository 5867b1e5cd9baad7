"""Lets buys go when their money is there, and gives up those for which it will never be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.execution.app.ports import ShortPlan
from services.execution.app.records import CloseReason, OrderRecord
from services.execution.domain.currencies import price_in
from services.execution.domain.pretrade import unit_cost_at
from services.execution.domain.sequencing import WaitingBuy, release
from services.execution.domain.words import ReferencePrice, Side
from services.kernel.ids import InstrumentId

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class FundingRules:
    """How careful buys are with money that is not there yet.

    `haircut_bps` is kept back of what sells brought in blocks that are not finished. `cost_buffer_bps` is set aside for
    a buy above its limit or reference, fees included. While more may come, part of a buy
    goes alone only when it is worth `part_amount_min`, and what goes is at least `wave_share_min` of all that waits:
    every wave makes blocks of its own.
    """

    haircut_bps: Decimal
    cost_buffer_bps: Decimal
    part_amount_min: Decimal
    wave_share_min: Decimal


def released_at_intake(orders: Sequence[OrderRecord], available_cash: Decimal) -> list[OrderRecord]:
    """Return a new plan's orders with what may leave at once released: all sells, and what cash covers of buys.

    They come with all of it released.
    """
    sells = [order for order in orders if order.terms.side is Side.SELL]
    buys = [order for order in orders if order.terms.side is Side.BUY]
    released = {
        each.order_id: each.quantity
        for each in release(
            [_waiting(order, order.quantity) for order in buys],
            budget=available_cash,
            part_amount_min=_part_amount_min(buys, sells),
        )
    }
    return sells + [
        order if (covered := released.get(order.order_id, ZERO)) == order.quantity else replace(order, released=covered)
        for order in buys
    ]


def repriced(
    orders: Sequence[OrderRecord], prices: Mapping[InstrumentId, ReferencePrice], rules: FundingRules
) -> tuple[OrderRecord, ...]:
    """Return waiting buys with what they may cost now: prices have moved since they were taken."""
    known = [(order, price_in(prices, order.instrument_id, order.terms.currency)) for order in orders]
    return tuple(
        order
        if reference is None
        else replace(order, unit_cost_max=unit_cost_at(order.terms.limit_price, reference, rules.cost_buffer_bps))
        for order, reference in known
    )


def released_orders(short: ShortPlan, *, rules: FundingRules, now: datetime) -> list[OrderRecord]:
    """Return those waiting buys of a plan that change because money came in, or because no more will come."""
    # While more is to come a part must be worth sending; at the end every increment that is covered goes.
    released = release(
        [_waiting(order, order.waiting) for order in short.waiting],
        budget=short.funding.budget(rules.haircut_bps),
        part_amount_min=rules.part_amount_min if short.more_to_come else ZERO,
    )
    by_id = {order.order_id: order for order in short.waiting}
    if short.more_to_come:
        waiting_amount = sum((order.waiting * order.unit_cost_max for order in short.waiting), ZERO)
        if sum((each.cost_max for each in released), ZERO) < waiting_amount * rules.wave_share_min:
            return []
    if released:
        return [
            replace(
                by_id[each.order_id],
                released=by_id[each.order_id].released + each.quantity,
                update_time=now,
                # Much may have changed since the plan was taken.
                check_time=None,
            )
            for each in released
        ]
    return [replace(order, close_reason=CloseReason.CASH_INSUFFICIENT, update_time=now) for order in short.waiting]


def _waiting(order: OrderRecord, quantity: Decimal) -> WaitingBuy:
    return WaitingBuy(order.order_id, quantity, order.terms.increment, order.unit_cost_max, order.rank)


def _part_amount_min(buys: Sequence[OrderRecord], sells: Sequence[OrderRecord]) -> Decimal:
    # With nothing to sell no more money comes: what cash covers goes now, in whole or in part.
    if not sells:
        return ZERO
    return max((order.quantity * order.unit_cost_max for order in buys), default=ZERO)
