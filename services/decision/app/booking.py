"""Books what execution reports: every allocation once, in the order of its stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.app.book import AccountNotFound
from services.decision.app.ports.books import Ledger
from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import (
    AccountBook,
    Allocation,
    Booking,
    PlannedLot,
    booked,
    contained,
    corrected,
    day_covered,
)
from services.decision.domain.book.booking import CURRENCY_MISMATCH
from services.decision.domain.crediting import LumpSums, base_rates, lump_sums
from services.decision.domain.problem import ZERO, Side
from services.kernel.errors import Conflict
from services.kernel.events import Event
from services.kernel.ids import InstrumentId, PlanId, RunId

# An event is at most 60 KiB; the book itself keeps every lot.
LOTS_TOLD_MAX = 100


@dataclass(frozen=True, slots=True)
class PlannedAllocation:
    """An allocation, and what its plan says.

    `planned_lots` are those that the plan sells of the instrument, in the plan's order; none for a buy. `run_id` is the
    plan's run; None for an allocation of a plan that we do not know.
    """

    allocation: Allocation
    planned_lots: tuple[PlannedLot, ...] = ()
    run_id: RunId | None = None


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
        What was booked now. An allocation of an account that the book does not have, or that has another currency, is
        not booked but told to audit, and a break in reconciliation.

    Raises:
        Conflict: The piece begins later than right after what is booked.
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
    replaced = {each.allocation.replaces.position for each in fresh if each.allocation.replaces is not None}
    known = dict(await ledger.bookings(replaced))
    instruments = await ledger.instruments({each.allocation.instrument_id for each in fresh})
    funds = [each for each in instruments.values() if each.fund_years]
    rates = base_rates(await ledger.approved_amounts()) if funds else {}
    bookings: list[Booking] = []
    told: list[Event] = []
    for each in fresh:
        allocation = each.allocation
        account = accounts.get(allocation.account_id)
        problem = _problem(account, allocation)
        if account is None or problem:
            # One allocation that cannot be booked does not keep the others from it; a person is told.
            told.append(_allocation_refused(allocation, problem, each.run_id))
            continue
        sold_before = sold.get(_sale(allocation), ZERO)
        instrument = instruments.get(allocation.instrument_id)
        kind = AssetKind.OTHER if instrument is None else instrument.asset_kind
        accounts[account.account_id], booking = _booked(
            account, each, sold_before, known, kind, lump_sums(instrument, rates)
        )
        if allocation.side is Side.SELL:
            before = allocation.replaces.quantity if allocation.replaces is not None else ZERO
            sold[_sale(allocation)] = sold_before + allocation.quantity - before
        bookings.append(booking)
        known[allocation.position] = booking
        told.append(_account_booked(account, booking, each.run_id))
    await ledger.save(list(accounts.values()), bookings)
    await ledger.emit(told)
    await ledger.advance_stream(was=position, becomes=last_position)
    return bookings


def _problem(account: AccountBook | None, allocation: Allocation) -> str:
    """Return why an allocation cannot be booked; empty when it can."""
    if account is None:
        return AccountNotFound.reason
    return CURRENCY_MISMATCH if account.currency != allocation.currency else ""


def _booked(
    account: AccountBook,
    each: PlannedAllocation,
    sold_before: Decimal,
    known: Mapping[int, Booking],
    kind: AssetKind,
    sums: LumpSums,
) -> tuple[AccountBook, Booking]:
    allocation = each.allocation
    if allocation.replaces is not None:
        return corrected(account, allocation, known.get(allocation.replaces.position), kind=kind, lump_sums=sums)
    if allocation.trade_date <= day_covered(account.as_of_time):
        # Reported after a book came that has every trade of that day: it would count twice.
        return contained(account, allocation)
    return booked(account, allocation, each.planned_lots, sold_before, kind=kind, lump_sums=sums)


def _sale(allocation: Allocation) -> tuple[PlanId, InstrumentId]:
    return allocation.plan_id, allocation.instrument_id


def _allocation_refused(allocation: Allocation, problem: str, run_id: RunId | None) -> Event:
    subjects = {
        "account": str(allocation.account_id),
        "plan": str(allocation.plan_id),
        "order": str(allocation.order_id),
        "block": str(allocation.block_id),
        "instrument": str(allocation.instrument_id),
    }
    if run_id is not None:
        subjects["run"] = str(run_id)
    return Event(
        kind="decision.allocation.refused",
        subjects=subjects,
        data={
            "position": allocation.position,
            "reason": problem,
            "side": allocation.side.value,
            "quantity": allocation.quantity,
            "value": allocation.value,
            "fees": allocation.fees,
            "currency": allocation.currency,
            "trade_date": allocation.trade_date,
        },
    )


def _account_booked(account: AccountBook, booking: Booking, run_id: RunId | None) -> Event:
    allocation = booking.allocation
    subjects = {
        "account": str(account.account_id),
        "plan": str(allocation.plan_id),
        "order": str(allocation.order_id),
        "block": str(allocation.block_id),
        "instrument": str(allocation.instrument_id),
        "snapshot": str(account.snapshot_id),
    }
    if run_id is not None:
        subjects["run"] = str(run_id)
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
            # In the account's snapshot already: nothing changed.
            "contained": booking.contained,
            # After a correction or bust: which report of the stream it takes the place of.
            "replaces_position": None if allocation.replaces is None else allocation.replaces.position,
        },
    )
