"""Turns what blocks were filled for into the currency of their accounts, by legs that are sized on the fills.

A block that was traded in another currency is not shared out when it is filled: its orders stay at work until their
money has been turned. A leg is a block like any other, of the pair of currencies, and names the block that it is for.
It is written down in the transaction that records the fills, so it is there when they are. What legs have done is read
from their reports each time, so it does not matter how often they fail, fill in part, or are corrected
(`domain/conversion`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from services.execution.app.changes import Changes
from services.execution.app.days import fills_by_day
from services.execution.app.events import block_formed
from services.execution.app.records import BlockRecord
from services.execution.app.routing import Routing
from services.execution.domain.allocation import Allocation, Part, Share, Statement, allocate
from services.execution.domain.blocks import Block, Terms, client_order_id
from services.execution.domain.conversion import Leg, difference, in_account_currency, missing, owed, turned
from services.execution.domain.currencies import pairs_between, rate_between, worst_rate
from services.execution.domain.expected_cost import AT_ONCE_DAYS
from services.execution.domain.trading_hours import TradingHours
from services.execution.domain.trading_state import Halt, Scope, may_leave, scopes, strictest
from services.execution.domain.words import OrderType, ReferencePrice, Side, TimeInForce
from services.kernel.clock import Clock
from services.kernel.events import Event
from services.kernel.ids import BlockId, InstrumentId, OrderId, derived_id
from services.kernel.money import CENT

# A leg is in force for so long; what it leaves then is for the next.
LEG_LIFE = timedelta(days=1)
# After a leg that did not do all, the next is formed so much later; twice as long after each that did nothing, at most
# so long: a broker that takes none is not asked all day.
RETRY_AFTER = timedelta(seconds=5)
RETRY_AFTER_MAX = timedelta(minutes=5)
BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Converted:
    """A block of which nothing is missing: its allocations in the accounts' currency, and its parts.

    `difference` is what reversing legs cost the firm, below 0 what they brought it.
    """

    record: BlockRecord
    allocations: tuple[Allocation, ...]
    parts: tuple[Part, ...]
    difference: Decimal


@dataclass(frozen=True, slots=True)
class Converting:
    """Looks at blocks whose fills must be turned.

    A leg needs a rate that is at most `price_age_max` old, of a pair that is not `restricted`, and leaves with a limit
    `collar_bps` from it: what all orders are checked for.
    """

    clock: Clock
    market_clock: Clock
    hours: TradingHours
    routing: Routing
    price_age_max: timedelta
    collar_bps: Decimal
    restricted: frozenset[InstrumentId]

    async def look(self, changes: Changes, block_ids: Collection[BlockId]) -> tuple[list[Converted], int]:
        """Form legs that blocks lack; return the blocks that lack none and wait for none, and how many were formed."""
        if not block_ids:
            return [], 0
        ledger = changes.ledger
        legs = await ledger.legs(block_ids)
        done: list[Converted] = []
        lacking: list[tuple[BlockRecord, Mapping[OrderId, int], int]] = []
        for record in await ledger.blocks(block_ids):
            of_block = legs.get(record.block_id, [])
            if not record.order.final or not all(leg.allocated for leg in of_block):
                continue
            side = record.block.terms.side
            allocations, parts = allocate(record.statement, fills_by_day(record, self.hours.exchange))
            so_far = turned(
                Leg(leg.block.terms.side, leg.statement, fills_by_day(leg, self.hours.exchange)) for leg in of_block
            )
            rest = missing(owed(allocations, side), so_far)
            if not rest:
                told = in_account_currency(allocations, record.block.terms, so_far)
                done.append(Converted(record, told, parts, difference(told, side, so_far)))
            elif not _just_tried(of_block, self.clock.now()):
                lacking.append((record, rest, len(of_block)))
        # A leg that was corrected may leave something to turn of a block that was done.
        again = [replace(record, unconverted=True) for record, _, _ in lacking if not record.unconverted]
        await ledger.save_blocks(again)
        return done, await self._form(changes, lacking)

    async def _form(self, changes: Changes, lacking: Sequence[tuple[BlockRecord, Mapping[OrderId, int], int]]) -> int:
        """Write down legs for what is missing, but for those that may not leave now, and return how many."""
        if not lacking or not self.hours.open_at(self.market_clock.now()):
            return 0
        ledger, halts = changes.ledger, await changes.halts()
        terms_of = [record.block.terms for record, _, _ in lacking]
        prices = await ledger.prices({each for of in terms_of for each in pairs_between(of.currency, of.booked_in)})
        formed: list[BlockRecord] = []
        for record, rest, number in lacking:
            traded = record.block.terms
            rate = rate_between(traded.currency, traded.booked_in, prices)
            if rate is None or not self._fresh(rate) or rate.instrument_id in self.restricted:
                continue
            for side in (Side.SELL, Side.BUY):
                wanted = {name: abs(cents) for name, cents in rest.items() if (cents > 0) is (side is Side.BUY)}
                terms = _terms(record, rate, side)
                leaving = _may_leave(record, terms, wanted, halts)
                if leaving:
                    formed.append(self._leg(record, terms, leaving, f"{number}", rate))
        await ledger.add_blocks(formed)
        await ledger.emit(*(event for leg in formed for event in self._told(leg, prices)))
        return len(formed)

    def _fresh(self, rate: ReferencePrice) -> bool:
        return self.market_clock.now() - rate.as_of_time <= self.price_age_max

    def _leg(
        self, record: BlockRecord, terms: Terms, wanted: Mapping[OrderId, int], number: str, rate: ReferencePrice
    ) -> BlockRecord:
        block_id = BlockId(derived_id("leg", record.block_id, number, terms.side))
        shares = tuple(
            Share(share.order_id, share.account_id, wanted[share.order_id], own=share.own)
            for share in record.statement.shares
            if share.order_id in wanted
        )
        statement = Statement(block_id, terms.increment, shares)
        now, market_time = self.clock.now(), self.market_clock.now()
        return BlockRecord(
            block=Block(block_id, client_order_id(block_id, 0), terms, statement),
            trade_date=self.hours.exchange.date_at(market_time),
            arrival_price=rate.price,
            expire_time=market_time + LEG_LIFE,
            create_time=now,
            update_time=now,
            market_time=market_time,
            protection_price=worst_rate(terms.side, rate, self.collar_bps / BPS),
            trace_parents=record.trace_parents,
            leg_of=record.block_id,
        )

    def _told(self, leg: BlockRecord, prices: Mapping[InstrumentId, ReferencePrice]) -> Iterator[Event]:
        # A pair of currencies has no volume of a day.
        route = self.routing.told(leg, prices.get(leg.block.terms.instrument_id), {}, AT_ONCE_DAYS)
        yield from block_formed(leg, route)


def _just_tried(legs: Sequence[BlockRecord], now: datetime) -> bool:
    """Return whether a leg ended a moment ago and did not do all: the venue is not asked in a tight loop."""
    lately = sorted(legs, key=lambda leg: leg.update_time, reverse=True)
    in_vain = sum(1 for _ in takewhile(lambda leg: leg.order.filled_quantity == 0, lately))
    # More doublings than reach the longest wait would only be large numbers.
    wait = min(RETRY_AFTER * 2 ** min(max(in_vain - 1, 0), 10), RETRY_AFTER_MAX)
    return any(leg.order.filled_quantity < leg.block.quantity and now - leg.update_time < wait for leg in legs)


def _may_leave(
    record: BlockRecord, terms: Terms, wanted: Mapping[OrderId, int], halts: Mapping[Scope, Halt]
) -> dict[OrderId, int]:
    """Return what may be turned now: without accounts that are halted, nothing where more than they are."""
    accounts = {share.order_id: share.account_id for share in record.statement.shares}
    covering = {
        name: scopes(venue_id=terms.venue_id, instrument_id=terms.instrument_id, account_id=accounts[name])
        for name in wanted
    }
    return {name: cents for name, cents in wanted.items() if may_leave(strictest(halts, covering[name]), terms.side)}


def _terms(record: BlockRecord, rate: ReferencePrice, side: Side) -> Terms:
    terms = record.block.terms
    return Terms(
        instrument_id=rate.instrument_id,
        side=side,
        venue_id=terms.venue_id,
        order_type=OrderType.MARKET,
        limit_price=None,
        time_in_force=TimeInForce.DAY,
        currency=terms.booked_in,
        custodian=terms.custodian,
        increment=CENT,
    )
