"""Answers what became of things: orders, blocks, the stream of reports, costs, and breaks with the venue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.app.ports import Allocated, Begin, OrderFilter
from services.execution.app.records import (
    AllocationDetail,
    AllocationId,
    BlockDetail,
    BlockRecord,
    InstructionRecord,
    LifeState,
    OrderRecord,
    PlanReport,
    VenueBreak,
)
from services.execution.app.venue_port import InstructionState, VenuePort, VenueView
from services.execution.domain.costs import Execution, Shortfall, implementation_shortfall
from services.execution.domain.errors import AllocationNotFound, BlockNotFound, OrderNotFound
from services.execution.domain.order import OrderState, VenueOrder
from services.kernel.clock import Clock
from services.kernel.decimals import plain
from services.kernel.ids import BlockId, OrderId, RunId
from services.kernel.money import CENT, Money

ZERO = Decimal(0)
NOTHING = Allocated(ZERO, ZERO, ZERO)
# Brokers answer an allocation in seconds; what has no answer for so long, people must look at.
INSTRUCTION_ANSWER_MAX = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class CostReport:
    """What closed orders cost: each part in whole cents, half to even, and `total` their sum.

    `predicted` is decision's own figure for what was filled, each order's rounded to cents, half to even.
    """

    order_count: int
    currency: str
    traded_amount: Decimal
    delay: Decimal
    trading: Decimal
    opportunity: Decimal
    fees: Decimal
    predicted: Decimal

    @property
    def total(self) -> Decimal:
        """Return the whole shortfall."""
        return self.delay + self.trading + self.opportunity + self.fees


@dataclass(frozen=True, slots=True)
class Queries:
    """The use cases that change nothing."""

    begin: Begin
    venue: VenuePort
    clock: Clock

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

    async def get_block(self, block_id: BlockId) -> BlockDetail:
        """Return a block with its fills and allocations.

        Raises:
            BlockNotFound: No block has this id.
        """
        async with self.begin() as ledger:
            found = await ledger.block(block_id)
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

    async def cost_report(self, run_id: RunId | None) -> CostReport:
        """Return what the closed orders of a run, or of all, cost."""
        async with self.begin() as ledger:
            orders = await ledger.closed_orders(run_id)
        costs = [_shortfall(order) for order in orders]
        return CostReport(
            order_count=len(orders),
            currency=orders[0].terms.currency if orders else "USD",
            traded_amount=sum((order.filled_amount for order in orders), ZERO),
            delay=_cents(sum((cost.delay for cost in costs), ZERO)),
            trading=_cents(sum((cost.trading for cost in costs), ZERO)),
            opportunity=_cents(sum((cost.opportunity for cost in costs), ZERO)),
            fees=sum((cost.fees for cost in costs), ZERO),
            predicted=sum((_predicted(order) for order in orders), ZERO),
        )

    async def list_breaks(self) -> list[VenueBreak]:
        """Return what differs between our record and the venue's, by client order id.

        Raises:
            VenueUnreachable: The venue does not answer.
        """
        # The venue first: what it does after its answer, we may know already, and that is no break.
        views = {view.client_order_id: view for view in await self.venue.mass_status()}
        async with self.begin() as ledger:
            records = await ledger.sent_blocks(self.venue.venue_id)
            allocated = await ledger.allocated(self.venue.venue_id)
            failed = await ledger.failed_instructions(self.venue.venue_id, self.clock.now() - INSTRUCTION_ANSWER_MAX)
        found = compare(records, views, allocated) + [_uninstructed(each) for each in failed]
        return sorted(found, key=lambda each: (each.client_order_id, each.kind))


def compare(
    records: Sequence[BlockRecord], views: Mapping[str, VenueView], allocated: Mapping[BlockId, Allocated]
) -> list[VenueBreak]:
    """Return the differences between our blocks and the venue's orders, by client order id and kind."""
    found: list[VenueBreak] = []
    known: set[str] = set()
    for record in records:
        name = record.block.client_order_id
        known.add(name)
        view, order = views.get(name), record.order
        if view is None:
            # What never arrived there is missing there by right.
            if record.ours not in (OrderState.PENDING, OrderState.REJECTED):
                found.append(VenueBreak(record.block_id, name, "MISSING_ORDER", str(order.state), "unknown"))
            continue
        found.extend(_differences(record, order, view))
        found.extend(_misallocated(record, order, allocated.get(record.block_id, NOTHING)))
    found.extend(
        VenueBreak(None, name, "UNKNOWN_ORDER", "unknown", f"filled {view.filled_quantity} of {view.quantity}")
        for name, view in views.items()
        if name not in known
    )
    return sorted(found, key=lambda each: (each.client_order_id, each.kind))


def _differences(record: BlockRecord, order: VenueOrder, view: VenueView) -> list[VenueBreak]:
    exact = Decimal(0)
    pairs: list[tuple[str, Decimal, Decimal, Decimal]] = [
        ("QUANTITY", order.quantity, view.quantity, exact),
        ("FILLED_QUANTITY", order.filled_quantity, view.filled_quantity, exact),
        ("AMOUNT", order.gross_amount, view.gross_amount, view.amount_tolerance),
        ("FEES", order.fees, order.fees if view.fees is None else view.fees, exact),
    ]
    name = record.block.client_order_id
    found = [
        VenueBreak(record.block_id, name, kind, plain(ours), plain(venues))
        for kind, ours, venues, tolerance in pairs
        if abs(ours - venues) > tolerance
    ]
    if record.allocated and view.open:
        found.append(VenueBreak(record.block_id, name, "STILL_OPEN", str(order.state), "open"))
    if order.overfilled_quantity > 0:
        found.append(
            VenueBreak(record.block_id, name, "OVERFILLED", plain(order.quantity), plain(order.filled_quantity))
        )
    return found


def _misallocated(record: BlockRecord, order: VenueOrder, allocated: Allocated) -> list[VenueBreak]:
    """A correction or bust that came after a block was shared out leaves accounts with what never happened."""
    if not record.allocated:
        return []
    pairs = [
        ("ALLOCATED_QUANTITY", allocated.quantity, order.filled_quantity),
        ("ALLOCATED_AMOUNT", allocated.amount, _cents(order.gross_amount)),
        ("ALLOCATED_FEES", allocated.fees, _cents(order.fees)),
    ]
    name = record.block.client_order_id
    return [
        VenueBreak(record.block_id, name, kind, plain(ours), plain(venues))
        for kind, ours, venues in pairs
        if ours != venues
    ]


def _uninstructed(failed: InstructionRecord) -> VenueBreak:
    """The venue books other shares than we do, or none, until somebody settles it with them."""
    rejected = failed.state is InstructionState.REJECTED
    kind = "ALLOCATION_REJECTED" if rejected else "ALLOCATION_UNANSWERED"
    said = failed.why if rejected else f"no final answer, {failed.state.lower()}"
    return VenueBreak(failed.block_id, failed.client_order_id, kind, failed.allocation_id, said)


def _shortfall(order: OrderRecord) -> Shortfall:
    return implementation_shortfall(
        Execution(
            side=order.terms.side,
            ordered_quantity=order.quantity,
            filled_quantity=order.filled,
            gross_amount=order.filled_amount,
            decision_price=order.decision_price,
            arrival_amount=order.arrival_amount,
            final_price=order.final_price or order.decision_price,
            fees=order.fees,
        )
    )


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


def _predicted(order: OrderRecord) -> Decimal:
    filled = order.predicted_cost * order.filled / order.quantity
    return Money(filled, order.terms.currency).to_cents().amount
