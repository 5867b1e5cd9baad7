"""Sends orders in parts over time: which part of each goes now, in which child block.

An order that is not for at once has a timetable: from when until when, and when its next part is due. It is stored with
the order, and a part goes in the transaction that forms its child block, so a process that dies in mid-flight goes on
where it was: what was placed is placed, what was missed is spread over the time that is left, and nothing is dumped at
the end. Orders of the same terms and timetable travel together: each child takes of every order in proportion to what
is left of it, by largest remainder.

Where participation is limited, what a part did not get while its bucket of the market's volume lasted is called back:
it would be filled in a bucket that others count in. What comes back goes again, and until it is back it counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from services.execution.app.events import block_event, block_formed
from services.execution.app.forming import Protecting, block_record, traded_pieces
from services.execution.app.ports import Begin, Ledger, Trace
from services.execution.app.records import BlockRecord, CloseReason, OrderRecord, Timetable
from services.execution.app.references import references
from services.execution.app.routing import Routing
from services.execution.app.traces import by_trace
from services.execution.domain.allocation import proportional
from services.execution.domain.blocks import Terms, form_blocks
from services.execution.domain.expected_cost import AT_ONCE_DAYS
from services.execution.domain.schedules import (
    almgren_chriss,
    next_child,
    paper_impact,
    schedule,
    within_participation,
)
from services.execution.domain.trading_hours import TradingHours
from services.execution.domain.words import Algorithm
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId, OrderId, VenueId

ONE = Decimal(1)
# Seconds of a trading day, 09:30 to 16:00: the day of the paper's volatility.
TRADING_DAY = Decimal(23_400)
# Blocks called back in one transaction.
CALLED_BACK_MAX = 500
AUCTIONS = frozenset({Algorithm.OPEN_AUCTION, Algorithm.CLOSE_AUCTION})


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """How orders are spread.

    `interval`: between two parts. `horizon`: the longest a timetable is. `bucket`: of the market's volume.
    `auction_lead`: how long before an auction its orders leave. The rest is the market and the appetite of Almgren and
    Chriss.
    """

    interval: timedelta
    horizon: timedelta
    bucket: timedelta
    auction_lead: timedelta
    risk_aversion: Decimal
    daily_volatility: Decimal
    spread_bps: Decimal
    daily_volume: Decimal


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The use case of forming child blocks. `checked_for`: how long ago an order may have been checked."""

    begin: Begin
    trace: Trace
    clock: Clock
    market_clock: Clock
    rules: ScheduleRules
    hours: TradingHours
    routing: Routing
    protecting: Protecting
    checked_for: timedelta
    orders_max: int
    orders_per_block_max: int
    own_accounts: frozenset[AccountId]
    venue_id: VenueId

    async def form_children(self) -> int:
        """Form the child blocks that are due, and return how many orders were looked at and blocks called back."""
        now = self.market_clock.now()
        begun = bucket_of(now, self.rules.bucket)
        async with self.begin() as ledger:
            resting = await ledger.resting_blocks(self.venue_id, begun, 1)
            if not resting and not await ledger.scheduled_orders(now, 1):
                return 0
            await ledger.lock()
            back = await self._call_back(ledger, begun) if resting else 0
            due = await ledger.scheduled_orders(now, self.orders_max)
            timed = [self._timed(order, now) for order in due]
            since = self.clock.now() - self.checked_for
            going = [order for order in timed if order.schedule is not None and order.schedule.due <= now]
            checked = [order for order in going if order.check_time is not None and order.check_time >= since]
            # What was not checked lately is checked first, and goes the next time.
            unchecked = [replace(order, check_time=None) for order in going if order not in checked]
            waiting = [order for order in timed if order not in going]
            parts = await self._parts(ledger, checked, now)
            records = await self._form(ledger, checked, parts, now)
            block_of = {share.order_id: each.block_id for each in records for share in each.statement.shares}
            gone = [
                replace(
                    order,
                    placed=order.placed + parts[order.order_id] * order.terms.increment,
                    block_id=block_of.get(order.order_id, order.block_id),
                    schedule=self._next(order, now),
                    update_time=self.clock.now(),
                )
                for order in checked
            ]
            await ledger.save_orders([*gone, *unchecked, *waiting])
        return back + len(due)

    async def _call_back(self, ledger: Ledger, begun: datetime) -> int:
        """Have the venue cancel what rests there of buckets before the one that has `begun`; return how many blocks."""
        found = await ledger.blocks(await ledger.resting_blocks(self.venue_id, begun, CALLED_BACK_MAX))
        why = CloseReason.VOLUME_BUCKET_OVER
        back = [replace(each, cancel_reason=why, update_time=self.clock.now()) for each in found]
        await ledger.save_blocks(back)
        await ledger.emit(*(block_event("cancel_wanted", each, reason=why) for each in back))
        return len(back)

    def _timed(self, order: OrderRecord, now: datetime) -> OrderRecord:
        """Return an order with a timetable; one whose time is over gets a new one for what is left."""
        if order.schedule is not None and now < order.schedule.end:
            return order
        if order.terms.algorithm in AUCTIONS:
            goes = self._before_auction(order.terms.algorithm, now)
            return replace(order, schedule=Timetable(now, goes + self.rules.auction_lead, goes))
        start = now if self.hours.open_at(now) else self.hours.next_open(now)
        end = min(start + self.rules.horizon, order.expire_time)
        session = self.hours.exchange.session_after(start)
        if session.open_time <= start:
            end = min(end, session.close_time)
        # At least one interval: what is left goes, though the time is short.
        return replace(order, schedule=Timetable(start, max(end, start + self.rules.interval), start))

    def _before_auction(self, algorithm: Algorithm, now: datetime) -> datetime:
        session = self.hours.exchange.session_after(now)
        if algorithm is Algorithm.CLOSE_AUCTION:
            if now > session.close_time - self.rules.auction_lead:
                # Too late for this one.
                session = self.hours.exchange.session_after(session.close_time)
            return session.close_time - self.rules.auction_lead
        if now > session.open_time - self.rules.auction_lead:
            session = self.hours.exchange.session_after(session.close_time)
        return session.open_time - self.rules.auction_lead

    def _next(self, order: OrderRecord, now: datetime) -> Timetable | None:
        timetable = order.schedule
        if timetable is None or order.terms.algorithm in AUCTIONS:
            return timetable
        passed = int((now - timetable.start) / self.rules.interval)
        return replace(timetable, due=timetable.start + (passed + 1) * self.rules.interval)

    async def _parts(self, ledger: Ledger, orders: Sequence[OrderRecord], now: datetime) -> dict[OrderId, int]:
        """Return how many increments of each order go now."""
        groups: dict[tuple[Terms, Timetable | None, OrderId | None], list[OrderRecord]] = {}
        for order in orders:
            alone = None if order.may_aggregate else order.order_id
            groups.setdefault((order.terms, order.schedule, alone), []).append(order)
        market = await self._market(ledger, {order.terms.instrument_id for order in orders}, now)
        parts: dict[OrderId, int] = {}
        for (terms, timetable, _), members in sorted(groups.items(), key=lambda item: item[1][0].order_id):
            left = [int(order.ready / terms.increment) for order in members]
            child = sum(left)
            if timetable is not None:
                child = self._child(sum(left), terms, timetable, market, now)
            if terms.participation_max is not None:
                child = min(child, market.allowed(terms))
                market.take(terms, child)
            names = [order.order_id for order in members]
            parts |= dict(zip(names, proportional(child, left, names, now.isoformat()), strict=True))
        return parts

    def _child(self, left: int, terms: Terms, timetable: Timetable, market: "_Market", now: datetime) -> int:
        rules = self.rules
        intervals = max(-(-(timetable.end - timetable.start) // rules.interval), 1)
        passed = min(int((now - timetable.start) / rules.interval), intervals - 1)
        starts = [timetable.start + number * rules.interval for number in range(passed, intervals)]
        match terms.algorithm:
            case Algorithm.TIME_WEIGHTED:
                return next_child(left, [ONE] * len(starts))
            case Algorithm.VOLUME_WEIGHTED:
                return next_child(left, market.curve(terms.instrument_id, starts))
            case Algorithm.IMPLEMENTATION_SHORTFALL:
                trajectory = almgren_chriss(
                    left * terms.increment,
                    days=Decimal(len(starts)) * Decimal(rules.interval.total_seconds()) / TRADING_DAY,
                    intervals=len(starts),
                    risk_aversion=rules.risk_aversion,
                    impact=paper_impact(
                        price=market.prices.get(terms.instrument_id, ONE),
                        spread_bps=rules.spread_bps,
                        daily_volume=rules.daily_volume,
                        daily_volatility=rules.daily_volatility,
                    ),
                )
                return schedule(trajectory, left)[0]
            case _:
                # As much as participation allows, or all of it into the auction.
                return left

    async def _market(self, ledger: Ledger, instrument_ids: set[InstrumentId], now: datetime) -> "_Market":
        bucket = bucket_of(now, self.rules.bucket)
        prices = await ledger.prices(instrument_ids)
        return _Market(
            prices={name: each.price for name, each in prices.items()},
            volumes=await ledger.volumes(instrument_ids, bucket),
            ours=dict(await ledger.participated(instrument_ids, bucket)),
            curves=await ledger.volume_curves(instrument_ids, bucket),
            bucket=self.rules.bucket,
        )

    async def _form(
        self, ledger: Ledger, orders: Sequence[OrderRecord], parts: Mapping[OrderId, int], now: datetime
    ) -> list[BlockRecord]:
        members = {order.order_id: order for order in orders if parts[order.order_id] > 0}
        if not members:
            return []
        prices = await references(ledger, {(each.instrument_id, each.terms.currency) for each in members.values()})
        blocks = form_blocks(
            traded_pieces([order.part(parts[name] * order.terms.increment) for name, order in members.items()], prices),
            carries=await ledger.carries({order.account_id for order in members.values()}),
            orders_per_block_max=self.orders_per_block_max,
            own=self.own_accounts,
        )
        records = [
            block_record(
                block,
                members,
                prices,
                now=self.clock.now(),
                market_time=now,
                exchange=self.hours.exchange,
                protecting=self.protecting,
            )
            for block in blocks
        ]
        await ledger.add_blocks(records)
        volumes = await ledger.day_volumes({each.instrument_id for each in members.values()}, now)
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
                                record,
                                prices.get(record.block.terms.instrument_id),
                                volumes,
                                self._days(record.block.terms.algorithm),
                            ),
                        )
                    )
                )
        return records

    def _days(self, algorithm: Algorithm) -> Decimal:
        """Return how many trading days a part trades: until the next one is due; an auction is one moment."""
        if algorithm in AUCTIONS:
            return AT_ONCE_DAYS
        return Decimal(self.rules.interval.total_seconds()) / TRADING_DAY


@dataclass(slots=True)
class _Market:
    """What is known of the market in the present bucket of time."""

    prices: Mapping[InstrumentId, Decimal]
    volumes: Mapping[InstrumentId, Decimal]
    ours: dict[InstrumentId, Decimal]
    curves: Mapping[InstrumentId, Mapping[int, Decimal]]
    bucket: timedelta

    def allowed(self, terms: Terms) -> int:
        """Return how many increments participation allows now; none while no volume is known."""
        name = terms.instrument_id
        if terms.participation_max is None or name not in self.volumes:
            return 0
        ours = self.ours.get(name, Decimal(0))
        return within_participation(self.volumes[name], ours, terms.participation_max, terms.increment)

    def take(self, terms: Terms, increments: int) -> None:
        """Count what goes."""
        name = terms.instrument_id
        self.ours[name] = self.ours.get(name, Decimal(0)) + increments * terms.increment

    def curve(self, instrument_id: InstrumentId, starts: Sequence[datetime]) -> list[Decimal]:
        """Return what is usually traded in the buckets at `starts`; evenly where no day before is known."""
        known = self.curves.get(instrument_id, {})
        weights = [known.get(second_of_day(bucket_of(start, self.bucket)), Decimal(0)) for start in starts]
        return weights if any(weights) else [ONE] * len(starts)


def bucket_of(instant: datetime, length: timedelta) -> datetime:
    """Return when the bucket of time began that `instant` is in; buckets of a day begin at midnight UTC."""
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (instant - midnight) // length * length


def second_of_day(instant: datetime) -> int:
    """Return how many seconds after midnight UTC an instant is."""
    return instant.hour * 3600 + instant.minute * 60 + instant.second
