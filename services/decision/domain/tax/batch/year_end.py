"""A year-end of many households in one pass: liability, losses worth harvesting, and the windows around them.

The same law as the exact assessment, which a test holds it to over random histories, to the cent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from services.decision.domain.tax.assessment.us_years import YEARS, YearRules
from services.decision.domain.tax.batch.brackets import Brackets, brackets
from services.decision.domain.tax.batch.columns import (
    STATUSES,
    Households,
    NotInColumns,
    Prices,
    YearColumns,
    columns_of,
)
from services.decision.domain.tax.batch.lots import DISALLOWED, GROUP_FIELDS, LOST, MISSING, each_group
from services.decision.domain.tax.batch.whole import Ints
from services.decision.domain.tax.batch.years import YEAR_FIELDS, each_household


@dataclass(frozen=True, slots=True, eq=False)
class YearEnd:
    """What a year-end comes to. Money in cents, days as ordinals.

    Attributes:
        years: Lines of each household's year, shape (households, YEAR_FIELDS): columns `NET_SHORT` to `TAX` of
            `years`.
        disallowed: Of each household: losses of the year that wash sales disallow.
        permanently_lost: Of each household, over the whole history.
        missing: Of each household: units sold that were never bought, in millionths; above 0 its year is not to be
            used.
        losses: Of each lot: what a sale of it today would lose, 0 or more.
        losing_units: Of each lot: how many of its units would lose.
        free_days: Of each lot: the first day on which its loss would not be washed by what was bought; 0 when it is
            free today.
        no_buy_days: Of each group: the first day on which a purchase would wash no loss of the past; 0 when it is free.
        savings: Of each household: tax that harvesting every loss that is free today would save this year.
    """

    years: Ints
    disallowed: Ints
    permanently_lost: Ints
    missing: Ints
    losses: Ints
    losing_units: Ints
    free_days: Ints
    no_buy_days: Ints
    savings: Ints


def year_end(
    columns: YearColumns, tax_year: int, as_of_day: int, prices: Prices, years: Mapping[int, YearRules] = YEARS
) -> YearEnd:
    """Return what the households' tax year comes to, the losses that their years before carry into it counted.

    Args:
        columns: Their histories.
        tax_year: A calendar year.
        as_of_day: Ordinal of the day on which losses would be harvested.
        prices: Of one unit of each asset, in millionths; 0 where there is none, and then nothing is harvested.
        years: The law's amounts by year; without the year's own there is no answer.

    Raises:
        NotInColumns: The law's amounts are finer than whole numbers say.
    """
    law = brackets(years[tax_year])
    before = _years_before(columns, tax_year)
    caps = _caps(years, range(tax_year - before, tax_year))
    count, rows, groups = len(columns.households.status), len(columns.lot_days), len(columns.group_households)
    nets = np.zeros((count, GROUP_FIELDS), dtype=np.int64)
    earlier = np.zeros((count, before, 2), dtype=np.int64)
    harvest = np.zeros((count, 2), dtype=np.int64)
    losses, losing, free = (np.zeros(rows, dtype=np.int64) for _ in range(3))
    no_buy = np.zeros(groups, dtype=np.int64)
    first, last = _year_days(tax_year)
    each_group(
        columns.group_households,
        columns.lot_starts,
        columns.lot_accounts,
        columns.lot_assets,
        columns.lot_days,
        columns.lot_units,
        columns.lot_bases,
        columns.sale_starts,
        np.stack(
            (
                columns.sale_accounts,
                columns.sale_assets,
                columns.sale_days,
                columns.sale_units,
                columns.sale_proceeds,
            ),
            axis=1,
        ),
        columns.named_starts,
        columns.named_lots,
        columns.taxed,
        columns.sheltered,
        prices,
        first,
        last,
        as_of_day,
        nets,
        earlier,
        harvest,
        losses,
        losing,
        free,
        no_buy,
    )
    if not first <= as_of_day <= last:
        # What is sold on another day is of another year.
        harvest[:] = 0
    lines, savings = _years(columns.households, law, caps, nets, earlier, harvest)
    return YearEnd(
        years=lines,
        disallowed=nets[:, DISALLOWED].copy(),
        permanently_lost=nets[:, LOST].copy(),
        missing=nets[:, MISSING].copy(),
        losses=losses,
        losing_units=losing,
        free_days=free,
        no_buy_days=no_buy,
        savings=savings,
    )


def warm_up() -> None:
    """Compile, or load what was compiled."""
    nobody = columns_of([], {})
    year_end(nobody, max(YEARS), 1, np.zeros(0, dtype=np.int64))


def _year_days(tax_year: int) -> tuple[int, int]:
    return date(tax_year, 1, 1).toordinal(), date(tax_year, 12, 31).toordinal()


def _years_before(columns: YearColumns, tax_year: int) -> int:
    """Return how many years before the tax year there are back to the first sale."""
    if not len(columns.sale_days):
        return 0
    return max(tax_year - date.fromordinal(int(columns.sale_days.min())).year, 0)


def _caps(years: Mapping[int, YearRules], which: range) -> Ints:
    """Return the cap on losses of years by filing status, in cents, shape (years, statuses); as `deducted` has it."""
    first = years[min(years)]
    caps = [[years.get(year, first)[each].loss_cap * 100 for each in STATUSES] for year in which]
    if any(cap % 1 for row in caps for cap in row):
        raise NotInColumns("a cap on losses is finer than a cent")
    return np.array([[int(cap) for cap in row] for row in caps], dtype=np.int64).reshape(len(which), len(STATUSES))


def _years(
    households: Households, law: Brackets, caps: Ints, nets: Ints, earlier: Ints, harvest: Ints
) -> tuple[Ints, Ints]:
    count = len(households.status)
    years = np.zeros((count, YEAR_FIELDS), dtype=np.int64)
    savings = np.zeros(count, dtype=np.int64)
    each_household(
        households.status,
        households.ordinary_income,
        households.short_brought_forward,
        households.long_brought_forward,
        households.investment_income,
        households.state_rate,
        law.ordinary_tops,
        law.long_term_tops,
        law.ordinary_rates,
        law.long_term_rates,
        law.loss_caps,
        caps,
        law.thresholds,
        law.investment_rate,
        nets,
        earlier,
        harvest,
        years,
        savings,
    )
    return years, savings
