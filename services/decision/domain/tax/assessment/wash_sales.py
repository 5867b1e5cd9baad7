"""Losses of the United States that do not count because the same was bought again, and where they go.

Sources:
    26 U.S.C. § 1091(a), Treas. Reg. § 1.1091-1(a): 30 days before the sale to 30 days after, both days inside.
    Treas. Reg. § 1.1091-1(b): losses in the order of the sales; (c): if less was bought than sold, only that part of
    the loss; (d): purchases count in their order, each share once.
    26 U.S.C. § 1091(d), Treas. Reg. § 1.1091-2(a): the disallowed loss joins the basis of what replaced it; § 1223(3):
    so does the time that what was sold had been held.
    Rev. Rul. 2008-5: bought in the taxpayer's IRA or Roth IRA, the loss is gone and the basis there does not rise.
    Rev. Rul. 56-602: what is left of one purchase does not replace a part of it that was sold.
    Given units have two costs when they were worth less than they had cost the giver: § 1015(a), Treas. Reg.
    § 1.1015-1(a). Money beside the new units of a merger: § 356(a), (c), § 358(a)(1), lot by lot (Treas. Reg.
    § 1.356-1(b), § 1.358-2(a)(2)).
    Lots: 26 CFR § 1.1012-1(c) (named to the broker, also by a standing order; else the oldest), (e) (average). Mergers
    and spin-offs without tax: 26 U.S.C. § 358, § 1223(1): cost and time go along.

Our readings: a spouse's purchase counts (IRS Publication 550) and the loss joins the basis of the spouse's shares;
shares that were bought in the window and sold before the loss do not replace it, as nothing of them is held when the
loss is made or later; units received in a merger or spin-off without tax replace nothing, as § 1091(a) asks for a
purchase or an exchange that was taxed; of assets that are identical though not the same, one unit replaces one unit,
by the sets of the day of the sale; money in a merger is a gain and no dividend (§ 356(a)(2)); units with two costs are
left out of an average (26 CFR § 1.1012-1(e)(1)(ii)).
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Disposal,
    History,
    LotMethod,
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
    SoldMoreThanHeld,
    Term,
    money_received,
    returned_capital,
)
from services.decision.domain.tax.assessment.us_lots import (
    LOT_SOURCE,
    Lot,
    insert_before,
    named_first,
    oldest_first,
    order_of,
)
from services.decision.domain.tax.united_states import long_term_from
from services.decision.domain.tax.windows import WINDOW

WASH_SOURCE = "26 U.S.C. § 1091"
RETURNED_SOURCE = "26 U.S.C. § 301(c)(3)"
EXCHANGED_SOURCE = "26 U.S.C. § 356(a)(1)"
GIVEN_SOURCE = "26 U.S.C. § 1015(a)"


# Orders the account's lots for a disposal: least first.
_Place: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class AssetLots:
    """All lots of one asset, or of several that are identical, in every account that the rules look at together.

    Attributes:
        rates: Of short-term and of long-term gains, for lots chosen by their tax.
        lots: Every lot, the oldest first; some may be empty.
        unused: Those that have not replaced anything yet; some may be empty.
        by_place: The same lots of each account and asset, less those sold out at its beginning.
    """

    history: History
    assets: tuple[str, ...]
    rates: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    lots: list[Lot] = field(default_factory=list)
    unused: list[Lot] = field(default_factory=list)
    by_place: dict[_Place, list[Lot]] = field(default_factory=dict)
    permanently_lost: Decimal = ZERO

    def __post_init__(self) -> None:
        """Lay out every purchase, those to come included: a loss looks 30 days ahead."""
        rows = [each for each in self.history.acquisitions if each.asset in self.assets]
        for row in sorted(rows, key=lambda each: (each.day, each.lot_id)):
            units, held_from = self.history.units(row), row.held_from or row.day
            said = row.lot_id, row.account_id, row.asset, row.day, held_from, row.known_from
            lot = Lot(*said, units, row.cost, row.loss_cost)
            self.lots.append(lot)
            if row.purchased:
                self.unused.append(lot)
            self.by_place.setdefault((row.account_id, row.asset), []).append(lot)

    def held(self) -> list[Lot]:
        """Return the lots that have units left."""
        return [lot for lot in self.lots if lot.units]

    def receive(self, lots: Sequence[Lot]) -> None:
        """Take in what another asset became. It replaces nothing."""
        for lot in lots:
            insort(self.lots, lot, key=oldest_first)
            insort(self.by_place.setdefault((lot.account_id, lot.asset), []), lot, key=oldest_first)

    def reorganize(self, row: Reorganization) -> tuple[list[Lot], list[tuple[str, AssessedDisposal]]]:
        """Take out of every lot of `row.asset` bought before the day what it became.

        Returns:
            That; and each lot's gain on the money that came beside it, with its account.
        """
        made: list[Lot] = []
        gains: list[tuple[str, AssessedDisposal]] = []
        concerned = [lot for lot in self.lots if lot.asset == row.asset and lot.known_from < row.day and lot.units]
        money = self._money(row, concerned) if row.money else {}
        for lot in concerned:
            cost = fraction_of(lot.basis, row.cost_part)
            for_loss = None if lot.loss_basis is None else fraction_of(lot.loss_basis, row.cost_part)
            units = self.history.become(row, lot.units)
            new = replace(lot, asset=row.new_asset, known_from=row.day, units=units, basis=cost, loss_basis=for_loss)
            made.append(new)
            lot.basis = total((lot.basis, cost.copy_negate()))
            if lot.loss_basis is not None and for_loss is not None:
                lot.loss_basis = total((lot.loss_basis, for_loss.copy_negate()))
            if row.ends_old:
                lot.units = Fraction(0)
            if id(lot) in money:
                gains.append((lot.account_id, self._exchanged(row, new, money[id(lot)])))
        return made, gains

    def _money(self, row: Reorganization, lots: Sequence[Lot]) -> dict[int, Decimal]:
        """Return each lot's part of the money that its account is paid."""
        of_account: dict[str, list[Lot]] = {}
        for lot in lots:
            of_account.setdefault(lot.account_id, []).append(lot)
        scale = self.history.scale(row.asset, row.day)
        money: dict[int, Decimal] = {}
        for held in of_account.values():
            units = sum((lot.units for lot in held), Fraction(0))
            left = cents(Fraction(row.money) * units / scale)
            for lot in held:
                money[id(lot)] = part(left, lot.units, units)
                left, units = total((left, money[id(lot)].copy_negate())), units - lot.units
        return money

    def _exchanged(self, row: Reorganization, new: Lot, money: Decimal) -> AssessedDisposal:
        """Take the money off the new lot's basis, and return the gain: at most the money, and never a loss."""
        worth = cents(Fraction(row.new_value or ZERO) * new.units / self.history.scale(row.new_asset, row.day))
        realized = total((money, worth, new.basis.copy_negate()))
        gain = min(money, max(realized, ZERO))
        recovered = total((money, gain.copy_negate()))
        new.change(recovered.copy_negate())
        term = Term.LONG if row.day >= long_term_from(new.held_from_date) else Term.SHORT
        return money_received(row.day, row.asset, money, recovered, EXCHANGED_SOURCE, lot_id=new.purchase_id, term=term)

    def transfer(self, row: Transfer) -> None:
        """Move units to another account, with their basis and their time.

        Raises:
            SoldMoreThanHeld: The account does not hold so many.
        """
        left = self.history.units(row)
        moved: list[Lot] = []
        held = self.by_place.get((row.account_id, row.asset), [])
        for lot, _ in list(named_first(held, row.lot_ids, row.day)):
            units = min(left, lot.units)
            if units:
                taken = lot.split(units)
                taken.account_id = row.to_account_id
                moved.append(taken)
                left -= units
                # Units that may still replace something may do so where they are now.
                if self.may_replace(lot):
                    insort(self.unused, taken, key=oldest_first)
        if left:
            raise self._missing(row.asset, row.day, left, row.account_id, "transferred")
        self.receive(moved)

    def may_replace(self, lot: Lot) -> bool:
        """Return whether units of the lot have replaced nothing yet, and were bought so that they can."""
        index = bisect_left(self.unused, oldest_first(lot), key=oldest_first)
        while index < len(self.unused) and oldest_first(self.unused[index]) == oldest_first(lot):
            if self.unused[index] is lot:
                return True
            index += 1
        return False

    def change_cost(self, account_id: str, asset: str, day: date, amount: Decimal) -> list[AssessedDisposal]:
        """Spread a return of capital (below 0) or reinvested income over the units that the account holds on `day`.

        Returns:
            What came back beyond a lot's basis, as gains: 26 U.S.C. § 301(c)(3).
        """
        held = [lot for lot in self.by_place.get((account_id, asset), ()) if lot.known_from <= day]
        units = sum((lot.units for lot in held), Fraction(0))
        gains: list[AssessedDisposal] = []
        for lot in held:
            share = part(amount, lot.units, units)
            lot.change(share)
            amount, units = total((amount, share.copy_negate())), units - lot.units
            if lot.basis < 0:
                term = Term.LONG if day >= long_term_from(lot.held_from_date) else Term.SHORT
                beyond = lot.basis.copy_negate()
                gains.append(returned_capital(day, asset, beyond, RETURNED_SOURCE, lot_id=lot.purchase_id, term=term))
                lot.basis = ZERO
        return gains

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
        for place in {(disposal.account_id, disposal.asset) for disposal in disposals}:
            lots = self.by_place.get(place, [])
            del lots[: next((index for index, lot in enumerate(lots) if lot.units), len(lots))]
        pieces: dict[str, list[Piece]] = {disposal.disposal_id: [] for disposal in disposals}
        for disposal, lot, rule, proceeds in sorted(sold, key=lambda each: oldest_first(each[1])):
            pieces[disposal.disposal_id] += self._pieces(disposal, lot, rule, proceeds)
        return {disposal_id: tuple(each) for disposal_id, each in pieces.items()}

    def _taken(self, disposal: Disposal) -> list[tuple[Lot, MatchRule, Decimal]]:
        """Take the disposal's units out of the lots; each with its rule and its part of the proceeds."""
        units_left, proceeds_left = self.history.units(disposal), disposal.proceeds
        sold: list[tuple[Lot, MatchRule, Decimal]] = []
        if disposal.method is LotMethod.AVERAGE_COST:
            self._average(disposal)
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
            raise self._missing(disposal.asset, disposal.day, units_left, disposal.account_id, "sold")
        return sold

    def _missing(self, asset: str, day: date, units: Fraction, account_id: str, done: str) -> SoldMoreThanHeld:
        missing = self.history.quantity_on(asset, day, units)
        return SoldMoreThanHeld(
            f"{asset}: {missing} units {done} on {day} were never bought in {account_id}",
            asset=asset,
            date=day,
            missing=missing,
        )

    def _choice(self, disposal: Disposal) -> Iterator[tuple[Lot, MatchRule]]:
        """Yield the account's lots in the order in which they are sold: those named first, then by the method."""
        held = self.by_place.get((disposal.account_id, disposal.asset), [])
        price = Fraction(disposal.proceeds) / self.history.units(disposal)
        key = order_of(disposal.method, disposal.day, price, self.rates)
        rule = MatchRule(disposal.method.value)
        if key is not None:
            held = sorted((lot for lot in held if lot.units and lot.acquired_date <= disposal.day), key=key)
        for lot, named in named_first(held, disposal.lot_ids, disposal.day):
            yield lot, MatchRule.IDENTIFIED if named else rule

    def _average(self, disposal: Disposal) -> None:
        """Let every unit that the account holds cost the same, to the cent of each lot."""
        place = disposal.account_id, disposal.asset
        held = [
            lot
            for lot in self.by_place.get(place, ())
            if lot.units and lot.acquired_date <= disposal.day and lot.loss_basis is None
        ]
        basis, units = total(lot.basis for lot in held), sum((lot.units for lot in held), Fraction(0))
        for lot in held:
            lot.basis = part(basis, lot.units, units)
            basis, units = total((basis, lot.basis.copy_negate())), units - lot.units

    def _pieces(self, disposal: Disposal, sold: Lot, rule: MatchRule, proceeds: Decimal) -> list[Piece]:
        """Return the sold lot as pieces: one for each replacement that disallows a loss, one for the rest."""
        account = self.history.account[disposal.account_id]
        if disposal.treatment is not Treatment.SALE:
            return [self._untaxed(disposal, sold, rule)]
        pieces: list[Piece] = []
        if proceeds < sold.cost(proceeds) and not account.sheltered:
            for replacement in self._replacements(disposal, sold):
                if not sold.units:
                    break
                rate = self._exchange(sold, disposal.day, replacement)
                units = min(sold.units, replacement.units / rate)
                share = part(proceeds, units, sold.units)
                proceeds = total((proceeds, share.copy_negate()))
                washed = sold.split(units)
                loss = total((washed.cost(share), share.copy_negate()))
                note = self._replace(replacement, units * rate, loss, disposal.day, washed)
                pieces.append(self._piece(disposal, washed, rule, share, loss, note))
        if sold.units:
            pieces.append(self._piece(disposal, sold, rule, proceeds, ZERO, ""))
        return pieces

    def _untaxed(self, disposal: Disposal, sold: Lot, rule: MatchRule) -> Piece:
        """Return what leaves at its cost."""
        piece = self._piece(disposal, sold, rule, sold.basis, ZERO, "")
        return replace(piece, cost=sold.basis, source=disposal.source, treatment=disposal.treatment)

    def _exchange(self, sold: Lot, day: date, replacement: Lot) -> Fraction:
        """Return how many units of the replacement stand for one unit sold, each in units after its last split."""
        if sold.asset == replacement.asset:
            return Fraction(1)
        return self.history.scale(replacement.asset, replacement.acquired_date) / self.history.scale(sold.asset, day)

    def _replacements(self, disposal: Disposal, sold: Lot) -> list[Lot]:
        """Return the lots that replace what was sold, in the order of their purchase, as many as are needed."""
        begin = bisect_left(self.unused, disposal.day - WINDOW, key=lambda lot: lot.acquired_date)
        end = bisect_right(self.unused, disposal.day + WINDOW, key=lambda lot: lot.acquired_date)
        self.unused[begin:end] = [lot for lot in self.unused[begin:end] if lot.units]
        found: list[Lot] = []
        needed = sold.units
        for index in range(begin, len(self.unused)):
            lot = self.unused[index]
            if needed <= 0 or lot.acquired_date > disposal.day + WINDOW:
                break
            same = self.history.same(sold.asset, lot.asset, disposal.day)
            if lot.purchase_id != sold.purchase_id and same:
                found.append(lot)
                needed -= lot.units / self._exchange(sold, disposal.day, lot)
        return found

    def _replace(self, replacement: Lot, units: Fraction, loss: Decimal, day: date, washed: Lot) -> str:
        """Take `units` of the replacement out of the unused, hand them the loss and the time, and say so."""
        taken = replacement.split(units)
        sheltered = self.history.account[taken.account_id].sheltered
        if not sheltered:
            taken.basis = total((taken.basis, loss))
            taken.held_from_date = taken.acquired_date - (day - washed.held_from_date)
        insert_before(self.lots, taken, replacement)
        insert_before(self.by_place[taken.account_id, taken.asset], taken, replacement)
        if sheltered:
            self.permanently_lost = total((self.permanently_lost, loss))
            return f"{loss} is lost: bought in the sheltered account {taken.account_id} on {taken.acquired_date}"
        return f"{loss} joins the basis of lot {taken.purchase_id}, bought on {taken.acquired_date}"

    def _piece(
        self, disposal: Disposal, sold: Lot, rule: MatchRule, proceeds: Decimal, disallowed: Decimal, note: str
    ) -> Piece:
        cost = sold.cost(proceeds)
        at_loss = sold.loss_basis is not None and cost == sold.loss_basis
        # 26 U.S.C. § 1223(2): the giver's time counts only where the giver's basis does.
        held_from = sold.acquired_date if at_loss else sold.held_from_date
        held_long = disposal.day >= long_term_from(held_from)
        if cost != sold.basis:
            never = total((sold.basis, cost.copy_negate()))
            self.permanently_lost = total((self.permanently_lost, never))
            note = note or f"{never} was lost before the gift and never counts ({GIVEN_SOURCE})"
        return Piece(
            rule=rule,
            quantity=self.history.quantity_on(disposal.asset, disposal.day, sold.units),
            proceeds=proceeds,
            cost=cost,
            source=WASH_SOURCE if disallowed else LOT_SOURCE[rule],
            acquired_date=sold.acquired_date,
            lot_id=sold.purchase_id,
            term=Term.LONG if held_long else Term.SHORT,
            disallowed_loss=disallowed,
            held_from_date=held_from,
            note=note,
        )
