"""Changes the book in PostgreSQL, one at a time: whoever does so first locks the row of `execution_stream`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    any_,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from services.decision.domain.book import AccountBook, Booking, Snapshot
from services.decision.domain.identification import Identification
from services.decision.domain.instruments import Instrument
from services.decision.domain.plan import Plan
from services.decision.domain.problem import Side
from services.decision.domain.tax.laws import law_book
from services.decision.store.account_rows import (
    INSTRUMENT_COLUMNS,
    SAID_COLUMNS,
    SAID_GAINS,
    booking_of,
    booking_row,
    columns_of,
    gain_row,
    instrument_row,
    said_row,
    snapshot_row,
)
from services.decision.store.books import GAIN_COLUMNS, OPENED_COLUMNS, PostgresBooks, among, replaced
from services.decision.store.plans import PlanStore
from services.decision.store.tax_laws import TaxLawStore
from services.decision.tables import book as tables
from services.decision.tables.metadata import SCHEMA
from services.kernel.errors import Conflict
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId, PlanId
from services.runtime.database import Transaction


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
                among(plan, {plan_id for plan_id, _ in sales}),
                among(instrument, {instrument_id for _, instrument_id in sales}),
                table.c.side == Side.SELL.value,
                ~replaced(),
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
            names = (*SAID_COLUMNS, *GAIN_COLUMNS, "booked_position")
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
            among(table.c.instrument_id, said)
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
        names = ("account_id", *SAID_COLUMNS, *GAIN_COLUMNS, *OPENED_COLUMNS)
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


def _update(account: AccountBook, last_trade_date: date | None) -> dict[str, Any]:
    said = {f"{name}_": value for name, value in said_row(account).items()}
    return {
        **said,
        "id_": account.account_id,
        **{f"{name}_": value for name, value in gain_row(account).items()},
        "booked_position_": account.booked_position,
        "last_trade_date_": last_trade_date,
    }
