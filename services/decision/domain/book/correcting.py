"""What a corrected or busted fill does to an account: what was booked is taken back, then what is true is booked.

- A buy that is taken back takes its own lot along; units of it that were sold since, or that a newer snapshot calls by
  another name, come out of the newest lots instead, and what is not there at all is uncovered.
- A sale that is taken back puts every unit into the lot it came from, with its basis, as if it had never been sold.
- Money goes back to the cent. So a correction and then its reverse leave the account as it was.
- A sale that is booked again takes the same lots as before, then the oldest.
"""

from dataclasses import replace
from datetime import date
from decimal import ROUND_DOWN, Decimal

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book.account import AccountBook, HoldingKind, Position
from services.decision.domain.book.booking import (
    Allocation,
    Booking,
    PlannedLot,
    booked,
    check_belongs,
    gain_day,
    gains_of_day,
    oldest_first,
    part_of,
)
from services.decision.domain.book.gains import realized_on
from services.decision.domain.crediting import NOTHING_TAXED, LumpSums
from services.decision.domain.problem import ZERO, LotId, LotState, Side
from services.kernel.ids import derived_id


def corrected(
    account: AccountBook,
    allocation: Allocation,
    original: Booking | None,
    *,
    kind: AssetKind = AssetKind.OTHER,
    lump_sums: LumpSums = NOTHING_TAXED,
) -> tuple[AccountBook, Booking]:
    """Return the account after a correction, and what was done.

    Args:
        account: As it is before.
        allocation: What is true now; of this account, later in the stream than `account.booked_position`, and with what
            it replaces. Its quantity is 0 when nothing is left.
        original: What was done when the replaced allocation was booked; None when it was not booked by itself.
        kind: What the instrument is to tax laws that ask.
        lump_sums: Of the instrument's lots.

    Raises:
        ValueError: The allocation replaces nothing, is another account's, in another currency, or was booked before.
    """
    check_belongs(account, allocation)
    replaced = allocation.replaces
    if replaced is None:
        raise ValueError(f"allocation {allocation.position} replaces nothing")
    sold_lots = () if original is None else original.sold_lots
    before, missing = _undone(account, replaced, original, kind=kind)
    if allocation.quantity == 0:
        after = replace(before, booked_position=allocation.position)
        return after, Booking(allocation, uncovered_quantity=missing)
    again = [PlannedLot(each.lot_id, each.quantity) for each in sold_lots]
    after, booking = booked(before, replace(allocation, replaces=None), again, ZERO, kind=kind, lump_sums=lump_sums)
    return after, replace(booking, allocation=allocation, uncovered_quantity=booking.uncovered_quantity + missing)


def _undone(
    account: AccountBook, replaced: Allocation, original: Booking | None, *, kind: AssetKind
) -> tuple[AccountBook, Decimal]:
    """Return the account without an allocation, and how many of its units were not there to be taken back."""
    held = account.position(replaced.instrument_id, HoldingKind.TRADED)
    missing = ZERO
    if replaced.side is Side.BUY:
        position, missing = _not_bought(held, replaced, None if original is None else original.bought_lot_id)
    else:
        position = _not_sold(held, replaced, original)
    others = [each for each in account.positions if each is not held]
    gains = gains_of_day(() if original is None else original.sold_lots, kind)
    changed = replace(
        account,
        cash=account.cash - replaced.cash_change,
        realized=realized_on(account.realized, gain_day(account, replaced), *(-each for each in gains)),
        positions=tuple(sorted([*others, *position], key=lambda each: (each.instrument_id, each.holding))),
    )
    return changed, missing


def _not_bought(held: Position | None, replaced: Allocation, lot_id: LotId | None) -> tuple[list[Position], Decimal]:
    if held is None:
        return [], replaced.quantity
    taken = min(held.quantity, replaced.quantity)
    left: dict[LotId, LotState] = {lot.lot_id: lot for lot in held.lots}
    needed = taken
    # Its own lot first, then those bought that day, then the newest.
    candidates = sorted(
        held.lots,
        key=lambda lot: (lot.lot_id == lot_id, lot.acquired_date == replaced.trade_date, lot.acquired_date, lot.lot_id),
        reverse=True,
    )
    for lot in candidates:
        units = min(lot.quantity, needed)
        needed -= units
        basis = part_of(lot.basis_total, units, lot.quantity, ROUND_DOWN)
        left[lot.lot_id] = replace(lot, quantity=lot.quantity - units, basis_total=lot.basis_total - basis)
    if taken == held.quantity:
        return [], replaced.quantity - taken
    lots = tuple(lot for lot in left.values() if lot.quantity > 0)
    return [replace(held, quantity=held.quantity - taken, lots=lots)], replaced.quantity - taken


def _not_sold(held: Position | None, replaced: Allocation, original: Booking | None) -> list[Position]:
    units = replaced.quantity - (ZERO if original is None else original.uncovered_quantity)
    if units == 0:
        return [] if held is None else [held]
    before = held or Position(replaced.instrument_id, HoldingKind.TRADED, ZERO)
    lots = {lot.lot_id: lot for lot in before.lots}
    back = [] if original is None else [(each.lot_id, each.acquired_date, each) for each in original.sold_lots]
    for lot_id, acquired_date, sold in back:
        lots[lot_id] = _grown(lots.get(lot_id), lot_id, acquired_date, sold.quantity, sold.basis)
    if not back and (before.lots or held is None):
        # Nobody knows any more which lots they came out of: what they had brought is what they cost.
        lot_id = LotId(derived_id("lot", replaced.account_id, str(replaced.position), "back"))
        lots[lot_id] = _grown(None, lot_id, replaced.trade_date, units, replaced.cash_change)
    return [replace(before, quantity=before.quantity + units, lots=tuple(sorted(lots.values(), key=oldest_first)))]


def _grown(lot: LotState | None, lot_id: LotId, acquired_date: date, units: Decimal, basis: Decimal) -> LotState:
    if lot is None:
        return LotState(lot_id=lot_id, acquired_date=acquired_date, quantity=units, basis_total=basis)
    return replace(lot, quantity=lot.quantity + units, basis_total=lot.basis_total + basis)
