"""Who got what, in one order that never changes.

Positions have no gaps, and a reader who has seen position n will never see a smaller one appear: they are given under
`Ledger.lock`, which is held until the transaction has committed, so positions follow the order of commits.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.execution.app.ports import Allocated
from services.execution.app.records import AllocationRecord, OrderRecord, PlanReport
from services.execution.store import rows
from services.execution.store.bulk import insert_rows
from services.execution.tables import account_order, allocation, block, plan_report
from services.kernel.ids import AccountId, BlockId, PlanId, VenueId


class Stream:
    """The part of the ledger with allocations and the stream of plan reports."""

    _connection: AsyncConnection

    async def add_allocations(self, allocations: Sequence[AllocationRecord]) -> None:
        """Record who got what."""
        await insert_rows(self._connection, allocation, [rows.allocation_values(each) for each in allocations])

    async def allocated(self, venue_id: VenueId) -> dict[BlockId, Allocated]:
        """Return what was shared out of each of a venue's blocks."""
        found = await self._connection.execute(
            select(
                allocation.c.block_id,
                func.sum(allocation.c.quantity).label("quantity"),
                func.sum(allocation.c.amount).label("amount"),
                func.sum(allocation.c.fees).label("fees"),
            )
            .join(block, block.c.block_id == allocation.c.block_id)
            .where(block.c.venue_id == venue_id)
            .group_by(allocation.c.block_id)
        )
        return {BlockId(row.block_id): Allocated(row.quantity, row.amount, row.fees) for row in found}

    async def append_reports(
        self, contents: Sequence[AllocationRecord | OrderRecord], parents: Mapping[PlanId, str | None]
    ) -> None:
        """Put what happened at the end of the stream of plan reports, without a gap."""
        if not contents:
            return
        last = (await self._connection.execute(select(func.max(plan_report.c.position)))).scalar() or 0
        values = [
            {
                "position": position,
                "plan_id": each.plan_id,
                "account_id": each.account_id,
                "trace_parent": parents.get(each.plan_id),
                "order_id": each.order_id,
                "block_id": each.block_id if isinstance(each, AllocationRecord) else None,
            }
            for position, each in enumerate(contents, last + 1)
        ]
        await insert_rows(self._connection, plan_report, values)

    async def plan_reports(self, after: int, limit: int) -> list[PlanReport]:
        """Return the stream of plan reports after a position."""
        found = (
            await self._connection.execute(
                select(*plan_report.c)
                .where(plan_report.c.position > after)
                .order_by(plan_report.c.position)
                .limit(limit)
            )
        ).all()
        if not found:
            return []
        orders = {
            row.order_id: rows.order_of(row)
            for row in await self._connection.execute(
                select(*account_order.c).where(account_order.c.order_id == func.any([row.order_id for row in found]))
            )
        }
        given = {
            (row.order_id, row.block_id): rows.allocation_of(row, orders[row.order_id].terms)
            for row in await self._connection.execute(
                select(*allocation.c).where(
                    allocation.c.order_id == func.any([row.order_id for row in found if row.block_id is not None])
                )
            )
        }
        return [
            PlanReport(
                position=row.position,
                plan_id=PlanId(row.plan_id),
                account_id=AccountId(row.account_id),
                trace_parent=row.trace_parent,
                content=orders[row.order_id] if row.block_id is None else given[row.order_id, row.block_id],
            )
            for row in found
        ]
