"""Losses of the United States that do not count because the same was bought again, and where they go.

Sources:
    26 U.S.C. § 1091(a), Treas. Reg. § 1.1091-1(a): 30 days before the sale to 30 days after, both days inside.
    Treas. Reg. § 1.1091-1(b): losses in the order of the sales; (c): if less was bought than sold, only that part of
    the loss; (d): purchases count in their order, each share once.
    26 U.S.C. § 1091(d), Treas. Reg. § 1.1091-2(a): the disallowed loss joins the basis of what replaced it; § 1223(3):
    so does the time that what was sold had been held.
    Rev. Rul. 2008-5: bought in the taxpayer's IRA or Roth IRA, the loss is gone and the basis there does not rise.
    Rev. Rul. 56-602: what is left of one purchase does not replace a part of it that was sold.

Our readings: a spouse's purchase counts (IRS Publication 550) and the loss joins the basis of the spouse's shares;
shares that were bought in the window and sold before the loss do not replace it, as nothing of them is held when the
loss is made or later.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Disposal, History, part, total
from services.decision.domain.tax.assessment.results import MatchRule, Piece, SoldMoreThanHeld, Term
from services.decision.domain.tax.united_states import WASH_SALE_WINDOW, long_term_from

LOT_SOURCE = {
    MatchRule.IDENTIFIED: "26 CFR § 1.1012-1(c)(2)",
    MatchRule.FIRST_IN_FIRST_OUT: "26 CFR § 1.1012-1(c)(1)(i)",
}
WASH_SOURCE = "26 U.S.C. § 1091"


@dataclass(slots=True)
class Lot:
    """Units bought together that share a basis and a holding period.

    Attributes:
        purchase_id: The acquisition that they came from; parts of one purchase have the same.
        held_from_date: When the holding period counts from: before `acquired_date` once time was tacked on.
    """

    purchase_id: str
    account_id: str
    acquired_date: date
    held_from_date: date
    units: Fraction
    basis: Decimal

    def split(self, units: Fraction) -> "Lot":
        """Take `units` out as a lot of their own; all of them when they are all."""
        basis = part(self.basis, units, self.units)
        taken = Lot(self.purchase_id, self.account_id, self.acquired_date, self.held_from_date, units, basis)
        self.units -= units
        self.basis = total((self.basis, basis.copy_negate()))
        return taken


@dataclass(slots=True)
class AssetLots:
    """All lots of one asset over the history, in every account that the rules look at together.

    Attributes:
        lots: Every lot, the oldest first; some may be empty.
        unused: Those that have not replaced anything yet; some may be empty.
        by_account: The same lots of each account, less those sold out at its beginning.
    """

    history: History
    asset: str
    lots: list[Lot] = field(default_factory=list)
    unused: list[Lot] = field(default_factory=list)
    by_account: dict[str, list[Lot]] = field(default_factory=dict)
    permanently_lost: Decimal = ZERO

    def __post_init__(self) -> None:
        """Lay out every purchase, those to come included: a loss looks 30 days ahead."""
        rows = [each for each in self.history.acquisitions if each.asset == self.asset]
        for row in sorted(rows, key=lambda each: (each.day, each.lot_id)):
            lot = Lot(row.lot_id, row.account_id, row.day, row.day, self.history.units(row), row.cost)
            self.lots.append(lot)
            self.unused.append(lot)
            self.by_account.setdefault(row.account_id, []).append(lot)

    def held(self) -> list[Lot]:
        """Return the lots that have units left."""
        return [lot for lot in self.lots if lot.units]

    def change_cost(self, account_id: str, day: date, amount: Decimal) -> None:
        """Spread a return of capital (below 0) or reinvested income over the units that the account holds on `day`."""
        held = [lot for lot in self.by_account.get(account_id, ()) if lot.acquired_date <= day]
        units = sum((lot.units for lot in held), Fraction(0))
        for lot in held:
            share = part(amount, lot.units, units)
            lot.basis = total((lot.basis, share))
            amount, units = total((amount, share.copy_negate())), units - lot.units

    def sell(self, disposals: Sequence[Disposal]) -> dict[str, tuple[Piece, ...]]:
        """Take all sales of one day out of their accounts' lots, and find what of each loss is disallowed.

        Losses of one day are taken in the order in which what was sold had been bought: Treas. Reg. § 1.1091-1(b).

        Returns:
            The pieces of each disposal, by its id.

        Raises:
            SoldMoreThanHeld: An account does not hold so many.
        """
        sold = [
            (disposal, *taken)
            for disposal in sorted(disposals, key=lambda each: each.disposal_id)
            for taken in self._taken(disposal)
        ]
        for account_id in {disposal.account_id for disposal in disposals}:
            lots = self.by_account.get(account_id, [])
            del lots[: next((index for index, lot in enumerate(lots) if lot.units), len(lots))]
        pieces: dict[str, list[Piece]] = {disposal.disposal_id: [] for disposal in disposals}
        for disposal, lot, rule, proceeds in sorted(sold, key=lambda each: _oldest_first(each[1])):
            pieces[disposal.disposal_id] += self._pieces(disposal, lot, rule, proceeds)
        return {disposal_id: tuple(each) for disposal_id, each in pieces.items()}

    def _taken(self, disposal: Disposal) -> list[tuple[Lot, MatchRule, Decimal]]:
        """Take the disposal's units out of the lots; each with its rule and its part of the proceeds."""
        units_left, proceeds_left = self.history.units(disposal), disposal.proceeds
        sold: list[tuple[Lot, MatchRule, Decimal]] = []
        for lot, rule in self._choice(disposal):
            if not units_left:
                break
            if not lot.units:
                continue
            units = min(units_left, lot.units)
            share = part(proceeds_left, units, units_left)
            sold.append((lot.split(units), rule, share))
            units_left -= units
            proceeds_left = total((proceeds_left, share.copy_negate()))
        if units_left:
            missing = self.history.quantity_on(self.asset, disposal.day, units_left)
            raise SoldMoreThanHeld(
                f"{self.asset}: {missing} units sold on {disposal.day} were never bought in {disposal.account_id}",
                asset=self.asset,
                date=disposal.day,
                missing=missing,
            )
        return sold

    def _choice(self, disposal: Disposal) -> Iterator[tuple[Lot, MatchRule]]:
        """Yield the account's lots in the order in which they are sold: those named first, then the oldest."""
        held = self.by_account.get(disposal.account_id, [])
        named: dict[str, list[Lot]] = {lot_id: [] for lot_id in disposal.lot_ids}
        if named:
            for lot in held:
                if lot.purchase_id in named and lot.acquired_date <= disposal.day:
                    named[lot.purchase_id].append(lot)
        for lots in named.values():
            yield from ((lot, MatchRule.IDENTIFIED) for lot in lots)
        for lot in held:
            if lot.acquired_date > disposal.day:
                return
            if lot.purchase_id not in named:
                yield lot, MatchRule.FIRST_IN_FIRST_OUT

    def _pieces(self, disposal: Disposal, sold: Lot, rule: MatchRule, proceeds: Decimal) -> list[Piece]:
        """Return the sold lot as pieces: one for each replacement that disallows a loss, one for the rest."""
        account = self.history.account[disposal.account_id]
        pieces: list[Piece] = []
        if proceeds < sold.basis and not account.sheltered:
            for replacement in self._replacements(disposal, sold):
                if not sold.units:
                    break
                units = min(sold.units, replacement.units)
                share = part(proceeds, units, sold.units)
                proceeds = total((proceeds, share.copy_negate()))
                washed = sold.split(units)
                loss = total((washed.basis, share.copy_negate()))
                note = self._replace(replacement, units, loss, disposal.day, washed)
                pieces.append(self._piece(disposal, washed, rule, share, loss, note))
        if sold.units:
            pieces.append(self._piece(disposal, sold, rule, proceeds, ZERO, ""))
        return pieces

    def _replacements(self, disposal: Disposal, sold: Lot) -> list[Lot]:
        """Return the lots that replace what was sold, in the order of their purchase, as many as are needed."""
        begin = bisect_left(self.unused, disposal.day - WASH_SALE_WINDOW, key=lambda lot: lot.acquired_date)
        end = bisect_right(self.unused, disposal.day + WASH_SALE_WINDOW, key=lambda lot: lot.acquired_date)
        self.unused[begin:end] = [lot for lot in self.unused[begin:end] if lot.units]
        found: list[Lot] = []
        needed = sold.units
        for index in range(begin, len(self.unused)):
            lot = self.unused[index]
            if needed <= 0 or lot.acquired_date > disposal.day + WASH_SALE_WINDOW:
                break
            if lot.purchase_id != sold.purchase_id:
                found.append(lot)
                needed -= lot.units
        return found

    def _replace(self, replacement: Lot, units: Fraction, loss: Decimal, day: date, washed: Lot) -> str:
        """Take `units` of the replacement out of the unused, hand them the loss and the time, and say so."""
        taken = replacement.split(units)
        sheltered = self.history.account[taken.account_id].sheltered
        if not sheltered:
            taken.basis = total((taken.basis, loss))
            taken.held_from_date = taken.acquired_date - (day - washed.held_from_date)
        _insert_before(self.lots, taken, replacement)
        _insert_before(self.by_account[taken.account_id], taken, replacement)
        if sheltered:
            self.permanently_lost = total((self.permanently_lost, loss))
            return f"{loss} is lost: bought in the sheltered account {taken.account_id} on {taken.acquired_date}"
        return f"{loss} joins the basis of lot {taken.purchase_id}, bought on {taken.acquired_date}"

    def _piece(
        self, disposal: Disposal, sold: Lot, rule: MatchRule, proceeds: Decimal, disallowed: Decimal, note: str
    ) -> Piece:
        held_long = disposal.day >= long_term_from(sold.held_from_date)
        return Piece(
            rule=rule,
            quantity=self.history.quantity_on(self.asset, disposal.day, sold.units),
            proceeds=proceeds,
            cost=sold.basis,
            source=WASH_SOURCE if disallowed else LOT_SOURCE[rule],
            acquired_date=sold.acquired_date,
            lot_id=sold.purchase_id,
            term=Term.LONG if held_long else Term.SHORT,
            disallowed_loss=disallowed,
            held_from_date=sold.held_from_date,
            note=note,
        )


def _insert_before(lots: list[Lot], taken: Lot, replacement: Lot) -> None:
    """Put what was taken out of a lot right before the rest: of one purchase, what replaced something goes first."""
    index = bisect_left(lots, _oldest_first(replacement), key=_oldest_first)
    while lots[index] is not replacement:
        index += 1
    lots.insert(index, taken)


def _oldest_first(lot: Lot) -> tuple[date, str]:
    return lot.acquired_date, lot.purchase_id
