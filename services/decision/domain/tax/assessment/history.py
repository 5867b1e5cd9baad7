"""A taxpayer's history, as every country's rules read it.

Amounts are in the tax currency at the rate of their own day, and exact. Rows of one day mean the same in any order:
what depends on the day alone is aggregated by day, what depends on lots is ordered by lot id.

Splits are taken out first: every quantity is counted in the units that exist after the asset's last split, so that a
purchase after a split can meet a sale before it (TCGA 1992 s. 127 and the like: a reorganisation is no disposal).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from fractions import Fraction
from functools import cached_property

from services.decision.domain.problem import ZERO
from services.kernel.decimals import EXACT, plain
from services.kernel.errors import Violations
from services.kernel.money import CENT

# No lot of a living taxpayer is older.
EARLIEST_DATE = date(1900, 1, 1)
# Quantities are shown with so many places; a part of a split unit may not end.
QUANTITY_PLACES = Decimal("0.000000001")


class Owner(StrEnum):
    """Whose an account is."""

    TAXPAYER = "TAXPAYER"
    # A spouse, or who else the country's rules count as one with the taxpayer.
    AFFILIATED = "AFFILIATED"


@dataclass(frozen=True, slots=True)
class TaxAccount:
    """An account of the history. `sheltered`: its own gains are not taxed when realized (IRA, ISA, RRSP, TFSA)."""

    account_id: str
    owner: Owner = Owner.TAXPAYER
    sheltered: bool = False


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Units that came in. `cost` is all that was paid for them, expenses included, 0 or more.

    Attributes:
        lot_id: Unique in the history; names the lot in later disposals.
        asset: Assets that the rules call identical have one name.
    """

    lot_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Disposal:
    """Units that went out. `proceeds` is what came in for them, expenses taken off, 0 or more.

    Attributes:
        lot_ids: Lots that were identified to the broker, in order; what they do not cover is chosen by the rule of the
            country. Ignored where lots cannot be chosen.
    """

    disposal_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    proceeds: Decimal
    lot_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """`old_units` became `new_units` before trading on `day`, in every account."""

    day: date
    asset: str
    new_units: int
    old_units: int

    @property
    def ratio(self) -> Fraction:
        """How many new units one old unit became."""
        return Fraction(self.new_units, self.old_units)


@dataclass(frozen=True, slots=True)
class CostChange:
    """A change of what the units held cost: below 0 a return of capital, above 0 income reinvested inside a fund.

    It counts before the disposals of its day.
    """

    day: date
    account_id: str
    asset: str
    amount: Decimal


@dataclass(frozen=True)  # Without slots, so that what is derived is kept.
class History:
    """Everything that was done with the assets concerned, from the first purchase on."""

    accounts: tuple[TaxAccount, ...]
    acquisitions: tuple[Acquisition, ...] = ()
    disposals: tuple[Disposal, ...] = ()
    splits: tuple[Split, ...] = ()
    cost_changes: tuple[CostChange, ...] = ()

    def checked(self, known_until: date) -> "History":
        """Return the history itself.

        Args:
            known_until: The last day that can have happened.

        Raises:
            Invalid: With one violation for each value that cannot be: its path, value and limit.
        """
        found = Violations()
        accounts = self._checked_accounts(found)
        _check_unique("acquisitions", "lot_id", [each.lot_id for each in self.acquisitions], found)
        _check_unique("disposals", "disposal_id", [each.disposal_id for each in self.disposals], found)
        rows: list[tuple[str, int, Acquisition | Disposal | CostChange]] = [
            *(("acquisitions", index, row) for index, row in enumerate(self.acquisitions)),
            *(("disposals", index, row) for index, row in enumerate(self.disposals)),
            *(("cost_changes", index, row) for index, row in enumerate(self.cost_changes)),
        ]
        for name, index, row in rows:
            path = f"{name}[{index}]"
            _check_day(f"{path}.date", row.day, known_until, found)
            if row.account_id not in accounts:
                found.add(f"{path}.account_id", f"must be one of the accounts given, was {row.account_id!r}")
            if not isinstance(row, CostChange):
                amount_name, amount = ("cost", row.cost) if isinstance(row, Acquisition) else ("proceeds", row.proceeds)
                if row.quantity <= 0:
                    found.add(f"{path}.quantity", f"must be above 0, was {row.quantity}")
                if amount < 0:
                    found.add(f"{path}.{amount_name}", f"must be 0 or more, was {amount}")
        for index, split in enumerate(self.splits):
            _check_day(f"splits[{index}].date", split.day, known_until, found)
            for unit_name, units in (("new_units", split.new_units), ("old_units", split.old_units)):
                if units <= 0:
                    found.add(f"splits[{index}].{unit_name}", f"must be above 0, was {units}")
        found.raise_if_any()
        return self

    def _checked_accounts(self, found: Violations) -> frozenset[str]:
        ids = [account.account_id for account in self.accounts]
        _check_unique("accounts", "account_id", ids, found)
        return frozenset(ids)

    @cached_property
    def account(self) -> Mapping[str, TaxAccount]:
        """The accounts by their id."""
        return {each.account_id: each for each in self.accounts}

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """Every asset that was acquired or disposed of, in order of name."""
        return tuple(sorted({*(row.asset for row in self.acquisitions), *(row.asset for row in self.disposals)}))

    def units(self, row: Acquisition | Disposal) -> Fraction:
        """Return the row's quantity, in units after the asset's last split."""
        return Fraction(row.quantity) * self.scale(row.asset, row.day)

    def scale(self, asset: str, day: date) -> Fraction:
        """Return how many of today's units one unit of `day` became."""
        scale = Fraction(1)
        for split in self._splits.get(asset, ()):
            if split.day > day:
                scale *= split.ratio
        return scale

    @cached_property
    def _splits(self) -> Mapping[str, Sequence[Split]]:
        splits: dict[str, list[Split]] = {}
        for split in self.splits:
            splits.setdefault(split.asset, []).append(split)
        return splits

    def quantity_on(self, asset: str, day: date, units: Fraction) -> Decimal:
        """Return `units` in units of `day`, to nine places, half to even, without zeros at the end."""
        return Decimal(plain(_rounded(units / self.scale(asset, day), QUANTITY_PLACES)))


def part(amount: Decimal, units: Fraction, of: Fraction) -> Decimal:
    """Return what `units` bear of an `amount` that belongs to `of` units: whole cents, half to even, all for all."""
    if units == of:
        return amount
    return _rounded(Fraction(amount) * units / of, CENT)


def cents(value: Fraction) -> Decimal:
    """Return the number in whole cents, half to even."""
    return _rounded(value, CENT)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    result = ZERO
    for amount in amounts:
        result = EXACT.add(result, amount)
    return result


def _rounded(value: Fraction, places: Decimal) -> Decimal:
    steps = round(value / Fraction(places))  # Python rounds a fraction half to even.
    return (Decimal(steps) * places).quantize(places, rounding=ROUND_HALF_EVEN)


def _check_unique(name: str, key: str, ids: Sequence[str], found: Violations) -> None:
    seen: set[str] = set()
    for index, each in enumerate(ids):
        if not each:
            found.add(f"{name}[{index}].{key}", "must not be empty")
        elif each in seen:
            found.add(f"{name}[{index}].{key}", f"must be unique, was {each!r} again")
        seen.add(each)


def _check_day(path: str, day: date, known_until: date, found: Violations) -> None:
    if not EARLIEST_DATE <= day <= known_until:
        found.add(path, f"must be from {EARLIEST_DATE} to {known_until}, was {day}")
