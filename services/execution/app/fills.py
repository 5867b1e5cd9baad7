"""Applies what a venue says: each report once, and everything that follows from it in the same transaction.

The cursor into the venue's reports, the reports themselves, the orders, the allocations, the stream that decision
follows, the events for audit and the buys that the money sets free are written together. Killed before the commit,
nothing happened and the same reports are read again; killed after, they are behind the cursor.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from services.execution.app.break_events import order_unknown
from services.execution.app.changes import Changes
from services.execution.app.converting import RETRY_AFTER, Converting
from services.execution.app.days import fills_by_day
from services.execution.app.ending import ended_part, finished
from services.execution.app.events import block_event, venue_reported
from services.execution.app.funding import FundingRules
from services.execution.app.ports import ORDERS_AT_ONCE, Begin, Trace
from services.execution.app.records import AllocationRecord, BlockRecord, CloseReason, OrderRecord
from services.execution.app.traces import by_trace
from services.execution.app.venue_port import VenuePort, VenueReport
from services.execution.domain.allocation import Allocation, Part, allocate, certain_increments
from services.execution.domain.blocks import Terms
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import Canceled, Filled, OrderState, Refused, Report, VenueOrder
from services.execution.domain.trading_hours import TradingHours
from services.execution.domain.trading_state import Halt, Scope, may_leave, scopes, strictest
from services.execution.domain.words import Side
from services.kernel.clock import Clock
from services.kernel.events import Event
from services.kernel.ids import BlockId, OrderId
from services.kernel.money import CENT

ZERO = Decimal(0)

# Blocks finished in one transaction, of those that never reached the venue.
FINISHED_MAX = 100
# Why a block was canceled that leaves its orders open, unless they are concerned themselves.
OURS = frozenset(
    {
        CloseReason.TRADING_HALTED,
        CloseReason.PLAN_EXPIRED,
        CloseReason.CUT_OFF,
        CloseReason.VOLUME_BUCKET_OVER,
    }
)


@dataclass(frozen=True, slots=True)
class Fills:
    """The use case of applying what one venue reports."""

    begin: Begin
    venue: VenuePort
    trace: Trace
    clock: Clock
    market_clock: Clock
    reports_max: int
    funding: FundingRules
    hours: TradingHours
    converting: Converting

    async def apply_reports(self) -> int:
        """Read and apply the venue's next reports, and return how many there were."""
        venue_id = self.venue.venue_id
        async with self.begin() as ledger:
            cursor = await ledger.cursor(venue_id)
        said = await self.venue.reports(cursor, self.reports_max)
        if not said:
            return 0
        async with self.begin() as ledger:
            await ledger.lock()
            if await ledger.cursor(venue_id) != cursor:
                # Another replica was faster; what it left is read next time.
                return 0
            blocks = await ledger.blocks_at(venue_id, {each.client_order_id for each in said})
            await ledger.add_reports(venue_id, [(_block_id(blocks, each), each) for each in said])
            by_block: dict[str, list[VenueReport]] = {}
            for each in said:
                if each.client_order_id in blocks:
                    by_block.setdefault(each.client_order_id, []).append(each)
                else:
                    await ledger.emit(order_unknown(venue_id, each))
            changes = Changes(ledger, self.clock.now(), self.funding, self.hours.exchange)
            await self._apply(changes, [(blocks[name], by_block[name]) for name in sorted(by_block)])
            await ledger.move_cursor(venue_id, said[-1].position)
        return len(said)

    async def finish_blocks(self) -> int:
        """Finish blocks that will never be at the venue: refused by it, or canceled before they were sent."""
        async with self.begin() as ledger:
            await ledger.lock()
            finishing = await ledger.blocks_to_finish(self.venue.venue_id, FINISHED_MAX)
            changes = Changes(ledger, self.clock.now(), self.funding, self.hours.exchange)
            endings = [(record, [self._ending(record)]) for record in finishing]
            reports = [(record.block_id, each) for record, said in endings for each in said]
            await ledger.add_reports(self.venue.venue_id, reports)
            await self._apply(changes, endings)
        return len(finishing)

    def _ending(self, record: BlockRecord) -> VenueReport:
        """Return how a block ended that the venue never had: nobody else speaks for it, so we do."""
        name = record.block.client_order_id
        ending: Report = (
            Refused(f"{name}:refused", record.reject_reason)
            if record.ours is OrderState.REJECTED
            else Canceled(f"{name}:unsent")
        )
        return VenueReport(0, name, ending, self.market_clock.now())

    async def _apply(self, changes: Changes, news: Sequence[tuple[BlockRecord, Sequence[VenueReport]]]) -> None:
        """Apply what was said about each block, and everything that follows from it."""
        turns = {record.block_id: _turn(record, said, changes.now, self.hours.exchange) for record, said in news}
        awaited = await changes.ledger.awaited_orders([each.block_id for each in turns.values() if each.part_sold])
        present = await changes.ledger.allocations([each.block_id for each in turns.values() if each.corrects])
        # Every order that is looked at below, in one question.
        await changes.orders(
            {order_id for order_ids in awaited.values() for order_id in order_ids}
            | {
                share.order_id
                for turn in turns.values()
                if turn.ends or turn.corrects
                for share in turn.after.statement.shares
            }
        )
        # An order that one of these blocks alone concerns is written when that block is over.
        blocks_of = Counter(share.order_id for turn in turns.values() for share in turn.after.statement.shares)
        over: set[OrderId] = set()
        converting: set[BlockId] = set()
        for group in by_trace(record for record, _ in news):
            with self.trace.continued(
                group.parent, "execution.block.fill", also=group.also, evenkeel__blocks=len(group.records)
            ):
                events: list[Event] = []
                records: list[BlockRecord] = []
                for record in group.records:
                    turn = turns[record.block_id]
                    events += turn.events
                    if turn.ends_now:
                        events.append(finished(turn.after, turn.order))
                    if (block_id := _to_convert(turn)) is not None:
                        # Shared out when its money is turned; a leg itself is done with.
                        converting.add(block_id)
                        leg = turn.after.leg_of is not None
                        records.append(replace(turn.after, allocated=turn.after.allocated or leg, unconverted=not leg))
                        continue
                    if turn.ends:
                        shares = allocate(turn.after.statement, fills_by_day(turn.after, self.hours.exchange))
                        records.append(await self._allocate(changes, turn.after, *shares))
                        over |= {part.order_id for part in shares[1] if blocks_of[part.order_id] == 1}
                        if len(over) >= ORDERS_AT_ONCE:
                            await changes.ledger.emit(*events)
                            await changes.write(over, self.trace)
                            events, over = [], set()
                        await changes.ledger.hand_over()
                        continue
                    if turn.corrects:
                        shares = allocate(turn.after.statement, fills_by_day(turn.after, self.hours.exchange))
                        standing = present.get(record.block_id, ())
                        events.append(await self._correct(changes, turn.after, standing, *shares))
                    if turn.part_sold:
                        await self._settle_part(changes, turn, awaited.get(record.block_id, frozenset()))
                    records.append(turn.after)
                await changes.ledger.save_blocks(records)
                await changes.ledger.emit(*events)
        await self._convert(changes, converting)
        await changes.finish(self.trace)

    async def convert_blocks(self) -> int:
        """Look again at blocks whose money is not turned yet, and return how much that did."""
        async with self.begin() as ledger:
            now = self.clock.now()
            before, turn = now - RETRY_AFTER, now.isoformat()
            if not await ledger.unconverted_blocks(self.venue.venue_id, before, turn, 1):
                return 0
            await ledger.lock()
            block_ids = await ledger.unconverted_blocks(self.venue.venue_id, before, turn, FINISHED_MAX)
            changes = Changes(ledger, self.clock.now(), self.funding, self.hours.exchange)
            count = await self._convert(changes, block_ids)
            await changes.finish(self.trace)
        return count

    async def _convert(self, changes: Changes, block_ids: Collection[BlockId]) -> int:
        """Have the money of blocks turned, share out those where it is, and return how many legs and blocks that is."""
        done, formed = await self.converting.look(changes, block_ids)
        present = await changes.ledger.allocations([each.record.block_id for each in done])
        for each in done:
            record = each.record
            if record.allocated:
                standing = present.get(record.block_id, ())
                event = await self._correct(changes, record, standing, each.allocations, each.parts)
                await changes.ledger.emit(event)
            else:
                record = await self._allocate(changes, record, each.allocations, each.parts)
            await changes.ledger.save_blocks([replace(record, unconverted=False, update_time=changes.now)])
            if each.difference:
                currency = record.block.terms.booked_in
                told = block_event("conversion_difference", record, amount=each.difference, currency=currency)
                await changes.ledger.emit(told)
        return formed + len(done)

    async def _allocate(
        self, changes: Changes, record: BlockRecord, allocations: Sequence[Allocation], parts: Sequence[Part]
    ) -> BlockRecord:
        """Share out a finished block's fills, and end its part in its orders."""
        order = record.order
        orders = await changes.orders({share.order_id for share in record.statement.shares})
        halts = await changes.halts()
        got: dict[OrderId, list[Allocation]] = {}
        for each in allocations:
            got.setdefault(each.order_id, []).append(each)
        for part, share in zip(parts, record.statement.shares, strict=True):
            account_order = orders[part.order_id]
            asked = share.ordered * record.statement.increment
            ended = ended_part(account_order, record, asked, got.get(part.order_id, ()), changes.now)
            rest = asked - part.filled * record.statement.increment
            if rest > 0:
                ended = self._unfilled(ended, record, order, rest, halts)
            changes.put(ended)
        changes.allocate(record, allocations, parts, orders)
        if allocations and self.venue.capabilities.books_allocations:
            changes.instruct(record, {each.trade_date for each in allocations})
        return replace(record, allocated=True)

    async def _correct(
        self,
        changes: Changes,
        record: BlockRecord,
        present: Sequence[AllocationRecord],
        allocations: Sequence[Allocation],
        parts: Sequence[Part],
    ) -> Event:
        """Share a finished block out anew after the venue corrected itself, and return what to tell of it."""
        again = await changes.correct(record, present, allocations, parts)
        if again is None:
            return block_event("not_reallocated", record, why="an order would have more than it asked for")
        if self.venue.capabilities.books_allocations:
            told = await changes.ledger.instructions([record.block_id])
            changes.instruct(record, {after.trade_date for after, _ in again.changed}, told)
        return block_event("reallocated", record, changes=len(again.changed))

    def _unfilled(
        self,
        order: OrderRecord,
        record: BlockRecord,
        venue_order: VenueOrder,
        rest: Decimal,
        halts: Mapping[Scope, Halt],
    ) -> OrderRecord:
        """Return an order after part of it came back unfilled: open again, or given up."""
        if record.cancel_reason in OURS:
            reason = self._concerned(order, halts)
            if reason is None:
                # Canceled for another account's sake: this order may go again.
                return replace(order, placed=order.placed - rest, ended=order.ended - rest, check_time=None)
            return replace(order, close_reason=reason)
        match venue_order.ended:
            case OrderState.REJECTED:
                return replace(order, close_reason=f"{CloseReason.VENUE_REJECTED}: {record.reject_reason}")
            case OrderState.EXPIRED:
                return replace(order, close_reason=CloseReason.VENUE_EXPIRED)
            case _:
                return replace(order, close_reason=CloseReason.VENUE_CANCELED)

    def _concerned(self, order: OrderRecord, halts: Mapping[Scope, Halt]) -> CloseReason | None:
        terms = order.terms
        covering = scopes(venue_id=terms.venue_id, instrument_id=terms.instrument_id, account_id=order.account_id)
        if not may_leave(strictest(halts, covering), terms.side):
            return CloseReason.TRADING_HALTED
        if order.expire_time <= self.market_clock.now():
            return CloseReason.CUT_OFF if self.hours.is_cut_off(order.expire_time) else CloseReason.PLAN_EXPIRED
        return None

    async def _settle_part(self, changes: Changes, turn: "_Turn", awaited: Collection[OrderId]) -> None:
        """Note what the fills of an unfinished sell have brought for certain, so that buys may use it."""
        order, statement = turn.order, turn.after.statement
        increments = int(order.filled_quantity / statement.increment)
        certain = certain_increments(statement, increments)
        # A bust may leave nothing.
        shared_by = max(increments, 1)
        orders = await changes.orders(awaited)
        for order_id in orders:
            least = certain[order_id]
            gross = (order.gross_amount * least / shared_by).quantize(CENT, rounding=ROUND_FLOOR)
            fee = (order.fees * least / shared_by).quantize(CENT, rounding=ROUND_CEILING)
            changes.put(replace(orders[order_id], settling_amount=max(gross - fee, ZERO), update_time=changes.now))


@dataclass(frozen=True, slots=True)
class _Turn:
    """A block after what was said about it: whether it ends, changes after its end, or is a sell that brought money."""

    after: BlockRecord
    order: VenueOrder
    events: tuple[Event, ...]
    ends: bool
    ends_now: bool
    corrects: bool
    part_sold: bool

    @property
    def block_id(self) -> BlockId:
        return self.after.block_id


def _turn(record: BlockRecord, said: Sequence[VenueReport], now: datetime, exchange: Exchange) -> _Turn:
    before = record.order
    fresh = [each for each in said if each.report.report_id not in before.seen]
    after = replace(record.heard(fresh), trade_date=_trade_date(record, fresh, exchange), update_time=now)
    order = after.order
    events = [venue_reported(after, each) for each in fresh]
    changed = order.fills != before.fills
    # What cannot be shared is nobody's: the block waits for a person, and shows as a break.
    problem = _unshareable(after, order, exchange)
    if problem and changed:
        events.append(block_event(problem, after, quantity=order.filled_quantity))
    live = not record.allocated and not problem
    return _Turn(
        after=after,
        order=order,
        events=tuple(events),
        ends=live and order.final,
        ends_now=live and order.final and not before.final,
        corrects=record.allocated and changed and not problem,
        part_sold=live and not order.final and changed and _brings_money(record.block.terms),
    )


def _brings_money(terms: Terms) -> bool:
    """Return whether fills bring money that buys may use at once: not before it is turned."""
    return terms.side is Side.SELL and terms.account_currency is None


def _to_convert(turn: _Turn) -> BlockId | None:
    """Return the block whose money must be looked at after a turn: its own, or the one that it is a leg of."""
    if not (turn.ends or turn.corrects):
        return None
    if turn.after.block.terms.account_currency is not None:
        return turn.after.block_id
    return turn.after.leg_of


def _unshareable(record: BlockRecord, order: VenueOrder, exchange: Exchange) -> str:
    """Return why a block's fills cannot be shared: too much, or not in whole increments; empty when they can."""
    if order.overfilled_quantity > 0 or order.filled_quantity > record.block.quantity:
        return "overfilled"
    fractional = any(day.quantity % record.statement.increment for day in fills_by_day(record, exchange))
    return "not_in_increments" if fractional else ""


def _trade_date(record: BlockRecord, fresh: Sequence[VenueReport], exchange: Exchange) -> date:
    """Return the date of the last fill: a block may be formed on one day and filled on the next."""
    filled = [each.time for each in fresh if isinstance(each.report, Filled)]
    return record.trade_date if record.allocated or not filled else exchange.date_at(max(filled))


def _block_id(blocks: Mapping[str, BlockRecord], said: VenueReport) -> BlockId | None:
    found = blocks.get(said.client_order_id)
    return None if found is None else found.block_id
