"""Undoes what was crossed by mistake: both sides at once, when two persons say so.

A cross that should not have been is a fill that never happened, on both sides. So each of its blocks gets a bust, and
is shared out anew like a block whose venue busts a fill: every account is told of an allocation that replaces the one
it had, and decision takes units, lots and money back. The orders are not sent again; what is to be done about them is
for decision to say. Everything is written in one transaction, so there is never half a cross.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.execution.app.changes import Changes
from services.execution.app.days import fills_by_day
from services.execution.app.events import block_event, venue_reported
from services.execution.app.funding import FundingRules
from services.execution.app.ledger_uncrosses import Uncross
from services.execution.app.ports import Begin, Ledger, Trace
from services.execution.app.records import BlockRecord
from services.execution.app.traces import by_trace
from services.execution.app.venue_port import VenueReport
from services.execution.domain.allocation import allocate
from services.execution.domain.crossing import INTERNAL
from services.execution.domain.errors import BlockNotCrossed, BlockNotFound, SelfUncross, UncrossNotFound
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import FillBusted
from services.execution.domain.words import Side
from services.kernel.canonical import JsonValue
from services.kernel.clock import Clock
from services.kernel.events import Event
from services.kernel.ids import BlockId


@dataclass(frozen=True, slots=True)
class Uncrossing:
    """The use cases of undoing a cross."""

    begin: Begin
    trace: Trace
    clock: Clock
    market_clock: Clock
    funding: FundingRules
    exchange: Exchange

    async def propose(self, block_id: BlockId, *, by: str, why: str) -> Uncross:
        """Ask for a cross to be undone, of which `block_id` is one side; another person must approve. Safe to repeat.

        Raises:
            BlockNotFound: No block has this id.
            BlockNotCrossed: It was not crossed.
        """
        async with self.begin() as ledger:
            await ledger.lock()
            sell, buy = await _cross(ledger, block_id)
            known = await ledger.uncross(sell.block_id)
            if known is not None:
                return known
            wish = Uncross(sell.block_id, buy.block_id, by, why, self.clock.now())
            await ledger.put_uncross(wish)
            await ledger.emit(*(_event("uncross_proposed", side, wish) for side in (sell, buy)))
        return wish

    async def approve(self, block_id: BlockId, *, by: str) -> Uncross:
        """Approve that a cross is undone, of which `block_id` is one side, and undo it. Safe to repeat.

        Raises:
            BlockNotFound: No block has this id.
            BlockNotCrossed: It was not crossed.
            UncrossNotFound: Nobody asked for it.
            SelfUncross: `by` is who asked for it.
        """
        async with self.begin() as ledger:
            await ledger.lock()
            sides = await _cross(ledger, block_id)
            wish = await ledger.uncross(sides[0].block_id)
            if wish is None:
                raise UncrossNotFound(f"nobody asked for the cross of block {block_id} to be undone", block_id=block_id)
            if wish.proposer == by:
                raise SelfUncross(f"{by} asked for the cross to be undone: another person must approve it")
            if wish.approver:
                return wish
            done = replace(wish, approver=by, approve_time=self.clock.now())
            await ledger.put_uncross(done)
            await self._undo(ledger, sides, done)
        return done

    async def _undo(self, ledger: Ledger, sides: Sequence[BlockRecord], done: Uncross) -> None:
        now, market_time = self.clock.now(), self.market_clock.now()
        changes = Changes(ledger, now, self.funding, self.exchange)
        present = await ledger.allocations([each.block_id for each in sides])
        busts = [_bust(record, market_time) for record in sides]
        await ledger.add_reports(INTERNAL, [(each.block_id, said) for each, said in zip(sides, busts, strict=True)])
        records = [replace(each.heard([said]), update_time=now) for each, said in zip(sides, busts, strict=True)]
        events: dict[BlockId, list[Event]] = {}
        for record, said in zip(records, busts, strict=True):
            shares = allocate(record.statement, fills_by_day(record, self.exchange))
            again = await changes.correct(record, present.get(record.block_id, ()), *shares)
            if again is None:
                raise RuntimeError(f"block {record.block_id} would give more when its only fill is taken back")
            events[record.block_id] = [
                venue_reported(record, said),
                _event("uncrossed", record, done),
                block_event("reallocated", record, changes=len(again.changed)),
            ]
        await ledger.save_blocks(records)
        for group in by_trace(records):
            with self.trace.continued(
                group.parent, "execution.block.uncross", also=group.also, evenkeel__blocks=len(group.records)
            ):
                await ledger.emit(*(event for record in group.records for event in events[record.block_id]))
        await changes.finish(self.trace)


async def _cross(ledger: Ledger, block_id: BlockId) -> tuple[BlockRecord, BlockRecord]:
    """Return both sides of a cross, the selling one first, locked and with their reports."""
    found = await ledger.blocks([block_id])
    if not found:
        raise BlockNotFound(f"block {block_id} does not exist", block_id=block_id)
    other = found[0].crossed_block_id
    if other is None:
        raise BlockNotCrossed(f"block {block_id} was not crossed inside", block_id=block_id)
    sides = [*found, *await ledger.blocks([other])]
    sell, buy = sorted(sides, key=lambda each: each.block.terms.side is Side.BUY)
    return sell, buy


def _bust(record: BlockRecord, at: datetime) -> VenueReport:
    name = record.block.client_order_id
    (fill,) = record.order.fills
    return VenueReport(0, name, FillBusted(f"{name}:uncrossed", fill), at)


def _event(kind: str, record: BlockRecord, wish: Uncross) -> Event:
    data: dict[str, JsonValue] = {
        "crossed_block_id": record.crossed_block_id,
        "proposer": wish.proposer,
        "approver": wish.approver,
        "why": wish.why,
    }
    return block_event(kind, record, **data)
