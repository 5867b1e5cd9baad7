"""Who got what, in one order that never changes.

Positions have no gaps, and a reader who has seen position n will never see a smaller one appear: they are given under
`Ledger.lock`, which is held until the transaction has committed, so positions follow the order of commits.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import func, select, text

from services.execution.app.ports import Allocated, Benchmarks
from services.execution.app.records import AllocationRecord, Correction, OrderRecord, PlanReport
from services.execution.domain.payment import Movement
from services.execution.store import rows
from services.execution.store.allocations import replaced
from services.execution.store.bulk import insert
from services.execution.tables import account_order, allocation, block, plan, plan_report
from services.kernel.ids import AccountId, BlockId, OrderId, PlanId
from services.runtime.write_behind import WriteBehind

# Longer than any trade takes to settle.
SETTLING_MAX = timedelta(days=30)

# The interval of a block is from when it was formed to its last fill: all buckets that it touches.
_BENCHMARKS = text("""
    SELECT given.order_id,
        coalesce(sum(given.amount) FILTER (WHERE market.vwap IS NOT NULL), 0) AS vwap_amount,
        coalesce(sum(given.quantity * market.vwap), 0) AS at_vwap,
        coalesce(sum(given.amount) FILTER (WHERE closing.price IS NOT NULL), 0) AS close_amount,
        coalesce(sum(given.quantity * closing.price), 0) AS at_close,
        coalesce(sum(given.amount) FILTER (WHERE block.crossed_block_id IS NOT NULL), 0) AS crossed_amount
    FROM execution.allocation AS given
    JOIN execution.block ON block.block_id = given.block_id
    CROSS JOIN LATERAL (
        SELECT max(said.report_time) AS last_fill FROM execution.venue_report AS said
        WHERE said.block_id = given.block_id AND said.kind IN ('Filled', 'FillCorrected')
    ) AS fills
    LEFT JOIN LATERAL (
        SELECT sum(traded.value) / nullif(sum(traded.volume), 0) AS vwap FROM execution.market_volume AS traded
        WHERE traded.instrument_id = block.instrument_id AND traded.value IS NOT NULL
            AND block.account_currency IS NULL
            AND traded.bucket_time > block.market_time - CAST(:bucket AS interval)
            AND traded.bucket_time <= fills.last_fill
    ) AS market ON true
    LEFT JOIN execution.closing_price AS closing
        ON closing.instrument_id = block.instrument_id AND closing.day = given.trade_date
            AND closing.currency = block.currency AND block.account_currency IS NULL
    WHERE given.order_id = ANY(:order_ids)
        AND NOT EXISTS (SELECT FROM execution.allocation AS later WHERE later.replaces = given.allocation_id)
    GROUP BY given.order_id
""")


class Stream:
    """The part of the ledger with allocations and the stream of plan reports."""

    _connection: WriteBehind
    # Of the stream, once this transaction has put something at its end.
    _last_position: int | None = None

    async def add_allocations(self, allocations: Sequence[AllocationRecord]) -> None:
        """Record who got what."""
        await insert(self._connection, allocation, allocations, rows.allocation_columns)

    async def allocated(self, block_ids: Collection[BlockId]) -> dict[BlockId, Allocated]:
        """Return what was shared out of each of the blocks, as it counts now, in the currency it was traded in."""
        found = await self._connection.execute(
            select(
                allocation.c.block_id,
                func.sum(allocation.c.quantity).label("quantity"),
                func.sum(func.coalesce(allocation.c.traded_amount, allocation.c.amount)).label("amount"),
                func.sum(func.coalesce(allocation.c.traded_fees, allocation.c.fees)).label("fees"),
            )
            .where(allocation.c.block_id == func.any(sorted(block_ids)), ~replaced())
            .group_by(allocation.c.block_id)
        )
        return {BlockId(row.block_id): Allocated(row.quantity, row.amount, row.fees) for row in found}

    async def unsettled(self, account_ids: Collection[AccountId], day: date) -> dict[AccountId, list[Movement]]:
        """Return what accounts traded that settles after `day`: by plan, and within a plan sells first."""
        movements: dict[AccountId, list[Movement]] = {}
        if not account_ids:
            return movements
        found = await self._connection.execute(
            select(
                *(allocation.c.account_id, allocation.c.plan_id, allocation.c.quantity, allocation.c.amount),
                *(allocation.c.fees, allocation.c.trade_date, allocation.c.settlement_date),
                *(plan.c.available_cash, block.c.instrument_id, block.c.side),
            )
            .join(plan, plan.c.plan_id == allocation.c.plan_id)
            .join(block, block.c.block_id == allocation.c.block_id)
            .where(
                allocation.c.account_id == func.any(sorted(account_ids)),
                # For the index.
                allocation.c.trade_date > day - SETTLING_MAX,
                allocation.c.settlement_date > day,
                allocation.c.quantity > 0,
                ~replaced(),
            )
            .order_by(plan.c.submit_time, plan.c.plan_id, block.c.side.desc())
            .order_by(allocation.c.create_time, allocation.c.allocation_id)
        )
        for row in found:
            movements.setdefault(AccountId(row.account_id), []).append(rows.movement_of(row))
        return movements

    async def benchmarks(self, order_ids: Collection[OrderId], bucket: timedelta) -> dict[OrderId, Benchmarks]:
        """Return what the orders' allocations would have cost at the market's prices; buckets are so long."""
        found = await self._connection.execute(_BENCHMARKS, {"order_ids": sorted(order_ids), "bucket": bucket})
        return {
            OrderId(row.order_id): Benchmarks(
                row.vwap_amount, row.at_vwap, row.close_amount, row.at_close, row.crossed_amount
            )
            for row in found
        }

    async def append_reports(
        self, contents: Sequence[AllocationRecord | OrderRecord], parents: Mapping[PlanId, str | None]
    ) -> None:
        """Put what happened at the end of the stream of plan reports, without a gap."""
        if not contents:
            return
        last = self._last_position
        if last is None:
            last = (await self._connection.execute(select(func.max(plan_report.c.position)))).scalar() or 0
        # Nobody else gives positions until this transaction ends.
        self._last_position = last + len(contents)

        def columns(part: Sequence[tuple[int, AllocationRecord | OrderRecord]]) -> rows.Columns:
            told = [each for _, each in part]
            return {
                "position": [position for position, _ in part],
                **rows.columns_from(told, ("plan_id", "account_id", "order_id")),
                "trace_parent": [parents.get(each.plan_id) for each in told],
                "allocation_id": [each.allocation_id if isinstance(each, AllocationRecord) else None for each in told],
            }

        await insert(self._connection, plan_report, list(enumerate(contents, last + 1)), columns)

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
        orders = await self._orders_told(found)
        given, positions = await self._allocations_told(found, orders)
        return [
            PlanReport(
                position=row.position,
                plan_id=PlanId(row.plan_id),
                account_id=AccountId(row.account_id),
                trace_parent=row.trace_parent,
                content=orders[row.position]
                if row.allocation_id is None
                else _told(given[row.allocation_id], given, positions),
            )
            for row in found
        ]

    async def _orders_told(self, found: Sequence[rows.AnyRow]) -> dict[int, OrderRecord]:
        """Return the order of each report: as it is; or as it was told, where it changed after it was closed."""
        ids = sorted({row.order_id for row in found})
        present = {
            row.order_id: rows.order_of(row)
            for row in await self._connection.execute(
                select(*account_order.c).where(account_order.c.order_id == func.any(ids))
            )
        }
        orders = {row.position: present[row.order_id] for row in found}
        changed = [row.position for row in found if row.closed is not None]
        if changed:
            told = await self._connection.execute(_TOLD, {"positions": changed})
            orders |= {row.position: rows.order_of(row) for row in told}
        return orders

    async def _allocations_told(
        self, found: Sequence[rows.AnyRow], orders: Mapping[int, OrderRecord]
    ) -> tuple[dict[str, AllocationRecord], dict[str, int]]:
        """Return the allocations that reports name and those that these replace, and where the latter were told."""
        named = {row.allocation_id: orders[row.position].terms for row in found if row.allocation_id is not None}
        given = {
            row.allocation_id: rows.allocation_of(row, named[row.allocation_id])
            for row in await self._connection.execute(
                select(*allocation.c).where(allocation.c.allocation_id == func.any(sorted(named)))
            )
        }
        terms = {each.replaces: each.terms for each in given.values() if each.replaces is not None}
        positions: dict[str, int] = {}
        if terms:
            before = await self._connection.execute(
                select(*allocation.c, plan_report.c.position)
                .join(plan_report, plan_report.c.allocation_id == allocation.c.allocation_id)
                .where(allocation.c.allocation_id == func.any(sorted(terms)))
            )
            for row in before:
                given[row.allocation_id] = rows.allocation_of(row, terms[row.allocation_id])
                positions[row.allocation_id] = row.position
        return given, positions


# The whole row as it was, column by column with its type.
_TOLD = text("""
    SELECT report.position, told.*
    FROM execution.plan_report AS report, jsonb_populate_record(NULL::execution.account_order, report.closed) AS told
    WHERE report.position = ANY(:positions)
""")


def _told(
    allocated: AllocationRecord, given: Mapping[str, AllocationRecord], positions: Mapping[str, int]
) -> AllocationRecord | Correction:
    if allocated.replaces is None:
        return allocated
    return Correction(allocated, given[allocated.replaces], positions[allocated.replaces])
