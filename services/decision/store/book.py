"""The book in PostgreSQL. Whatever changes accounts first locks the row of `execution_stream`, so it takes turns."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.domain.book import AccountBook, Booking, Snapshot, SnapshotId
from services.decision.domain.identification import Identification
from services.decision.domain.instruments import Instrument
from services.decision.domain.plan import Plan
from services.decision.domain.problem import RecentTrade, Side
from services.decision.domain.tax.laws import law_book
from services.decision.store.account_rows import (
    HELD_COLUMNS,
    INSTRUMENT_COLUMNS,
    SAID_COLUMNS,
    SAID_GAINS,
    SNAPSHOT_COLUMNS,
    account_of,
    booking_of,
    booking_row,
    columns_of,
    gain_row,
    instrument_of,
    instrument_row,
    opening_of,
    said_row,
    snapshot_of,
    snapshot_row,
    trade_of,
)
from services.decision.store.plans import PlanStore
from services.decision.store.tax_laws import TaxLawStore
from services.decision.tables import book as tables
from services.decision.tables.metadata import SCHEMA
from services.kernel.errors import Conflict
from services.kernel.events import Event
from services.kernel.ids import AccountId, HouseholdId, InstrumentId, PlanId
from services.runtime.database import Transaction

_GAIN_COLUMNS = (
    "gain_year",
    "gain_dates",
    "gain_shorts",
    "gain_longs",
    "gain_shares",
    "exempt_dates",
    "exempt_gains",
)
_OPENED_COLUMNS = ("snapshot_id", "as_of_time", "opening_position", "booked_position")
_NOW_COLUMNS = (*_OPENED_COLUMNS, *_GAIN_COLUMNS, "last_trade_date")
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
            select(*_ACCOUNT).where(_among(table.c.account_id, account_ids)).order_by(table.c.account_id)
        )
        traded = await self._connection.execute(
            select(
                trades.c.account_id, trades.c.instrument_id, trades.c.side, trades.c.trade_date, trades.c.realized_gain
            )
            .where(
                _among(trades.c.account_id, account_ids),
                trades.c.trade_date >= trades_since,
                trades.c.quantity > 0,
                ~_replaced(),
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
        query = query.where(_among(table.c.account_id, account_ids)).order_by(table.c.account_id)
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
        query = select(table.c.household_id, table.c.account_id).where(_among(table.c.household_id, household_ids))
        found: dict[HouseholdId, list[AccountId]] = {}
        for household_id, account_id in await self._connection.execute(query.order_by(table.c.account_id)):
            found.setdefault(HouseholdId(household_id), []).append(AccountId(account_id))
        return found

    async def households(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, HouseholdId | None]:
        """Return the household of each account that exists; None where it has none."""
        table = tables.account
        query = select(table.c.account_id, table.c.household_id).where(_among(table.c.account_id, account_ids))
        return {
            AccountId(account_id): None if household_id is None else HouseholdId(household_id)
            for account_id, household_id in await self._connection.execute(query)
        }

    async def account_ids_missing(self, account_ids: Collection[AccountId]) -> Sequence[AccountId]:
        """Return those ids that no account has, ascending."""
        table = tables.account
        query = select(table.c.account_id).where(_among(table.c.account_id, account_ids))
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
        query = select(*_HELD).where(_among(column, account_ids)).order_by(column)
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
        query = select(*columns_of(table, INSTRUMENT_COLUMNS)).where(_among(table.c.instrument_id, instrument_ids))
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


class PostgresLedger(PostgresBooks):
    """Changes the book in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        """Write in `transaction`."""
        super().__init__(transaction.connection)
        self._transaction = transaction

    async def lock_stream(self) -> int:
        """Return `stream_position`, and let nobody else change accounts before this transaction ends."""
        return await self._position(lock=True)

    async def advance_stream(self, *, was: int, becomes: int) -> None:
        """Say that everything up to `becomes` is booked.

        Raises:
            Conflict: The position is not `was`.
        """
        stream = tables.execution_stream
        done = await self._connection.execute(
            update(stream)
            .where(stream.c.stream == tables.PLAN_REPORTS, stream.c.position == was)
            .values(position=becomes)
        )
        if done.rowcount != 1:
            raise Conflict(f"execution's stream is not booked up to {was} any more")

    async def units_sold(
        self, sales: Collection[tuple[PlanId, InstrumentId]]
    ) -> Mapping[tuple[PlanId, InstrumentId], Decimal]:
        """Return how many units of each instrument each plan's booked sales sold; absent when none."""
        table = tables.booking
        plan, instrument = table.c.plan_id, table.c.instrument_id
        query = (
            select(plan, instrument, func.sum(table.c.quantity))
            .where(
                _among(plan, {plan_id for plan_id, _ in sales}),
                _among(instrument, {instrument_id for _, instrument_id in sales}),
                table.c.side == Side.SELL.value,
                ~_replaced(),
            )
            .group_by(plan, instrument)
        )
        rows = await self._connection.execute(query)
        return {(PlanId(plan_id), InstrumentId(instrument_id)): units for plan_id, instrument_id, units in rows}

    async def bookings(self, positions: Collection[int]) -> Mapping[int, Booking]:
        """Return what was booked of the stream's positions; absent where nothing was."""
        if not positions:
            return {}
        table = tables.booking
        query = select(*table.c).where(table.c.position == any_(literal(sorted(positions), ARRAY(BigInteger))))
        found = (booking_of(row) for row in (await self._connection.execute(query)).mappings())
        return {booking.allocation.position: booking for booking in found}

    async def approved_amounts(self) -> Mapping[str, Mapping[str, Decimal]]:
        """Return the amounts of law, by name, of each tax year with approved ones that no release has: `DE 2027`."""
        return law_book(await TaxLawStore(self._connection).versions()).approved_amounts()

    async def save(self, accounts: Sequence[AccountBook], bookings: Sequence[Booking]) -> None:
        """Keep the accounts, which exist, as they are now, and what was booked."""
        table = tables.account
        last_dates: dict[str, date] = {}
        for booking in bookings:
            allocation = booking.allocation
            last_dates[allocation.account_id] = max(
                allocation.trade_date, last_dates.get(allocation.account_id, allocation.trade_date)
            )
        if accounts:
            names = (*SAID_COLUMNS, *_GAIN_COLUMNS, "booked_position")
            statement = (
                update(table)
                .where(table.c.account_id == bindparam("id_"))
                .values(
                    **{name: bindparam(f"{name}_", type_=table.c[name].type) for name in names},
                    last_trade_date=func.greatest(table.c.last_trade_date, bindparam("last_trade_date_")),
                )
            )
            await self._connection.execute(
                statement, [_update(account, last_dates.get(account.account_id)) for account in accounts]
            )
        if bookings:
            await self._connection.execute(insert(tables.booking), [booking_row(each) for each in bookings])

    async def add_snapshot(self, snapshot: Snapshot, instruments: Sequence[Instrument]) -> None:
        """Keep a new snapshot and its instruments; the book's own are those of the latest instant."""
        await self._connection.execute(insert(tables.snapshot).values(snapshot_row(snapshot)))
        if not instruments:
            return
        rows = [instrument_row(each) for each in instruments]
        await self._connection.execute(
            insert(tables.snapshot_instrument), [{**row, "snapshot_id": snapshot.snapshot_id} for row in rows]
        )
        table = tables.instrument
        put = postgresql.insert(table)
        await self._connection.execute(
            put.on_conflict_do_update(
                index_elements=[table.c.instrument_id],
                set_={name: put.excluded[name] for name in (*INSTRUMENT_COLUMNS, "as_of_time")},
                where=table.c.as_of_time <= put.excluded.as_of_time,
            ),
            [{**row, "as_of_time": snapshot.as_of_time} for row in rows],
        )

    async def identify(
        self, said: Mapping[InstrumentId, Identification], as_of_time: datetime
    ) -> Mapping[InstrumentId, Identification]:
        """Keep the public names of instruments, and return those that are new or other than the latest."""
        table = tables.instrument_identification
        names = ("isin", "cfi", "full_name")
        rows = [
            {"instrument_id": each, "as_of_time": as_of_time, **{name: getattr(one, name) for name in names}}
            for each, one in sorted(said.items())
        ]
        if not rows:
            return {}
        known = select(*columns_of(table, ("instrument_id", "as_of_time", *names))).where(
            _among(table.c.instrument_id, said)
        )
        found = (await self._connection.execute(known)).all()
        same = {
            InstrumentId(row[0]) for row in found if row[1] > as_of_time or Identification(*row[2:]) == said[row[0]]
        }
        put = postgresql.insert(table)
        await self._connection.execute(
            put.on_conflict_do_update(
                index_elements=[table.c.instrument_id],
                set_={name: put.excluded[name] for name in (*names, "as_of_time")},
                where=table.c.as_of_time <= put.excluded.as_of_time,
            ),
            rows,
        )
        return {each: one for each, one in said.items() if each not in same}

    async def add_accounts(self, accounts: Sequence[AccountBook]) -> None:
        """Keep what a new snapshot says of accounts."""
        # COPY, by the driver itself: the snapshot's row was written before, so the transaction has begun there too.
        names = ("snapshot_id", "account_id", *SAID_COLUMNS)
        records = [(each.snapshot_id, each.account_id, *said_row(each).values()) for each in accounts]
        driver: Any = (await self._connection.get_raw_connection()).driver_connection
        await driver.copy_records_to_table(
            tables.snapshot_account.name, schema_name=SCHEMA, columns=names, records=records
        )

    async def ahead_of(self, snapshot: Snapshot, day_covered: date, limit: int) -> Sequence[AccountId]:
        """Return accounts of `snapshot` that a later snapshot, or a trade after `day_covered`, changed already."""
        said, now = tables.snapshot_account, tables.account
        query = (
            select(now.c.account_id)
            .join(said, said.c.account_id == now.c.account_id)
            .where(
                said.c.snapshot_id == snapshot.snapshot_id,
                or_(now.c.as_of_time > snapshot.as_of_time, now.c.last_trade_date > day_covered),
            )
            .order_by(now.c.account_id)
            .limit(limit)
        )
        return [AccountId(each) for each in (await self._connection.execute(query)).scalars()]

    async def open_accounts(self, snapshot: Snapshot, opening_position: int) -> None:
        """Let the book have every account of `snapshot` as the snapshot says."""
        said, now = tables.snapshot_account, tables.account
        names = ("account_id", *SAID_COLUMNS, *_GAIN_COLUMNS, *_OPENED_COLUMNS)
        opened = (
            select(
                said.c.account_id,
                *columns_of(said, SAID_COLUMNS),
                literal(snapshot.as_of_time.year, Integer),
                literal([snapshot.as_of_time.date()], now.c.gain_dates.type),
                *(postgresql.array([said.c[name]]) for name in SAID_GAINS),
                # What a snapshot says of gains is without what is exempt.
                literal([], now.c.exempt_dates.type),
                literal([], now.c.exempt_gains.type),
                said.c.snapshot_id,
                literal(snapshot.as_of_time, now.c.as_of_time.type),
                literal(opening_position, now.c.opening_position.type),
                literal(opening_position, now.c.booked_position.type),
            )
            .where(said.c.snapshot_id == snapshot.snapshot_id)
            .order_by(said.c.account_id)
        )
        put = postgresql.insert(now).from_select(names, opened)
        # The day of the last trade stays: the next snapshot must not be older than it.
        await self._connection.execute(
            put.on_conflict_do_update(
                index_elements=[now.c.account_id], set_={name: put.excluded[name] for name in names[1:]}
            )
        )

    async def supersede_plans(self, snapshot: Snapshot, at: datetime) -> Sequence[Plan]:
        """End the plans of the snapshot's accounts that execution cannot have yet, and return them without content."""
        said = tables.snapshot_account
        replaced = select(said.c.account_id).where(said.c.snapshot_id == snapshot.snapshot_id)
        return await PlanStore(self._connection).supersede(replaced, at)

    async def emit(self, events: Sequence[Event]) -> None:
        """Tell audit of changes, in this transaction."""
        await self._transaction.emit(*events)


def _paid(booking: Any) -> ColumnElement[Decimal]:  # noqa: ANN401 - columns of `booking`, or of an alias of it
    fees: ColumnElement[Decimal] = booking.fees
    return case((booking.side == Side.SELL.value, booking.value), else_=-booking.value) - fees


def _replaced() -> ColumnElement[bool]:
    """Return whether a later booking took the place of one."""
    later = tables.booking.alias()
    return exists().where(later.c.replaces == tables.booking.c.position)


def _among(column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    # One array and not a parameter for each value: PostgreSQL takes 32,767 of those.
    return column == any_(literal(sorted(values), ARRAY(Text)))


def _update(account: AccountBook, last_trade_date: date | None) -> dict[str, Any]:
    said = {f"{name}_": value for name, value in said_row(account).items()}
    return {
        **said,
        "id_": account.account_id,
        **{f"{name}_": value for name, value in gain_row(account).items()},
        "booked_position_": account.booked_position,
        "last_trade_date_": last_trade_date,
    }
