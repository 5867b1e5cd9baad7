"""What it means for a block and for its orders that the block is over, wherever it was filled."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from services.execution.app.events import block_event
from services.execution.app.records import BlockRecord, OrderRecord
from services.execution.domain.allocation import Allocation
from services.execution.domain.changed import changed
from services.execution.domain.order import VenueOrder
from services.kernel.events import Event

ZERO = Decimal(0)
ONE = Decimal(1)


def finished(record: BlockRecord, order: VenueOrder) -> Event:
    """Say how a block ended."""
    return block_event(
        "finished",
        record,
        state=order.state,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        amount=order.gross_amount,
        fees=order.fees,
    )


def ended_part(
    order: OrderRecord, record: BlockRecord, asked: Decimal, got: Sequence[Allocation], now: datetime
) -> OrderRecord:
    """Return an order after one of its blocks is finished, in which it asked for `asked` and got `got`."""
    quantity = sum((each.quantity for each in got), ZERO)
    return changed(
        order,
        ended=order.ended + asked,
        settling_amount=ZERO,
        filled=order.filled + quantity,
        filled_amount=order.filled_amount + sum((each.gross_amount for each in got), ZERO),
        fees=order.fees + sum((each.fee for each in got), ZERO),
        arrival_amount=order.arrival_amount + quantity * record.arrival_price * (record.arrival_rate or ONE),
        update_time=now,
    )
