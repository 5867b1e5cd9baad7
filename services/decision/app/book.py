"""Keeps the book: takes snapshots in, shows accounts, books what execution reports, and reconciles.

A port is bound to one database transaction: what is done through it is done together, or not at all.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from services.decision.domain.book import AccountBook, Allocation, Booking, PlannedLot, booked
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import ZERO, Side
from services.kernel.errors import Conflict, NotFound
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId, PlanId

# An event is at most 60 KiB; the book itself keeps every lot.
LOTS_TOLD_MAX = 100


class AccountNotFound(NotFound):
    """No account has this id."""

    reason = "ACCOUNT_NOT_FOUND"


class Books(Protocol):
    """What may be read of the book, as one instant has it."""

    async def accounts(self, account_ids: Collection[AccountId], *, trades_since: date) -> Sequence[AccountBook]:
        """Return the accounts that exist, by id, with their booked trades of `trades_since` and later.

        A few queries, however many accounts.
        """
        ...

    async def account_ids(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return the next `limit` account ids after `after`, ascending; from the first when it is None."""
        ...

    async def account_ids_missing(self, account_ids: Collection[AccountId]) -> Sequence[AccountId]:
        """Return those ids that no account has, ascending."""
        ...

    async def instruments(self, instrument_ids: Collection[InstrumentId]) -> Mapping[InstrumentId, Instrument]:
        """Return the instruments that are known, by id."""
        ...

    async def stream_position(self) -> int:
        """Return the position in execution's stream up to which everything is booked; 0 at the start."""
        ...


class Ledger(Books, Protocol):
    """What may be changed in the book, all of it in one transaction."""

    async def lock_stream(self) -> int:
        """Return `stream_position`, and let nobody else book before this transaction ends."""
        ...

    async def advance_stream(self, *, was: int, becomes: int) -> None:
        """Say that everything up to `becomes` is booked.

        Raises:
            Conflict: The position is not `was`.
        """
        ...

    async def units_sold(
        self, sales: Collection[tuple[PlanId, InstrumentId]]
    ) -> Mapping[tuple[PlanId, InstrumentId], Decimal]:
        """Return how many units of each instrument each plan's booked sales sold; absent when none."""
        ...

    async def save(self, accounts: Sequence[AccountBook], bookings: Sequence[Booking]) -> None:
        """Keep the accounts as they are now, and what was booked."""
        ...

    async def emit(self, event: Event) -> None:
        """Tell audit of a change, in this transaction."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedAllocation:
    """An allocation, and the lots that its plan sells of the instrument, in the plan's order; none for a buy."""

    allocation: Allocation
    planned_lots: tuple[PlannedLot, ...] = ()


async def book_allocations(
    ledger: Ledger, allocations: Sequence[PlannedAllocation], *, first_position: int, last_position: int
) -> Sequence[Booking]:
    """Book what a piece of execution's stream, `first_position` to `last_position`, says of allocations.

    Safe to repeat: what was booked before is passed over. Positions that carry no allocation count as booked.

    Args:
        ledger: In whose transaction everything happens, the stream's position included.
        allocations: Every allocation of the piece, by ascending position.
        first_position: First position of the piece.
        last_position: Last position of the piece.

    Returns:
        What was booked now.

    Raises:
        Conflict: The piece begins later than right after what is booked.
        AccountNotFound: An allocation is of an account that the book does not have.
    """
    position = await ledger.lock_stream()
    if first_position > position + 1:
        raise Conflict(f"execution's stream is booked up to {position}, the next piece begins at {first_position}")
    if last_position <= position:
        return ()
    fresh = [each for each in allocations if each.allocation.position > position]
    found = await ledger.accounts({each.allocation.account_id for each in fresh}, trades_since=date.max)
    accounts = {account.account_id: account for account in found}
    sold = dict(await ledger.units_sold({_sale(each.allocation) for each in fresh}))
    bookings: list[Booking] = []
    for each in fresh:
        allocation = each.allocation
        account = accounts.get(allocation.account_id)
        if account is None:
            raise AccountNotFound(f"account {allocation.account_id} does not exist", account_id=allocation.account_id)
        sold_before = sold.get(_sale(allocation), ZERO)
        accounts[account.account_id], booking = booked(account, allocation, each.planned_lots, sold_before)
        if allocation.side is Side.SELL:
            sold[_sale(allocation)] = sold_before + allocation.quantity
        bookings.append(booking)
    await ledger.save(list(accounts.values()), bookings)
    for booking in bookings:
        await ledger.emit(_account_booked(accounts[booking.allocation.account_id], booking))
    await ledger.advance_stream(was=position, becomes=last_position)
    return bookings


def _sale(allocation: Allocation) -> tuple[PlanId, InstrumentId]:
    return allocation.plan_id, allocation.instrument_id


def _account_booked(account: AccountBook, booking: Booking) -> Event:
    allocation = booking.allocation
    subjects = {
        "account": str(account.account_id),
        "plan": str(allocation.plan_id),
        "order": str(allocation.order_id),
        "block": str(allocation.block_id),
        "instrument": str(allocation.instrument_id),
        "snapshot": str(account.snapshot_id),
    }
    if account.household_id is not None:
        subjects["household"] = str(account.household_id)
    return Event(
        kind="decision.account.booked",
        subjects=subjects,
        data={
            "position": allocation.position,
            "side": allocation.side.value,
            "quantity": allocation.quantity,
            "value": allocation.value,
            "fees": allocation.fees,
            "currency": allocation.currency,
            "cash_change": allocation.cash_change,
            "realized_gain": booking.realized_gain,
            "uncovered_quantity": booking.uncovered_quantity,
            "trade_date": allocation.trade_date,
            "lots": [
                {
                    "lot_id": str(lot.lot_id),
                    "quantity": lot.quantity,
                    "gain": lot.gain,
                    "character": lot.character.value,
                }
                for lot in booking.sold_lots[:LOTS_TOLD_MAX]
            ],
            "lot_count": len(booking.sold_lots),
        },
    )
