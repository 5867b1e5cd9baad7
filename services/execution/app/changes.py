"""What one transaction changes, and everything that follows from it.

An order that ends, a fill that is shared out, a sell that will not happen: each may set buys free or leave them without
their money, goes into the stream that decision follows, and is told to audit. Whoever changes orders does it through
here, so that none of this is forgotten.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from services.execution.app.corrections import Reshared, corrected_orders, reshared
from services.execution.app.events import order_allocated, order_closed
from services.execution.app.funding import FundingRules, released_orders, repriced
from services.execution.app.next_instruction import next_instruction
from services.execution.app.ports import Ledger, Trace
from services.execution.app.records import (
    AllocationId,
    AllocationRecord,
    BlockRecord,
    InstructionRecord,
    OrderRecord,
)
from services.execution.app.references import references
from services.execution.domain.allocation import Allocation, Part, carries
from services.execution.domain.changed import changed, maker
from services.execution.domain.currencies import price_in
from services.execution.domain.exchanges import Exchange
from services.execution.domain.settlement import settlement_date
from services.execution.domain.trading_state import Halt, Scope
from services.execution.domain.words import ReferencePrice
from services.kernel.ids import BlockId, OrderId, PlanId, derived_id

_allocation = maker(AllocationRecord)


class Changes:
    """What one transaction changes, gathered so that each row is read and written once."""

    def __init__(self, ledger: Ledger, now: datetime, rules: FundingRules, exchange: Exchange) -> None:
        """Start with nothing changed."""
        self.ledger = ledger
        self.now = now
        self._rules = rules
        self._exchange = exchange
        self.allocations: list[AllocationRecord] = []
        self.instructions: list[InstructionRecord] = []
        self.allocated: list[tuple[BlockRecord, Sequence[Part]]] = []
        self._orders: dict[OrderId, OrderRecord] = {}
        self._changed: dict[OrderId, OrderRecord] = {}
        self._was_closed: set[OrderId] = set()
        self._closed: dict[OrderId, OrderRecord] = {}
        self._halts: dict[Scope, Halt] | None = None
        self._replaced: dict[AllocationId, AllocationRecord] = {}
        self._before: dict[BlockId, Sequence[Part]] = {}
        # Of orders that are written already.
        self._plans: set[PlanId] = set()
        self._settling: dict[tuple[date, str], date] = {}

    async def orders(self, order_ids: Iterable[OrderId]) -> dict[OrderId, OrderRecord]:
        """Return orders as this transaction has left them so far."""
        wanted = set(order_ids)
        missing = [order_id for order_id in wanted if order_id not in self._orders]
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
            self._allocation(each, record, orders[each.order_id].plan_id, None) for each in allocations
        )

    def instruct(self, record: BlockRecord, days: Iterable[date], told: Sequence[InstructionRecord] = ()) -> None:
        """Have the venue told who got what of a block on each of some days, in place of what it was told of them."""
        if any(each.trade_date is None for each in told):
            # Told by an earlier build: all days together, and so it goes on.
            self.instructions.append(next_instruction(record, None, told, self.now))
        else:
            self.instructions.extend(next_instruction(record, day, told, self.now) for day in sorted(set(days)))

    async def correct(
        self,
        record: BlockRecord,
        present: Iterable[AllocationRecord],
        allocations: Iterable[Allocation],
        parts: Sequence[Part],
    ) -> Reshared | None:
        """Share a finished block out anew, and return what is different; None when an order would have too much.

        Then nothing changes. For what is asked see `reshared`.
        """
        again = reshared(record, present, allocations, parts)
        orders = await self.orders({share.order_id for share in record.statement.shares})
        corrected = corrected_orders(orders, record, again, self.now)
        if corrected is None:
            return None
        await self._give(record, again, corrected)
        return again

    async def _give(self, record: BlockRecord, again: Reshared, corrected: Sequence[OrderRecord]) -> None:
        """Give orders other parts of a block than they had."""
        self.allocated.append((record, again.parts_after))
        self._before[record.block_id] = again.parts_before
        plans = {order.order_id: order.plan_id for order in corrected}
        for after, before in again.changed:
            allocation = self._allocation(after, record, plans[after.order_id], before)
            self.allocations.append(allocation)
            if before is not None:
                self._replaced[before.allocation_id] = before
        over = [order for order in corrected if order.order_id in self._was_closed]
        # What the stream said of closed orders stays said.
        await self.ledger.correct_orders(over)
        for order in corrected:
            self._orders[order.order_id] = order
            if order.order_id not in self._was_closed:
                self._changed[order.order_id] = order

    async def write(self, order_ids: Collection[OrderId], trace: Trace) -> None:
        """Write down and tell how orders changed that nothing else in this transaction concerns.

        It is done while the next are decided. What follows for other orders of their plans comes with `finish`.
        """
        orders = [self._changed.pop(order_id) for order_id in order_ids if order_id in self._changed]
        self._plans.update(order.plan_id for order in orders)
        allocations = [each for each in self.allocations if each.order_id in order_ids]
        self.allocations = [each for each in self.allocations if each.order_id not in order_ids]
        await self._save(orders)
        await self.ledger.add_allocations(allocations)
        await self._tell(trace, allocations)

    async def finish(self, trace: Trace) -> None:
        """Write down what changed, then what follows: buys whose money came, or never will."""
        await self._save(self._changed.values())
        plan_ids = self._plans | {order.plan_id for order in self._changed.values()}
        following: list[OrderRecord] = []
        short_plans = await self.ledger.short_plans(plan_ids)
        prices = await references(
            self.ledger, {(each.instrument_id, each.terms.currency) for short in short_plans for each in short.waiting}
        )
        for short in short_plans:
            self.know(short.waiting)
            waiting = repriced(short.waiting, prices, self._rules)
            following += released_orders(replace(short, waiting=waiting), rules=self._rules, now=self.now)
        await self._save(following)
        await self.ledger.add_allocations(self.allocations)
        await self.ledger.add_instructions(self.instructions)
        await self._tell(trace, self.allocations)
        for record, parts in self.allocated:
            before = {share.account_id: share.carry for share in record.statement.shares}
            moved = carries(parts, before)
            for account_id, change in carries(self._before.get(record.block_id, ()), before).items():
                moved[account_id] = moved.get(account_id, 0) - change
            await self.ledger.add_carries(moved)

    async def _save(self, orders: Iterable[OrderRecord]) -> None:
        """Write orders as they are now; those that closed with less than they asked for get their final price first."""
        saving = {order.order_id: order for order in orders}
        over = [order for order in saving.values() if order.closed and order.order_id not in self._was_closed]
        self._closed.update((order.order_id, order) for order in over)
        # What was filled whole has no rest that a price would count for.
        in_part = [order for order in over if order.filled < order.quantity]
        prices = await references(self.ledger, {(each.instrument_id, each.terms.currency) for each in in_part})
        for order in in_part:
            reference = price_in(prices, order.instrument_id, order.terms.currency)
            saving[order.order_id] = self._closed[order.order_id] = _priced(order, reference)
        await self.ledger.save_orders([saving[order_id] for order_id in sorted(saving)])

    async def _tell(self, trace: Trace, given: Iterable[AllocationRecord]) -> None:
        """Tell decision and audit who got what and what ended since the last time, in the traces it came from."""
        allocations = sorted(given, key=lambda each: (each.order_id, each.block_id, each.trade_date))
        closed = [self._closed[order_id] for order_id in sorted(self._closed)]
        self._closed = {}
        told: list[AllocationRecord | OrderRecord] = [*allocations, *closed]
        parents = {each.plan_id: self._orders[each.order_id].trace_parent for each in told}
        await self.ledger.append_reports(told, parents)
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
                events = [
                    order_allocated(
                        allocation,
                        self._orders[allocation.order_id],
                        None if allocation.replaces is None else self._replaced[allocation.replaces],
                    )
                    for allocation in given
                ]
                await self.ledger.emit(*events, *map(order_closed, ended))

    def _allocation(
        self, each: Allocation, record: BlockRecord, plan_id: PlanId, before: AllocationRecord | None
    ) -> AllocationRecord:
        revision = 0 if before is None else before.revision + 1
        name = derived_id("a", record.block_id, each.order_id, each.trade_date.isoformat(), str(revision))
        return _allocation(
            allocation_id=AllocationId(name),
            order_id=each.order_id,
            block_id=record.block_id,
            account_id=each.account_id,
            plan_id=plan_id,
            terms=record.block.terms,
            quantity=each.quantity,
            price=each.average_price,
            amount=each.gross_amount,
            fees=each.fee,
            trade_date=each.trade_date,
            settlement_date=self._settles(each.trade_date, record.block.terms.currency),
            create_time=self.now,
            revision=revision,
            replaces=None if before is None else before.allocation_id,
            traded=each.traded,
        )

    def _settles(self, trade_date: date, currency: str) -> date:
        """Return when trades of a day settle: looked up once for all accounts that have some."""
        found = self._settling.get((trade_date, currency))
        if found is None:
            found = settlement_date(trade_date, self._exchange, currency)
            self._settling[trade_date, currency] = found
        return found


def _priced(order: OrderRecord, reference: ReferencePrice | None) -> OrderRecord:
    """Return a closed order with the price its unfilled rest is reckoned at; without one, the rest cost nothing."""
    return changed(order, final_price=order.decision_price if reference is None else reference.price)
