"""Answers what became of things: orders, blocks, the stream of reports, costs, and breaks with the venue."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.execution.app.cost_report import CostLine, CostReport, GroupBy
from services.execution.app.ports import Begin, OrderFilter
from services.execution.app.records import (
    AllocationDetail,
    AllocationId,
    BlockDetail,
    BlockRecord,
    LifeState,
    OrderRecord,
    PlanReport,
    VenueBreak,
)
from services.execution.app.venue_breaks import venue_breaks
from services.execution.app.venue_port import VenuePort
from services.execution.domain.errors import AllocationNotFound, BlockNotFound, OrderNotFound
from services.execution.domain.exchanges import Exchange
from services.execution.domain.words import Side
from services.kernel.clock import Clock
from services.kernel.ids import BlockId, OrderId, RunId

# Closed orders read at once for a report of costs.
ORDERS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Queries:
    """The use cases that change nothing."""

    begin: Begin
    venue: VenuePort
    clock: Clock
    exchange: Exchange
    volume_bucket: timedelta

    async def get_order(self, order_id: OrderId) -> OrderRecord:
        """Return an order.

        Raises:
            OrderNotFound: No order has this id.
        """
        async with self.begin() as ledger:
            found = (await ledger.orders({order_id})).get(order_id)
        if found is None:
            raise OrderNotFound(f"order {order_id} does not exist", order_id=order_id)
        return found

    async def list_orders(self, which: OrderFilter, after: str, limit: int) -> list[OrderRecord]:
        """Return orders after an id, by id."""
        async with self.begin() as ledger:
            return await ledger.list_orders(which, after, limit)

    async def changed_orders(self, which: OrderFilter, since: datetime, after: str, limit: int) -> list[OrderRecord]:
        """Return orders that changed at `since` or later, after an id, by id."""
        async with self.begin() as ledger:
            return await ledger.changed_orders(which, since, after, limit)

    async def get_block(self, block_id: BlockId) -> BlockDetail:
        """Return a block with its fills and allocations.

        Raises:
            BlockNotFound: No block has this id.
        """
        async with self.begin() as ledger:
            found = await ledger.block(block_id)
            if found is not None and found.record.crossed_block_id is not None:
                sold = found.record.block.terms.side is Side.SELL
                name = block_id if sold else found.record.crossed_block_id
                found = replace(found, uncross=await ledger.uncross(name))
        if found is None:
            raise BlockNotFound(f"block {block_id} does not exist", block_id=block_id)
        return found

    async def get_allocation(self, allocation_id: AllocationId) -> AllocationDetail:
        """Return an allocation, what became of it, and what it rests on.

        Raises:
            AllocationNotFound: No allocation has this id.
        """
        async with self.begin() as ledger:
            history = await ledger.allocation_history(allocation_id)
            detail = await ledger.block(history[0].block_id) if history else None
        if detail is None:
            raise AllocationNotFound(f"allocation {allocation_id} does not exist", allocation_id=allocation_id)
        statement = detail.record.statement
        share = next(share for share in statement.shares if share.order_id == history[0].order_id)
        return AllocationDetail(tuple(history), statement, share)

    async def list_blocks(self, run_id: RunId | None, after: str, limit: int) -> list[BlockRecord]:
        """Return blocks after an id, by id."""
        async with self.begin() as ledger:
            return await ledger.list_blocks(run_id, after, limit)

    async def plan_reports(self, after: int, limit: int) -> list[PlanReport]:
        """Return what happened to plans after a position: the same answer for ever."""
        async with self.begin() as ledger:
            return await ledger.plan_reports(after, limit)

    async def orders_by_state(self) -> dict[LifeState, int]:
        """Return how many orders are in each state."""
        async with self.begin() as ledger:
            return await ledger.orders_by_state()

    async def cost_report(self, run_id: RunId | None, group_by: GroupBy = GroupBy.NOTHING) -> list[CostLine]:
        """Return what the closed orders of a run, or of all, cost: a line for each currency, and each group within."""
        report, after = CostReport(group_by), OrderId("")
        async with self.begin() as ledger:
            while page := await ledger.closed_orders(run_id, after, ORDERS_AT_ONCE):
                report.add(page, await ledger.benchmarks([order.order_id for order in page], self.volume_bucket))
                after = page[-1].order_id
        return report.lines

    async def list_breaks(self) -> list[VenueBreak]:
        """Return what differs between our record and the venue's right now, by client order id and kind.

        Raises:
            VenueUnreachable: The venue does not answer.
        """
        found = [each async for each in venue_breaks(self.begin, self.venue, self.clock, self.exchange)]
        return sorted(found, key=lambda each: (each.client_order_id, each.kind))
