"""Where our record and the venue's differ, or ours contradicts itself: a page of blocks at a time."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from services.execution.app.days import fills_by_day
from services.execution.app.ports import Allocated, Begin
from services.execution.app.records import BlockRecord, InstructionRecord, VenueBreak
from services.execution.app.venue_port import InstructionState, VenuePort, VenueView
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import OrderState, VenueOrder
from services.kernel.clock import Clock
from services.kernel.decimals import plain
from services.kernel.money import in_cents

ZERO = Decimal(0)
NOTHING = Allocated(ZERO, ZERO, ZERO)
# A row of ours names what is not there.
MISSING_ROW = "MISSING_ROW"
# Blocks compared at once.
BLOCKS_AT_ONCE = 500
# What a venue says of a block that lives is here after so long; before, a difference is not looked at.
ON_ITS_WAY_MAX = timedelta(seconds=30)
# Brokers answer an allocation in seconds; what has no answer for so long, people must look at.
INSTRUCTION_ANSWER_MAX = timedelta(minutes=5)
# Money is turned in seconds; where it is not, people must look at why.
LATE = timedelta(minutes=5)


async def venue_breaks(begin: Begin, venue: VenuePort, clock: Clock, exchange: Exchange) -> AsyncIterator[VenueBreak]:
    """Yield what differs between our record and the venue's right now, and what ours names that is not there.

    The venue's own answer is held whole, an order a few hundred bytes; of ours, with their reports, only a page.

    Raises:
        VenueUnreachable: The venue does not answer.
    """
    # The venue first: what it does after its answer, we may know already, and that is no break.
    views = {view.client_order_id: view for view in await venue.mass_status()}
    after = ""
    while True:
        async with begin() as ledger:
            records = await ledger.sent_blocks(venue.venue_id, after, BLOCKS_AT_ONCE)
            allocated = await ledger.allocated([record.block_id for record in records])
            until = records[-1].block_id if records else None
            dangling = await ledger.dangling(after, until)
        for row in dangling:
            yield VenueBreak(row.block_id, row.block_id, MISSING_ROW, f"{row.missing} {row.named}", "")
        if until is None:
            break
        after = until
        for record in records:
            view = views.pop(record.block.client_order_id, None)
            if _on_its_way(record, view, clock.now()):
                continue
            for each in _of_block(record, view, allocated.get(record.block_id, NOTHING), exchange, clock.now()):
                yield each
    for name, view in views.items():
        yield VenueBreak(None, name, "UNKNOWN_ORDER", "unknown", f"filled {view.filled_quantity} of {view.quantity}")
    async with begin() as ledger:
        for failed in await ledger.failed_instructions(venue.venue_id, clock.now() - INSTRUCTION_ANSWER_MAX):
            yield _uninstructed(failed)


def _on_its_way(record: BlockRecord, view: VenueView | None, now: datetime) -> bool:
    """Return whether a difference is no break yet: the block lives, and what the venue did last may be on its way."""
    if record.allocated or now - record.update_time >= ON_ITS_WAY_MAX:
        return False
    return view is None or record.order.filled_quantity < view.filled_quantity


def _of_block(
    record: BlockRecord, view: VenueView | None, allocated: Allocated, exchange: Exchange, now: datetime
) -> Iterator[VenueBreak]:
    order = record.order
    if view is None:
        # What never arrived there is missing there by right.
        if record.ours not in (OrderState.PENDING, OrderState.REJECTED):
            name = record.block.client_order_id
            yield VenueBreak(record.block_id, name, "MISSING_ORDER", str(order.state), "unknown")
        return
    yield from _differences(record, order, view)
    if record.unconverted and now - record.update_time > LATE:
        name = record.block.client_order_id
        yield VenueBreak(
            record.block_id, name, "UNCONVERTED", plain(order.filled_quantity), record.block.terms.booked_in
        )
    yield from _misallocated(record, order, allocated, exchange)


def _differences(record: BlockRecord, order: VenueOrder, view: VenueView) -> list[VenueBreak]:
    exact = Decimal(0)
    pairs: list[tuple[str, Decimal, Decimal, Decimal]] = [
        ("QUANTITY", order.quantity, view.quantity, exact),
        ("FILLED_QUANTITY", order.filled_quantity, view.filled_quantity, exact),
        (
            "AMOUNT",
            order.gross_amount,
            order.gross_amount if view.gross_amount is None else view.gross_amount,
            view.amount_tolerance,
        ),
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


def _misallocated(record: BlockRecord, order: VenueOrder, allocated: Allocated, exchange: Exchange) -> list[VenueBreak]:
    """A correction or bust that came after a block was shared out leaves accounts with what never happened."""
    # What a leg turned is in the allocations of its block.
    if not record.allocated or record.leg_of is not None:
        return []
    days = fills_by_day(record, exchange)
    pairs = [
        ("ALLOCATED_QUANTITY", allocated.quantity, order.filled_quantity),
        ("ALLOCATED_AMOUNT", allocated.amount, sum((in_cents(day.gross_amount) for day in days), ZERO)),
        ("ALLOCATED_FEES", allocated.fees, sum((in_cents(day.fee) for day in days), ZERO)),
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
