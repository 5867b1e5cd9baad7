"""What a venue's second thoughts do to accounts: fills that were busted, corrected, or came after the block was over.

The block is shared out anew, by the statement that was frozen before it was sent and from the fills that count now.
Whoever has something else than before gets an allocation that replaces the old one and names it; both stay on record.
What cannot be shared, because it is more than was asked for, is given to nobody and stays a break.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.execution.app.records import AllocationRecord, BlockRecord, CloseReason, OrderRecord
from services.execution.domain.allocation import Allocation, Part, Traded, allocate_pro_rata
from services.kernel.ids import OrderId

ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Reshared:
    """A block shared out anew: who got what now, instead of what, and the parts before and after."""

    changed: tuple[tuple[Allocation, AllocationRecord | None], ...]
    parts_before: tuple[Part, ...]
    parts_after: tuple[Part, ...]


def reshared(
    record: BlockRecord,
    present: Iterable[AllocationRecord],
    allocations: Iterable[Allocation],
    parts: Sequence[Part],
) -> Reshared:
    """Return what is different when a block's fills are shared out as they count now.

    Args:
        record: The block, which was allocated before.
        present: Its allocations that nothing replaced.
        allocations: What its fills are now, shared out by its statement.
        parts: The same as parts of the statement.
    """
    statement = record.statement
    was = {(each.order_id, each.trade_date): each for each in present}
    becomes = {(each.order_id, each.trade_date): each for each in allocations}
    filled_before = sum((each.quantity for each in was.values()), ZERO) / statement.increment
    changed: list[tuple[Allocation, AllocationRecord | None]] = []
    for key in sorted({*was, *becomes}):
        before, now = was.get(key), becomes.get(key)
        after = now or _nothing(before)
        if after is not None and (before is None or _differs(before, after)):
            changed.append((after, before))
    return Reshared(tuple(changed), allocate_pro_rata(statement, int(filled_before)), tuple(parts))


def corrected_orders(
    orders: Mapping[OrderId, OrderRecord], record: BlockRecord, again: Reshared, now: datetime
) -> list[OrderRecord] | None:
    """Return the orders as a block shared out anew leaves them; None when one would have more than it asked for."""
    corrected = {order_id: orders[order_id] for order_id in {after.order_id for after, _ in again.changed}}
    for after, before in again.changed:
        order = corrected[after.order_id]
        more = after.quantity - (ZERO if before is None else before.quantity)
        corrected[after.order_id] = replace(
            order,
            filled=order.filled + more,
            filled_amount=order.filled_amount + after.gross_amount - (ZERO if before is None else before.amount),
            fees=order.fees + after.fee - (ZERO if before is None else before.fees),
            arrival_amount=order.arrival_amount + more * record.arrival_price * (record.arrival_rate or ONE),
            update_time=now,
        )
    if any(order.filled > order.quantity for order in corrected.values()):
        return None
    return [_given_up(orders[order_id], corrected[order_id]) for order_id in sorted(corrected)]


def _given_up(before: OrderRecord, after: OrderRecord) -> OrderRecord:
    """An order that lost a fill is not sent again: what is to be done about it is for decision to say."""
    lost = after.filled < before.filled and after.filled < after.quantity
    return replace(after, close_reason=CloseReason.FILL_BUSTED) if lost and not after.close_reason else after


def _nothing(before: AllocationRecord | None) -> Allocation | None:
    if before is None:
        return None
    traded = None if before.traded is None else Traded(before.traded.currency, ZERO, ZERO, ZERO)
    return Allocation(before.order_id, before.account_id, before.trade_date, ZERO, ZERO, ZERO, ZERO, traded)


def _differs(before: AllocationRecord, after: Allocation) -> bool:
    return (before.quantity, before.price, before.amount, before.fees, before.traded) != (
        after.quantity,
        after.average_price,
        after.gross_amount,
        after.fee,
        after.traded,
    )
