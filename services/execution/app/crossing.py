"""Lets opposite orders of clients who agreed meet, before what is left of them goes to the market.

Everything happens in the transaction that forms blocks, under the lock that a halt waits for: the two blocks, their
fills, who got what, the stream and the events are there together or not at all. Nothing is sent, so nothing is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.execution.app.changes import Changes
from services.execution.app.days import fills_by_day
from services.execution.app.ending import ended_part, finished
from services.execution.app.events import block_crossed, block_formed, venue_reported
from services.execution.app.funding import FundingRules
from services.execution.app.ports import Ledger, Trace
from services.execution.app.records import BlockRecord, OrderRecord, PlanBasis
from services.execution.app.routing import Routing
from services.execution.app.traces import by_trace, distinct
from services.execution.app.venue_port import VenueReport
from services.execution.domain.allocation import allocate
from services.execution.domain.crossing import INTERNAL, Cross, Offer, form_crosses
from services.execution.domain.exchanges import Exchange
from services.execution.domain.expected_cost import AT_ONCE_DAYS, DayVolume
from services.execution.domain.order import Canceled, Filled, OrderState, Report
from services.execution.domain.trading_state import Halt, Scope, may_leave, scopes, strictest
from services.execution.domain.words import ReferencePrice
from services.kernel.clock import Clock
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId, OrderId, PlanId


@dataclass(frozen=True, slots=True)
class Crossing:
    """The use case of crossing inside, as part of forming blocks.

    `offered`: the firm crosses at all. `price_age_max`: the oldest reference price that is fresh enough. `own_accounts`
    and instruments that are `restricted` are never crossed.
    """

    trace: Trace
    clock: Clock
    market_clock: Clock
    exchange: Exchange
    routing: Routing
    funding: FundingRules
    offered: bool
    price_age_max: timedelta
    restricted: frozenset[InstrumentId]
    own_accounts: frozenset[AccountId]

    async def cross(
        self, ledger: Ledger, orders: Mapping[OrderId, OrderRecord], carries: Mapping[AccountId, int]
    ) -> tuple[int, dict[OrderId, OrderRecord]]:
        """Cross what may be of `orders`, which are ready; return how many blocks that made, and the orders after it."""
        after = dict(orders)
        willing = [order for order in orders.values() if self._willing(order)] if self.offered else []
        if not willing:
            return 0, after
        halts = await ledger.halts()
        known = await ledger.prices({order.instrument_id for order in willing})
        offers = [
            Offer(order.piece(), order.crossing_client, order.unit_cost_max)
            for order in willing
            if order.crossing_client is not None
            and not _halted(order, halts)
            and self._fresh(known.get(order.instrument_id), order.terms.currency)
        ]
        prices = {name: price.price for name, price in known.items()}
        crosses = form_crosses(offers, prices=prices, carries=carries)
        if crosses:
            after |= await self._record(ledger, crosses, after, known)
        return 2 * len(crosses), after

    def _willing(self, order: OrderRecord) -> bool:
        return (
            order.crossing_client is not None
            and order.account_id not in self.own_accounts
            and order.instrument_id not in self.restricted
            and order.expire_time > self.market_clock.now()
        )

    def _fresh(self, price: ReferencePrice | None, currency: str) -> bool:
        if price is None or price.currency != currency:
            return False
        return self.market_clock.now() - price.as_of_time <= self.price_age_max

    async def _record(
        self,
        ledger: Ledger,
        crosses: Sequence[Cross],
        orders: Mapping[OrderId, OrderRecord],
        prices: Mapping[InstrumentId, ReferencePrice],
    ) -> dict[OrderId, OrderRecord]:
        """Write crosses down with all that follows, and return their orders after it."""
        now, market_time = self.clock.now(), self.market_clock.now()
        halves = [half for cross in crosses for half in self._halves(cross, orders, now, market_time)]
        await ledger.add_blocks([record for record, _ in halves])
        await ledger.add_reports(INTERNAL, [(record.block_id, each) for record, said in halves for each in said])
        members = {share.order_id for record, _ in halves for share in record.statement.shares}
        bases = await ledger.plan_bases({orders[order_id].plan_id for order_id in members})
        changes = Changes(ledger, now, self.funding, self.exchange)
        changes.know(order for record, _ in halves for order in _placed(record, orders))
        for record, _ in halves:
            await self._share_out(changes, record)
        volumes = await ledger.day_volumes({record.block.terms.instrument_id for record, _ in halves}, market_time)
        said_of = {record.block_id: said for record, said in halves}
        for group in by_trace(record for record, _ in halves):
            with self.trace.continued(
                group.parent, "execution.block.cross", also=group.also, evenkeel__blocks=len(group.records)
            ):
                await ledger.emit(
                    *(
                        event
                        for record in group.records
                        for event in self._told(record, said_of[record.block_id], orders, bases, prices, volumes)
                    )
                )
        await changes.finish(self.trace)
        return await changes.orders(members)

    def _halves(
        self, cross: Cross, orders: Mapping[OrderId, OrderRecord], now: datetime, market_time: datetime
    ) -> list[tuple[BlockRecord, list[VenueReport]]]:
        """Return both blocks of a cross, each with what is reported of it."""
        halves: list[tuple[BlockRecord, list[VenueReport]]] = []
        for block, other in ((cross.sell, cross.buy), (cross.buy, cross.sell)):
            name = block.client_order_id
            reports: list[Report] = [Filled(f"{name}:crossed", cross.quantity, cross.price)]
            if block.quantity > cross.quantity:
                reports.append(Canceled(f"{name}:rest"))
            members = [orders[share.order_id] for share in block.statement.shares]
            record = BlockRecord(
                block=block,
                trade_date=self.exchange.date_at(market_time),
                arrival_price=cross.price,
                expire_time=min(order.expire_time for order in members),
                create_time=now,
                update_time=now,
                market_time=market_time,
                trace_parents=distinct(order.trace_parent for order in members),
                ours=OrderState.PENDING_NEW,
                allocated=True,
                reports=tuple(reports),
                times={each.report_id: market_time for each in reports},
                crossed_block_id=other.block_id,
            )
            halves.append((record, [VenueReport(0, name, each, market_time) for each in reports]))
        return halves

    async def _share_out(self, changes: Changes, record: BlockRecord) -> None:
        """Give the orders of a block their parts; what an order did not get is ready again."""
        allocations, parts = allocate(record.statement, fills_by_day(record, self.exchange))
        orders = await changes.orders(share.order_id for share in record.statement.shares)
        got = {each.order_id: each for each in allocations}
        for part, share in zip(parts, record.statement.shares, strict=True):
            asked = share.ordered * record.statement.increment
            rest = asked - part.filled * record.statement.increment
            # All of it is of one moment, so an order has one part of it at most.
            mine = [got[part.order_id]] if part.order_id in got else []
            ended = ended_part(orders[part.order_id], record, asked, mine, changes.now)
            changes.put(replace(ended, placed=ended.placed - rest, ended=ended.ended - rest))
        changes.allocate(record, allocations, parts, orders)

    def _told(
        self,
        record: BlockRecord,
        said: Sequence[VenueReport],
        orders: Mapping[OrderId, OrderRecord],
        bases: Mapping[PlanId, PlanBasis],
        prices: Mapping[InstrumentId, ReferencePrice],
        volumes: Mapping[InstrumentId, DayVolume],
    ) -> Iterable[Event]:
        order, price = record.order, prices[record.block.terms.instrument_id]
        yield from block_formed(record, self.routing.told_inside(record, price, volumes, AT_ONCE_DAYS))
        yield from block_crossed(record, order.filled_quantity, orders, bases)
        yield from (venue_reported(record, each) for each in said)
        yield finished(record, order)


def _placed(record: BlockRecord, orders: Mapping[OrderId, OrderRecord]) -> list[OrderRecord]:
    """Return the orders of a block as they are when they are in it."""
    return [
        replace(
            (order := orders[share.order_id]),
            placed=order.placed + share.ordered * record.statement.increment,
            block_id=record.block_id,
        )
        for share in record.statement.shares
    ]


def _halted(order: OrderRecord, halts: Mapping[Scope, Halt]) -> bool:
    """Return whether a halt of where the order would go, or of crossing itself, keeps it back."""
    terms = order.terms
    return any(
        not may_leave(
            strictest(halts, scopes(venue_id=venue_id, instrument_id=terms.instrument_id, account_id=order.account_id)),
            terms.side,
        )
        for venue_id in (terms.venue_id, INTERNAL)
    )
