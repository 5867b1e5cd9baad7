"""Reads the book in PostgreSQL."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    any_,
    case,
    cast,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.domain.book import AccountBook, Snapshot, SnapshotId
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import RecentTrade, Side
from services.decision.store.account_rows import (
    HELD_COLUMNS,
    INSTRUMENT_COLUMNS,
    SAID_COLUMNS,
    SNAPSHOT_COLUMNS,
    account_of,
    columns_of,
    instrument_of,
    opening_of,
    snapshot_of,
    trade_of,
)
from services.decision.tables import book as tables
from services.kernel.ids import AccountId, HouseholdId, InstrumentId

GAIN_COLUMNS = (
    "gain_year",
    "gain_dates",
    "gain_shorts",
    "gain_longs",
    "gain_shares",
    "exempt_dates",
    "exempt_gains",
)
OPENED_COLUMNS = ("snapshot_id", "as_of_time", "opening_position", "booked_position")
_NOW_COLUMNS = (*OPENED_COLUMNS, *GAIN_COLUMNS, "last_trade_date")
# What the tax ledger says, which no snapshot changes.
_CARRIED_COLUMNS = ("carried_year", "carried_short", "carried_long")
_ACCOUNT = columns_of(tables.account, ("account_id", *SAID_COLUMNS, *_NOW_COLUMNS, *_CARRIED_COLUMNS))
_HELD = columns_of(tables.account, ("account_id", *HELD_COLUMNS, *_NOW_COLUMNS))
_OPENING_HELD = columns_of(tables.snapshot_account, ("snapshot_id", "account_id", *HELD_COLUMNS))
_OPENING = columns_of(tables.snapshot_account, ("snapshot_id", "account_id", *SAID_COLUMNS))
_SNAPSHOT = columns_of(tables.snapshot, SNAPSHOT_COLUMNS)


class PostgresBooks:
    """Reads the book through one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Read through `connection`, which has begun."""
        self._connection = connection

    async def accounts(self, account_ids: Collection[AccountId], *, trades_since: date) -> Sequence[AccountBook]:
        """Return the accounts that exist, by id, with their booked trades of `trades_since` and later."""
        table, trades = tables.account, tables.booking
        rows = await self._connection.execute(
            select(*_ACCOUNT).where(among(table.c.account_id, account_ids)).order_by(table.c.account_id)
        )
        traded = await self._connection.execute(
            select(
                trades.c.account_id, trades.c.instrument_id, trades.c.side, trades.c.trade_date, trades.c.realized_gain
            )
            .where(
                among(trades.c.account_id, account_ids),
                trades.c.trade_date >= trades_since,
                trades.c.quantity > 0,
                ~replaced(),
            )
            .order_by(trades.c.position)
        )
        recent: dict[str, list[RecentTrade]] = {}
        for trade in traded.mappings():
            recent.setdefault(trade["account_id"], []).append(trade_of(trade))
        found = rows.mappings().all()
        # In a thread: lots are many, and the event loop has others to serve.
        return await asyncio.to_thread(lambda: [account_of(row, recent.get(row["account_id"], ())) for row in found])

    async def states(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, tuple[SnapshotId, int]]:
        """Return what each account that exists rests on: its snapshot, and the position that is booked on top.

        Nobody replaces or books one of them before this transaction ends.
        """
        table = tables.account
        query = select(table.c.account_id, table.c.snapshot_id, table.c.booked_position)
        # In one order everywhere, so that transactions wait for each other and do not lock up.
        query = query.where(among(table.c.account_id, account_ids)).order_by(table.c.account_id)
        rows = await self._connection.execute(query.with_for_update(read=True))
        return {AccountId(name): (SnapshotId(snapshot_id), position) for name, snapshot_id, position in rows}

    async def traded_cash(self, since: Mapping[AccountId, int]) -> Mapping[AccountId, Decimal]:
        """Return what booked trades did to each account's cash after a position of execution's stream; absent for 0."""
        if not since:
            return {}
        table = tables.booking
        after = (
            func.unnest(cast([*since], ARRAY(Text)), cast([*since.values()], ARRAY(BigInteger)))
            .table_valued("account_id", "position")
            .render_derived()
        )
        # A correction counts with what it changes; what a snapshot had already changed nothing.
        before = table.alias()
        paid = case((table.c.contained, 0), else_=_paid(table.c)) - func.coalesce(_paid(before.c), 0)
        query = (
            select(table.c.account_id, func.sum(paid))
            .outerjoin(before, before.c.position == table.c.replaces)
            .join(after, and_(after.c.account_id == table.c.account_id, table.c.position > after.c.position))
            .group_by(table.c.account_id)
        )
        return {AccountId(each): cash for each, cash in await self._connection.execute(query)}

    async def account_ids(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return the next `limit` account ids after `after`, ascending; from the first when it is None."""
        table = tables.account
        query = select(table.c.account_id).order_by(table.c.account_id).limit(limit)
        if after is not None:
            query = query.where(table.c.account_id > after)
        return [AccountId(each) for each in (await self._connection.execute(query)).scalars()]

    async def members(self, household_ids: Collection[HouseholdId]) -> Mapping[HouseholdId, Sequence[AccountId]]:
        """Return the accounts of each household, ascending."""
        table = tables.account
        query = select(table.c.household_id, table.c.account_id).where(among(table.c.household_id, household_ids))
        found: dict[HouseholdId, list[AccountId]] = {}
        for household_id, account_id in await self._connection.execute(query.order_by(table.c.account_id)):
            found.setdefault(HouseholdId(household_id), []).append(AccountId(account_id))
        return found

    async def households(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, HouseholdId | None]:
        """Return the household of each account that exists; None where it has none."""
        table = tables.account
        query = select(table.c.account_id, table.c.household_id).where(among(table.c.account_id, account_ids))
        return {
            AccountId(account_id): None if household_id is None else HouseholdId(household_id)
            for account_id, household_id in await self._connection.execute(query)
        }

    async def account_ids_missing(self, account_ids: Collection[AccountId]) -> Sequence[AccountId]:
        """Return those ids that no account has, ascending."""
        table = tables.account
        query = select(table.c.account_id).where(among(table.c.account_id, account_ids))
        return sorted(set(account_ids).difference((await self._connection.execute(query)).scalars()))

    async def listed(
        self, household_id: HouseholdId | None, after: AccountId | None, limit: int
    ) -> Sequence[AccountBook]:
        """Return accounts after `after` by id, of the household or of all, without lots and recent trades."""
        table = tables.account
        query = select(*_HELD).order_by(table.c.account_id).limit(limit)
        if household_id is not None:
            query = query.where(table.c.household_id == household_id)
        if after is not None:
            query = query.where(table.c.account_id > after)
        return [account_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def holdings(self, account_ids: Collection[AccountId]) -> Sequence[AccountBook]:
        """Return the accounts that exist, by id, without lots and recent trades."""
        column = tables.account.c.account_id
        query = select(*_HELD).where(among(column, account_ids)).order_by(column)
        return [account_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def openings(self, accounts: Collection[AccountBook], *, lots: bool = False) -> Sequence[AccountBook]:
        """Return each account as the snapshot that it rests on had it, by id; without lots unless `lots`."""
        table = tables.snapshot_account
        known = {(account.snapshot_id, account.account_id): account for account in accounts}
        wanted = (
            func.unnest(
                literal([snapshot_id for snapshot_id, _ in known], ARRAY(Text)),
                literal([account_id for _, account_id in known], ARRAY(Text)),
            )
            .table_valued("snapshot_id", "account_id", name="wanted")
            .render_derived()
        )
        query = (
            select(*(_OPENING if lots else _OPENING_HELD))
            .join(wanted, (table.c.snapshot_id == wanted.c.snapshot_id) & (table.c.account_id == wanted.c.account_id))
            .order_by(table.c.account_id)
        )
        found: list[AccountBook] = []
        for row in (await self._connection.execute(query)).mappings():
            account = known[row["snapshot_id"], row["account_id"]]
            found.append(opening_of(row, account.as_of_time, account.opening_position))
        return found

    async def of_snapshot(self, snapshot_id: SnapshotId, account_id: AccountId) -> AccountBook | None:
        """Return an account as a snapshot had it; None when the snapshot does not have it."""
        table = tables.snapshot_account
        query = (
            select(*_OPENING, tables.snapshot.c.as_of_time)
            .join(tables.snapshot, tables.snapshot.c.snapshot_id == table.c.snapshot_id)
            .where(table.c.snapshot_id == snapshot_id, table.c.account_id == account_id)
        )
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return None if row is None else opening_of(row, row["as_of_time"], opening_position=0)

    async def instruments(self, instrument_ids: Collection[InstrumentId]) -> Mapping[InstrumentId, Instrument]:
        """Return the instruments that are known, by id."""
        table = tables.instrument
        query = select(*columns_of(table, INSTRUMENT_COLUMNS)).where(among(table.c.instrument_id, instrument_ids))
        found = [instrument_of(row) for row in (await self._connection.execute(query)).mappings()]
        return {each.instrument_id: each for each in found}

    async def snapshot(self, snapshot_id: SnapshotId) -> Snapshot | None:
        """Return a snapshot."""
        query = select(*_SNAPSHOT).where(tables.snapshot.c.snapshot_id == snapshot_id)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return None if row is None else snapshot_of(row)

    async def snapshots(self, before: int | None, limit: int) -> Sequence[tuple[int, Snapshot]]:
        """Return snapshots with their number, newest first, those before number `before`."""
        number = tables.snapshot.c.sequence
        query = select(number, *_SNAPSHOT).order_by(number.desc()).limit(limit)
        if before is not None:
            query = query.where(number < before)
        rows = (await self._connection.execute(query)).mappings()
        return [(row["sequence"], snapshot_of(row)) for row in rows]

    async def stream_position(self) -> int:
        """Return the position in execution's stream up to which everything is booked; 0 at the start."""
        return await self._position(lock=False)

    async def _position(self, *, lock: bool) -> int:
        stream = tables.execution_stream
        query = select(stream.c.position).where(stream.c.stream == tables.PLAN_REPORTS)
        position: int = (await self._connection.execute(query.with_for_update() if lock else query)).scalar_one()
        return position


def _paid(booking: Any) -> ColumnElement[Decimal]:  # noqa: ANN401 - columns of `booking`, or of an alias of it
    fees: ColumnElement[Decimal] = booking.fees
    return case((booking.side == Side.SELL.value, booking.value), else_=-booking.value) - fees


def replaced() -> ColumnElement[bool]:
    """Return whether a later booking took the place of one."""
    later = tables.booking.alias()
    return exists().where(later.c.replaces == tables.booking.c.position)


def among(column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Return whether a column is one of many values."""
    # One array and not a parameter for each value: PostgreSQL takes 32,767 of those.
    return column == any_(literal(sorted(values), ARRAY(Text)))
