"""Accounts' orders."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.execution.app.ports import OrderFilter, PlacedPiece, Readiness, ShortPlan
from services.execution.app.records import LifeState, OrderRecord
from services.execution.domain.changed import changed
from services.execution.domain.sequencing import Funding
from services.execution.domain.trading_state import Scope, ScopeKind
from services.execution.domain.words import Side
from services.execution.store import rows
from services.execution.store.bulk import all_of, insert, parts, update
from services.execution.store.checks import CLOSED_STATES, OPEN_STATES
from services.execution.store.remembered import Remembered
from services.execution.tables import account_order, block_share, plan
from services.kernel.ids import BlockId, OrderId, PlanId, RunId
from services.runtime.arrays import plain_array, text_array
from services.runtime.questions import Question
from services.runtime.write_behind import WriteBehind

_COLUMNS = tuple(account_order.c)
# A closed order stays as it is: no code may open it again by writing over it.
_STILL_OPEN = f"was.state IN ({', '.join(repr(each) for each in OPEN_STATES)})"
# Written out, because the indexes on open work are for this text and no parameter.
_NOT_GIVEN_UP = account_order.c.close_reason == literal_column("''")
_KEEP_TOLD = text("""
    UPDATE execution.plan_report AS report SET closed = to_jsonb(was)
    FROM execution.account_order AS was
    WHERE report.order_id = was.order_id AND report.allocation_id IS NULL AND report.closed IS NULL
        AND was.order_id = ANY(:order_ids)
""")
_PLACE = text(f"""
    UPDATE execution.account_order AS was
    SET placed = was.placed + now.quantity, block_id = now.block_id, update_time = CAST(:now AS timestamptz),
        state = '{LifeState.WORKING}'
    FROM (
        SELECT unnest(CAST(CAST(:order_ids AS text) AS text[])) AS order_id,
            unnest(CAST(CAST(:quantities AS text) AS numeric[])) AS quantity,
            unnest(CAST(CAST(:block_ids AS text) AS text[])) AS block_id
    ) AS now
    WHERE was.order_id = now.order_id AND {_STILL_OPEN}
""")  # noqa: S608 - nothing in it comes from a request
# Written out for the same reason.
_AT_ONCE = account_order.c.algorithm == literal_column("'IMMEDIATE'")
# Rows of one statement with their ids as one array, well below what a message may hold.
_IDS_MAX = 10_000


def _waiting_buy() -> ColumnElement[bool]:
    return (
        (account_order.c.side == literal_column("'BUY'"))
        & (account_order.c.quantity > account_order.c.released)
        & _NOT_GIVEN_UP
    )


def _sum(amount: ColumnElement[Any], side: Side) -> ColumnElement[Any]:
    return func.coalesce(func.sum(amount).filter(account_order.c.side == side), 0)


def _ready() -> ColumnElement[bool]:
    return (account_order.c.released > account_order.c.placed) & _NOT_GIVEN_UP


_CHECKED_SINCE = func.coalesce(account_order.c.check_time >= bindparam("checked_since"), false())
# Parameters of what is written once, as in `blocks`.
_OF_PLANS = account_order.c.plan_id == func.any(bindparam("plan_ids", type_=ARRAY(Text)))
_LIMIT: Any = bindparam("limit", type_=Integer)


def _chosen(which: ColumnElement[bool], *, limited: bool = False) -> Select[Any]:
    chosen = select(*_COLUMNS).where(which).order_by(account_order.c.order_id)
    return chosen.limit(_LIMIT) if limited else chosen


def _oldest(*which: ColumnElement[bool]) -> Select[Any]:
    oldest = select(*_COLUMNS).where(*which).order_by(account_order.c.create_time, account_order.c.order_id)
    return oldest.limit(_LIMIT)


# Of a row, which transaction wrote it.
_VERSION: Any = literal_column("account_order.xmin").label("version")
_NAMED = account_order.c.order_id == func.any(bindparam("order_ids", type_=ARRAY(Text)))
_BY_ID = select(*_COLUMNS, _VERSION).where(_NAMED)
_VERSIONS = select(account_order.c.order_id, account_order.c.update_time, _VERSION)
_VERSIONS_BY_ID = Question(_VERSIONS.where(_NAMED).order_by(account_order.c.order_id), "versions of orders")
_THIS_VERSION = text("SELECT CAST(pg_current_xact_id() AS xid)")
_WAITING_BUYS = _chosen(_waiting_buy() & _OF_PLANS)
# Of a buy that was given up only what is in blocks can still cost anything.
_LEAVING = case((_NOT_GIVEN_UP, account_order.c.released), else_=account_order.c.placed)
_UNDER_WAY = _LEAVING - account_order.c.ended
_MONEY = (
    select(
        account_order.c.plan_id,
        plan.c.available_cash,
        _sum(account_order.c.filled_amount - account_order.c.fees, Side.SELL).label("final"),
        _sum(account_order.c.settling_amount, Side.SELL).label("settling"),
        _sum(
            account_order.c.filled_amount + account_order.c.fees + _UNDER_WAY * account_order.c.unit_cost_max,
            Side.BUY,
        ).label("committed"),
        func.bool_or((account_order.c.placed > account_order.c.ended) | _ready()).label("more_to_come"),
    )
    .join(plan, plan.c.plan_id == account_order.c.plan_id)
    .where(_OF_PLANS)
    .group_by(account_order.c.plan_id, plan.c.available_cash)
    .order_by(account_order.c.plan_id)
)
_UNCHECKED = _oldest(
    _ready(),
    account_order.c.check_time.is_(None) | (_AT_ONCE & (account_order.c.check_time < bindparam("before"))),
)
_SCHEDULED = _chosen(
    _ready()
    & ~_AT_ONCE
    & (account_order.c.schedule_due.is_(None) | (account_order.c.schedule_due <= bindparam("due"))),
    limited=True,
)
_READINESS = select(
    func.count().label("orders"),
    func.min(account_order.c.update_time).label("oldest"),
    func.max(account_order.c.update_time).label("newest"),
).where(_ready(), _AT_ONCE, _CHECKED_SINCE)
_READY_VERSIONS = Question(
    _VERSIONS.where(_ready(), _AT_ONCE, _CHECKED_SINCE)
    .order_by(account_order.c.create_time, account_order.c.order_id)
    .limit(_LIMIT),
    "versions of ready orders",
)


class Orders:
    """The part of the ledger with accounts' orders."""

    _connection: WriteBehind
    _remembered: Remembered

    def __init__(self) -> None:
        """Begin with nothing read or written."""
        # How this transaction's versions are called, once it writes an order; and orders as they are in it.
        self._version: int | None = None
        self._current: dict[str, OrderRecord] = {}

    async def add_orders(self, orders: Sequence[OrderRecord]) -> None:
        """Record new orders."""
        await self._writing(orders)
        await insert(self._connection, account_order, orders, rows.order_columns)

    async def save_orders(self, orders: Sequence[OrderRecord]) -> None:
        """Record how orders changed.

        Raises:
            Conflict: One of them was closed before.
        """
        await self._writing(orders)
        await update(self._connection, account_order, "order_id", orders, rows.order_changes, _STILL_OPEN)

    async def place_orders(self, pieces: Sequence[PlacedPiece], now: datetime) -> None:
        """Record at `now` that so much more of orders is in blocks; each order is named once.

        Raises:
            Conflict: One of them was closed before.
        """
        await self._placing(pieces, now)
        for part in parts(pieces):
            values = {
                "order_ids": text_array([each.order_id for each in part]),
                "quantities": plain_array([each.quantity for each in part]),
                "block_ids": text_array([each.block_id for each in part]),
                "now": now,
            }
            await self._connection.send(_PLACE, values, all_of(len(part), account_order))

    async def correct_orders(self, orders: Sequence[OrderRecord]) -> None:
        """Record how orders that were closed changed; what the stream of plan reports said of them stays said."""
        if not orders:
            return
        await self._connection.execute(_KEEP_TOLD, {"order_ids": sorted(each.order_id for each in orders)})
        await self._writing(orders)
        await update(self._connection, account_order, "order_id", orders, rows.order_changes)

    async def orders(self, order_ids: Collection[OrderId]) -> dict[OrderId, OrderRecord]:
        """Return orders by id; those not known are missing."""
        wanted = list(order_ids)
        found: dict[OrderId, OrderRecord] = {}
        for start in range(0, len(wanted), _IDS_MAX):
            part = wanted[start : start + _IDS_MAX]
            found |= {order.order_id: order for order in await self._newest(_VERSIONS_BY_ID, {"order_ids": part})}
        return found

    async def short_plans(self, plan_ids: Collection[PlanId]) -> list[ShortPlan]:
        """Return those of the plans that have buys waiting for money, and how much there is."""
        if not plan_ids:
            return []
        found = await self._select(_WAITING_BUYS, {"plan_ids": sorted(plan_ids)})
        buys: dict[PlanId, list[OrderRecord]] = {}
        for order in found:
            buys.setdefault(order.plan_id, []).append(order)
        if not buys:
            return []
        sums = await self._connection.execute(_MONEY, {"plan_ids": sorted(buys)})
        return [
            ShortPlan(
                plan_id=PlanId(row.plan_id),
                funding=Funding(row.available_cash, row.final + row.settling, row.settling, row.committed),
                more_to_come=row.more_to_come,
                waiting=tuple(buys[PlanId(row.plan_id)]),
            )
            for row in sums
        ]

    async def awaited_orders(self, block_ids: Collection[BlockId]) -> dict[BlockId, set[OrderId]]:
        """Return the orders of each block whose plans have buys waiting for money; blocks without any are missing."""
        awaited: dict[BlockId, set[OrderId]] = {}
        if not block_ids:
            return awaited
        member = account_order.alias()
        found = await self._connection.execute(
            select(block_share.c.block_id, block_share.c.order_id)
            .join(member, member.c.order_id == block_share.c.order_id)
            .where(
                block_share.c.block_id == func.any(sorted(block_ids)),
                exists().where(account_order.c.plan_id == member.c.plan_id, _waiting_buy()),
            )
        )
        for row in found:
            awaited.setdefault(BlockId(row.block_id), set()).add(OrderId(row.order_id))
        return awaited

    async def unchecked_orders(self, before: datetime, limit: int) -> list[OrderRecord]:
        """Return orders that could go into a block, and were not checked since `before`; oldest first."""
        return await self._select(_UNCHECKED, {"before": before, "limit": limit})

    async def scheduled_orders(self, due: datetime, limit: int) -> list[OrderRecord]:
        """Return orders that go in parts and of which the next is due by then, or that have no timetable yet, by id."""
        return await self._select(_SCHEDULED, {"due": due, "limit": limit})

    async def readiness(self, checked_since: datetime) -> Readiness | None:
        """Return what is ready to go into blocks; None when nothing is."""
        row = (await self._connection.execute(_READINESS, {"checked_since": checked_since})).one()
        return None if row.orders == 0 else Readiness(row.orders, row.oldest, row.newest)

    async def ready_orders(self, checked_since: datetime, limit: int) -> list[OrderRecord]:
        """Return orders that may go into a block and were checked since then, oldest first."""
        return await self._newest(_READY_VERSIONS, {"checked_since": checked_since, "limit": limit})

    async def unsent_orders(self, scope: Scope | None, expired_at: datetime | None) -> list[OrderRecord]:
        """Return open orders with something not in a block: within a scope, or of plans that expired by then."""
        unsent = (account_order.c.quantity > account_order.c.placed) & _NOT_GIVEN_UP
        which: ColumnElement[bool] = account_order.c.state.in_(OPEN_STATES) & unsent
        if scope is not None:
            which &= _within(scope)
        if expired_at is not None:
            which &= account_order.c.expire_time <= expired_at
        return await self._select(_chosen(which))

    async def list_orders(self, which: OrderFilter, after: str, limit: int) -> list[OrderRecord]:
        """Return orders after an id, by id."""
        after_it = account_order.c.order_id > after
        return await self._select(_chosen(after_it & _which(which), limited=True), {"limit": limit})

    async def changed_orders(self, which: OrderFilter, since: datetime, after: str, limit: int) -> list[OrderRecord]:
        """Return orders that changed at `since` or later, after an id, by id."""
        later = (account_order.c.update_time >= since) & (account_order.c.order_id > after)
        return await self._select(_chosen(later & _which(which), limited=True), {"limit": limit})

    async def closed_orders(self, run_id: RunId | None, after: OrderId, limit: int) -> list[OrderRecord]:
        """Return orders that are over after an id, by id."""
        which: ColumnElement[bool] = account_order.c.state.in_(CLOSED_STATES) & (account_order.c.order_id > after)
        if run_id is not None:
            which &= account_order.c.run_id == run_id
        return await self._select(_chosen(which, limited=True), {"limit": limit})

    async def orders_by_state(self) -> dict[LifeState, int]:
        """Return how many orders are in each state."""
        found = await self._connection.execute(
            select(account_order.c.state, func.count().label("orders")).group_by(account_order.c.state)
        )
        return {LifeState(row.state): row.orders for row in found}

    async def _newest(self, versions: Question, values: Mapping[str, object]) -> list[OrderRecord]:
        """Return orders in the order of `versions`: of those that are not remembered as of these, the rows are read."""
        known = {
            order_id: self._remembered.order(order_id, version, update_time)
            for order_id, update_time, version in await self._connection.ask(versions, values)
        }
        missing = [order_id for order_id, order in known.items() if order is None]
        for start in range(0, len(missing), _IDS_MAX):
            part = missing[start : start + _IDS_MAX]
            for row in await self._connection.execute(_BY_ID, {"order_ids": part}):
                known[row.order_id] = order = rows.order_of(row)
                self._remembered.put_orders(row.version, [order])
        newest = [order for order in known.values() if order is not None]
        self._current.update((order.order_id, order) for order in newest)
        return newest

    async def _writing(self, orders: Sequence[OrderRecord]) -> None:
        """Remember orders as this transaction writes them."""
        if not orders:
            return
        version = await self._this_version()
        self._current.update((order.order_id, order) for order in orders)
        self._remembered.put_orders(version, orders)

    async def _placing(self, pieces: Iterable[PlacedPiece], now: datetime) -> None:
        """Remember orders as placing makes them: those that this transaction has read, under the ledger's lock."""
        placed = []
        for each in pieces:
            was = self._current.get(each.order_id)
            if was is None:
                self._remembered.forget_order(each.order_id)
            else:
                quantity = was.placed + each.quantity
                placed.append(changed(was, placed=quantity, block_id=each.block_id, update_time=now))
        await self._writing(placed)

    async def _this_version(self) -> int:
        if self._version is None:
            self._version = int((await self._connection.execute(_THIS_VERSION)).scalar_one())
        return self._version

    async def _select(self, which: Select[Any], values: Mapping[str, object] | None = None) -> list[OrderRecord]:
        return [rows.order_of(row) for row in await self._connection.execute(which, values)]


def _which(which: OrderFilter) -> ColumnElement[bool]:
    wanted: ColumnElement[bool] = true()
    if which.plan_id is not None:
        wanted &= account_order.c.plan_id == which.plan_id
    if which.account_id is not None:
        wanted &= account_order.c.account_id == which.account_id
    if which.run_id is not None:
        wanted &= account_order.c.run_id == which.run_id
    if which.state is not None:
        wanted &= account_order.c.state == which.state
    return wanted


def _within(scope: Scope) -> ColumnElement[bool]:
    match scope.kind:
        case ScopeKind.ALL:
            return true()
        case ScopeKind.VENUE:
            return account_order.c.venue_id == scope.subject_id
        case ScopeKind.INSTRUMENT:
            return account_order.c.instrument_id == scope.subject_id
        case ScopeKind.ACCOUNT:
            return account_order.c.account_id == scope.subject_id
