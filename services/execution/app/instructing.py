"""Tells the venue who got what of each block, and hears what becomes of it.

That a block's shares are to be instructed is written down in the transaction that shares it out. Here they leave, and
what the venue says to them is recorded: FIX 4.4, volume 5, AllocationInstruction <J> and its answers <P> and <AS>.

- killed before the venue is told: the instruction is still PENDING, and is told later;
- killed after it, before we wrote that down: it is told again under the same id, which the venue takes as the same.

Nothing is decided here: an instruction that the venue rejects, or does not answer, is a break for people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.app.events import allocation_answered, allocation_told_again, block_event
from services.execution.app.ledger_instructions import Booked
from services.execution.app.next_instruction import next_instruction
from services.execution.app.ports import Begin, Ledger, Trace
from services.execution.app.records import BlockRecord, InstructionRecord
from services.execution.app.traces import by_trace
from services.execution.app.venue_port import AllocationInstruction, AllocationShare, InstructionState, VenuePort
from services.execution.domain.errors import InstructionNotFound, InstructionNotRejected, VenueUnreachable
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import AVERAGE_PRICE_QUANTUM
from services.execution.domain.settlement import settlement_date
from services.kernel.clock import Clock
from services.kernel.ids import AccountId

ZERO = Decimal(0)
Waiting = tuple[InstructionRecord, BlockRecord, AllocationInstruction]
# Why an instruction did not leave.
NOTHING = "nothing is left of the day, and the venue has nothing to take back"

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
            waiting = await self._to_tell(ledger)
            blocks = {block.block_id: block for _, block, _ in waiting}
            for group in by_trace(blocks.values()):
                # A block that was corrected may wait with two, the first of which comes first.
                of_group = {block.block_id for block in group.records}
                telling = [each for each in waiting if each[1].block_id in of_group]
                with self.trace.continued(
                    group.parent, "execution.block.instruct", also=group.also, evenkeel__blocks=len(telling)
                ):
                    try:
                        await self.venue.instruct([instruction for _, _, instruction in telling])
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

    async def _to_tell(self, ledger: Ledger) -> list[Waiting]:
        """Return what waits to be told, each in place of what the venue has: it has nothing of what it rejected."""
        found = await ledger.instructions_to_send(self.venue.venue_id, INSTRUCTED_MAX)
        again = {each.block_id for each, _, _ in found if each.replaces is not None}
        before = {each.allocation_id: each for each in (await ledger.instructions(again) if again else ())}
        waiting: list[Waiting] = []
        nothing: list[InstructionRecord] = []
        for record, block, allocations in found:
            instead = replace(record, replaces=standing(record, before))
            told = instruction_of(instead, block, allocations, self.exchange)
            if told.shares or told.replaces is not None:
                waiting.append((record, block, told))
            else:
                nothing.append(
                    replace(record, state=InstructionState.ACCEPTED, why=NOTHING, update_time=self.clock.now())
                )
        if nothing:
            await ledger.save_instructions(nothing)
            await ledger.emit(*map(allocation_answered, nothing))
        return waiting

    async def instruct_again(self, allocation_id: str, *, by: str, reason: str) -> InstructionRecord:
        """Have the venue told anew what it rejected, and return the instruction that takes its place.

        It says who got what as it counts now, under an id of its own: nothing that a person could set. So one person is
        enough.

        Raises:
            InstructionNotFound: No instruction has this id.
            InstructionNotRejected: The venue did not reject it, or another took its place already.
        """
        async with self.begin() as ledger:
            found = await ledger.instruction(allocation_id)
            if found is None:
                raise InstructionNotFound(
                    f"allocation instruction {allocation_id} does not exist", allocation_id=allocation_id
                )
            told = await ledger.instructions([found.block_id])
            later = next((each.allocation_id for each in told if each.replaces == allocation_id), None)
            if found.state is not InstructionState.REJECTED or later is not None:
                why = f"is {found.state}" if later is None else f"was replaced by {later}"
                raise InstructionNotRejected(
                    f"allocation instruction {allocation_id} {why}: only what the venue rejected is told again",
                    allocation_id=allocation_id,
                )
            detail = await ledger.block(found.block_id)
            if detail is None:
                raise ValueError(f"instruction {allocation_id} is of a block that does not exist")
            again = next_instruction(detail.record, found.trade_date, told, self.clock.now())
            await ledger.add_instructions([again])
            await ledger.emit(allocation_told_again(again, by, reason))
        return again

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
    record: InstructionRecord, block: BlockRecord, allocations: Sequence[Booked], exchange: Exchange
) -> AllocationInstruction:
    """Return what the venue is told of a day: each account's part, however many of its orders were in the block.

    Args:
        record: The instruction as it was written down.
        block: What was shared out.
        allocations: Its shares; none takes back what was instructed before.
        exchange: Where it was traded.
    """
    terms = block.block.terms
    day = record.trade_date or block.trade_date
    quantities: dict[AccountId, Decimal] = {}
    fees: dict[AccountId, Decimal] = {}
    given = [each for each in allocations if record.trade_date in (None, each.trade_date)]
    for each in given:
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
        trade_date=day,
        settlement_date=settlement_date(day, exchange, terms.currency),
        shares=tuple(AllocationShare(name, quantities[name], fees[name]) for name in sorted(quantities)),
    )


def standing(record: InstructionRecord, told: Mapping[str, InstructionRecord]) -> str | None:
    """Return which instruction the venue has that this one takes the place of; None when it has none."""
    before = record.replaces
    while before is not None and before in told and told[before].state is InstructionState.REJECTED:
        before = told[before].replaces
    return before


def _average_price(given: Sequence[Booked]) -> Decimal:
    """Return the price that all paid on average: each day's own when the fills are of several days."""
    prices = {each.price for each in given}
    if len(prices) == 1:
        return prices.pop()
    quantity = sum((each.quantity for each in given), ZERO)
    paid = sum((each.quantity * each.price for each in given), ZERO)
    return (paid / quantity).quantize(AVERAGE_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN) if quantity else ZERO
