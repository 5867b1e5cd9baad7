"""A taxpayer's history, as every country's rules read it.

Amounts are in the tax currency at the rate of their own day, and exact. Rows of one day mean the same in any order:
what depends on the day alone is aggregated by day, what depends on lots is ordered by lot id.

Splits are taken out first: every quantity is counted in the units that exist after the asset's last split, so that a
purchase after a split can meet a sale before it (TCGA 1992 s. 127 and the like: a reorganisation is no disposal).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.rows import (
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    Gift,
    Giver,
    LotMethod,
    Owner,
    Receipt,
    Recipient,
    Reorganization,
    Split,
    TaxAccount,
    Transfer,
    Treatment,
)
from services.kernel.decimals import EXACT, plain
from services.kernel.errors import Violations
from services.kernel.money import CENT

__all__ = [
    "Acquisition",
    "CostChange",
    "Disposal",
    "Dividend",
    "Gift",
    "Giver",
    "History",
    "LotMethod",
    "Owner",
    "Receipt",
    "Recipient",
    "Reorganization",
    "Split",
    "TaxAccount",
    "Transfer",
    "Treatment",
]

# No lot of a living taxpayer is older.
EARLIEST_DATE = date(1900, 1, 1)
# Quantities are shown with so many places; a part of a split unit may not end.
QUANTITY_PLACES = Decimal("0.000000001")


@dataclass(frozen=True)  # Without slots, so that what is derived is kept.
class History:
    """Everything that was done with the assets concerned, from the first purchase on.

    Attributes:
        identical: Of assets that are substantially identical to others, the name of their set. Their lots stay apart,
            and a purchase of one replaces another.
        identical_from: Further sets, as they were at the time: each from its day on, until the next; by day.
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
    gifts: tuple[Gift, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    identical_from: tuple[tuple[date, Mapping[str, str]], ...] = ()

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
        _check_unique("gifts", "gift_id", [each.gift_id for each in self.gifts], found)
        _check_unique("receipts", "lot_id", [each.lot_id for each in self.receipts], found)
        _check_unique("transfers", "transfer_id", [each.transfer_id for each in self.transfers], found)
        _check_unique("dividends", "dividend_id", [each.dividend_id for each in self.dividends], found)
        rows: list[tuple[str, int, Acquisition | Disposal | CostChange | Transfer | Dividend | Gift | Receipt]] = [
            *(("acquisitions", index, row) for index, row in enumerate(self.acquisitions)),
            *(("disposals", index, row) for index, row in enumerate(self.disposals)),
            *(("cost_changes", index, row) for index, row in enumerate(self.cost_changes)),
            *(("transfers", index, row) for index, row in enumerate(self.transfers)),
            *(("dividends", index, row) for index, row in enumerate(self.dividends)),
            *(("gifts", index, row) for index, row in enumerate(self.gifts)),
            *(("receipts", index, row) for index, row in enumerate(self.receipts)),
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
            if isinstance(row, Gift | Receipt) and row.value < 0:
                found.add(f"{path}.value", f"must be 0 or more, was {row.value}")
            if isinstance(row, Receipt):
                _check_giver(path, row, found)
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
        elif giver is not None and giver.sheltered != receiver.sheltered and row.value is None:
            # What they are worth is their proceeds, or their cost.
            found.add(f"{path}.value", f"must be given where one of {row.account_id!r} and its receiver is sheltered")
        elif row.value is not None and row.value < 0:
            found.add(f"{path}.value", f"must be 0 or more, was {row.value}")

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
            if each.money < 0:
                found.add(f"{path}.money", f"must be 0 or more, was {each.money}")
            if each.money > 0 and each.cost_part != 1:
                found.add(f"{path}.money", f"must be 0 where the old units stay, was {each.money}")
            if each.money > 0 and (each.new_value is None or each.new_value <= 0):
                found.add(f"{path}.new_value", f"must be above 0 where money is paid, was {each.new_value}")
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
            gifts=tuple(row for row in self.gifts if row.day <= day),
            receipts=tuple(row for row in self.receipts if row.day <= day),
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
                    *(row.asset for row in self.receipts),
                    *(row.asset for row in self.gifts),
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
        """Return the name of the set of assets that `asset` was ever identical to: its own when it is alone."""
        return self._ever_identical.get(asset, asset)

    def same(self, one: str, other: str, day: date) -> bool:
        """Return whether two assets are identical on a day: a sale at a loss is judged by the sets of its own day."""
        if one == other:
            return True
        period = bisect_right(self.identical_from, day, key=lambda each: each[0])
        names = self._identical_in[period]
        return names.get(one, one) == names.get(other, other)

    @cached_property
    def _ever_identical(self) -> Mapping[str, str]:
        return joined_sets([self.identical, *(names for _, names in self.identical_from)])

    @cached_property
    def _identical_in(self) -> Sequence[Mapping[str, str]]:
        """Which set each asset is in: before the first day of `identical_from`, and from each of its days on."""
        return [joined_sets([self.identical, *each]) for each in ((), *((names,) for _, names in self.identical_from))]

    def become(self, row: Reorganization, units: Fraction) -> Fraction:
        """Return how many units of the new asset come for `units` of the old, each in units after its last split."""
        return units / self.scale(row.asset, row.day) * row.ratio * self.scale(row.new_asset, row.day)

    @cached_property
    def unknown_costs(self) -> tuple[str, ...]:
        """Lots whose cost nobody knows, in order of id."""
        return tuple(sorted(row.lot_id for row in self.acquisitions if not row.cost_known))

    def units(self, row: Acquisition | Disposal | Transfer | Gift | Receipt) -> Fraction:
        """Return the row's quantity, in units after the asset's last split."""
        if row.asset not in self._splits:
            return Fraction(row.quantity)
        day = row.known_from if isinstance(row, Acquisition) else row.day
        return Fraction(row.quantity) * self.scale(row.asset, day)

    def is_split(self, asset: str) -> bool:
        """Return whether units of an asset are not all alike, because some were split."""
        return asset in self._splits

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


def joined_sets(sets: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """Return, by asset, the name of the set that it is in when sets that share an asset are one."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            name = above[name]
        return name

    for names in sets:
        for asset, name in sorted(names.items()):
            one, other = sorted((top(asset), top(name)))
            above[other] = one
    return {name: top(name) for name in above}


def _check_giver(path: str, row: Receipt, found: Violations) -> None:
    if row.giver_cost is not None and row.giver_cost < 0:
        found.add(f"{path}.giver_cost", f"must be 0 or more, was {row.giver_cost}")
    if row.giver_date is not None and not EARLIEST_DATE <= row.giver_date <= row.day:
        found.add(f"{path}.giver_date", f"must be from {EARLIEST_DATE} to {row.day}, was {row.giver_date}")


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
