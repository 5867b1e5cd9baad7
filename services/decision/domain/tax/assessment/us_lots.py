"""Lots as the United States' law splits them: basis, holding period, and in which order a sale takes them.

Sources: 26 CFR § 1.1012-1(c) (named to the broker, else the oldest); 26 U.S.C. § 1015(a) (given units may have two
costs).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias, assert_never

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import LotMethod, part, total
from services.decision.domain.tax.assessment.results import MatchRule
from services.decision.domain.tax.united_states import long_term_from

LOT_SOURCE = {
    MatchRule.IDENTIFIED: "26 CFR § 1.1012-1(c)(2)",
    MatchRule.FIRST_IN_FIRST_OUT: "26 CFR § 1.1012-1(c)(1)(i)",
    MatchRule.LAST_IN_FIRST_OUT: "26 CFR § 1.1012-1(c)(8)",
    MatchRule.HIGHEST_COST: "26 CFR § 1.1012-1(c)(8)",
    MatchRule.LOWEST_TAX: "26 CFR § 1.1012-1(c)(8)",
    MatchRule.AVERAGE_COST: "26 CFR § 1.1012-1(e)",
}


@dataclass(slots=True)
class Lot:
    """Units bought together that share a basis and a holding period.

    Attributes:
        purchase_id: The acquisition that they came from; parts of one purchase have the same.
        held_from_date: When the holding period counts from: before `acquired_date` once time was tacked on.
        known_from: What happened to the asset before is in `units` and `basis` already.
        loss_basis: What counts instead of `basis` in a sale at a loss, lower than it; None when it is the same.
    """

    purchase_id: str
    account_id: str
    asset: str
    acquired_date: date
    held_from_date: date
    known_from: date
    units: Fraction
    basis: Decimal
    loss_basis: Decimal | None = None

    def split(self, units: Fraction) -> "Lot":
        """Take `units` out as a lot of their own; all of them when they are all."""
        basis = part(self.basis, units, self.units)
        loss_basis = None if self.loss_basis is None else part(self.loss_basis, units, self.units)
        taken = replace(self, units=units, basis=basis, loss_basis=loss_basis)
        self.units -= units
        self.basis = total((self.basis, basis.copy_negate()))
        if self.loss_basis is not None and loss_basis is not None:
            self.loss_basis = total((self.loss_basis, loss_basis.copy_negate()))
        return taken

    def change(self, amount: Decimal) -> None:
        """Change what the units cost; below 0 it stays for the caller to see, and for a loss it is 0."""
        self.basis = total((self.basis, amount))
        if self.loss_basis is not None:
            self.loss_basis = max(total((self.loss_basis, amount)), ZERO)

    def cost(self, proceeds: Decimal) -> Decimal:
        """Return what the units cost when they bring `proceeds`: between both costs there is neither gain nor loss."""
        if self.loss_basis is None:
            return self.basis
        return min(self.basis, max(proceeds, self.loss_basis))


def named_first(held: Sequence[Lot], lot_ids: Sequence[str], day: date) -> Iterator[tuple[Lot, bool]]:
    """Yield the lots held on `day`: those named, in the order of the names, then the others as they come."""
    named: dict[str, list[Lot]] = {lot_id: [] for lot_id in lot_ids}
    if named:
        for lot in held:
            if lot.purchase_id in named and lot.acquired_date <= day:
                named[lot.purchase_id].append(lot)
    for lots in named.values():
        yield from ((lot, True) for lot in lots)
    for lot in held:
        if lot.acquired_date <= day and lot.purchase_id not in named:
            yield lot, False


def insert_before(lots: list[Lot], taken: Lot, replacement: Lot) -> None:
    """Put what was taken out of a lot right before the rest: of one purchase, what replaced something goes first."""
    index = bisect_left(lots, oldest_first(replacement), key=oldest_first)
    while lots[index] is not replacement:
        index += 1
    lots.insert(index, taken)


def oldest_first(lot: Lot) -> tuple[date, str]:
    """Return what lots are sorted by."""
    return lot.acquired_date, lot.purchase_id


_Key: TypeAlias = Callable[[Lot], tuple[Fraction, date, str]]


def order_of(method: LotMethod, day: date, price: Fraction, rates: tuple[Decimal, Decimal]) -> _Key | None:
    """Return what orders lots by a method of sale; None for the oldest first, as they are.

    Args:
        method: Where no lots are named.
        day: Of the sale.
        price: Of one unit, in units of the day.
        rates: On short-term and on long-term gains.
    """
    short_rate, long_rate = (Fraction(rate) for rate in rates)

    def cost(lot: Lot) -> Fraction:
        return Fraction(lot.basis) / lot.units

    def tax(lot: Lot) -> Fraction:
        rate = long_rate if day >= long_term_from(lot.held_from_date) else short_rate
        return (price - cost(lot)) * rate

    match method:
        case LotMethod.FIRST_IN_FIRST_OUT | LotMethod.AVERAGE_COST:
            return None
        case LotMethod.LAST_IN_FIRST_OUT:
            return lambda lot: (Fraction(-lot.acquired_date.toordinal()), lot.acquired_date, lot.purchase_id)
        case LotMethod.HIGHEST_COST:
            return lambda lot: (-cost(lot), *oldest_first(lot))
        case LotMethod.LOWEST_TAX:
            return lambda lot: (tax(lot), *oldest_first(lot))
        case _:
            assert_never(method)
