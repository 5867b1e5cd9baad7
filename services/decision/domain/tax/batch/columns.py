"""Histories of many households as columns, for one pass of compiled code.

A row is a lot or a sale. Lots of one household and one set of identical assets lie together, the oldest first; so do
its sales, by day and then id. Money is in cents, units in millionths, days are ordinals.

What a column cannot say goes by the exact road (`not_in_columns`): mergers, spin-offs, transfers, gifts, changes of
cost, dividends, standing lot orders, sets of identical assets that changed, and numbers that are finer or larger than a
column's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

import numpy as np

from services.decision.domain.tax.assessment.history import (
    Acquisition,
    Disposal,
    History,
    LotMethod,
    Owner,
    Treatment,
)
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.batch.whole import RATE_SCALE, UNIT, UNIT_SCALE, Flags, Ints

# Price of one unit of each asset, in millionths of the currency; 0 where there is none.
Prices: TypeAlias = Ints

STATUSES = tuple(FilingStatus)
# A year's sum of a thousand such amounts, in cents and times a rate, fits 64 bits; so many units at such a price are
# worth less than 2 ** 52 cents.
AMOUNT_MAX = Decimal(10**9)
UNITS_MAX = 10**7
PRICE_MAX = Decimal(10**6)


@dataclass(frozen=True, slots=True, eq=False)
class Households:
    """What the law must know of each household. Money in cents, rates in ten-thousandths, shape (households,)."""

    status: Ints
    ordinary_income: Ints
    short_brought_forward: Ints
    long_brought_forward: Ints
    investment_income: Ints
    state_rate: Ints


@dataclass(frozen=True, slots=True, eq=False)
class YearColumns:
    """Lots and sales of many households.

    Attributes:
        taxed: Of each account: its gains are the taxpayer's and are taxed.
        sheltered: Of each account: a loss that a purchase in it denies is gone.
        group_households: Household of each group.
        lot_starts: Where each group's lots begin; one more than there are groups.
        sale_starts: The same of its sales.
        named_starts: Where the lots that were named for each sale begin; one more than there are sales.
        named_lots: Row of each lot that was named, in the order of the names.
        lot_assets: Asset of each lot; lots of one group may be of several.
    """

    households: Households
    taxed: Flags
    sheltered: Flags
    group_households: Ints
    lot_starts: Ints
    lot_accounts: Ints
    lot_assets: Ints
    lot_days: Ints
    lot_units: Ints
    lot_bases: Ints
    sale_starts: Ints
    sale_accounts: Ints
    sale_assets: Ints
    sale_days: Ints
    sale_units: Ints
    sale_proceeds: Ints
    named_starts: Ints
    named_lots: Ints


class NotInColumns(ValueError):
    """A history has what columns cannot say."""


def columns_of(said: Sequence[tuple[UnitedStatesYear, History]], assets: Mapping[str, int]) -> YearColumns:
    """Return the columns of households' histories; `assets` gives each asset its row of prices.

    Raises:
        NotInColumns: A history has what columns cannot say; its place is in the message.
    """
    for household, (rules, history) in enumerate(said):
        why = not_in_columns(rules, history)
        if why:
            raise NotInColumns(f"household {household}: {why}")
    return laid_out(said, assets)


def laid_out(said: Sequence[tuple[UnitedStatesYear, History]], assets: Mapping[str, int]) -> YearColumns:
    """Return the columns of histories that columns can say, as `not_in_columns` found before."""
    table = _Table(assets)
    for household, (_, history) in enumerate(said):
        table.add(household, history)
    return table.columns(households_of([rules for rules, _ in said]))


def not_in_columns(rules: UnitedStatesYear, history: History) -> str:
    """Return why a household goes by the exact road; empty when columns can say all of it."""
    if any((history.reorganizations, history.transfers, history.cost_changes, history.gifts, history.receipts)):
        return "mergers, transfers, gifts and changes of cost go by the exact road"
    if history.dividends:
        return "dividends go by the exact road"
    if any(not row.purchased or row.held_from or row.loss_cost is not None for row in history.acquisitions):
        return "what was not bought goes by the exact road"
    if any(
        row.method is not LotMethod.FIRST_IN_FIRST_OUT or row.treatment is not Treatment.SALE
        for row in history.disposals
    ):
        return "standing lot orders go by the exact road"
    if _sets_change(history):
        return "sets of identical assets that changed go by the exact road"
    split = {row.asset for row in history.splits}
    if split and any(len(group) > 1 and not split.isdisjoint(group) for group in history.groups_in_order):
        # One unit of each replaces one of the other as they were on their days, not as they are now.
        return "splits of one of identical assets go by the exact road"
    amounts = [row.cost for row in history.acquisitions] + [row.proceeds for row in history.disposals]
    if not all(_in_cents(amount) for amount in amounts):
        return "amounts finer than a cent, or too large, go by the exact road"
    why = taxpayer_not_in_columns(rules)
    if why:
        return why
    rows: list[Acquisition | Disposal] = [*history.acquisitions, *history.disposals]
    if any(_steps(history, row) is None for row in rows):
        return "units finer than a millionth, or too many, go by the exact road"
    return ""


def taxpayer_not_in_columns(rules: UnitedStatesYear) -> str:
    """Return why a household goes by the exact road for what is known of the taxpayer; empty when it need not."""
    facts = (rules.ordinary_income, rules.short_brought_forward, rules.long_brought_forward, rules.investment_income)
    if not all(_in_cents(amount) for amount in facts):
        return "amounts finer than a cent, or too large, go by the exact road"
    if rules.state_rate * RATE_SCALE % 1:
        return f"a rate of {rules.state_rate} goes by the exact road"
    return ""


def _sets_change(history: History) -> bool:
    """Return whether a sale was judged by other sets than all sales are."""
    if not history.identical_from:
        return False
    first = history.identical_from[0][0]
    return len(history.identical_from) > 1 or any(row.day < first for row in history.disposals)


@dataclass(slots=True)
class _Table:
    """Columns as they grow."""

    assets: Mapping[str, int]
    lots: list[tuple[int, ...]] = field(default_factory=list)
    sales: list[tuple[int, ...]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    lot_starts: list[int] = field(default_factory=lambda: [0])
    sale_starts: list[int] = field(default_factory=lambda: [0])
    named_starts: list[int] = field(default_factory=lambda: [0])
    named: list[int] = field(default_factory=list)
    taxed: list[bool] = field(default_factory=list)
    sheltered: list[bool] = field(default_factory=list)

    def add(self, household: int, history: History) -> None:
        """Add a household that columns can say."""
        accounts = {each.account_id: len(self.taxed) + row for row, each in enumerate(history.accounts)}
        self.taxed += [each.owner is Owner.TAXPAYER and not each.sheltered for each in history.accounts]
        self.sheltered += [each.sheltered for each in history.accounts]
        for lots, sales in in_groups(history):
            rows = {each.lot_id: len(self.lots) + number for number, each in enumerate(lots)}
            self.lots += [
                (accounts[row.account_id], self.assets[row.asset], row.day.toordinal(), _units(history, row),
                 _cents(row.cost))
                for row in lots
            ]  # fmt: skip
            for sale in sales:
                self.sales.append(
                    (accounts[sale.account_id], self.assets[sale.asset], sale.day.toordinal(),
                     _units(history, sale), _cents(sale.proceeds))
                )  # fmt: skip
                # A name that no lot of the group has names nothing.
                self.named += [rows[lot_id] for lot_id in sale.lot_ids if lot_id in rows]
                self.named_starts.append(len(self.named))
            self.groups.append(household)
            self.lot_starts.append(len(self.lots))
            self.sale_starts.append(len(self.sales))

    def columns(self, households: Households) -> YearColumns:
        """Return what was added."""
        lot_accounts, lot_assets, lot_days, lot_units, lot_bases = _columns(self.lots)
        sale_accounts, sale_assets, sale_days, sale_units, sale_proceeds = _columns(self.sales)
        return YearColumns(
            households=households,
            taxed=np.array(self.taxed, dtype=np.bool_),
            sheltered=np.array(self.sheltered, dtype=np.bool_),
            group_households=np.array(self.groups, dtype=np.int64),
            lot_starts=np.array(self.lot_starts, dtype=np.int64),
            lot_accounts=lot_accounts,
            lot_assets=lot_assets,
            lot_days=lot_days,
            lot_units=lot_units,
            lot_bases=lot_bases,
            sale_starts=np.array(self.sale_starts, dtype=np.int64),
            sale_accounts=sale_accounts,
            sale_assets=sale_assets,
            sale_days=sale_days,
            sale_units=sale_units,
            sale_proceeds=sale_proceeds,
            named_starts=np.array(self.named_starts, dtype=np.int64),
            named_lots=np.array(self.named, dtype=np.int64),
        )


def in_groups(history: History) -> list[tuple[list[Acquisition], list[Disposal]]]:
    """Return the lots, the oldest first, and the sales, by day and id, of each group of identical assets."""
    groups = {name: number for number, group in enumerate(history.groups_in_order) for name in group}
    found: list[tuple[list[Acquisition], list[Disposal]]] = [([], []) for _ in history.groups_in_order]
    for row in sorted(history.acquisitions, key=lambda each: (each.day, each.lot_id)):
        found[groups[row.asset]][0].append(row)
    for sale in sorted(history.disposals, key=lambda each: (each.day, each.disposal_id)):
        found[groups[sale.asset]][1].append(sale)
    return found


def _columns(rows: Sequence[tuple[int, ...]]) -> list[Ints]:
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 5)
    return [np.ascontiguousarray(table[:, column]) for column in range(5)]


def households_of(rules: Sequence[UnitedStatesYear]) -> Households:
    """Return what is known of taxpayers whom columns can say, as `taxpayer_not_in_columns` found before."""

    def column(values: Sequence[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    return Households(
        column([STATUSES.index(each.filing_status) for each in rules]),
        column([_cents(each.ordinary_income) for each in rules]),
        column([_cents(each.short_brought_forward) for each in rules]),
        column([_cents(each.long_brought_forward) for each in rules]),
        column([_cents(each.investment_income) for each in rules]),
        column([int(each.state_rate * RATE_SCALE) for each in rules]),
    )


def _in_cents(amount: Decimal) -> bool:
    exponent = amount.as_tuple().exponent
    whole = isinstance(exponent, int) and (exponent >= -2 or amount * 100 == int(amount * 100))
    return whole and abs(amount) <= AMOUNT_MAX


def price_units(price: Decimal) -> int | None:
    """Return a price in millionths of the currency; None when it is finer than that, or too large."""
    units = price * UNIT
    return int(units) if price <= PRICE_MAX and units == int(units) else None


def _steps(history: History, row: Acquisition | Disposal) -> int | None:
    """Return a row's units in millionths; None where they are finer than that, or too many."""
    if history.is_split(row.asset):
        units = history.units(row)
        return int(units * UNIT) if UNIT % units.denominator == 0 and units <= UNITS_MAX else None
    steps = row.quantity.scaleb(UNIT_SCALE)
    whole = int(steps)
    return whole if whole == steps and row.quantity <= UNITS_MAX else None


def _units(history: History, row: Acquisition | Disposal) -> int:
    steps = _steps(history, row)
    if steps is None:
        raise NotInColumns(f"{row.quantity} units of {row.asset}")
    return steps


def _cents(amount: Decimal) -> int:
    return int(amount.scaleb(2))
