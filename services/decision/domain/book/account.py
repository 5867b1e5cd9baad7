"""One account as the book has it.

An account begins as a snapshot told it and moves on with every allocation that execution reports. Its content hash
names it exactly as it was when a plan was decided, so that the plan can be decided again from it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType
from zoneinfo import ZoneInfo

from services.decision.domain.book.gains import DayGain, exempt_of_year, of_year, opening_gains
from services.decision.domain.problem import ZERO, LotId, LotState, RecentTrade, Side
from services.kernel.canonical import JsonValue, canonical_json, content_hash
from services.kernel.ids import AccountId, HouseholdId, InstrumentId

# Trade dates are those of the exchange; after its close there is no trade of the day any more.
EXCHANGE_ZONE = ZoneInfo("America/New_York")
EXCHANGE_CLOSE = time(16)

SnapshotId = NewType("SnapshotId", str)


class HoldingKind(StrEnum):
    """Where a position is, and what may be done with it."""

    # Held here, and traded.
    TRADED = "TRADED"
    # Held elsewhere: counts in the mix, is not traded.
    HELD_AWAY = "HELD_AWAY"
    # Locked or gated: counts in the mix, is not sold.
    LOCKED = "LOCKED"


class TaxWrapper(StrEnum):
    """How an account's gains are taxed."""

    # When they are realized.
    TAXABLE = "TAXABLE"
    # When money leaves, as in a traditional IRA.
    DEFERRED = "DEFERRED"
    # Never, as in a Roth IRA or an ISA.
    EXEMPT = "EXEMPT"


@dataclass(frozen=True, slots=True)
class Position:
    """Units of one instrument in one account, of one holding kind. `quantity` is positive.

    The lots, oldest first, sum to `quantity`; or there are none, and what the units cost is unknown.
    """

    instrument_id: InstrumentId
    holding: HoldingKind
    quantity: Decimal
    lots: tuple[LotState, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountBook:
    """One account: what it has, and what it traded lately. Amounts are in `currency`.

    Attributes:
        household_id: None when it belongs to none.
        cash: May be used now; negative when overdrawn.
        reserved_cash: What of the cash leaves soon and is kept free; 0 or more.
        realized: Gains by day, oldest first: those of any tax year that has not ended.
        positions: By instrument, then holding kind; each pair once.
        snapshot_id: What the account began as.
        as_of_time: When that was true.
        opening_position: Position in execution's stream when the snapshot was recorded; what was reported until then is
            in the snapshot.
        booked_position: Position of the last allocation booked on top of it; `opening_position` when there is none.
        recent_trades: Since the date asked for, oldest first; for the wash-sale windows.
        carried_year: Tax year into which the tax ledger brought unused losses forward; None when it never did.
        carried_short: Unused short-term losses of earlier years, 0 or more; where the law keeps losses on shares apart,
            those, and where it knows neither, all of them.
        carried_long: All other unused losses of earlier years, 0 or more.
    """

    account_id: AccountId
    household_id: HouseholdId | None
    custodian: str
    currency: str
    tax_wrapper: TaxWrapper
    cash: Decimal
    reserved_cash: Decimal
    realized: tuple[DayGain, ...]
    positions: tuple[Position, ...]
    snapshot_id: SnapshotId
    as_of_time: datetime
    opening_position: int = 0
    booked_position: int = 0
    recent_trades: tuple[RecentTrade, ...] = ()
    carried_year: int | None = None
    carried_short: Decimal = ZERO
    carried_long: Decimal = ZERO

    def position(self, instrument_id: InstrumentId, holding: HoldingKind) -> Position | None:
        """Return the position of that instrument and kind, if the account has one."""
        for each in self.positions:
            if each.instrument_id == instrument_id and each.holding is holding:
                return each
        return None

    @property
    def units(self) -> dict[InstrumentId, Decimal]:
        """Units of each instrument, of all holding kinds together."""
        units: dict[InstrumentId, Decimal] = {}
        for position in self.positions:
            units[position.instrument_id] = units.get(position.instrument_id, ZERO) + position.quantity
        return units

    def gains(self, tax_year: Callable[[date], int], year: int) -> tuple[Decimal, Decimal]:
        """Return the net short-term and long-term gain of a year, by the law whose tax year of a day is `tax_year`."""
        return of_year(self.realized, tax_year, year)[:2]

    def pots(self, tax_year: Callable[[date], int], year: int) -> tuple[Decimal, Decimal]:
        """Return the net gain of a year on shares, and on all else without what Germany does not tax of funds."""
        short, long, shares = of_year(self.realized, tax_year, year)
        return shares, short + long - shares - exempt_of_year(self.realized, tax_year, year)

    def carried(self, tax_year: int) -> tuple[Decimal, Decimal]:
        """Return the losses brought into `tax_year`; nothing is known of another year than `carried_year`."""
        return (self.carried_short, self.carried_long) if tax_year == self.carried_year else (ZERO, ZERO)

    def content(self) -> bytes:
        """Return the account as canonical JSON; equal accounts have equal bytes."""
        return canonical_json(_content(self))

    @property
    def account_hash(self) -> str:
        """Name of the account by its content. Computed at each use: keep it when it is needed twice."""
        return content_hash(self.content())


def exchange_day(instant: datetime) -> date:
    """Return the exchange's date at an instant: that of a trade made then."""
    return instant.astimezone(EXCHANGE_ZONE).date()


def day_covered(as_of_time: datetime) -> date:
    """Return the last trade date of which a book of that instant has every trade for certain."""
    there = as_of_time.astimezone(EXCHANGE_ZONE)
    return there.date() if there.time() >= EXCHANGE_CLOSE else there.date() - timedelta(days=1)


def account_from_content(content: bytes) -> AccountBook:
    """Return the account whose `AccountBook.content` is `content`, which we wrote ourselves."""
    fields = json.loads(content)
    return AccountBook(
        account_id=AccountId(fields["account_id"]),
        household_id=None if fields["household_id"] is None else HouseholdId(fields["household_id"]),
        custodian=fields["custodian"],
        currency=fields["currency"],
        tax_wrapper=TaxWrapper(fields["tax_wrapper"]),
        cash=Decimal(fields["cash"]),
        reserved_cash=Decimal(fields["reserved_cash"]),
        realized=_realized(fields),
        positions=tuple(
            Position(
                InstrumentId(instrument_id),
                HoldingKind(holding),
                Decimal(quantity),
                tuple(
                    LotState(LotId(lot_id), date.fromisoformat(acquired), Decimal(units), Decimal(basis))
                    for lot_id, acquired, units, basis in lots
                ),
            )
            for instrument_id, holding, quantity, lots in fields["positions"]
        ),
        snapshot_id=SnapshotId(fields["snapshot_id"]),
        as_of_time=datetime.fromisoformat(fields["as_of_time"]).astimezone(UTC),
        opening_position=fields["opening_position"],
        booked_position=fields["booked_position"],
        recent_trades=tuple(
            RecentTrade(InstrumentId(instrument_id), Side(side), date.fromisoformat(day), Decimal(gain))
            for instrument_id, side, day, gain in fields["recent_trades"]
        ),
        # Absent for an account without them, so that its hash is what it was before there were any.
        carried_year=fields.get("carried_year"),
        carried_short=Decimal(fields.get("carried_short", 0)),
        carried_long=Decimal(fields.get("carried_long", 0)),
    )


def _content(account: AccountBook) -> dict[str, JsonValue]:
    return {
        "account_id": account.account_id,
        "household_id": account.household_id,
        "custodian": account.custodian,
        "currency": account.currency,
        "tax_wrapper": account.tax_wrapper.value,
        "cash": account.cash,
        "reserved_cash": account.reserved_cash,
        "realized": [
            # Only where there is something, so that an account is called as before funds were exempt.
            [each.day, each.short, each.long, each.shares, *([each.exempt] if each.exempt else [])]
            for each in account.realized
        ],
        "positions": [
            [
                position.instrument_id,
                position.holding.value,
                position.quantity,
                [[lot.lot_id, lot.acquired_date, lot.quantity, lot.basis_total] for lot in position.lots],
            ]
            for position in account.positions
        ],
        "snapshot_id": account.snapshot_id,
        "as_of_time": account.as_of_time,
        "opening_position": account.opening_position,
        "booked_position": account.booked_position,
        "recent_trades": [
            [trade.instrument_id, trade.side.value, trade.trade_date, trade.realized_gain]
            for trade in account.recent_trades
        ],
        **_carried(account),
    }


def _realized(fields: Mapping[str, Any]) -> tuple[DayGain, ...]:
    if "realized" in fields:
        return tuple(DayGain(date.fromisoformat(day), *map(Decimal, gains)) for day, *gains in fields["realized"])
    # Before gains were kept by day they were those of a calendar year: of its last day that is known.
    days = [date.fromisoformat(day) for _, _, day, _ in fields["recent_trades"]]
    days.append(datetime.fromisoformat(fields["as_of_time"]).astimezone(UTC).date())
    year = fields["gain_year"]
    day = max((each for each in days if each.year == year), default=date(year, 1, 1))
    return opening_gains(day, Decimal(fields["short_term_gain"]), Decimal(fields["long_term_gain"]))


def _carried(account: AccountBook) -> dict[str, JsonValue]:
    if account.carried_year is None:
        return {}
    said = account.carried_year, account.carried_short, account.carried_long
    return dict(zip(("carried_year", "carried_short", "carried_long"), said, strict=True))
