"""The ledger and the sandbox's book in memory: the fakes that the use cases are tested with.

The contract test runs over them and over PostgreSQL, so that they can be trusted.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from decimal import Decimal
from hashlib import md5
from itertools import pairwise

from services.execution.app.ledger_instructions import Booked
from services.execution.app.ports import Allocated, Benchmarks, Dangling, Readiness, ShortPlan
from services.execution.app.records import (
    AllocationRecord,
    BlockDetail,
    Correction,
    KnownPlan,
    LifeState,
    Party,
    PlanBasis,
    PlanReport,
    summary_of,
)
from services.execution.app.venue_port import InstructionState, Quote, VenueReport
from services.execution.domain.custody import Spoken
from services.execution.domain.expected_cost import DayVolume
from services.execution.domain.limits import Usage
from services.execution.domain.movements import key_of
from services.execution.domain.order import FillCorrected, Filled, OrderState, Replaced
from services.execution.domain.payment import Movement
from services.execution.domain.sequencing import Funding
from services.execution.domain.trading_hours import AUCTIONS
from services.execution.domain.trading_state import ScopeKind
from services.execution.domain.words import Algorithm, Side
from services.kernel.errors import Conflict

OPEN = {LifeState.WAITING, LifeState.READY, LifeState.WORKING}
AT_VENUE = {OrderState.PENDING_NEW}
OVER = {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED}


@dataclass
class State:
    """Everything that a transaction may change."""

    plans: dict = field(default_factory=dict)
    usage: dict = field(default_factory=dict)
    prices: dict = field(default_factory=dict)
    volumes: dict = field(default_factory=dict)
    halts: dict = field(default_factory=dict)
    orders: dict = field(default_factory=dict)
    carries: dict = field(default_factory=dict)
    blocks: dict = field(default_factory=dict)
    reports: dict = field(default_factory=dict)
    cursors: dict = field(default_factory=dict)
    allocations: dict = field(default_factory=dict)
    breaks: dict = field(default_factory=dict)
    custodians: dict = field(default_factory=dict)
    movements: dict = field(default_factory=dict)
    instructions: dict = field(default_factory=dict)
    closes: dict = field(default_factory=dict)
    uncrosses: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    stream: list = field(default_factory=list)
    events: list = field(default_factory=list)

    def copy(self):
        return State(**{each.name: getattr(self, each.name).copy() for each in fields(self)})


class MemoryDatabase:
    """One transaction at a time; a failed one leaves nothing."""

    def __init__(self):
        self.state = State()
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def begin(self):
        async with self._one:
            ledger = MemoryLedger(self.state.copy())
            yield ledger
            self.state = ledger.state


class MemoryLedger:
    def __init__(self, state):
        self.state = state

    @property
    def events(self):
        return [(event.kind, dict(event.subjects), dict(event.data)) for event in self.state.events]

    async def hand_over(self):
        pass

    async def lock(self):
        pass

    async def pass_gate(self):
        pass

    async def close_gate(self):
        pass

    async def emit(self, *events):
        self.state.events.extend(events)

    # Plans and checks.

    async def plans(self, plan_ids):
        found = (self.state.plans.get(plan_id) for plan_id in plan_ids)
        return {
            each.plan.plan_id: KnownPlan(each.plan.plan_id, each.payload_hash, each.refusals)
            for each in found
            if each is not None
        }

    async def add_plans(self, plans):
        for each in plans:
            assert each.plan.plan_id not in self.state.plans
            self.state.plans[each.plan.plan_id] = each

    async def usage(self, day, keys):
        return {key: self.state.usage[day, key] for key in keys if (day, key) in self.state.usage}

    async def add_usage(self, day, used):
        for key, adds in used.items():
            self.state.usage[day, key] = self.state.usage.get((day, key), Usage()).plus(adds)

    async def prices(self, instrument_ids):
        return {name: self.state.prices[name] for name in instrument_ids if name in self.state.prices}

    async def put_prices(self, prices):
        newer = [
            price
            for price in prices
            if price.instrument_id not in self.state.prices
            or self.state.prices[price.instrument_id].as_of_time < price.as_of_time
        ]
        self.state.prices |= {price.instrument_id: price for price in newer}
        return len(newer)

    async def put_closes(self, prices, exchange):
        for each in prices:
            key = (each.instrument_id, exchange.date_at(each.as_of_time))
            if key not in self.state.closes or self.state.closes[key].as_of_time <= each.as_of_time:
                self.state.closes[key] = each

    async def benchmarks(self, order_ids, bucket):
        replaced = {each.replaces for each in self.state.allocations.values()}
        found = {}
        for each in self.state.allocations.values():
            if each.order_id not in order_ids or each.allocation_id in replaced:
                continue
            record, terms = self._with_reports(self.state.blocks[each.block_id]), each.terms
            filled = (Filled, FillCorrected)
            last = max((record.times[r.report_id] for r in record.reports if isinstance(r, filled)), default=None)
            traded = [
                (self.state.volumes[key], value)
                for key, value in self.state.values.items()
                if key[0] == terms.instrument_id and last and record.market_time - bucket < key[1] <= last
            ]
            volume = sum(each[0] for each in traded)
            at = sum(each[1] for each in traded) / volume if volume else None
            close = self.state.closes.get((terms.instrument_id, each.trade_date))
            closes = close is not None and close.currency == terms.currency
            was = found.get(each.order_id, Benchmarks())
            crossed = each.amount if record.crossed_block_id is not None else 0
            found[each.order_id] = Benchmarks(
                was.vwap_amount + (each.amount if at is not None else 0),
                was.at_vwap + (each.quantity * at if at is not None else 0),
                was.close_amount + (each.amount if closes else 0),
                was.at_close + (each.quantity * close.price if closes else 0),
                was.crossed_amount + crossed,
            )
        return found

    async def put_volumes(self, volumes, bucket_time, values=None):
        for name, volume in volumes.items():
            self.state.volumes[name, bucket_time] = max(volume, self.state.volumes.get((name, bucket_time), 0))
            if values is not None:
                self.state.values[name, bucket_time] = max(values[name], self.state.values.get((name, bucket_time), 0))

    async def volumes(self, instrument_ids, bucket_time):
        known = self.state.volumes
        return {name: known[name, bucket_time] for name in instrument_ids if (name, bucket_time) in known}

    async def volume_curves(self, instrument_ids, before):
        today = before.replace(hour=0, minute=0, second=0, microsecond=0)
        found = {}
        for (name, bucket), volume in self.state.volumes.items():
            if name in instrument_ids and today - timedelta(days=28) <= bucket < today:
                second = bucket.hour * 3600 + bucket.minute * 60 + bucket.second
                found.setdefault(name, {}).setdefault(second, []).append(volume)
        return {
            name: {second: sum(each) / len(each) for second, each in curve.items()} for name, curve in found.items()
        }

    async def day_volumes(self, instrument_ids, before):
        today = before.replace(hour=0, minute=0, second=0, microsecond=0)
        days = {}
        for (name, bucket), volume in self.state.volumes.items():
            if name in instrument_ids and today - timedelta(days=28) <= bucket < today and volume > 0:
                day = bucket.date()
                days.setdefault(name, {})[day] = days.get(name, {}).get(day, 0) + volume
        return {name: DayVolume(each[max(each)], max(each)) for name, each in days.items()}

    async def participated(self, instrument_ids, since):
        sums = {}
        for each in map(self._with_reports, self.state.blocks.values()):
            terms = each.block.terms
            if terms.participation_max is None or terms.instrument_id not in instrument_ids:
                continue
            traded = each.block.quantity
            if each.market_time < since:
                late = [fill.quantity for name, fill in each.order.fills.items() if each.times[name] >= since]
                traded = sum(late) + (0 if each.allocated else traded - each.order.filled_quantity)
            sums[terms.instrument_id] = sums.get(terms.instrument_id, 0) + traded
        return sums

    async def resting_blocks(self, venue_id, before, limit):
        return sorted(
            each.block_id
            for each in map(self._with_reports, self.state.blocks.values())
            if each.block.terms.venue_id == venue_id
            and each.block.terms.participation_max is not None
            and each.block.terms.time_in_force not in AUCTIONS
            and each.market_time < before
            and not (each.cancel_reason or each.allocated or each.order.final)
        )[:limit]

    async def unsettled(self, account_ids, day):
        replaced = {each.replaces for each in self.state.allocations.values()}
        moving = [
            each
            for each in self.state.allocations.values()
            if each.account_id in account_ids
            and each.settlement_date > day
            and each.quantity > 0
            and each.allocation_id not in replaced
        ]
        plans = {each.plan_id: self.state.plans[each.plan_id] for each in moving}
        moving.sort(
            key=lambda each: (
                plans[each.plan_id].submit_time,
                each.plan_id,
                each.terms.side is Side.BUY,
                each.create_time,
                each.allocation_id,
            )
        )
        found = {}
        for each in moving:
            fees = each.fees if each.terms.side is Side.BUY else -each.fees
            found.setdefault(each.account_id, []).append(
                Movement(
                    each.plan_id,
                    plans[each.plan_id].plan.opening_cash,
                    each.terms.instrument_id,
                    each.terms.side,
                    each.quantity,
                    each.amount + fees,
                    each.trade_date,
                    each.settlement_date,
                )
            )
        return found

    async def open_instruments(self, account_ids):
        return frozenset(
            (order.account_id, order.instrument_id)
            for order in self.state.orders.values()
            if order.account_id in account_ids and order.state in OPEN
        )

    # Trading state.

    async def halts(self):
        return dict(self.state.halts)

    async def put_halt(self, halt):
        self.state.halts[halt.scope] = halt

    async def remove_halt(self, scope):
        self.state.halts.pop(scope, None)

    # Orders.

    def _orders(self, which):
        return [self.state.orders[key] for key in sorted(self.state.orders) if which(self.state.orders[key])]

    async def add_orders(self, orders):
        for each in orders:
            assert each.order_id not in self.state.orders
            self.state.orders[each.order_id] = each

    async def save_orders(self, orders):
        closed = [each for each in orders if self.state.orders[each.order_id].state not in OPEN]
        if closed:
            raise Conflict(f"{len(closed)} orders were closed before")
        for each in orders:
            chain = (0, each.filled, each.ended, each.placed, each.released, each.quantity)
            assert all(one <= next_one for one, next_one in pairwise(chain)), each
            self.state.orders[each.order_id] = each

    async def place_orders(self, pieces, now):
        was = [self.state.orders[each.order_id] for each in pieces]
        await self.save_orders(
            [
                replace(order, placed=order.placed + each.quantity, block_id=each.block_id, update_time=now)
                for order, each in zip(was, pieces, strict=True)
            ]
        )

    async def orders(self, order_ids):
        return {key: self.state.orders[key] for key in order_ids if key in self.state.orders}

    async def short_plans(self, plan_ids):
        short = []
        for plan_id in sorted(plan_ids):
            orders = self._orders(lambda order, plan_id=plan_id: order.plan_id == plan_id)
            waiting = tuple(order for order in orders if _waits(order))
            if not waiting:
                continue
            sells = [order for order in orders if order.terms.side is Side.SELL]
            buys = [order for order in orders if order.terms.side is Side.BUY]
            settling = sum((order.settling_amount for order in sells), Decimal(0))
            final = sum((order.filled_amount - order.fees for order in sells), Decimal(0))
            committed = sum(
                (
                    order.filled_amount + order.fees + (order.ready + order.in_flight) * order.unit_cost_max
                    for order in buys
                ),
                Decimal(0),
            )
            cash = self.state.plans[plan_id].plan.opening_cash
            more = any(order.in_flight > 0 or order.ready > 0 for order in orders)
            short.append(ShortPlan(plan_id, Funding(cash, final + settling, settling, committed), more, waiting))
        return short

    async def awaited_orders(self, block_ids):
        short = {order.plan_id for order in self.state.orders.values() if _waits(order)}
        found = {
            block_id: {
                share.order_id
                for share in self.state.blocks[block_id].statement.shares
                if self.state.orders[share.order_id].plan_id in short
            }
            for block_id in block_ids
        }
        return {block_id: order_ids for block_id, order_ids in found.items() if order_ids}

    async def plan_bases(self, plan_ids):
        found = [self.state.plans[plan_id].plan for plan_id in plan_ids if plan_id in self.state.plans]
        return {each.plan_id: PlanBasis(each.plan_id, each.account_id, each.policy_version_hashes) for each in found}

    async def unchecked_orders(self, before, limit):
        ready = self._orders(
            lambda order: (
                order.ready > 0
                and (order.check_time is None or (_at_once(order) and not _checked_since(order, before)))
            )
        )
        return sorted(ready, key=lambda order: (order.create_time, order.order_id))[:limit]

    async def scheduled_orders(self, due, limit):
        return self._orders(
            lambda order: (
                order.ready > 0 and not _at_once(order) and (order.schedule is None or order.schedule.due <= due)
            )
        )[:limit]

    async def readiness(self, checked_since):
        ready = self._orders(lambda order: order.ready > 0 and _at_once(order) and _checked_since(order, checked_since))
        if not ready:
            return None
        times = [order.update_time for order in ready]
        return Readiness(len(ready), min(times), max(times))

    async def ready_orders(self, checked_since, limit):
        ready = self._orders(lambda order: order.ready > 0 and _at_once(order) and _checked_since(order, checked_since))
        return sorted(ready, key=lambda order: (order.create_time, order.order_id))[:limit]

    async def unsent_orders(self, scope, expired_at):
        return self._orders(
            lambda order: (
                order.state in OPEN
                and order.quantity > order.placed
                and not order.close_reason
                and (scope is None or _order_within(order, scope))
                and (expired_at is None or order.expire_time <= expired_at)
            )
        )

    async def list_orders(self, which, after, limit):
        def wanted(order):
            return (
                order.order_id > after
                and which.plan_id in (None, order.plan_id)
                and which.account_id in (None, order.account_id)
                and which.run_id in (None, order.run_id)
                and which.state in (None, order.state)
            )

        return self._orders(wanted)[:limit]

    async def changed_orders(self, which, since, after, limit):
        found = await self.list_orders(which, after, len(self.state.orders))
        return [each for each in found if each.update_time >= since][:limit]

    async def closed_orders(self, run_id, after, limit):
        return self._orders(lambda order: order.closed and run_id in (None, order.run_id) and order.order_id > after)[
            :limit
        ]

    # What others' records say differently.

    async def see_breaks(self, breaks):
        news = []
        for each in breaks:
            known = self.state.breaks.get(each.break_id)
            if known is None:
                kept = each
            elif known.resolver and (known.ours, known.theirs) == (each.ours, each.theirs):
                kept = replace(known, see_time=each.see_time)
            elif known.resolve_time is None:
                kept = replace(known, ours=each.ours, theirs=each.theirs, see_time=each.see_time)
            else:
                kept = replace(each, owner=known.owner, settle_day=known.settle_day)
            was_open = known is not None and known.resolve_time is None
            if kept.resolve_time is None and not was_open:
                news.append(kept)
            self.state.breaks[each.break_id] = kept
        return news

    async def unseen_breaks(self, party, source, before, account_ids):
        gone = [
            replace(each, resolve_time=before, note="agrees again")
            for each in self.state.breaks.values()
            if (each.party, each.source) == (party, source)
            and each.resolve_time is None
            and each.see_time < before
            and (account_ids is None or each.account_id in account_ids)
        ]
        self.state.breaks |= {each.break_id: each for each in gone}
        return gone

    async def breaks(self, *, resolved, owner, after, limit):
        found = [self.state.breaks[name] for name in sorted(self.state.breaks) if name > after]
        return [each for each in found if (resolved or each.resolve_time is None) and owner in ("", each.owner)][:limit]

    async def open_breaks(self, party, source, account_ids):
        return [
            each
            for _, each in sorted(self.state.breaks.items())
            if (each.party, each.source) == (party, source)
            and each.resolve_time is None
            and each.account_id in account_ids
        ]

    async def settled_holdings(self, custodian, account_ids):
        settled = {}
        for each in self.state.breaks.values():
            if each.source == custodian and each.account_id in account_ids and each.settle_day is not None:
                settled.setdefault(each.account_id, {})[each.instrument_id] = each.settle_day
        return settled

    async def break_(self, break_id):
        return self.state.breaks.get(break_id)

    async def save_break(self, each):
        self.state.breaks[each.break_id] = each

    async def broken(self, account_ids, grace):
        found = set()
        for each in self.state.breaks.values():
            lasting = each.party is Party.CUSTODIAN or each.see_time - each.find_time >= grace
            if each.resolve_time is not None or not lasting:
                continue
            if each.account_id in account_ids:
                found.add((each.account_id, each.instrument_id))
            if each.block_id is not None:
                block = self.state.blocks[each.block_id]
                names = {share.account_id for share in block.statement.shares} & set(account_ids)
                found |= {(name, block.block.terms.instrument_id) for name in names}
        return frozenset(found)

    async def custodian_accounts(self, custodian, account_ids):
        known = self.state.custodians
        return {name: known[custodian, name] for name in account_ids if (custodian, name) in known}

    async def put_custodian_accounts(self, custodian, day, accounts):
        for name, holdings in accounts.items():
            before = self.state.custodians.get((custodian, name))
            first = day if before is None else before.first_day
            self.state.custodians[custodian, name] = Spoken(day, holdings, first)

    async def movements(self, custodian, account_ids, since):
        return {
            key_of(each): each
            for (said_by, *_), each in self.state.movements.items()
            if said_by == custodian and each.account_id in account_ids and each.day >= since
        }

    async def put_movements(self, custodian, movements):
        self.state.movements |= {(custodian, *key_of(each)): each for each in movements}

    async def traded(self, custodian, account_ids, after, until):
        mine = [
            each
            for each in self.state.allocations.values()
            if each.account_id in account_ids and after < each.trade_date <= until and each.terms.custodian == custodian
        ]
        replaced = {each.replaces: each for each in mine if each.replaces is not None}
        kept = [
            each
            for each in mine
            if each.allocation_id not in replaced or (each.quantity > 0 and replaced[each.allocation_id].quantity == 0)
        ]
        return sorted(kept, key=lambda each: each.allocation_id)

    async def orders_by_state(self):
        counts = {}
        for order in self.state.orders.values():
            counts[order.state] = counts.get(order.state, 0) + 1
        return counts

    # Blocks.

    async def carries(self, account_ids):
        return {name: self.state.carries[name] for name in account_ids if name in self.state.carries}

    async def add_carries(self, changes):
        for name, change in changes.items():
            if change:
                self.state.carries[name] = self.state.carries.get(name, 0) + change

    async def add_blocks(self, blocks):
        for each in blocks:
            assert each.block_id not in self.state.blocks
            self.state.blocks[each.block_id] = replace(each, summary=summary_of(each))

    async def save_blocks(self, blocks):
        for each in blocks:
            stored = replace(each, reports=self.state.blocks[each.block_id].reports, summary=summary_of(each))
            self.state.blocks[each.block_id] = stored

    def _blocks(self, which, limit=None, reports=True):
        found = [self.state.blocks[key] for key in sorted(self.state.blocks)]
        shown = [each for each in found if which(each)][:limit]
        return [self._with_reports(each) if reports else replace(each, reports=(), times={}) for each in shown]

    def _with_reports(self, record):
        said = [said for of_block, said in self.state.reports.values() if of_block == record.block_id]
        return replace(
            record,
            reports=tuple(each.report for each in said),
            times={each.report.report_id: each.time for each in said},
        )

    async def claim_blocks(self, venue_id, attempt, now, limit):
        unsent = self._blocks(
            lambda each: (
                not each.allocated
                and each.block.terms.venue_id == venue_id
                and each.ours is OrderState.PENDING
                and not each.cancel_reason
            )
        )
        unsent.sort(key=lambda each: (each.block.terms.side is Side.BUY, each.create_time, each.block_id))
        for each in unsent[:limit]:
            claimed = replace(each, ours=OrderState.SENDING, attempt=attempt, update_time=now, reports=())
            self.state.blocks[each.block_id] = replace(
                claimed, summary=replace(summary_of(each), state=OrderState.SENDING)
            )
        return [each.block_id for each in unsent[:limit]]

    async def claimed_blocks(self, attempt, block_ids):
        found = self._blocks(
            lambda each: each.block_id in block_ids and each.ours is OrderState.SENDING and each.attempt == attempt
        )
        return sorted(found, key=lambda each: list(block_ids).index(each.block_id))

    async def unresolved_blocks(self, venue_id, before, limit):
        return self._blocks(
            lambda each: (
                each.block.terms.venue_id == venue_id
                and not each.allocated
                and each.ours in (OrderState.SENDING, OrderState.UNKNOWN)
                and each.update_time <= before
            ),
            limit,
        )

    async def blocks_to_finish(self, venue_id, limit):
        return self._blocks(
            lambda each: (
                each.block.terms.venue_id == venue_id
                and not each.allocated
                and (each.ours is OrderState.REJECTED or (each.ours is OrderState.PENDING and each.cancel_reason != ""))
            ),
            limit,
        )

    async def blocks_to_cancel(self, venue_id, limit):
        return self._blocks(
            lambda each: (
                each.block.terms.venue_id == venue_id
                and not each.allocated
                and each.ours in AT_VENUE
                and each.cancel_reason != ""
                and not each.cancel_sent
            ),
            limit,
        )

    async def open_blocks(self, scope, expired_at):
        return self._blocks(
            lambda each: (
                not each.allocated
                and each.summary.state not in OVER
                and (scope is None or _block_within(each, scope))
                and (expired_at is None or each.expire_time <= expired_at)
            )
        )

    async def blocks_at(self, venue_id, client_order_ids):
        found = self._blocks(
            lambda each: each.block.terms.venue_id == venue_id and each.block.client_order_id in client_order_ids
        )
        return {each.block.client_order_id: each for each in found}

    async def block(self, block_id):
        if block_id not in self.state.blocks:
            return None
        (record,) = self._blocks(lambda each: each.block_id == block_id)
        given = (await self.allocations([block_id])).get(block_id, [])
        given.sort(key=lambda each: (each.account_id, each.order_id, each.trade_date))
        told = [each for each in self.state.instructions.values() if each.block_id == block_id]
        return BlockDetail(record, tuple(given), tuple(told))

    async def blocks(self, block_ids):
        return self._blocks(lambda each: each.block_id in block_ids)

    async def legs(self, block_ids):
        found = {}
        for each in self._blocks(lambda each: each.leg_of in block_ids):
            found.setdefault(each.leg_of, []).append(each)
        return found

    async def unconverted_blocks(self, venue_id, before, turn, limit):
        def waits(each):
            legs = [leg for leg in self.state.blocks.values() if leg.leg_of == each.block_id]
            return any(not leg.allocated or leg.update_time > before for leg in legs)

        found = self._blocks(
            lambda each: each.unconverted and each.block.terms.venue_id == venue_id and not waits(each)
        )
        return sorted((each.block_id for each in found), key=lambda name: md5(f"{name}{turn}".encode()).hexdigest())[
            :limit
        ]

    async def list_blocks(self, run_id, after, limit):
        def of_run(each):
            return any(self.state.orders[share.order_id].run_id == run_id for share in each.statement.shares)

        return self._blocks(
            lambda each: each.block_id > after and (run_id is None or of_run(each)), limit, reports=False
        )

    async def sent_blocks(self, venue_id, after, limit):
        return self._blocks(
            lambda each: (
                each.block.terms.venue_id == venue_id and each.ours is not OrderState.PENDING and each.block_id > after
            ),
            limit,
        )

    # What venues say, and what follows.

    async def cursor(self, venue_id):
        return self.state.cursors.get(venue_id, 0)

    async def move_cursor(self, venue_id, position):
        self.state.cursors[venue_id] = position

    async def add_reports(self, venue_id, reports):
        for block_id, said in reports:
            self.state.reports.setdefault((venue_id, said.report.report_id), (block_id, said))

    async def add_allocations(self, allocations):
        for each in allocations:
            assert each.allocation_id not in self.state.allocations
            assert each.replaces is None or each.replaces in self.state.allocations
            self.state.allocations[each.allocation_id] = each

    def _present(self):
        replaced = {each.replaces for each in self.state.allocations.values()}
        return [each for each in self.state.allocations.values() if each.allocation_id not in replaced]

    async def allocations(self, block_ids):
        given = {}
        for each in sorted(self._present(), key=lambda each: (each.order_id, each.trade_date)):
            if each.block_id in block_ids:
                given.setdefault(each.block_id, []).append(each)
        return given

    async def allocation_history(self, allocation_id):
        one = self.state.allocations.get(allocation_id)
        if one is None:
            return []
        same = [
            each
            for each in self.state.allocations.values()
            if (each.block_id, each.order_id, each.trade_date) == (one.block_id, one.order_id, one.trade_date)
        ]
        return sorted(same, key=lambda each: each.revision)

    async def allocated(self, block_ids):
        sums = {}
        for each in self._present():
            if each.block_id in block_ids:
                one = sums.get(each.block_id, Allocated(Decimal(0), Decimal(0), Decimal(0)))
                amount, fees = (
                    (each.amount, each.fees) if each.traded is None else (each.traded.amount, each.traded.fees)
                )
                sums[each.block_id] = Allocated(one.quantity + each.quantity, one.amount + amount, one.fees + fees)
        return sums

    async def dangling(self, after, until):
        found = set()
        shares = {
            (block_id, share.order_id)
            for block_id, record in self.state.blocks.items()
            for share in record.statement.shares
        }
        told = {row[3] for row in self.state.stream}
        for block_id, order_id in shares:
            order = self.state.orders.get(order_id)
            if order is None:
                found.add(Dangling(block_id, "order", order_id))
            elif order.plan_id not in self.state.plans:
                found.add(Dangling(block_id, "plan", order.plan_id))
        for each in self.state.allocations.values():
            if (each.block_id, each.order_id) not in shares:
                found.add(Dangling(each.block_id, "share", each.order_id))
            if each.allocation_id not in told:
                found.add(Dangling(each.block_id, "report", each.allocation_id))
        within = [each for each in found if after < each.block_id and (until is None or each.block_id <= until)]
        return sorted(within, key=lambda each: (each.block_id, each.missing, each.named))

    # What venues are told of the shares.

    def _instructions(self, venue_id, *states):
        found = [
            each for each in self.state.instructions.values() if each.venue_id == venue_id and each.state in states
        ]
        return sorted(found, key=lambda each: (each.create_time, each.allocation_id))

    async def instructions(self, block_ids):
        found = [each for each in self.state.instructions.values() if each.block_id in block_ids]
        return sorted(found, key=lambda each: (each.create_time, each.allocation_id))

    async def uncross(self, sell_block_id):
        return self.state.uncrosses.get(sell_block_id)

    async def put_uncross(self, uncross):
        self.state.uncrosses[uncross.sell_block_id] = uncross

    async def instruction(self, allocation_id):
        return self.state.instructions.get(allocation_id)

    async def add_instructions(self, instructions):
        for each in instructions:
            assert each.allocation_id not in self.state.instructions
            self.state.instructions[each.allocation_id] = each

    async def save_instructions(self, instructions):
        self.state.instructions |= {each.allocation_id: each for each in instructions}

    async def instructions_to_send(self, venue_id, limit):
        found = []
        for each in self._instructions(venue_id, InstructionState.PENDING)[:limit]:
            detail = await self.block(each.block_id)
            given = sorted(detail.allocations, key=lambda one: one.order_id)
            booked = [_booked(one) for one in given if one.quantity > 0]
            found.append((each, replace(detail.record, reports=()), tuple(booked)))
        return found

    async def unanswered_instructions(self, venue_id, limit):
        return self._instructions(venue_id, InstructionState.SENT, InstructionState.RECEIVED)[::-1][:limit]

    async def failed_instructions(self, venue_id, before):
        replaced = {each.replaces for each in self.state.instructions.values()}
        found = self._instructions(venue_id, *set(InstructionState) - {InstructionState.ACCEPTED})
        return [
            each
            for each in found
            if (each.state is InstructionState.REJECTED or each.update_time <= before)
            and each.allocation_id not in replaced
        ]

    async def append_reports(self, contents, parents):
        for each in contents:
            key = each.allocation_id if isinstance(each, AllocationRecord) else each.order_id
            assert all(key != known for _, _, _, known, _ in self.state.stream)
            told = each if isinstance(each, AllocationRecord) else None
            self.state.stream.append((each.plan_id, each.account_id, parents.get(each.plan_id), key, told))

    async def plan_reports(self, after, limit):
        positions = {key: position for position, (_, _, _, key, _) in enumerate(self.state.stream, 1)}

        def content(key, told):
            if not isinstance(told, AllocationRecord):
                return told or self.state.orders[key]
            if told.replaces is None:
                return told
            return Correction(told, self.state.allocations[told.replaces], positions[told.replaces])

        return [
            PlanReport(position, plan_id, account_id, parent, content(key, told))
            for position, (plan_id, account_id, parent, key, told) in enumerate(self.state.stream, 1)
            if after < position <= after + limit
        ]

    async def correct_orders(self, orders):
        for each in orders:
            was = self.state.orders[each.order_id]
            assert was.closed
            self.state.stream = [
                (*row[:4], was) if row[3] == each.order_id and row[4] is None else row for row in self.state.stream
            ]
            self.state.orders[each.order_id] = each


def _booked(allocation):
    traded = allocation if allocation.traded is None else allocation.traded
    return Booked(allocation.account_id, allocation.trade_date, allocation.quantity, traded.price, traded.fees)


def _waits(order):
    return order.state in OPEN and order.terms.side is Side.BUY and order.waiting > 0


def _at_once(order):
    return order.terms.algorithm is Algorithm.IMMEDIATE


def _checked_since(order, instant):
    return order.check_time is not None and order.check_time >= instant


def _order_within(order, scope):
    match scope.kind:
        case ScopeKind.ALL:
            return True
        case ScopeKind.VENUE:
            return order.terms.venue_id == scope.subject_id
        case ScopeKind.INSTRUMENT:
            return order.instrument_id == scope.subject_id
        case ScopeKind.ACCOUNT:
            return order.account_id == scope.subject_id


def _block_within(record, scope):
    match scope.kind:
        case ScopeKind.ALL:
            return True
        case ScopeKind.VENUE:
            return record.block.terms.venue_id == scope.subject_id
        case ScopeKind.INSTRUMENT:
            return record.block.terms.instrument_id == scope.subject_id
        case ScopeKind.ACCOUNT:
            return any(share.account_id == scope.subject_id for share in record.statement.shares)


class MemoryVenueBook:
    """The sandbox's book in memory; one transaction at a time, and a failed one leaves nothing."""

    def __init__(self):
        self._market = None
        self._prices: dict[str, Decimal] = {}
        self._currencies: dict[str, str] = {}
        self._sizes = {}
        self._orders = {}
        self._said = []
        self._instructions = {}
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def begin(self):
        async with self._one:
            before = self._market, self._prices.copy(), self._sizes.copy(), self._orders.copy(), self._said.copy()
            try:
                yield self
            except BaseException:
                self._market, self._prices, self._sizes, self._orders, self._said = before
                raise

    async def lock(self):
        pass

    async def market(self):
        return self._market

    async def put_market(self, market, prices, sizes):
        self._market = market
        self._sizes = {name: size for name, size in self._sizes.items() if name not in prices} | dict(sizes)
        self._prices |= prices
        self._currencies |= dict.fromkeys(prices, market.currency)
        return len(self._prices)

    async def currencies(self, instrument_ids):
        return {name: self._currencies[name] for name in instrument_ids if name in self._currencies}

    async def quotes(self, instrument_ids):
        named = [name for name in instrument_ids if name in self._prices]
        return {name: Quote(self._prices[name], self._sizes.get(name)) for name in named}

    async def leave(self, sizes):
        self._sizes |= sizes

    async def order(self, client_order_id):
        return self._orders.get(client_order_id)

    async def orders_named(self, client_order_ids):
        return {name: self._orders[name] for name in client_order_ids if name in self._orders}

    async def orders(self):
        return [self._orders[name] for name in sorted(self._orders)]

    async def known(self, client_order_ids):
        return frozenset(name for name in client_order_ids if name in self._orders)

    async def add(self, orders):
        for order in orders:
            self._orders.setdefault(order.intent.client_order_id, order)

    async def new_orders(self):
        return [order for order in await self.orders() if not order.acknowledged]

    async def open_orders(self, due):
        return [order for order in await self.orders() if order.open and (due is None or order.due_time <= due)]

    async def save(self, orders):
        self._orders |= {order.intent.client_order_id: order for order in orders}

    async def say(self, reports):
        for client_order_id, report, time in reports:
            self._said.append(VenueReport(len(self._said) + 1, client_order_id, report, time))

    async def said(self, after, limit):
        return self._said[after : after + limit]

    async def said_as(self, report_id):
        return next((each for each in self._said if each.report.report_id == report_id), None)

    async def voided(self, report_id):
        named = {f"{report_id}:bust", f"{report_id}:corrected"}
        return any(each.report.report_id in named for each in self._said)

    async def said_about(self, client_order_id):
        return [each for each in self._said if each.client_order_id == client_order_id]

    async def renamed(self, request_ids):
        return {
            each.report.request_id: each.client_order_id
            for each in self._said
            if isinstance(each.report, Replaced) and each.report.request_id in request_ids
        }

    async def present_names(self):
        return {
            each.client_order_id: each.report.request_id for each in self._said if isinstance(each.report, Replaced)
        }

    async def last_position(self):
        return len(self._said)

    async def instruct(self, told):
        for instruction, view in told:
            self._instructions.setdefault(instruction.allocation_id, (instruction, view))

    async def instructions(self, allocation_ids):
        return {name: self._instructions[name][1] for name in allocation_ids if name in self._instructions}
