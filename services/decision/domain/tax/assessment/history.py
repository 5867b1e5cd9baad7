"""A taxpayer's history, as every country's rules read it.

Amounts are in the tax currency at the rate of their own day, and exact. Rows of one day mean the same in any order:
what depends on the day alone is aggregated by day, what depends on lots is ordered by lot id.

Splits are taken out first: every quantity is counted in the units that exist after the asset's last split, so that a
purchase after a split can meet a sale before it (TCGA 1992 s. 127 and the like: a reorganisation is no disposal).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from services.decision.domain.problem import ZERO
from services.kernel.decimals import EXACT, plain
from services.kernel.errors import Violations
from services.kernel.money import CENT

# No lot of a living taxpayer is older.
EARLIEST_DATE = date(1900, 1, 1)
# Quantities are shown with so many places; a part of a split unit may not end.
QUANTITY_PLACES = Decimal("0.000000001")


class LotMethod(StrEnum):
    """Which lots a disposal takes, where the law lets them be chosen; what `lot_ids` names goes first in any case."""

    # The oldest first: what counts where nothing was chosen.
    FIRST_IN_FIRST_OUT = "FIRST_IN_FIRST_OUT"
    LAST_IN_FIRST_OUT = "LAST_IN_FIRST_OUT"
    # The dearest first, by cost of a unit.
    HIGHEST_COST = "HIGHEST_COST"
    # Least tax first, by the taxpayer's rates of the year: losses, then the gains that cost least.
    LOWEST_TAX = "LOWEST_TAX"
    # Each unit costs the average of all that the account holds.
    AVERAGE_COST = "AVERAGE_COST"


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
        asset: What was bought. Assets that the rules call identical have one name, or are one of `History.identical`.
        cost_known: False where nobody knows what the units cost; then `cost` is 0, so that the tax is rather too high
            than too low, and the assessment lists the lot for review.
        reinvested: Whether a distribution of the same asset paid for it.
        as_of: Day on which quantity and cost are as given: what happened to the asset until then is in them. None is
            the day of the purchase.
    """

    lot_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    cost: Decimal
    cost_known: bool = True
    reinvested: bool = False
    as_of: date | None = None

    @property
    def known_from(self) -> date:
        """Day on which quantity and cost are as given."""
        return self.as_of or self.day


@dataclass(frozen=True, slots=True)
class Disposal:
    """Units that went out. `proceeds` is what came in for them, expenses taken off, 0 or more.

    Attributes:
        lot_ids: Lots that were identified to the broker, in order; what they do not cover is chosen by the rule of the
            country. Ignored where lots cannot be chosen.
        method: Which lots are taken after those named. Ignored where lots cannot be chosen.
    """

    disposal_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    proceeds: Decimal
    lot_ids: tuple[str, ...] = ()
    method: LotMethod = LotMethod.FIRST_IN_FIRST_OUT


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


@dataclass(frozen=True, slots=True)
class Reorganization:
    """A merger or a spin-off without tax: what every account held of one asset became, in part, another asset.

    It happens before trading on `day`: units bought on that day are not part of it. Cost and holding period go along
    (26 U.S.C. § 354, § 355, § 358, § 1223(1); TCGA 1992 s. 127, s. 130; ITA s. 85.1, s. 86, s. 86.1; EStG § 20 Abs.
    4a). Money paid for parts of a unit is a disposal of its own.

    Attributes:
        cost_part: Part of each lot's cost that goes to the new units, above 0 to 1. At 1 the old units are gone (a
            merger); below 1 they stay (a spin-off).
        new_units: So many new units come for `old_units`.
    """

    day: date
    asset: str
    new_asset: str
    new_units: int
    old_units: int
    cost_part: Decimal = Decimal(1)

    @property
    def ratio(self) -> Fraction:
        """How many new units come for one old unit."""
        return Fraction(self.new_units, self.old_units)

    @property
    def ends_old(self) -> bool:
        """Whether the old units are gone afterwards."""
        return self.cost_part == 1


@dataclass(frozen=True, slots=True)
class Transfer:
    """Units that went from one of the owner's accounts to another with their cost and time, before trading on `day`.

    `lot_ids` as in a disposal; what they do not cover are the oldest.
    """

    transfer_id: str
    day: date
    account_id: str
    to_account_id: str
    asset: str
    quantity: Decimal
    lot_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dividend:
    """A dividend on the units that an account held when `day`, the ex-dividend date, began. `amount` is 0 or more."""

    dividend_id: str
    day: date
    account_id: str
    asset: str
    amount: Decimal


@dataclass(frozen=True)  # Without slots, so that what is derived is kept.
class History:
    """Everything that was done with the assets concerned, from the first purchase on.

    Attributes:
        identical: Of assets that are substantially identical to others, the name of their set. Their lots stay apart,
            and a purchase of one replaces another.
    """

    accounts: tuple[TaxAccount, ...]
    acquisitions: tuple[Acquisition, ...] = ()
    disposals: tuple[Disposal, ...] = ()
    splits: tuple[Split, ...] = ()
    cost_changes: tuple[CostChange, ...] = ()
    reorganizations: tuple[Reorganization, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    identical: Mapping[str, str] = field(default_factory=dict)
    dividends: tuple[Dividend, ...] = ()

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
        _check_unique("transfers", "transfer_id", [each.transfer_id for each in self.transfers], found)
        _check_unique("dividends", "dividend_id", [each.dividend_id for each in self.dividends], found)
        rows: list[tuple[str, int, Acquisition | Disposal | CostChange | Transfer | Dividend]] = [
            *(("acquisitions", index, row) for index, row in enumerate(self.acquisitions)),
            *(("disposals", index, row) for index, row in enumerate(self.disposals)),
            *(("cost_changes", index, row) for index, row in enumerate(self.cost_changes)),
            *(("transfers", index, row) for index, row in enumerate(self.transfers)),
            *(("dividends", index, row) for index, row in enumerate(self.dividends)),
        ]
        for name, index, row in rows:
            path = f"{name}[{index}]"
            _check_day(f"{path}.date", row.day, known_until, found)
            if row.account_id not in accounts:
                found.add(f"{path}.account_id", f"must be one of the accounts given, was {row.account_id!r}")
            if isinstance(row, Dividend) and row.amount < 0:
                found.add(f"{path}.amount", f"must be 0 or more, was {row.amount}")
            if not isinstance(row, CostChange | Dividend) and row.quantity <= 0:
                found.add(f"{path}.quantity", f"must be above 0, was {row.quantity}")
            if isinstance(row, Acquisition) and row.cost < 0:
                found.add(f"{path}.cost", f"must be 0 or more, was {row.cost}")
            if isinstance(row, Disposal) and row.proceeds < 0:
                found.add(f"{path}.proceeds", f"must be 0 or more, was {row.proceeds}")
            if isinstance(row, Transfer):
                self._check_receiver(path, row, found)
        self._check_reorganizations(known_until, found)
        for index, split in enumerate(self.splits):
            _check_day(f"splits[{index}].date", split.day, known_until, found)
            for unit_name, units in (("new_units", split.new_units), ("old_units", split.old_units)):
                if units <= 0:
                    found.add(f"splits[{index}].{unit_name}", f"must be above 0, was {units}")
        found.raise_if_any()
        return self

    def _check_receiver(self, path: str, row: Transfer, found: Violations) -> None:
        giver, receiver = self.account.get(row.account_id), self.account.get(row.to_account_id)
        if receiver is None:
            found.add(f"{path}.to_account_id", f"must be one of the accounts given, was {row.to_account_id!r}")
        elif row.to_account_id == row.account_id:
            found.add(f"{path}.to_account_id", f"must be another account, was {row.to_account_id!r}")
        elif giver is not None and (giver.owner, giver.sheltered) != (receiver.owner, receiver.sheltered):
            # Between owners, or into a wrapper, it is a disposal or a gift, and has its own rows.
            found.add(f"{path}.to_account_id", f"must be of the same owner and wrapper as {row.account_id!r}")

    def _check_reorganizations(self, known_until: date, found: Violations) -> None:
        seen: set[tuple[str, date]] = set()
        for index, each in enumerate(self.reorganizations):
            path = f"reorganizations[{index}]"
            _check_day(f"{path}.date", each.day, known_until, found)
            for unit_name, units in (("new_units", each.new_units), ("old_units", each.old_units)):
                if units <= 0:
                    found.add(f"{path}.{unit_name}", f"must be above 0, was {units}")
            if not 0 < each.cost_part <= 1:
                found.add(f"{path}.cost_part", f"must be above 0 and at most 1, was {each.cost_part}")
            if each.asset == each.new_asset:
                found.add(f"{path}.new_asset", f"must be another asset, was {each.new_asset!r}")
            if (each.asset, each.day) in seen:
                found.add(path, f"must be one of its asset and day, was {each.asset} on {each.day} again")
            seen.add((each.asset, each.day))
        try:
            _ = self.assets_in_order, self.groups_in_order
        except CycleError as error:
            path = " to ".join(error.args[1])
            found.add("reorganizations", f"must not lead back to an asset, was {path}")

    def _checked_accounts(self, found: Violations) -> frozenset[str]:
        ids = [account.account_id for account in self.accounts]
        _check_unique("accounts", "account_id", ids, found)
        return frozenset(ids)

    def until(self, day: date) -> "History":
        """Return the history as it was at the end of `day`."""
        return replace(
            self,
            acquisitions=tuple(row for row in self.acquisitions if row.day <= day),
            disposals=tuple(row for row in self.disposals if row.day <= day),
            splits=tuple(row for row in self.splits if row.day <= day),
            cost_changes=tuple(row for row in self.cost_changes if row.day <= day),
            reorganizations=tuple(row for row in self.reorganizations if row.day <= day),
            transfers=tuple(row for row in self.transfers if row.day <= day),
            dividends=tuple(row for row in self.dividends if row.day <= day),
        )

    @cached_property
    def account(self) -> Mapping[str, TaxAccount]:
        """The accounts by their id."""
        return {each.account_id: each for each in self.accounts}

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """Every asset that was acquired, disposed of or received, in order of name."""
        return tuple(
            sorted(
                {
                    *(row.asset for row in self.acquisitions),
                    *(row.asset for row in self.disposals),
                    *(name for row in self.reorganizations for name in (row.asset, row.new_asset)),
                }
            )
        )

    @cached_property
    def assets_in_order(self) -> tuple[str, ...]:
        """Every asset, what became another asset before it.

        Raises:
            CycleError: Assets became each other in a circle.
        """
        edges = ((each.asset, each.new_asset) for each in self.reorganizations)
        return _in_order(self.assets, edges)

    @cached_property
    def groups_in_order(self) -> tuple[tuple[str, ...], ...]:
        """Groups of identical assets, each asset once, what became another asset before it.

        Raises:
            CycleError: Assets of two groups became each other in a circle.
        """
        groups: dict[str, list[str]] = {}
        for asset in self.assets:
            groups.setdefault(self.identity(asset), []).append(asset)
        between = ((self.identity(each.asset), self.identity(each.new_asset)) for each in self.reorganizations)
        edges = ((before, after) for before, after in between if before != after)
        return tuple(tuple(groups[name]) for name in _in_order(sorted(groups), edges))

    def identity(self, asset: str) -> str:
        """Return the name of the set of identical assets that `asset` is in: its own when it is alone."""
        return self.identical.get(asset, asset)

    def become(self, row: Reorganization, units: Fraction) -> Fraction:
        """Return how many units of the new asset come for `units` of the old, each in units after its last split."""
        return units / self.scale(row.asset, row.day) * row.ratio * self.scale(row.new_asset, row.day)

    @cached_property
    def unknown_costs(self) -> tuple[str, ...]:
        """Lots whose cost nobody knows, in order of id."""
        return tuple(sorted(row.lot_id for row in self.acquisitions if not row.cost_known))

    def units(self, row: Acquisition | Disposal | Transfer) -> Fraction:
        """Return the row's quantity, in units after the asset's last split."""
        day = row.known_from if isinstance(row, Acquisition) else row.day
        return Fraction(row.quantity) * self.scale(row.asset, day)

    def pool_day(self, row: Acquisition) -> date:
        """Return the day on which the units join a pool: that of the purchase.

        When a reorganization between that day and `as_of` is in the row's figures already, it is the latter.
        """
        if row.as_of is not None and any(
            each.asset == row.asset and row.day < each.day <= row.as_of for each in self.reorganizations
        ):
            return row.as_of
        return row.day

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


def fraction_of(amount: Decimal, fraction: Decimal) -> Decimal:
    """Return that fraction of `amount` in whole cents, half to even; all of it at 1."""
    return amount if fraction == 1 else _rounded(Fraction(amount) * Fraction(fraction), CENT)


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


def _in_order(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    earlier: dict[str, list[str]] = {name: [] for name in names}
    for before, after in edges:
        if before in earlier and after != before:
            earlier[after].append(before)
    return tuple(TopologicalSorter(earlier).static_order())


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
