"""Histories of many households as columns, for one pass of compiled code.

A row is a lot or a sale. Lots of one household and one set of identical assets lie together, the oldest first; so do
its sales, by day and then id. Money is in cents, units in millionths, days are ordinals.

What a column cannot say goes by the exact road: mergers, spin-offs, transfers, gifts, changes of cost, dividends,
standing lot orders, and quantities finer than a millionth (after splits are taken out).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from services.decision.domain.tax.assessment.history import History, LotMethod, Owner, Treatment
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.batch.whole import RATE_SCALE, UNIT, Flags, Ints

# Price of one unit of each asset, in millionths of the currency; 0 where there is none.
Prices: TypeAlias = Ints

STATUSES = tuple(FilingStatus)


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


class NotInColumns(ValueError):
    """A history has what columns cannot say."""


def columns_of(said: Sequence[tuple[UnitedStatesYear, History]], assets: Mapping[str, int]) -> YearColumns:
    """Return the columns of households' histories; `assets` gives each asset its row of prices.

    Raises:
        NotInColumns: A history has what columns cannot say; its place is in the message.
    """
    lots: list[tuple[int, ...]] = []
    sales: list[tuple[int, ...]] = []
    groups: list[int] = []
    lot_starts, sale_starts = [0], [0]
    taxed: list[bool] = []
    sheltered: list[bool] = []
    for household, (_, history) in enumerate(said):
        _check(household, history)
        rows = {each.account_id: len(taxed) + row for row, each in enumerate(history.accounts)}
        taxed += [each.owner is Owner.TAXPAYER and not each.sheltered for each in history.accounts]
        sheltered += [each.sheltered for each in history.accounts]
        for group in history.groups_in_order:
            acquired = [row for row in history.acquisitions if row.asset in group]
            lots += [
                (
                    rows[row.account_id],
                    assets[row.asset],
                    row.day.toordinal(),
                    _units(household, history.units(row)),
                    _cents(row.cost),
                )
                for row in sorted(acquired, key=lambda each: (each.day, each.lot_id))
            ]
            disposed = [row for row in history.disposals if row.asset in group]
            sales += [
                (
                    rows[row.account_id],
                    assets[row.asset],
                    row.day.toordinal(),
                    _units(household, history.units(row)),
                    _cents(row.proceeds),
                )
                for row in sorted(disposed, key=lambda each: (each.day, each.disposal_id))
            ]
            groups.append(household)
            lot_starts.append(len(lots))
            sale_starts.append(len(sales))
    lot_accounts, lot_assets, lot_days, lot_units, lot_bases = _columns(lots)
    sale_accounts, sale_assets, sale_days, sale_units, sale_proceeds = _columns(sales)
    return YearColumns(
        households=_households([rules for rules, _ in said]),
        taxed=np.array(taxed, dtype=np.bool_),
        sheltered=np.array(sheltered, dtype=np.bool_),
        group_households=np.array(groups, dtype=np.int64),
        lot_starts=np.array(lot_starts, dtype=np.int64),
        lot_accounts=lot_accounts,
        lot_assets=lot_assets,
        lot_days=lot_days,
        lot_units=lot_units,
        lot_bases=lot_bases,
        sale_starts=np.array(sale_starts, dtype=np.int64),
        sale_accounts=sale_accounts,
        sale_assets=sale_assets,
        sale_days=sale_days,
        sale_units=sale_units,
        sale_proceeds=sale_proceeds,
    )


def _columns(rows: Sequence[tuple[int, ...]]) -> list[Ints]:
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 5)
    return [np.ascontiguousarray(table[:, column]) for column in range(5)]


def _households(rules: Sequence[UnitedStatesYear]) -> Households:
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


def _check(household: int, history: History) -> None:
    others = any(
        (
            history.reorganizations,
            history.transfers,
            history.cost_changes,
            history.dividends,
            history.gifts,
            history.receipts,
            history.identical_from,
        )
    )
    given = any(not row.purchased or row.held_from or row.loss_cost for row in history.acquisitions)
    chosen = any(
        row.lot_ids or row.method is not LotMethod.FIRST_IN_FIRST_OUT or row.treatment is not Treatment.SALE
        for row in history.disposals
    )
    if others or given or chosen:
        raise NotInColumns(f"household {household}: events and chosen lots go by the exact road")


def _units(household: int, units: Fraction) -> int:
    steps = units * UNIT
    if steps.denominator != 1:
        raise NotInColumns(f"household {household}: {units} units are no whole millionths")
    return int(steps)


def _cents(amount: Decimal) -> int:
    return int(amount.scaleb(2))
