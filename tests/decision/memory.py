"""The ports of the book and of market data, in memory. The contract tests hold them to what PostgreSQL does."""

from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date

from services.decision.app.book import View
from services.decision.domain.problem import RecentTrade, Side
from services.kernel.errors import Conflict


@dataclass
class MemoryState:
    accounts: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)
    snapshots: dict = field(default_factory=dict)
    instruments: dict = field(default_factory=dict)
    identifications: dict = field(default_factory=dict)
    bookings: list = field(default_factory=list)
    position: int = 0
    price_sets: list = field(default_factory=list)
    histories: list = field(default_factory=list)
    events: list = field(default_factory=list)
    approved_amounts: dict = field(default_factory=dict)


class MemoryLedger:
    def __init__(self, state):
        self.state = state

    async def accounts(self, account_ids, *, trades_since):
        found = [self.state.accounts[each] for each in sorted(set(account_ids)) if each in self.state.accounts]
        return [replace(account, recent_trades=self._trades(account, trades_since)) for account in found]

    def _trades(self, account, since):
        replaced = {each.allocation.replaces.position for each in self.state.bookings if each.allocation.replaces}
        return tuple(
            RecentTrade(each.instrument_id, each.side, each.trade_date, booking.realized_gain)
            for booking in self.state.bookings
            for each in [booking.allocation]
            if each.account_id == account.account_id
            and each.trade_date >= since
            and each.quantity > 0
            and each.position not in replaced
        )

    async def states(self, account_ids):
        found = await self.accounts(account_ids, trades_since=date.max)
        return {each.account_id: (each.snapshot_id, each.booked_position) for each in found}

    async def account_ids(self, after, limit):
        return sorted(each for each in self.state.accounts if after is None or each > after)[:limit]

    async def members(self, household_ids):
        found = {}
        for each in sorted(self.state.accounts.values(), key=lambda account: account.account_id):
            if each.household_id in household_ids:
                found.setdefault(each.household_id, []).append(each.account_id)
        return found

    async def households(self, account_ids):
        found = await self.accounts(account_ids, trades_since=date.max)
        return {each.account_id: each.household_id for each in found}

    async def account_ids_missing(self, account_ids):
        return sorted(set(account_ids) - self.state.accounts.keys())

    async def listed(self, household_id, after, limit):
        ids = await self.account_ids(after, len(self.state.accounts))
        found = await self.holdings(ids)
        return [each for each in found if household_id in (None, each.household_id)][:limit]

    async def holdings(self, account_ids):
        return [_without_lots(each) for each in await self.accounts(account_ids, trades_since=date.max)]

    async def openings(self, accounts, *, lots=False):
        said = [self.state.said[each.snapshot_id, each.account_id] for each in accounts]
        found = [
            replace(
                one if lots else _without_lots(one),
                opening_position=each.opening_position,
                booked_position=each.opening_position,
            )
            for each, one in zip(accounts, said, strict=True)
        ]
        return sorted(found, key=lambda each: each.account_id)

    async def of_snapshot(self, snapshot_id, account_id):
        said = self.state.said.get((snapshot_id, account_id))
        return None if said is None else replace(said, opening_position=0, booked_position=0)

    async def instruments(self, instrument_ids):
        known = self.state.instruments
        return {each: known[each][1] for each in instrument_ids if each in known}

    async def snapshot(self, snapshot_id):
        return next((each for each in self.state.snapshots.values() if each.snapshot_id == snapshot_id), None)

    async def snapshots(self, before, limit):
        numbered = sorted(self.state.snapshots.items(), reverse=True)
        return [(number, each) for number, each in numbered if before is None or number < before][:limit]

    async def stream_position(self):
        return self.state.position

    async def lock_stream(self):
        return self.state.position

    async def advance_stream(self, *, was, becomes):
        if self.state.position != was:
            raise Conflict(f"execution's stream is not booked up to {was} any more")
        self.state.position = becomes

    async def approved_amounts(self):
        return self.state.approved_amounts

    async def units_sold(self, sales):
        sold = {}
        replaced = {each.allocation.replaces.position for each in self.state.bookings if each.allocation.replaces}
        for booking in self.state.bookings:
            if booking.allocation.position in replaced:
                continue
            each = booking.allocation
            key = (each.plan_id, each.instrument_id)
            if each.side is Side.SELL and key in sales:
                sold[key] = sold.get(key, 0) + each.quantity
        return sold

    async def traded_cash(self, since):
        sums = {}
        for booking in self.state.bookings:
            each = booking.allocation
            if each.account_id in since and each.position > since[each.account_id]:
                before = each.replaces.cash_change if each.replaces else 0
                moved = (0 if booking.contained else each.cash_change) - before
                sums[each.account_id] = sums.get(each.account_id, 0) + moved
        return sums

    async def bookings(self, positions):
        return {
            each.allocation.position: replace(each, allocation=replace(each.allocation, replaces=None))
            for each in self.state.bookings
            if each.allocation.position in positions
        }

    async def save(self, accounts, bookings):
        for account in accounts:
            self.state.accounts[account.account_id] = replace(account, recent_trades=())
        self.state.bookings += bookings

    async def add_snapshot(self, snapshot, instruments):
        self.state.snapshots[len(self.state.snapshots) + 1] = snapshot
        for each in instruments:
            known = self.state.instruments.get(each.instrument_id)
            if known is None or known[0] <= snapshot.as_of_time:
                self.state.instruments[each.instrument_id] = (snapshot.as_of_time, each)

    async def identify(self, said, as_of_time):
        known = self.state.identifications
        changed = {
            each: one
            for each, one in said.items()
            if each not in known or (known[each][0] <= as_of_time and known[each][1] != one)
        }
        for each, one in said.items():
            if each not in known or known[each][0] <= as_of_time:
                known[each] = (as_of_time, one)
        return changed

    async def add_accounts(self, accounts):
        self.state.said.update({(each.snapshot_id, each.account_id): each for each in accounts})

    async def ahead_of(self, snapshot, day_covered, limit):
        named = sorted(account_id for snapshot_id, account_id in self.state.said if snapshot_id == snapshot.snapshot_id)
        return [each for each in named if self._ahead(each, snapshot, day_covered)][:limit]

    def _ahead(self, account_id, snapshot, day_covered):
        account = self.state.accounts.get(account_id)
        if account is None:
            return False
        traded = [trade.trade_date for trade in self._trades(account, date.min)]
        return account.as_of_time > snapshot.as_of_time or max(traded, default=date.min) > day_covered

    async def open_accounts(self, snapshot, opening_position):
        for (snapshot_id, account_id), account in self.state.said.items():
            if snapshot_id == snapshot.snapshot_id:
                self.state.accounts[account_id] = replace(
                    account, opening_position=opening_position, booked_position=opening_position
                )

    async def supersede_plans(self, snapshot, at):
        # Whoever has no plans has none to end.
        return []

    async def emit(self, events):
        self.state.events += events


class MemoryMarket:
    def __init__(self, state):
        self.state = state

    async def price_set(self, price_set_id):
        if price_set_id is not None:
            return next((each for each in self.state.price_sets if each.price_set_id == price_set_id), None)
        return _newest(self.state.price_sets)

    async def history(self, price_history_id):
        if price_history_id is not None:
            return next((each for each in self.state.histories if each.price_history_id == price_history_id), None)
        return _newest(self.state.histories)

    async def price_set_until(self, as_of_time):
        return _newest([each for each in self.state.price_sets if each.as_of_time <= as_of_time])

    async def known_instruments(self, instrument_ids):
        return self.state.instruments.keys() & set(instrument_ids)

    async def add_price_set(self, price_set):
        if await self.price_set(price_set.price_set_id) is not None:
            return False
        self.state.price_sets.append(price_set)
        return True

    async def add_history(self, history):
        if await self.history(history.price_history_id) is not None:
            return False
        self.state.histories.append(history)
        return True

    async def emit(self, events):
        self.state.events += events


class MemoryPlans:
    """What the book asks of runs and plans."""

    def __init__(self, targets=None, runs=None):
        self.targets, self.runs = targets or {}, runs or {}

    async def target_weights(self, account_ids):
        return {each: self.targets[each] for each in account_ids if each in self.targets}

    async def run_account_ids(self, run_id):
        return self.runs.get(run_id)


class MemoryExecution:
    """What execution reports, in batches of two."""

    def __init__(self, allocations=()):
        self.reported = list(allocations)

    async def allocations(self, after):
        later = [each for each in self.reported if each.position > after]
        for start in range(0, len(later), 2):
            yield later[start : start + 2]


class Memory:
    """One state, and transactions over it that roll back when they raise."""

    def __init__(self, plans=None):
        self.state = MemoryState()
        self.plans = plans or MemoryPlans()

    @asynccontextmanager
    async def ledger(self):
        async with self._transaction():
            yield MemoryLedger(self.state)

    @asynccontextmanager
    async def market(self):
        async with self._transaction():
            yield MemoryMarket(self.state)

    @asynccontextmanager
    async def view(self):
        yield View(MemoryLedger(self.state), MemoryMarket(self.state), self.plans, self.plans)

    @asynccontextmanager
    async def _transaction(self):
        before = deepcopy(self.state.__dict__)
        try:
            yield
        except BaseException:
            self.state.__dict__.update(before)
            raise


def _without_lots(account):
    return replace(account, positions=tuple(replace(each, lots=()) for each in account.positions))


def _newest(found):
    return max(enumerate(found), key=lambda item: (item[1].as_of_time, item[0]))[1] if found else None
