"""Units of one asset in the depots of a German taxpayer: the oldest go first, and advance lump sums are taken off.

The law and our reading of it stand in `germany.py`.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, TypeVar

from services.decision.domain.asset_kinds import FUNDS, AssetKind, exempt_of
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    History,
    Owner,
    Reorganization,
    Transfer,
    Treatment,
    cents,
    fraction_of,
    part,
    total,
)
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    MatchRule,
    Piece,
    Remaining,
    SoldMoreThanHeld,
    money_received,
    treated,
)

Row = TypeVar("Row", Acquisition, Disposal, CostChange, Transfer)
FIFO_SOURCE = "EStG § 20 Abs. 4 Satz 7"
EXCHANGED_SOURCE = "EStG § 20 Abs. 4a Satz 2"
MIXED_SOURCE = "EStG § 20 Abs. 2 Satz 1 Nr. 1, BFH 2022 II S. 636"
# BMF of 2023 (BStBl I S. 1471), Rz. 100a: money up to this part of what the new units are worth leaves it an exchange.
SMALL_MONEY = Fraction(1, 10)


class FundRules(Protocol):
    """What depots ask of the rules."""

    def kind(self, asset: str) -> AssetKind:
        """Return what the asset is to the tax."""
        ...

    def exempt_part(self, asset: str) -> Decimal:
        """Return the part of the asset's income that is not taxed, 0 to 1."""
        ...

    def lump_sum(self, asset: str, year: int, acquired_date: date) -> Fraction:
        """Return the advance lump sum of one unit for a year, in euros, before partial exemption."""
        ...


@dataclass(slots=True)
class Lot:
    """Units bought together.

    Attributes:
        known_from: What happened to the asset before is in `units` and `cost` already.
        taxed: Advance lump sums that were income already, before partial exemption.
    """

    lot_id: str
    acquired_date: date
    units: Fraction
    cost: Decimal
    known_from: date
    taxed: Decimal = ZERO

    def take(self, units: Fraction) -> tuple[Decimal, Decimal]:
        """Take `units` out, and return their part of the cost and of what was taxed already."""
        cost, taxed = part(self.cost, units, self.units), part(self.taxed, units, self.units)
        self.units -= units
        self.cost = total((self.cost, cost.copy_negate()))
        self.taxed = total((self.taxed, taxed.copy_negate()))
        return cost, taxed


@dataclass(slots=True)
class Depots:
    """One asset in all depots of the taxpayer over the history. `lots`: by depot, the oldest first."""

    rules: FundRules
    history: History
    asset: str
    lots: dict[str, list[Lot]] = field(default_factory=dict)
    disposals: list[AssessedDisposal] = field(default_factory=list)
    # By the year in which they are income: the one after the fund's; after partial exemption.
    lump_sums: dict[int, Decimal] = field(default_factory=dict)

    def run(self, last: date, received: dict[str, list[tuple[date, str, list[Lot]]]]) -> None:
        """Walk the days in order; a year's advance lump sum comes between its last day and the next year's first.

        What the asset becomes is put into `received` for the assets that come later.
        """
        bought = _by_day(sorted(self._rows(self.history.acquisitions), key=lambda each: each.lot_id))
        sold = _by_day(sorted(self._rows(self.history.disposals), key=lambda each: each.disposal_id))
        moved = _by_day(sorted(self._rows(self.history.transfers), key=lambda each: each.transfer_id))
        changes = _by_day(
            sorted(self._rows(self.history.cost_changes), key=lambda each: (each.account_id, each.amount))
        )
        leaves = {each.day: each for each in self.history.reorganizations if each.asset == self.asset}
        arrived: dict[date, list[tuple[str, list[Lot]]]] = defaultdict(list)
        for day, account_id, lots in received.pop(self.asset, ()):
            arrived[day].append((account_id, lots))
        year = None
        for day in sorted({*bought, *sold, *moved, *changes, *leaves, *arrived}):
            for passed in range(day.year if year is None else year, day.year):
                self._advance(passed)
            year = day.year
            for account_id, lots in arrived.get(day, ()):
                self._receive(account_id, lots)
            if day in leaves:
                row = leaves[day]
                for account_id in sorted(self.lots):
                    if row.money:
                        self._exchange(row, account_id)
                    received[row.new_asset].append((day, account_id, self._reorganize(row, account_id)))
            for transfer in moved.get(day, ()):
                self._transfer(transfer)
            for acquisition in bought.get(day, ()):
                units, held_from = self.history.units(acquisition), acquisition.held_from or day
                lot = Lot(acquisition.lot_id, held_from, units, acquisition.cost, acquisition.known_from)
                self._receive(acquisition.account_id, [lot])
            for change in changes.get(day, ()):
                self._change(change.account_id, change.amount)
            for disposal in sold.get(day, ()):
                self._sell(disposal)
        for passed in range(last.year if year is None else year, last.year + 1):
            self._advance(passed)

    def remaining(self) -> list[Remaining]:
        """Return the lots still held."""
        return [
            Remaining(
                account_id,
                self.asset,
                self.history.quantity_on(self.asset, date.max, lot.units),
                lot.cost,
                lot_id=lot.lot_id,
                acquired_date=lot.acquired_date,
            )
            for account_id, lots in self.lots.items()
            for lot in lots
        ]

    def _rows(self, rows: tuple[Row, ...]) -> list[Row]:
        accounts = self.history.account
        return [
            row
            for row in rows
            if row.asset == self.asset
            and accounts[row.account_id].owner is Owner.TAXPAYER
            and not accounts[row.account_id].sheltered
        ]

    def _receive(self, account_id: str, lots: list[Lot]) -> None:
        held = self.lots.setdefault(account_id, [])
        held += lots
        held.sort(key=lambda each: (each.acquired_date, each.lot_id))

    def _reorganize(self, row: Reorganization, account_id: str) -> list[Lot]:
        made: list[Lot] = []
        for lot in self.lots[account_id]:
            if lot.known_from >= row.day:
                continue
            cost, taxed = fraction_of(lot.cost, row.cost_part), fraction_of(lot.taxed, row.cost_part)
            units = self.history.become(row, lot.units)
            made.append(Lot(lot.lot_id, lot.acquired_date, units, cost, row.day, taxed))
            lot.cost, lot.taxed = total((lot.cost, cost.copy_negate())), total((lot.taxed, taxed.copy_negate()))
            lot.units = Fraction(0) if row.ends_old else lot.units
        self.lots[account_id] = [lot for lot in self.lots[account_id] if lot.units]
        return made

    def _exchange(self, row: Reorganization, account_id: str) -> None:
        """Count the money of a merger as income, and leave the cost; beyond a tenth, sell everything for both."""
        worth_of_one = Fraction(row.new_value or ZERO) * row.ratio
        if Fraction(row.money) > SMALL_MONEY * worth_of_one:
            self._sell_for_both(row, account_id, worth_of_one)
            return
        lots = [lot for lot in self.lots[account_id] if lot.known_from < row.day]
        units = sum((lot.units for lot in lots), Fraction(0)) / self.history.scale(row.asset, row.day)
        money = cents(Fraction(row.money) * units)
        if money:
            income = money_received(row.day, self.asset, money, ZERO, EXCHANGED_SOURCE)
            exempt = cents(Fraction(money) * Fraction(self.rules.exempt_part(self.asset)))
            pieces = tuple(replace(piece, exempt_gain=exempt) for piece in income.pieces)
            self.disposals.append(replace(income, pieces=pieces))

    def _sell_for_both(self, row: Reorganization, account_id: str, worth_of_one: Fraction) -> None:
        """Sell each lot for money and new units, which then cost what they are worth, from the day on."""
        for lot in self.lots[account_id]:
            if lot.known_from >= row.day:
                continue
            units = lot.units / self.history.scale(row.asset, row.day)
            worth = cents(worth_of_one * units)
            proceeds = total((cents(Fraction(row.money) * units), worth))
            quantity = self.history.quantity_on(self.asset, row.day, lot.units)
            cost = total((lot.cost, lot.taxed))
            piece = replace(self._piece(lot, ZERO, proceeds, cost, lot.taxed), source=MIXED_SOURCE)
            piece = replace(piece, note=f"{quantity} units went for money and new units")
            self.disposals.append(AssessedDisposal((), row.day, self.asset, ZERO, proceeds, (piece,)))
            lot.cost, lot.taxed, lot.acquired_date = worth, ZERO, row.day

    def _transfer(self, row: Transfer) -> None:
        """Move lots to another depot with what they cost: EStG § 43a Abs. 2 Satz 3; the oldest when none is named."""
        left = self.history.units(row)
        held = self.lots.get(row.account_id, [])
        named = [lot for lot_id in row.lot_ids for lot in held if lot.lot_id == lot_id]
        moved: list[Lot] = []
        for lot in (*named, *(lot for lot in held if lot.lot_id not in row.lot_ids)):
            units = min(left, lot.units)
            if units:
                cost, taxed = lot.take(units)
                moved.append(Lot(lot.lot_id, lot.acquired_date, units, cost, lot.known_from, taxed))
                left -= units
        if left:
            raise self._missing(row.account_id, row.day, left, "transferred")
        self.lots[row.account_id] = [lot for lot in held if lot.units]
        self._receive(row.to_account_id, moved)

    def _change(self, account_id: str, amount: Decimal) -> None:
        lots = self.lots.get(account_id, [])
        units = sum((lot.units for lot in lots), Fraction(0))
        for lot in lots:
            share = part(amount, lot.units, units)
            lot.cost, amount, units = total((lot.cost, share)), total((amount, share.copy_negate())), units - lot.units

    def _advance(self, year: int) -> None:
        if self.rules.kind(self.asset) not in FUNDS:
            return
        exempt = Fraction(self.rules.exempt_part(self.asset))
        for lot in (lot for _, lots in sorted(self.lots.items()) for lot in lots):
            scale = self.history.scale(self.asset, date(year, 12, 31))
            sums = cents(self.rules.lump_sum(self.asset, year, lot.acquired_date) * lot.units / scale)
            if sums:
                lot.taxed = total((lot.taxed, sums))
                income = cents(Fraction(sums) * (1 - exempt))
                self.lump_sums[year + 1] = total((self.lump_sums.get(year + 1, ZERO), income))

    def _sell(self, disposal: Disposal) -> None:
        left, proceeds = self.history.units(disposal), disposal.proceeds
        pieces: list[Piece] = []
        lots = self.lots.get(disposal.account_id, [])
        while left and lots:
            lot = lots[0]
            units = min(left, lot.units)
            share = part(proceeds, units, left)
            cost, taxed = lot.take(units)
            left, proceeds = left - units, total((proceeds, share.copy_negate()))
            quantity = self.history.quantity_on(self.asset, disposal.day, units)
            piece = self._piece(lot, quantity, share, total((cost, taxed)), taxed)
            if disposal.treatment is Treatment.AT_COST:
                piece = replace(treated(piece, disposal.treatment, disposal.source), exempt_gain=ZERO)
            pieces.append(piece)
            if not lot.units:
                lots.pop(0)
        if left:
            raise self._missing(disposal.account_id, disposal.day, left, "sold")
        self.disposals.append(
            AssessedDisposal(
                (disposal.disposal_id,),
                disposal.day,
                self.asset,
                disposal.quantity,
                total(piece.proceeds for piece in pieces),
                tuple(pieces),
            )
        )

    def _missing(self, account_id: str, day: date, units: Fraction, done: str) -> SoldMoreThanHeld:
        missing = self.history.quantity_on(self.asset, day, units)
        return SoldMoreThanHeld(
            f"{self.asset}: {missing} units {done} on {day} were never bought in {account_id}",
            asset=self.asset,
            date=day,
            missing=missing,
        )

    def _piece(self, lot: Lot, quantity: Decimal, proceeds: Decimal, cost: Decimal, taxed: Decimal) -> Piece:
        piece = Piece(
            MatchRule.FIRST_IN_FIRST_OUT,
            quantity,
            proceeds,
            cost,
            FIFO_SOURCE,
            acquired_date=lot.acquired_date,
            lot_id=lot.lot_id,
            note=f"{taxed} of advance lump sums was taxed already (InvStG § 19 Abs. 1 Satz 3)" if taxed else "",
        )
        exempt = self.rules.exempt_part(self.asset)
        return replace(piece, exempt_gain=exempt_of(piece.gain, exempt)) if exempt else piece


def _by_day(rows: list[Row]) -> dict[date, list[Row]]:
    days: dict[date, list[Row]] = {}
    for row in rows:
        days.setdefault(row.day, []).append(row)
    return days
