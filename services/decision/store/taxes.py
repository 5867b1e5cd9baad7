"""What happened to accounts' lots, in PostgreSQL."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, get_args

from sqlalchemy import (
    ColumnElement,
    Text,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    union,
    update,
)
from sqlalchemy import Row as SqlRow
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.tax_ports import EventFilter, TaxReading, TaxWriting
from services.decision.domain.plan import LIVE_STATES
from services.decision.domain.plan_parts import planned_purchases
from services.decision.domain.problem import ZERO, LotId, Side
from services.decision.domain.tax.due import OUT_OF_DATE, Tried
from services.decision.domain.tax.events import LEAVING, RecordedEvent, TaxEvent, event_from_content, kind_of
from services.decision.domain.tax.ledger import BookedTrade, PendingPurchase, Standing
from services.decision.store.books import PostgresBooks
from services.decision.store.ledger import PostgresLedger
from services.decision.store.prices import PostgresPrices
from services.decision.store.tax_laws import TaxLawStore
from services.decision.store.tax_rows import PostgresTaxRows
from services.decision.tables.book import account, booking
from services.decision.tables.runs import plan
from services.decision.tables.taxes import tax_event, tax_history
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId
from services.runtime.database import Database

_LEAVING = [kind_of(each) for each in get_args(LEAVING)]


@dataclass(frozen=True, slots=True)
class PostgresTaxRecords:
    """The events on record, through one connection."""

    connection: AsyncConnection

    async def get(self, event_ids: Collection[str]) -> Mapping[str, RecordedEvent]:
        """Return those events that are on record."""
        rows = await self.connection.execute(select(tax_event).where(_among(tax_event.c.event_id, event_ids)))
        return {row.event_id: _recorded(row) for row in rows}

    async def add(self, events: Sequence[TaxEvent], at: datetime) -> None:
        """Keep new events."""
        if events:
            await self.connection.execute(insert(tax_event), [_row(each, at) for each in events])

    async def withdraw(self, event_ids: Collection[str], at: datetime) -> int:
        """Let events count no more, and return how many did until now."""
        done = await self.connection.execute(
            update(tax_event)
            .where(_among(tax_event.c.event_id, event_ids), tax_event.c.withdraw_time.is_(None))
            .values(withdraw_time=at)
        )
        return done.rowcount

    async def complete(self, until: Mapping[AccountId, date]) -> None:
        """Keep up to which day accounts' whole histories are on record."""
        if not until:
            return
        put = postgresql.insert(tax_history)
        await self.connection.execute(
            put.on_conflict_do_update(
                index_elements=[tax_history.c.account_id], set_={"complete_until": put.excluded.complete_until}
            ),
            [{"account_id": account_id, "complete_until": day} for account_id, day in sorted(until.items())],
        )

    async def complete_until(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, date]:
        """Return up to which day the whole history of accounts is on record; absent where it is not."""
        rows = await self.connection.execute(select(tax_history).where(_among(tax_history.c.account_id, account_ids)))
        return {AccountId(row.account_id): row.complete_until for row in rows}

    async def counting(self, account_ids: Collection[AccountId]) -> Sequence[TaxEvent]:
        """Return the events that count, of the accounts and of every asset, by day and id."""
        rows = await self.connection.execute(
            select(tax_event)
            .where(
                or_(_among(tax_event.c.account_id, account_ids), tax_event.c.account_id.is_(None)),
                tax_event.c.withdraw_time.is_(None),
            )
            .order_by(tax_event.c.day, tax_event.c.event_id)
        )
        return [_recorded(row).event for row in rows]

    async def listed(self, which: EventFilter, after: tuple[date, str] | None, limit: int) -> Sequence[RecordedEvent]:
        """Return events by day and id, those after `after`."""
        query = select(tax_event).order_by(tax_event.c.day, tax_event.c.event_id).limit(limit)
        if which.account_id is not None:
            query = query.where(tax_event.c.account_id == which.account_id)
        if which.instrument_id is not None:
            query = query.where(tax_event.c.instrument_id == which.instrument_id)
        if after is not None:
            query = query.where(tuple_(tax_event.c.day, tax_event.c.event_id) > tuple_(*map(literal, after)))
        return [_recorded(row) for row in await self.connection.execute(query)]

    async def tried(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, Tried]:
        """Return what is known of accounts whose whole history is on record; absent where it is not."""
        rows = await self.connection.execute(
            select(
                account.c.account_id,
                account.c.currency,
                account.c.carried_year,
                tax_history.c.tried_day,
                tax_history.c.tried_by,
            )
            .join(tax_history, tax_history.c.account_id == account.c.account_id)
            .where(_among(tax_history.c.account_id, account_ids))
        )
        return {
            AccountId(row.account_id): Tried(row.currency, row.carried_year, row.tried_day, row.tried_by)
            for row in rows
        }

    async def remember(self, tries: Mapping[AccountId, str], day: date) -> None:
        """Keep until which day accounts' ledgers were worked out, or found to be none, and what that depended on."""
        if tries:
            await self.connection.execute(
                update(tax_history)
                .where(tax_history.c.account_id == bindparam("of_account"))
                .values(tried_day=day, tried_by=bindparam("by")),
                [{"of_account": name, "by": by} for name, by in sorted(tries.items())],
            )

    async def outdate(self, account_ids: Collection[AccountId]) -> None:
        """Keep that the standings of accounts are out of date."""
        await self.connection.execute(
            update(tax_history).where(_among(tax_history.c.account_id, account_ids)).values(tried_by=OUT_OF_DATE)
        )

    async def outdate_holders(self, instrument_ids: Collection[str]) -> None:
        """Keep that the standings of all who ever had one of the instruments are out of date, with their households."""
        had = union(
            select(tax_event.c.account_id).where(_among(tax_event.c.instrument_id, instrument_ids)),
            select(booking.c.account_id).where(_among(booking.c.instrument_id, instrument_ids)),
        ).subquery()
        holder, mate = account.alias(), account.alias()
        holders = select(holder.c.household_id).join(had, had.c.account_id == holder.c.account_id)
        mates = select(mate.c.account_id).where(mate.c.household_id.in_(holders))
        await self.connection.execute(
            update(tax_history)
            .where(or_(tax_history.c.account_id.in_(select(had.c.account_id)), tax_history.c.account_id.in_(mates)))
            .values(tried_by=OUT_OF_DATE)
        )

    async def stand(self, standings: Sequence[Standing]) -> None:
        """Let accounts stand where the ledger says."""
        if not standings:
            return
        rows = [
            {
                "of_account": each.account_id,
                "carried_year": each.tax_year,
                "carried_short": each.carried_short,
                "carried_long": each.carried_long,
                "short_term_gain": each.short_gain,
                "long_term_gain": each.long_gain,
                "gain_year": each.day.year,
                "gain_dates": [each.day],
                "gain_shorts": [each.short_gain],
                "gain_longs": [each.long_gain],
                "gain_shares": [each.share_gain],
                # What the ledger says is without what is exempt.
                "exempt_dates": [],
                "exempt_gains": [],
            }
            for each in standings
        ]
        values: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "of_account"}
        change = update(account).where(account.c.account_id == bindparam("of_account")).values(values)
        await self.connection.execute(change, rows)

    async def trades(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, Sequence[BookedTrade]]:
        """Return everything booked to the accounts, by position."""
        rows = await self.connection.execute(
            select(
                booking.c.position,
                booking.c.account_id,
                booking.c.instrument_id,
                booking.c.side,
                booking.c.quantity,
                booking.c.uncovered_quantity,
                booking.c.contained,
                booking.c.value,
                booking.c.fees,
                booking.c.trade_date,
                booking.c.settlement_date,
                func.coalesce(func.array_append(booking.c.sold_lot_ids, booking.c.bought_lot_id), []).label("lot_ids"),
            )
            .where(_among(booking.c.account_id, account_ids), booking.c.quantity > 0, ~_replaced())
            .order_by(booking.c.position)
        )
        found: dict[AccountId, list[BookedTrade]] = {}
        for row in rows:
            account_id = AccountId(row.account_id)
            trade = BookedTrade(
                row.position,
                account_id,
                InstrumentId(row.instrument_id),
                Side(row.side),
                row.quantity,
                row.value,
                row.fees,
                row.trade_date,
                tuple(LotId(each) for each in row.lot_ids if each is not None),
                row.uncovered_quantity,
                row.contained,
                row.settlement_date,
            )
            found.setdefault(account_id, []).append(trade)
        return found

    async def sale_days(self, account_ids: Collection[AccountId]) -> Mapping[AccountId | None, AbstractSet[date]]:
        """Return the days on which something left each of the accounts; under None those of redemptions, of any asset.

        Only days: of many accounts, what left is much more. Absent where nothing did.
        """
        recorded = select(tax_event.c.account_id, tax_event.c.day).where(
            or_(_among(tax_event.c.account_id, account_ids), tax_event.c.account_id.is_(None)),
            tax_event.c.kind.in_(_LEAVING),
            tax_event.c.withdraw_time.is_(None),
        )
        booked = select(booking.c.account_id, booking.c.trade_date).where(
            _among(booking.c.account_id, account_ids),
            booking.c.side == Side.SELL.value,
            booking.c.quantity > 0,
            ~_replaced(),
        )
        left = union(recorded, booked).subquery()
        query = select(left.c.account_id, func.array_agg(left.c.day).label("days")).group_by(left.c.account_id)
        return {row.account_id: frozenset(row.days) for row in await self.connection.execute(query)}

    async def pending(self, account_ids: Collection[AccountId]) -> Sequence[PendingPurchase]:
        """Return what live plans of the accounts buy and nobody booked yet, by account and instrument."""
        live = await self.connection.execute(
            select(plan.c.plan_id, plan.c.account_id, plan.c.content).where(
                _among(plan.c.account_id, account_ids), plan.c.state.in_([each.value for each in LIVE_STATES])
            )
        )
        wanted = {row.plan_id: (AccountId(row.account_id), planned_purchases(row.content)) for row in live}
        filled = await self.connection.execute(
            select(booking.c.plan_id, booking.c.instrument_id, func.sum(booking.c.quantity).label("quantity"))
            .where(_among(booking.c.plan_id, wanted), booking.c.side == Side.BUY.value, ~_replaced())
            .group_by(booking.c.plan_id, booking.c.instrument_id)
        )
        booked = {(row.plan_id, InstrumentId(row.instrument_id)): row.quantity for row in filled}
        found = [
            PendingPurchase(account_id, instrument_id, quantity - booked.get((plan_id, instrument_id), ZERO))
            for plan_id, (account_id, purchases) in wanted.items()
            for instrument_id, quantity in purchases.items()
        ]
        return sorted(
            (each for each in found if each.quantity > 0), key=lambda each: (each.account_id, each.instrument_id)
        )


@dataclass(frozen=True, slots=True)
class TaxSessions:
    """The events in `database`, and the book beside them."""

    database: Database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[TaxReading]:
        """Read in one transaction."""
        async with self.database.read() as connection:
            prices = PostgresPrices(connection)
            records = PostgresTaxRecords(connection)
            rows = PostgresTaxRows(connection)
            yield TaxReading(PostgresBooks(connection), records, TaxLawStore(connection), prices, rows)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[TaxWriting]:
        """Change the record in one transaction."""
        async with self.database.begin() as transaction:

            async def emit(events: Sequence[Event]) -> None:
                await transaction.emit(*events)

            connection = transaction.connection
            records = PostgresTaxRecords(connection)
            yield TaxWriting(PostgresLedger(transaction), records, TaxLawStore(connection), emit)


def _row(event: TaxEvent, at: datetime) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "account_id": event.account_id,
        "instrument_id": event.row.asset,
        "day": event.row.day,
        "kind": event.kind,
        "content": event.content(),
        "record_time": at,
    }


def _recorded(row: SqlRow[Any]) -> RecordedEvent:
    event = event_from_content(row.event_id, row.kind, row.content)
    return RecordedEvent(event, row.record_time, row.withdraw_time)


def _replaced() -> ColumnElement[bool]:
    """Return whether a later booking took the place of one."""
    later = booking.alias()
    return exists().where(later.c.replaces == booking.c.position)


def _among(column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    return column == any_(literal(sorted(values), ARRAY(Text)))
