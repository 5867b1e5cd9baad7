"""What one transaction changes, and everything that follows from it.

An order that ends, a fill that is shared out, a sell that will not happen: each may set buys free or leave them without
their money, goes into the stream that decision follows, and is told to audit. Whoever changes orders does it through
here, so that none of this is forgotten.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.execution.app.events import order_allocated, order_closed
from services.execution.app.funding import FundingRules, released_orders
from services.execution.app.ports import Ledger, Trace
from services.execution.app.records import AllocationRecord, BlockRecord, OrderRecord
from services.execution.domain.allocation import Allocation, Part, carries
from services.execution.domain.settlement import settlement_date
from services.execution.domain.trading_state import Halt, Scope
from services.execution.domain.words import ReferencePrice
from services.kernel.ids import OrderId, PlanId


class Changes:
    """What one transaction changes, gathered so that each row is read and written once."""

    def __init__(self, ledger: Ledger, now: datetime, rules: FundingRules) -> None:
        """Start with nothing changed."""
        self.ledger = ledger
        self.now = now
        self._rules = rules
        self.allocations: list[AllocationRecord] = []
        self.allocated: list[tuple[BlockRecord, Sequence[Part]]] = []
        self._orders: dict[OrderId, OrderRecord] = {}
        self._changed: dict[OrderId, OrderRecord] = {}
        self._was_closed: set[OrderId] = set()
        self._halts: dict[Scope, Halt] | None = None

    async def orders(self, order_ids: Iterable[OrderId]) -> dict[OrderId, OrderRecord]:
        """Return orders as this transaction has left them so far."""
        wanted = set(order_ids)
        missing = wanted - self._orders.keys()
        if missing:
            self.know((await self.ledger.orders(missing)).values())
        return {order_id: self._orders[order_id] for order_id in wanted}

    def know(self, orders: Iterable[OrderRecord]) -> None:
        """Remember orders as they are stored, unless they were changed here."""
        for order in orders:
            if order.order_id not in self._orders:
                self._orders[order.order_id] = order
                if order.closed:
                    self._was_closed.add(order.order_id)

    def put(self, order: OrderRecord) -> None:
        """Change an order."""
        self._orders[order.order_id] = order
        self._changed[order.order_id] = order

    async def halts(self) -> Mapping[Scope, Halt]:
        """Return the halts in force."""
        if self._halts is None:
            self._halts = await self.ledger.halts()
        return self._halts

    def allocate(
        self,
        record: BlockRecord,
        allocations: Sequence[Allocation],
        parts: Sequence[Part],
        orders: Mapping[OrderId, OrderRecord],
    ) -> None:
        """Give orders their parts of a block."""
        self.allocated.append((record, parts))
        self.allocations.extend(
            AllocationRecord(
                order_id=each.order_id,
                block_id=record.block_id,
                account_id=each.account_id,
                plan_id=orders[each.order_id].plan_id,
                terms=record.block.terms,
                quantity=each.quantity,
                price=each.average_price,
                amount=each.gross_amount,
                fees=each.fee,
                trade_date=record.trade_date,
                settlement_date=settlement_date(record.trade_date),
                create_time=self.now,
            )
            for each in allocations
        )

    @property
    def changed(self) -> list[OrderRecord]:
        """Return the orders that changed, by id."""
        return [self._changed[order_id] for order_id in sorted(self._changed)]

    async def finish(self, trace: Trace) -> None:
        """Release buys whose money came, and write down everything that changed."""
        await self._release_buys()
        await self._write(trace)
        for record, parts in self.allocated:
            before = {share.account_id: share.carry for share in record.statement.shares}
            await self.ledger.add_carries(carries(parts, before))

    async def _release_buys(self) -> None:
        """Release or give up buys of the plans whose orders changed."""
        plan_ids = {order.plan_id for order in self.changed}
        if not plan_ids:
            return
        stored = await self.ledger.orders_of(plan_ids)
        self.know(stored)
        by_plan: dict[PlanId, list[OrderRecord]] = {}
        for order in stored:
            by_plan.setdefault(order.plan_id, []).append(self._orders[order.order_id])
        cash = await self.ledger.available_cash(plan_ids)
        for plan_id in sorted(by_plan):
            for order in released_orders(
                by_plan[plan_id],
                available_cash=cash[plan_id],
                rules=self._rules,
                now=self.now,
            ):
                self.put(order)

    async def _write(self, trace: Trace) -> None:
        """Write orders and allocations, and tell decision and audit, plan by plan in the traces they came from."""
        over = self._newly_closed()
        prices = await self.ledger.prices({order.instrument_id for order in over if order.filled < order.quantity})
        closed = [_priced(order, prices.get(order.instrument_id)) for order in over]
        for order in closed:
            self.put(order)
        await self.ledger.save_orders(self.changed)
        await self.ledger.add_allocations(self.allocations)
        allocations = sorted(self.allocations, key=lambda each: (each.order_id, each.block_id))
        parents = {order.plan_id: order.trace_parent for order in self.changed}
        await self.ledger.append_reports([*allocations, *closed], parents)
        by_parent: dict[str, tuple[list[AllocationRecord], list[OrderRecord]]] = {}
        for allocation in allocations:
            by_parent.setdefault(parents[allocation.plan_id] or "", ([], []))[0].append(allocation)
        for order in closed:
            by_parent.setdefault(order.trace_parent or "", ([], []))[1].append(order)
        for parent, (given, ended) in sorted(by_parent.items()):
            with trace.continued(
                parent or None,
                "execution.order.allocate",
                evenkeel__allocations=len(given),
                evenkeel__closed_orders=len(ended),
            ):
                told = [order_allocated(allocation, self._orders[allocation.order_id]) for allocation in given]
                await self.ledger.emit(*told, *map(order_closed, ended))

    def _newly_closed(self) -> list[OrderRecord]:
        """Return the orders that this transaction closed, by id."""
        return [order for order in self.changed if order.closed and order.order_id not in self._was_closed]


def _priced(order: OrderRecord, reference: ReferencePrice | None) -> OrderRecord:
    """Return a closed order with the price its unfilled rest is reckoned at; without one, the rest cost nothing."""
    return replace(order, final_price=order.decision_price if reference is None else reference.price)
