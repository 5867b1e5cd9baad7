"""Accounts, and what was booked to them, as bytes: what year-ends read of large books, without an object for a lot."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Numeric,
    RowMapping,
    Subquery,
    Text,
    and_,
    any_,
    case,
    exists,
    func,
    literal,
    null,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.tax_ports import RowsRead
from services.decision.domain.book import TaxWrapper
from services.decision.domain.problem import Side
from services.decision.domain.tax.account_rows import AccountRows
from services.decision.tables.book import account, booking, instrument, snapshot_account
from services.decision.tables.taxes import tax_event, tax_history
from services.kernel.ids import AccountId

# Of `AccountRows`: what is read of positions and lots, and the column of the book that each is.
_POSITIONS = {"position_instruments": "position_instruments", "position_quantities": "position_quantities"}
_OPENING = {
    "opening_instruments": "position_instruments",
    "lot_positions": "lot_positions",
    "lot_ids": "lot_ids",
    "lot_days": "lot_acquired_dates",
    "lot_quantities": "lot_quantities",
    "lot_bases": "lot_bases",
}
# An array without elements, as `array_send` has it: no dimension, no null, elements of any type.
_NOTHING = bytes(12)


@dataclass(frozen=True, slots=True)
class PostgresTaxRows:
    """Reads through one connection."""

    connection: AsyncConnection

    async def rows(self, account_ids: Collection[AccountId]) -> RowsRead:
        """Return the accounts that exist, by id; a few queries, however many they are."""
        found = (await self.connection.execute(_accounts(account_ids))).mappings().all()
        # Not every server sorts as Python does.
        accounts = sorted(found, key=lambda row: str(row["account_id"]))
        booked = [AccountId(row["account_id"]) for row in accounts if row["booked"]]
        trades: Mapping[str, RowMapping] = {}
        if booked:
            query = _trades(booked)
            trades = {row["account_id"]: row for row in (await self.connection.execute(query)).mappings()}
        rows = AccountRows(
            account_ids=tuple(row["account_id"] for row in accounts),
            plain=[row["plain"] for row in accounts],
            currencies=[row["currency"] for row in accounts],
            sheltered=[row["tax_wrapper"] != TaxWrapper.TAXABLE.value for row in accounts],
            **{name: [row[name] or b"" for row in accounts] for name in (*_POSITIONS, *_OPENING)},
            **_trades_of(accounts, trades),
        )
        days: dict[AccountId, tuple[date, ...]] = {
            AccountId(name): tuple(row["sale_days"]) for name, row in trades.items() if row["sale_days"]
        }
        return RowsRead(rows, days)

    async def identical(self) -> Mapping[str, str]:
        """Return the set of identical instruments that each instrument is in, where that is not its own name."""
        columns = instrument.c.instrument_id, instrument.c.identity_set
        found = await self.connection.execute(select(*columns).where(columns[0] != columns[1]))
        return {row.instrument_id: row.identity_set for row in found}

    async def happened(self) -> frozenset[str]:
        """Return the instruments to which something happened that is on record and counts."""
        query = select(tax_event.c.instrument_id).distinct()
        query = query.where(tax_event.c.account_id.is_(None), tax_event.c.withdraw_time.is_(None))
        return frozenset((await self.connection.execute(query)).scalars())


def _accounts(account_ids: Collection[AccountId]) -> Any:  # noqa: ANN401 - a query's type names its columns
    opening = snapshot_account.alias("opening")
    now_booked = account.c.booked_position != account.c.opening_position
    recorded = exists().where(tax_history.c.account_id == account.c.account_id) | exists().where(
        tax_event.c.account_id == account.c.account_id, tax_event.c.withdraw_time.is_(None)
    )
    # What is not plain is read by the exact road, so nothing of it need be sent.
    plain = (~recorded).label("plain")
    sent = [
        case((~recorded, _sent(account.c[column])), else_=null()).label(name) for name, column in _POSITIONS.items()
    ]
    sent += [
        case(
            (recorded, null()), (now_booked, _sent(opening.c[column])), else_=_sent(account.c[column])
        ).label(name)
        for name, column in _OPENING.items()
    ]  # fmt: skip
    began = and_(
        now_booked, opening.c.snapshot_id == account.c.snapshot_id, opening.c.account_id == account.c.account_id
    )
    return (
        select(
            account.c.account_id, account.c.currency, account.c.tax_wrapper, plain, now_booked.label("booked"), *sent
        )
        .outerjoin(opening, began)
        .where(_among(account.c.account_id, account_ids))
    )  # fmt: skip


_TRADES = (
    "trade_positions",
    "trade_instruments",
    "trade_sells",
    "trade_days",
    "trade_quantities",
    "trade_values",
    "trade_fees",
    "trade_uncovered",
    "trade_lots",
    "trade_lot_ids",
)


def _trades(account_ids: Collection[AccountId]) -> Any:  # noqa: ANN401 - a query's type names its columns
    """Return the query of what was booked since each account's snapshot: arrays by position, and all days of sales."""
    later = booking.alias("later")
    sells = booking.c.side == Side.SELL.value
    lot_ids = func.array_remove(func.array_append(booking.c.sold_lot_ids, booking.c.bought_lot_id), None)
    since = (~booking.c.contained) & (booking.c.position > account.c.opening_position)
    each = (
        select(
            booking.c.account_id,
            booking.c.position,
            since.label("since"),
            sells.label("sells"),
            booking.c.instrument_id,
            booking.c.trade_date,
            booking.c.quantity,
            booking.c.value,
            booking.c.fees,
            booking.c.uncovered_quantity,
            lot_ids.label("lot_ids"),
        )
        .join(account, account.c.account_id == booking.c.account_id)
        .where(
            _among(booking.c.account_id, account_ids),
            booking.c.quantity > 0,
            ~exists().where(later.c.replaces == booking.c.position),
        )
        .subquery("booked")
    )
    of_each = {
        "trade_positions": each.c.position.cast(Numeric),
        "trade_instruments": each.c.instrument_id,
        "trade_sells": each.c.sells.cast(Integer),
        "trade_days": each.c.trade_date,
        "trade_quantities": each.c.quantity,
        "trade_values": each.c.value,
        "trade_fees": each.c.fees,
        "trade_uncovered": each.c.uncovered_quantity,
        "trade_lots": func.cardinality(each.c.lot_ids),
    }
    columns = [
        _sent(func.array_agg(aggregate_order_by(column, each.c.position)).filter(each.c.since)).label(name)
        for name, column in of_each.items()
    ]
    lots = _lot_ids(each)
    days = func.array_agg(each.c.trade_date.distinct()).filter(each.c.sells)
    return (
        select(each.c.account_id, days.label("sale_days"), *columns, func.max(lots.c.sent).label("trade_lot_ids"))
        .outerjoin(lots, lots.c.account_id == each.c.account_id)
        .group_by(each.c.account_id)
    )


def _lot_ids(each: Subquery) -> Subquery:
    """Return the lots of each account's bookings, by position and in the order of each."""
    lot = func.unnest(each.c.lot_ids).table_valued("lot_id", with_ordinality="place").render_derived("lot")
    together = func.array_agg(aggregate_order_by(lot.c.lot_id, each.c.position, lot.c.place))
    return (
        select(each.c.account_id, _sent(together).label("sent"))
        .select_from(each.join(lot, true()))
        .where(each.c.since)
        .group_by(each.c.account_id)
        .subquery("lots")
    )


def _sent(array: ColumnElement[Any]) -> ColumnElement[bytes]:
    return type_coerce(func.array_send(array), LargeBinary)


def _trades_of(accounts: Sequence[RowMapping], trades: Mapping[str, RowMapping]) -> dict[str, Sequence[bytes]]:
    """Return the arrays of what was booked to each account."""
    if not trades:
        return dict.fromkeys(_TRADES, [_NOTHING] * len(accounts))
    rows = [trades.get(each["account_id"]) for each in accounts]
    return {name: [_NOTHING if row is None else row[name] or _NOTHING for row in rows] for name in _TRADES}


def _among(column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    return column == any_(literal(sorted(values), ARRAY(Text)))
