"""Tells the venue who got what of each block, and hears what becomes of it.

That a block's shares are to be instructed is written down in the transaction that shares it out. Here they leave, and
what the venue says to them is recorded: FIX 4.4, volume 5, AllocationInstruction <J> and its answers <P> and <AS>.

- killed before the venue is told: the instruction is still PENDING, and is told later;
- killed after it, before we wrote that down: it is told again under the same id, which the venue takes as the same.

Nothing is decided here: an instruction that the venue rejects, or does not answer, is a break for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.app.events import allocation_answered, block_event
from services.execution.app.ports import Begin, Trace
from services.execution.app.records import AllocationRecord, BlockRecord, InstructionRecord
from services.execution.app.traces import by_trace
from services.execution.app.venue_port import AllocationInstruction, AllocationShare, InstructionState, VenuePort
from services.execution.domain.errors import VenueUnreachable
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import AVERAGE_PRICE_QUANTUM
from services.execution.domain.settlement import settlement_date
from services.kernel.clock import Clock
from services.kernel.ids import AccountId

ZERO = Decimal(0)

# Instructed in one transaction.
INSTRUCTED_MAX = 50
# Asked about in one transaction: those without a final answer, the newest first.
ASKED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Instructing:
    """The use cases of instructing allocations at one venue, where it books them."""

    begin: Begin
    venue: VenuePort
    trace: Trace
    clock: Clock
    exchange: Exchange

    async def instruct_blocks(self) -> int:
        """Instruct what waits to be, while the venue takes it, and return how many instructions left."""
        if not self.venue.ready:
            return 0
        told = 0
        async with self.begin() as ledger:
            waiting = await ledger.instructions_to_send(self.venue.venue_id, INSTRUCTED_MAX)
            blocks = {block.block_id: block for _, block, _ in waiting}
            for group in by_trace(blocks.values()):
                # A block that was corrected may wait with two, the first of which comes first.
                of_group = {block.block_id for block in group.records}
                telling = [each for each in waiting if each[1].block_id in of_group]
                with self.trace.continued(
                    group.parent, "execution.block.instruct", also=group.also, evenkeel__blocks=len(telling)
                ):
                    try:
                        await self.venue.instruct([instruction_of(*each, self.exchange) for each in telling])
                    except VenueUnreachable:
                        # Told again next time, under the same ids.
                        break
                    sent = [
                        replace(record, state=InstructionState.SENT, update_time=self.clock.now())
                        for record, _, _ in telling
                    ]
                    await ledger.save_instructions(sent)
                    await ledger.emit(
                        *(
                            block_event("allocation_instructed", block, allocation_id=each.allocation_id)
                            for each, (_, block, _) in zip(sent, telling, strict=True)
                        )
                    )
                told += len(telling)
        return told

    async def hear_answers(self) -> int:
        """Record what the venue said to instructions, and return to how many it said something new."""
        async with self.begin() as ledger:
            waiting = await ledger.unanswered_instructions(self.venue.venue_id, ASKED_MAX)
            if not waiting:
                return 0
            try:
                views = await self.venue.instructions([each.allocation_id for each in waiting])
            except VenueUnreachable:
                return 0
            answered = [
                replace(each, state=view.state, why=view.why, update_time=self.clock.now())
                for each in waiting
                if (view := views.get(each.allocation_id)) is not None and view.state is not each.state
            ]
            await ledger.save_instructions(answered)
            await ledger.emit(*map(allocation_answered, answered))
        return len(answered)


def instruction_of(
    record: InstructionRecord, block: BlockRecord, allocations: Sequence[AllocationRecord], exchange: Exchange
) -> AllocationInstruction:
    """Return what the venue is told: each account's part, however many of its orders were in the block.

    Args:
        record: The instruction as it was written down.
        block: What was shared out.
        allocations: Its shares; none takes back what was instructed before.
        exchange: Where it was traded.
    """
    terms = block.block.terms
    quantities: dict[AccountId, Decimal] = {}
    fees: dict[AccountId, Decimal] = {}
    # What was busted is nobody's any more.
    for each in (given := [each for each in allocations if each.quantity > 0]):
        quantities[each.account_id] = quantities.get(each.account_id, ZERO) + each.quantity
        fees[each.account_id] = fees.get(each.account_id, ZERO) + each.fees
    return AllocationInstruction(
        allocation_id=record.allocation_id,
        replaces=record.replaces,
        client_order_id=block.block.client_order_id,
        instrument_id=terms.instrument_id,
        side=terms.side,
        currency=terms.currency,
        quantity=sum(quantities.values(), ZERO),
        average_price=_average_price(given),
        trade_date=block.trade_date,
        settlement_date=settlement_date(block.trade_date, exchange, terms.currency),
        shares=tuple(AllocationShare(name, quantities[name], fees[name]) for name in sorted(quantities)),
    )


def _average_price(given: Sequence[AllocationRecord]) -> Decimal:
    """Return the price that all paid on average: each day's own when the fills are of several days."""
    prices = {each.price for each in given}
    if len(prices) == 1:
        return prices.pop()
    quantity = sum((each.quantity for each in given), ZERO)
    paid = sum((each.quantity * each.price for each in given), ZERO)
    return (paid / quantity).quantize(AVERAGE_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN) if quantity else ZERO
