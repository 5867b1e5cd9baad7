"""What this process has read or written lately, so that it need not be read again.

An order is read when it goes into a block and again when the block is filled, a block's shares three times; making
values of rows costs more than all that is decided with them. So both are remembered, and what is asked of the database
is which version of each it has.

An order's version is the transaction that wrote it (`xmin`) and its `update_time`. A version is what one transaction
made of the row last, so whoever writes an order remembers it as it wrote it; what is rolled back is never read under
that version again. A block's shares never change; a block is known by its id and when it was formed.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

from services.execution.app.records import OrderRecord
from services.execution.domain.allocation import Share
from services.kernel.ids import OrderId

# About 1.2 kB each.
ORDERS_MAX = 32_768
# Shares in all, about 0.3 kB each.
SHARES_MAX = 131_072


class Remembered:
    """Orders by version and shares of blocks: those used last, up to a number."""

    def __init__(self, orders_max: int = ORDERS_MAX, shares_max: int = SHARES_MAX) -> None:
        """Begin with nothing."""
        self._orders_max = orders_max
        self._shares_max = shares_max
        self._orders: OrderedDict[str, tuple[int, OrderRecord]] = OrderedDict()
        self._shares: OrderedDict[str, tuple[datetime, tuple[Share, ...]]] = OrderedDict()
        self._shares_count = 0

    def order(self, order_id: str, version: int, update_time: datetime) -> OrderRecord | None:
        """Return an order if it is remembered as of this version."""
        found = self._orders.get(order_id)
        if found is None or found[0] != version or found[1].update_time != update_time:
            return None
        self._orders.move_to_end(order_id)
        return found[1]

    def put_orders(self, version: int, orders: Iterable[OrderRecord]) -> None:
        """Remember orders as a transaction wrote them, or as they were read."""
        remembered = self._orders
        for order in orders:
            # What is new comes to the end, and what was there before must be moved there.
            remembered.pop(order.order_id, None)
            remembered[order.order_id] = (version, order)
        while len(remembered) > self._orders_max:
            remembered.popitem(last=False)

    def forget_order(self, order_id: OrderId) -> None:
        """Forget an order that changed in a way which is not known here."""
        self._orders.pop(order_id, None)

    def shares(self, block_id: str, create_time: datetime) -> tuple[Share, ...] | None:
        """Return a block's shares if they are remembered."""
        found = self._shares.get(block_id)
        if found is None or found[0] != create_time:
            return None
        self._shares.move_to_end(block_id)
        return found[1]

    def put_shares(self, block_id: str, create_time: datetime, shares: Sequence[Share]) -> None:
        """Remember a block's shares."""
        before = self._shares.pop(block_id, None)
        self._shares_count += len(shares) - (0 if before is None else len(before[1]))
        self._shares[block_id] = (create_time, tuple(shares))
        while self._shares_count > self._shares_max:
            _, (_, forgotten) = self._shares.popitem(last=False)
            self._shares_count -= len(forgotten)
