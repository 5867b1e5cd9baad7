"""How an allocation changes an account: exactly, once, and by rules written down here.

- A buy adds a lot; its basis is what was paid, fees included.
- A sale takes units out of the lots its plan names, in the plan's order; what earlier allocations of the same plan and
  instrument took is passed over. Units that the named lots no longer hold come out of the oldest lots instead: first
  in, first out is what counts when lots are not identified (26 CFR § 1.1012-1(c)).
- Each lot sold gets its part of the proceeds by units, in whole cents that sum to the whole, and gives up its part of
  the basis, rounded down to the cent; the lot's last units carry all that is left. So nothing appears or is lost.
- Only traded units are bought and sold. A position whose cost is unknown has no lots, and gets none.
- What was sold and is not there cannot be made to be: the position ends at nothing and the booking says how much is
  uncovered. The trade is a fact, so its money is booked all the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, localcontext
from typing import assert_never

from services.decision.domain.asset_kinds import AssetKind, exempt_of, exempt_part
from services.decision.domain.book.account import AccountBook, HoldingKind, Position, TaxWrapper
from services.decision.domain.book.gains import realized_on
from services.decision.domain.crediting import NOTHING_TAXED, LumpSums
from services.decision.domain.decision import Character
from services.decision.domain.problem import ZERO, LotId, LotState, RecentTrade, Side
from services.decision.domain.tax.laws import LAW_OF_CURRENCY
from services.decision.domain.tax.pooling import pooled
from services.decision.domain.tax.united_states import long_term_from
from services.kernel.decimals import EXACT
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId, derived_id
from services.kernel.money import CENT

# Why an allocation cannot be booked: it is of an account that has another currency.
CURRENCY_MISMATCH = "CURRENCY_MISMATCH"


@dataclass(frozen=True, slots=True)
class Allocation:
    """An account's part of a block's fills, as execution reports it. Money is in `currency`, in whole cents.

    Attributes:
        position: In execution's stream; dense from 1, each once.
        quantity: Units, above 0; 0 only where it replaces another, and nothing is left.
        value: Money that changes hands, fees excluded.
        fees: The account's part of the fees, 0 or more.
        replaces: What a corrected or busted fill had been reported as; None for a first report.
    """

    position: int
    order_id: OrderId
    block_id: BlockId
    account_id: AccountId
    plan_id: PlanId
    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    price: Decimal
    value: Decimal
    fees: Decimal
    currency: str
    trade_date: date
    settlement_date: date
    replaces: "Allocation | None" = None

    @property
    def cash_change(self) -> Decimal:
        """What the allocation does to the account's cash."""
        return self.value - self.fees if self.side is Side.SELL else -self.value - self.fees


@dataclass(frozen=True, slots=True)
class PlannedLot:
    """Units that a plan sells out of one lot. `pooled`: by law each unit costs the average of all that are held."""

    lot_id: LotId
    quantity: Decimal
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class SoldLot:
    """Units that an allocation took out of one lot. The gain is what came in after fees, less what they had cost.

    Attributes:
        taxed_before: Advance lump sums that were taxed already, which Germany takes off the gain; 0 or more.
    """

    lot_id: LotId
    acquired_date: date
    quantity: Decimal
    proceeds: Decimal
    basis: Decimal
    character: Character
    taxed_before: Decimal = ZERO

    @property
    def gain(self) -> Decimal:
        """Proceeds less basis; negative is a loss."""
        return self.proceeds - self.basis


@dataclass(frozen=True, slots=True)
class Booking:
    """What one allocation did to an account.

    Attributes:
        sold_lots: Out of which lots units went; empty for a buy, and for units whose cost is unknown.
        bought_lot_id: The lot that a buy made; None for a sale, and for a position whose cost is unknown.
        uncovered_quantity: Units sold that the account did not have. Above 0 only when a snapshot took away what a plan
            was selling: reconciliation shows it as a break.
        contained: The account's snapshot had it already, so it changed neither money nor units.
    """

    allocation: Allocation
    sold_lots: tuple[SoldLot, ...] = ()
    bought_lot_id: LotId | None = None
    uncovered_quantity: Decimal = ZERO
    contained: bool = False

    @property
    def realized_gain(self) -> Decimal:
        """Gain of all lots sold; negative is a loss."""
        return sum((lot.gain for lot in self.sold_lots), ZERO)


def booked(
    account: AccountBook,
    allocation: Allocation,
    planned_lots: Sequence[PlannedLot],
    sold_before: Decimal,
    *,
    kind: AssetKind = AssetKind.OTHER,
    lump_sums: LumpSums = NOTHING_TAXED,
) -> tuple[AccountBook, Booking]:
    """Return the account after `allocation`, and what was done.

    Args:
        account: As it is before.
        allocation: Of this account, later in the stream than `account.booked_position`.
        planned_lots: What the plan sells of the instrument, in the plan's order; empty for a buy.
        sold_before: Units that earlier allocations of the same plan and instrument sold.
        kind: What the instrument is to tax laws that ask.
        lump_sums: Of the instrument's lots; those of a taxed account in euros are taken off its gain.

    Raises:
        ValueError: The allocation is another account's, in another currency, or was booked before.
    """
    check_belongs(account, allocation)
    held = account.position(allocation.instrument_id, HoldingKind.TRADED)
    match allocation.side:
        case Side.BUY:
            after, booking = _bought(held, allocation)
        case Side.SELL:
            after, booking = _sold(account, held, allocation, _left_of(planned_lots, sold_before), lump_sums)
        case _:
            assert_never(allocation.side)
    others = [position for position in account.positions if position is not held]
    trade = RecentTrade(allocation.instrument_id, allocation.side, allocation.trade_date, booking.realized_gain)
    changed = replace(
        account,
        cash=account.cash + allocation.cash_change,
        realized=realized_on(account.realized, gain_day(account, allocation), *gains_of_day(booking.sold_lots, kind)),
        positions=tuple(sorted([*others, *after], key=lambda each: (each.instrument_id, each.holding))),
        booked_position=allocation.position,
        recent_trades=(*account.recent_trades, trade),
    )
    return changed, booking


def check_belongs(account: AccountBook, allocation: Allocation) -> None:
    """Check that an allocation is this account's next.

    Raises:
        ValueError: It is another account's, in another currency, or was booked before.
    """
    if allocation.account_id != account.account_id:
        raise ValueError(f"allocation is of account {allocation.account_id}, not of {account.account_id}")
    if allocation.currency != account.currency:
        raise ValueError(f"account {account.account_id} is in {account.currency}, allocation in {allocation.currency}")
    if allocation.position <= account.booked_position:
        raise ValueError(
            f"{account.account_id} is booked up to {account.booked_position}, allocation was {allocation.position}"
        )


def contained(account: AccountBook, allocation: Allocation) -> tuple[AccountBook, Booking]:
    """Return the account after an allocation that its snapshot has already: nothing but the position moves.

    Raises:
        ValueError: The allocation is another account's, in another currency, or was booked before.
    """
    check_belongs(account, allocation)
    return replace(account, booked_position=allocation.position), Booking(allocation, contained=True)


def _bought(held: Position | None, allocation: Allocation) -> tuple[list[Position], Booking]:
    if held is not None and not held.lots:
        return [replace(held, quantity=held.quantity + allocation.quantity)], Booking(allocation)
    lot = LotState(
        lot_id=LotId(derived_id("lot", allocation.account_id, str(allocation.position))),
        acquired_date=allocation.trade_date,
        quantity=allocation.quantity,
        basis_total=allocation.value + allocation.fees,
    )
    before = held or Position(allocation.instrument_id, HoldingKind.TRADED, ZERO)
    lots = tuple(sorted((*before.lots, lot), key=oldest_first))
    after = replace(before, quantity=before.quantity + allocation.quantity, lots=lots)
    return [after], Booking(allocation, bought_lot_id=lot.lot_id)


def _sold(
    account: AccountBook,
    held: Position | None,
    allocation: Allocation,
    planned: Sequence[PlannedLot],
    lump_sums: LumpSums,
) -> tuple[list[Position], Booking]:
    covered = ZERO if held is None else min(allocation.quantity, held.quantity)
    uncovered = allocation.quantity - covered
    if held is None:
        return [], Booking(allocation, uncovered_quantity=uncovered)
    if any(each.pooled for each in planned):
        held = replace(held, lots=pooled(held.lots))
    sold: list[SoldLot] = []
    left = {lot.lot_id: lot for lot in held.lots}
    proceeds = allocation.value - allocation.fees
    sums = lump_sums if _is_german(account) else NOTHING_TAXED
    units = ZERO
    paid = ZERO
    for lot, quantity in _chosen(held.lots, planned, covered):
        units += quantity
        paid_until = part_of(proceeds, units, allocation.quantity, ROUND_HALF_EVEN)
        basis = part_of(lot.basis_total, quantity, lot.quantity, ROUND_DOWN)
        left[lot.lot_id] = replace(lot, quantity=lot.quantity - quantity, basis_total=lot.basis_total - basis)
        sold.append(
            SoldLot(
                lot_id=lot.lot_id,
                acquired_date=lot.acquired_date,
                quantity=quantity,
                proceeds=paid_until - paid,
                basis=basis,
                character=_character(account.tax_wrapper, lot.acquired_date, allocation.trade_date),
                # What is left keeps its own, so that the parts of a lot have together what all of it has, to the cent.
                taxed_before=sums(lot, allocation.trade_date) - sums(left[lot.lot_id], allocation.trade_date),
            )
        )
        paid = paid_until
    booking = Booking(allocation, sold_lots=tuple(sold), uncovered_quantity=uncovered)
    if covered == held.quantity:
        return [], booking
    lots = tuple(lot for lot in left.values() if lot.quantity > 0)
    return [replace(held, quantity=held.quantity - covered, lots=lots)], booking


def _left_of(planned_lots: Sequence[PlannedLot], sold_before: Decimal) -> list[PlannedLot]:
    """Return what is left of the plan's lots after `sold_before` units of them, in order."""
    left: list[PlannedLot] = []
    for planned in planned_lots:
        passed = min(planned.quantity, sold_before)
        sold_before -= passed
        if planned.quantity > passed:
            left.append(PlannedLot(planned.lot_id, planned.quantity - passed, planned.pooled))
    return left


def _chosen(
    lots: Sequence[LotState], planned: Sequence[PlannedLot], quantity: Decimal
) -> Iterator[tuple[LotState, Decimal]]:
    """Yield each lot once with the units that `quantity` takes of it: by the plan, then the oldest first."""
    available = {lot.lot_id: lot for lot in lots}
    taken: dict[LotId, Decimal] = {}
    oldest = (PlannedLot(lot.lot_id, lot.quantity) for lot in sorted(lots, key=oldest_first))
    for choice in (*planned, *oldest):
        lot = available.get(choice.lot_id)
        if lot is None:
            continue
        units = min(choice.quantity, lot.quantity - taken.get(lot.lot_id, ZERO), quantity)
        if units > 0:
            taken[lot.lot_id] = taken.get(lot.lot_id, ZERO) + units
            quantity -= units
    for lot_id, units in taken.items():
        yield available[lot_id], units


def _is_german(account: AccountBook) -> bool:
    law = LAW_OF_CURRENCY.get(account.currency)
    return account.tax_wrapper is TaxWrapper.TAXABLE and law is not None and law.code == "DE"


def gain_day(account: AccountBook, allocation: Allocation) -> date:
    """Return the day on which an allocation's gain counts, by the law of the country of the account's currency."""
    law = LAW_OF_CURRENCY.get(account.currency)
    settles = law is not None and law.by_settlement
    return allocation.settlement_date if settles else allocation.trade_date


def gains_of_day(lots: Sequence[SoldLot], kind: AssetKind) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return the net short-term and long-term gain of what was sold, what of it is on shares, and what is not taxed.

    There is none of an account that is not taxed. What is not taxed of a lot is what was taxed in advance, and of the
    rest what the kind of fund exempts (InvStG § 19 Abs. 1 Satz 4), half-even to the cent, as the assessment does.
    """
    part = exempt_part(kind)
    short = sum((lot.gain for lot in lots if lot.character is Character.SHORT), ZERO)
    long = sum((lot.gain for lot in lots if lot.character is Character.LONG), ZERO)
    taxed = [lot for lot in lots if lot.character is not Character.EXEMPT]
    exempt = sum((lot.taxed_before + exempt_of(lot.gain - lot.taxed_before, part) for lot in taxed), ZERO)
    return short, long, short + long if kind is AssetKind.SHARE else ZERO, exempt


def _character(wrapper: TaxWrapper, acquired_date: date, trade_date: date) -> Character:
    if wrapper is not TaxWrapper.TAXABLE:
        return Character.EXEMPT
    return Character.LONG if trade_date >= long_term_from(acquired_date) else Character.SHORT


def oldest_first(lot: LotState) -> tuple[date, LotId]:
    """Return what lots are sorted by."""
    return lot.acquired_date, lot.lot_id


def part_of(amount: Decimal, units: Decimal, of: Decimal, rounding: str) -> Decimal:
    """Return the part of `amount` that `units` are `of` the whole, in whole cents; all of it for all units."""
    if units == of:
        return amount
    with localcontext(EXACT) as context:
        context.clear_traps()
        return (amount * units / of).quantize(CENT, rounding=rounding)
