"""Rows ↔ values of the book. An account's positions and lots are columns in its row."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, Table

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import (
    AccountBook,
    Allocation,
    Booking,
    HoldingKind,
    Position,
    Snapshot,
    SnapshotId,
    SoldLot,
    TaxWrapper,
)
from services.decision.domain.book.gains import DayGain, of_year, opening_gains, realized_on
from services.decision.domain.decision import Character
from services.decision.domain.fund_years import FundYear
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import ZERO, LotId, LotState, RecentTrade, Side
from services.decision.domain.recorded import read_value, recorded_text
from services.decision.tables import book as tables
from services.kernel.ids import AccountId, BlockId, HouseholdId, InstrumentId, OrderId, PlanId

Row = dict[str, Any]

# What a snapshot says of an account, and what an account has now: the columns that both tables have.
SAID_COLUMNS = tuple(
    column.name for column in tables.snapshot_account.columns if column.name not in ("snapshot_id", "account_id")
)
# The same without lots, which are most of an account.
HELD_COLUMNS = tuple(name for name in SAID_COLUMNS if not name.startswith("lot_"))
INSTRUMENT_COLUMNS = tuple(column.name for column in tables.snapshot_instrument.columns if column.name != "snapshot_id")
SNAPSHOT_COLUMNS = tuple(column.name for column in tables.snapshot.columns if column.name != "sequence")


# What of it says what was realized, in the order of `opening_gains`.
SAID_GAINS = ("short_term_gain", "long_term_gain", "share_gain")


def columns_of(table: Table, names: Sequence[str]) -> list[Any]:
    """Return the columns of `table` with those names, in that order."""
    return [table.c[name] for name in names]


def said_row(account: AccountBook) -> Row:
    """Return the columns of `SAID_COLUMNS` for `account`."""
    lots = [(row, lot) for row, position in enumerate(account.positions) for lot in position.lots]
    return {
        "household_id": account.household_id,
        "custodian": account.custodian,
        "currency": account.currency,
        "tax_wrapper": account.tax_wrapper.value,
        "cash": account.cash,
        "reserved_cash": account.reserved_cash,
        **dict(zip(SAID_GAINS, of_year(account.realized, _calendar_year, gain_year(account)), strict=True)),
        "position_instruments": [position.instrument_id for position in account.positions],
        "position_holdings": [position.holding.value for position in account.positions],
        "position_quantities": [position.quantity for position in account.positions],
        "lot_positions": [row for row, _ in lots],
        "lot_ids": [lot.lot_id for _, lot in lots],
        "lot_acquired_dates": [lot.acquired_date for _, lot in lots],
        "lot_quantities": [lot.quantity for _, lot in lots],
        "lot_bases": [lot.basis_total for _, lot in lots],
    }


def gain_year(account: AccountBook) -> int:
    """Return the calendar year of the last day on which something was realized, or else of its book."""
    return account.realized[-1].day.year if account.realized else account.as_of_time.year


def gain_row(account: AccountBook) -> Row:
    """Return the columns of what was realized by day, and of which year the sums are."""
    return {
        "gain_year": gain_year(account),
        "gain_dates": [each.day for each in account.realized],
        "gain_shorts": [each.short for each in account.realized],
        "gain_longs": [each.long for each in account.realized],
        "gain_shares": [each.shares for each in account.realized],
        "exempt_dates": [each.day for each in account.realized if each.exempt],
        "exempt_gains": [each.exempt for each in account.realized if each.exempt],
    }


def account_of(row: RowMapping, recent_trades: Sequence[RecentTrade] = ()) -> AccountBook:
    """Return the account of a row of `account`."""
    account = _account(
        row,
        realized=_realized(row),
        as_of_time=row["as_of_time"],
        opening_position=row["opening_position"],
        booked_position=row["booked_position"],
        recent_trades=tuple(recent_trades),
    )
    if "carried_year" not in row:
        return account
    carried = row["carried_short"], row["carried_long"]
    return replace(account, carried_year=row["carried_year"], carried_short=carried[0], carried_long=carried[1])


def opening_of(row: RowMapping, as_of_time: datetime, opening_position: int) -> AccountBook:
    """Return the account of a row of `snapshot_account`, as the snapshot had it."""
    return _account(
        row,
        realized=opening_gains(as_of_time.date(), *(row[name] for name in SAID_GAINS)),
        as_of_time=as_of_time,
        opening_position=opening_position,
        booked_position=opening_position,
        recent_trades=(),
    )


def trade_of(row: RowMapping) -> RecentTrade:
    """Return the trade of a row of `booking`."""
    return RecentTrade(InstrumentId(row["instrument_id"]), Side(row["side"]), row["trade_date"], row["realized_gain"])


def booking_row(booking: Booking) -> Row:
    """Return the row of `booking`."""
    allocation, sold = booking.allocation, booking.sold_lots
    return {
        "position": allocation.position,
        "account_id": allocation.account_id,
        "plan_id": allocation.plan_id,
        "order_id": allocation.order_id,
        "block_id": allocation.block_id,
        "instrument_id": allocation.instrument_id,
        "side": allocation.side.value,
        "quantity": allocation.quantity,
        "price": allocation.price,
        "value": allocation.value,
        "fees": allocation.fees,
        "currency": allocation.currency,
        "trade_date": allocation.trade_date,
        "settlement_date": allocation.settlement_date,
        "bought_lot_id": booking.bought_lot_id,
        "sold_lot_ids": [lot.lot_id for lot in sold],
        "sold_acquired_dates": [lot.acquired_date for lot in sold],
        "sold_quantities": [lot.quantity for lot in sold],
        "sold_proceeds": [lot.proceeds for lot in sold],
        "sold_bases": [lot.basis for lot in sold],
        "sold_characters": [lot.character.value for lot in sold],
        "sold_taxed_before": [lot.taxed_before for lot in sold] if any(lot.taxed_before for lot in sold) else [],
        "realized_gain": booking.realized_gain,
        "uncovered_quantity": booking.uncovered_quantity,
        "contained": booking.contained,
        "replaces": None if allocation.replaces is None else allocation.replaces.position,
    }


def booking_of(row: RowMapping) -> Booking:
    """Return the booking of a row of `booking`, without what its allocation replaces."""
    sold = zip(
        row["sold_lot_ids"],
        row["sold_acquired_dates"],
        row["sold_quantities"],
        row["sold_proceeds"],
        row["sold_bases"],
        row["sold_characters"],
        # Empty where there is none.
        row["sold_taxed_before"] or [ZERO] * len(row["sold_lot_ids"]),
        strict=True,
    )
    return Booking(
        allocation=Allocation(
            position=row["position"],
            order_id=OrderId(row["order_id"]),
            block_id=BlockId(row["block_id"]),
            account_id=AccountId(row["account_id"]),
            plan_id=PlanId(row["plan_id"]),
            instrument_id=InstrumentId(row["instrument_id"]),
            side=Side(row["side"]),
            quantity=row["quantity"],
            price=row["price"],
            value=row["value"],
            fees=row["fees"],
            currency=row["currency"],
            trade_date=row["trade_date"],
            settlement_date=row["settlement_date"],
        ),
        sold_lots=tuple(
            SoldLot(LotId(lot_id), acquired, quantity, proceeds, basis, Character(character), taxed_before)
            for lot_id, acquired, quantity, proceeds, basis, character, taxed_before in sold
        ),
        bought_lot_id=None if row["bought_lot_id"] is None else LotId(row["bought_lot_id"]),
        uncovered_quantity=row["uncovered_quantity"],
        contained=row["contained"],
    )


def snapshot_of(row: RowMapping) -> Snapshot:
    """Return the snapshot of a row of `snapshot`."""
    return Snapshot(
        snapshot_id=SnapshotId(row["snapshot_id"]),
        source=row["source"],
        as_of_time=row["as_of_time"],
        content_hash=row["content_hash"],
        account_count=row["account_count"],
        position_count=row["position_count"],
        lot_count=row["lot_count"],
        record_time=row["record_time"],
    )


def snapshot_row(snapshot: Snapshot) -> Row:
    """Return the row of `snapshot`."""
    return {name: getattr(snapshot, name) for name in SNAPSHOT_COLUMNS}


def instrument_of(row: RowMapping) -> Instrument:
    """Return the instrument of a row of `instrument`."""
    return Instrument(
        instrument_id=InstrumentId(row["instrument_id"]),
        currency=row["currency"],
        quantity_increment=row["quantity_increment"],
        asset_class=row["asset_class"],
        issuer=row["issuer"],
        identity_set=row["identity_set"],
        tradable=row["tradable"],
        asset_kind=AssetKind(row["asset_kind"]),
        fund_years=read_value(tuple[FundYear, ...], json.loads(row["fund_years"])),
    )


def instrument_row(instrument: Instrument) -> Row:
    """Return the columns of `INSTRUMENT_COLUMNS` for `instrument`."""
    said = {name: getattr(instrument, name) for name in INSTRUMENT_COLUMNS}
    return {**said, "fund_years": recorded_text(instrument.fund_years)}


def _account(
    row: RowMapping,
    *,
    realized: tuple[DayGain, ...],
    as_of_time: datetime,
    opening_position: int,
    booked_position: int,
    recent_trades: tuple[RecentTrade, ...],
) -> AccountBook:
    household_id: str | None = row["household_id"]
    return AccountBook(
        account_id=AccountId(row["account_id"]),
        household_id=None if household_id is None else HouseholdId(household_id),
        custodian=row["custodian"],
        currency=row["currency"],
        tax_wrapper=TaxWrapper(row["tax_wrapper"]),
        cash=row["cash"],
        reserved_cash=row["reserved_cash"],
        realized=realized,
        positions=_positions(row),
        snapshot_id=SnapshotId(row["snapshot_id"]),
        as_of_time=as_of_time,
        opening_position=opening_position,
        booked_position=booked_position,
        recent_trades=recent_trades,
    )


def _realized(row: RowMapping) -> tuple[DayGain, ...]:
    """Return what was realized by day.

    What the sums have and the days have not was written by the release before, which knew no days: it counts as of the
    last day of their year that is known.
    """
    days = zip(row["gain_dates"], row["gain_shorts"], row["gain_longs"], row["gain_shares"], strict=True)
    exempt = dict(zip(row["exempt_dates"], row["exempt_gains"], strict=True))
    realized = tuple(DayGain(*each, exempt.get(each[0], ZERO)) for each in days if any(each[1:]) or each[0] in exempt)
    year = row["gain_year"]
    short, long, _ = of_year(realized, _calendar_year, year)
    short, long = row["short_term_gain"] - short, row["long_term_gain"] - long
    if not short and not long:
        return realized
    known = (row["last_trade_date"], row["as_of_time"].date())
    day = max((each for each in known if each is not None and each.year == year), default=date(year, 1, 1))
    return realized_on(realized, day, short, long)


def _calendar_year(day: date) -> int:
    return day.year


def _positions(row: RowMapping) -> tuple[Position, ...]:
    lots = _lots(row) if "lot_ids" in row else {}
    said: zip[tuple[str, str, Decimal]] = zip(
        row["position_instruments"], row["position_holdings"], row["position_quantities"], strict=True
    )
    return tuple(
        Position(InstrumentId(instrument_id), HoldingKind(holding), quantity, tuple(lots.get(place, ())))
        for place, (instrument_id, holding, quantity) in enumerate(said)
    )


def _lots(row: RowMapping) -> dict[int, list[LotState]]:
    """Return the lots of each position, by its place."""
    lots: dict[int, list[LotState]] = {}
    for position, lot_id, day, quantity, basis in zip(
        row["lot_positions"],
        row["lot_ids"],
        row["lot_acquired_dates"],
        row["lot_quantities"],
        row["lot_bases"],
        strict=True,
    ):
        lots.setdefault(position, []).append(LotState(LotId(lot_id), day, quantity, basis))
    return lots
