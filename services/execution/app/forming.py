"""Gathers what is ready into blocks, and writes them down before anything is sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from services.execution.app.crossing import Crossing
from services.execution.app.events import block_formed
from services.execution.app.ports import ORDERS_AT_ONCE, Begin, Ledger, PlacedPiece, Trace
from services.execution.app.records import BlockRecord, OrderRecord
from services.execution.app.references import references
from services.execution.app.routing import Routing
from services.execution.app.traces import by_trace, distinct
from services.execution.domain.blocks import Block, Piece, Terms, block_of, travelling_together
from services.execution.domain.currencies import rate_of, traded_terms
from services.execution.domain.exchanges import Exchange
from services.execution.domain.expected_cost import AT_ONCE_DAYS, DayVolume
from services.execution.domain.protection import Protection, protective_price
from services.execution.domain.trading_hours import TradingHours
from services.execution.domain.words import ReferencePrice, Side
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId, OrderId

ONE = Decimal(1)
Together: TypeAlias = tuple[Terms, Sequence[Piece]]


@dataclass(frozen=True, slots=True)
class Protecting:
    """Up to which price market buys may be filled; `collar_bps` and `fee_bps` as `protective_price` takes them."""

    by: Protection
    collar_bps: Decimal
    fee_bps: Decimal

    def price(
        self, terms: Terms, arrival_price: Decimal, rate: Decimal | None, members: Sequence[OrderRecord]
    ) -> Decimal | None:
        """Return the most a unit may cost, as it is traded; None for sells, and where a limit says it."""
        if terms.side is Side.SELL or terms.limit_price is not None:
            return None
        costs = [order.unit_cost_max / (rate or ONE) for order in members]
        return protective_price(arrival_price, costs, by=self.by, collar_bps=self.collar_bps, fee_bps=self.fee_bps)


@dataclass(frozen=True, slots=True)
class Forming:
    """The use case of forming blocks, while the exchange is open.

    `checked_for`: how long ago an order may have been checked. `quiet`: nothing new came for so long; `wait_max`: the
    longest the oldest order waits for others to join it.
    """

    begin: Begin
    trace: Trace
    clock: Clock
    market_clock: Clock
    hours: TradingHours
    routing: Routing
    protecting: Protecting
    checked_for: timedelta
    quiet: timedelta
    wait_max: timedelta
    orders_max: int
    orders_per_block_max: int
    own_accounts: frozenset[AccountId]
    crossing: Crossing

    async def form_blocks(self) -> int:
        """Form blocks of all that is ready, if it is time, and return how many; what may be crossed is so first."""
        async with self.begin() as ledger:
            if not await self._due(ledger):
                return 0
            await ledger.lock()
            # Asked again under the lock: whoever held it may have formed them.
            if not await self._due(ledger):
                return 0
            orders = {
                order.order_id: order for order in await ledger.ready_orders(self._checked_since, self.orders_max)
            }
            carries = await ledger.carries({order.account_id for order in orders.values()})
            crossed, orders = await self.crossing.cross(ledger, orders, carries)
            prices = await references(
                ledger, {(order.instrument_id, order.terms.currency) for order in orders.values()}
            )
            volumes = await ledger.day_volumes(
                {order.instrument_id for order in orders.values()}, self.market_clock.now()
            )
            together = travelling_together(
                traded_pieces([order.piece() for order in orders.values() if order.ready > 0], prices),
                orders_per_block_max=self.orders_per_block_max,
            )
            # Written down while the blocks behind them are drawn up.
            for part in _parts(together):
                blocks = [block_of(terms, pieces, carries, self.own_accounts) for terms, pieces in part]
                await self._write(ledger, blocks, orders, prices, volumes)
        return crossed + len(together)

    async def _write(
        self,
        ledger: Ledger,
        blocks: Sequence[Block],
        orders: Mapping[OrderId, OrderRecord],
        prices: Mapping[InstrumentId, ReferencePrice],
        volumes: Mapping[InstrumentId, DayVolume],
    ) -> None:
        """Write down blocks of `orders`, what of these is in them, and what to tell of that."""
        now, market_time, exchange = self.clock.now(), self.market_clock.now(), self.hours.exchange
        records = [
            block_record(
                block,
                orders,
                prices,
                now=now,
                market_time=market_time,
                exchange=exchange,
                protecting=self.protecting,
            )
            for block in blocks
        ]
        await ledger.add_blocks(records)
        await ledger.place_orders([piece for block in blocks for piece in _placed(block)], now)
        for group in by_trace(records):
            with self.trace.continued(
                group.parent, "execution.block.form", also=group.also, evenkeel__blocks=len(group.records)
            ):
                await ledger.emit(
                    *(
                        event
                        for record in group.records
                        for event in block_formed(
                            record,
                            self.routing.told(
                                record, prices.get(record.block.terms.instrument_id), volumes, AT_ONCE_DAYS
                            ),
                        )
                    )
                )

    @property
    def _checked_since(self) -> datetime:
        return self.clock.now() - self.checked_for

    async def _due(self, ledger: Ledger) -> bool:
        if not self.hours.open_at(self.market_clock.now()):
            return False
        ready = await ledger.readiness(self._checked_since)
        if ready is None:
            return False
        now = self.clock.now()
        return (
            now - ready.newest_time >= self.quiet
            or now - ready.oldest_time >= self.wait_max
            or ready.count >= self.orders_max
        )


def traded_pieces(pieces: Iterable[Piece], prices: Mapping[InstrumentId, ReferencePrice]) -> list[Piece]:
    """Return pieces on the terms on which they are traded; those whose rate is not known wait to be checked again."""
    terms = ((piece, traded_terms(piece.terms, prices)) for piece in pieces)
    return [
        piece if traded is piece.terms else replace(piece, terms=traded)
        for piece, traded in terms
        if traded is not None
    ]


def block_record(
    block: Block,
    orders: Mapping[OrderId, OrderRecord],
    prices: Mapping[InstrumentId, ReferencePrice],
    *,
    now: datetime,
    market_time: datetime,
    exchange: Exchange,
    protecting: Protecting,
) -> BlockRecord:
    """Return a new block of `orders`, as it is written down before it is sent."""
    members = _members(block, orders)
    reference = prices.get(block.terms.instrument_id)
    # Every order was checked against a reference price when it was taken, so there is one.
    arrival_price = members[0].decision_price if reference is None else reference.price
    rate = rate_of(block.terms, prices)
    return BlockRecord(
        block=block,
        trade_date=exchange.date_at(market_time),
        arrival_price=arrival_price,
        expire_time=min(order.expire_time for order in members),
        create_time=now,
        update_time=now,
        market_time=market_time,
        protection_price=protecting.price(block.terms, arrival_price, rate, members),
        arrival_rate=rate,
        trace_parents=distinct(order.trace_parent for order in members),
    )


def _parts(together: Iterable[Together]) -> Iterator[Sequence[Together]]:
    """Return what travels together in parts of some hundred orders, or of one block with more."""
    part: list[Together] = []
    count = 0
    for each in together:
        part.append(each)
        count += len(each[1])
        if count >= ORDERS_AT_ONCE:
            yield part
            part, count = [], 0
    if part:
        yield part


def _placed(block: Block) -> list[PlacedPiece]:
    increment = block.statement.increment
    return [PlacedPiece(share.order_id, share.ordered * increment, block.block_id) for share in block.statement.shares]


def _members(block: Block, orders: Mapping[OrderId, OrderRecord]) -> Sequence[OrderRecord]:
    return [orders[share.order_id] for share in block.statement.shares]
