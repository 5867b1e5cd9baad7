"""The year-ends of taxpayers of the United States whose accounts came as rows of the database: columns from end to end.

What columns cannot say of a taxpayer, of one account or of the law, is left to the exact road (`year_ends.py`), which
comes to the same: a test holds both to each other over a book in PostgreSQL, to the cent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal

import numpy as np

from services.decision.domain.tax.account_rows import AccountRows, RowFilers
from services.decision.domain.tax.assessment.history import History
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import YEARS, YearRules
from services.decision.domain.tax.batch import year_end
from services.decision.domain.tax.batch.columns import (
    NotInColumns,
    YearColumns,
    households_of,
    price_units,
    taxpayer_not_in_columns,
)
from services.decision.domain.tax.batch.rows import AccountColumns, account_columns
from services.decision.domain.tax.batch.texts import named_rows, ordered, repeated, texts_of
from services.decision.domain.tax.batch.whole import UNIT_SCALE, Flags, Ints
from services.decision.domain.tax.batch.year_end import YearEnd
from services.decision.domain.tax.batch.years import LINES
from services.decision.domain.tax.filing import Filing
from services.decision.domain.tax.year_end_table import LossColumns, Scaled, WindowColumns, Words, YearEndTable

_CURRENCY = "USD"
_CENT_PLACES = 2
# Columns of `AccountRows` that are no arrays.
_BEFORE_ARRAYS = 4
# Days and groups in one whole number: no ordinal is so large.
_DAY_BITS = 22
# One and the powers of ten to 10 ** 17: a whole number below 10 ** 18 has as many digits as there are of them in it.
_POWERS = 10 ** np.arange(18)


def year_end_table(filing: Filing, filers: RowFilers) -> YearEndTable:
    """Return the year-ends of those of the taxpayers whom columns can say."""
    years = filing.law.years["US"]
    accounts = account_columns(filers.rows, filing.today.toordinal())
    assets = _Assets.of(accounts.instruments, filers, filing.prices)
    taxpayers, owned = np.array(filers.owned_taxpayers, np.int64), np.array(filers.owned_accounts, np.int64)
    said = _said(filers, filing.tax_year in years, accounts, assets, taxpayers, owned)
    while True:
        if not said.any():
            return _nobody()
        gathered = _Gathered.of(accounts, assets, filers, taxpayers, owned, said)
        if gathered.twice.any():
            # Two lots of one taxpayer have one id.
            said &= ~gathered.twice
            continue
        try:
            done = year_end(gathered.columns, filing.tax_year, filing.day.toordinal(), assets.prices, years)
        except NotInColumns:
            # The law's amounts are finer than whole numbers say.
            return _nobody()
        if not done.missing.any():
            break
        said[gathered.taxpayers[done.missing != 0]] = False
    differences = np.bincount(taxpayers, accounts.differences[owned], len(said)).astype(np.int64)
    return _table(filing, filers, accounts, gathered, done, differences[gathered.taxpayers], years)


def warm_up() -> None:
    """Compile, or load what was compiled."""
    day, none = date(max(YEARS), 1, 1), np.zeros(0, dtype=np.int64)
    # One account that has nothing in any of its arrays.
    arrays = [(b"",) for _ in fields(AccountRows)[_BEFORE_ARRAYS:]]
    filers = RowFilers((), (), (), (), (), AccountRows(("",), (False,), ("",), (False,), *arrays), {}, frozenset())
    accounts = account_columns(filers.rows, day.toordinal())
    _Gathered.of(accounts, _Assets.of((), filers, {}), filers, none, none, none == 0)
    # One text that is empty.
    texts_of(accounts.data, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def _said(
    filers: RowFilers, reviewed: bool, accounts: AccountColumns, assets: "_Assets", taxpayers: Ints, owned: Ints
) -> Flags:  # fmt: skip
    """Return which taxpayers columns can say."""
    said = np.array([reviewed and not taxpayer_not_in_columns(each) for each in filers.rules], dtype=np.bool_)
    kept = np.array([each == _CURRENCY for each in filers.rows.currencies], dtype=np.bool_)
    lots, sales = accounts.lots, accounts.sales
    fine = accounts.said & kept
    fine[lots.accounts[~assets.said[lots.assets]]] = False
    fine[sales.accounts[~assets.said[sales.assets]]] = False
    said[taxpayers[~fine[owned]]] = False
    return said


@dataclass(frozen=True, slots=True, eq=False)
class _Assets:
    """Instruments by their number: price in millionths, 0 without; number of the set; whether columns can say it."""

    prices: Ints
    groups: Ints
    said: Flags

    @classmethod
    def of(cls, names: Sequence[str], filers: RowFilers, quoted: Mapping[str, Decimal]) -> "_Assets":
        sets: dict[str, int] = {}
        prices, groups = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
        said = np.ones(len(names), dtype=np.bool_)
        for number, name in enumerate(names):
            group = filers.identical.get(name, name)
            groups[number] = sets.setdefault(group, len(sets))
            # A set that is named as an instrument of another set is one with that, for whoever has both.
            chained = group in filers.identical
            price = quoted.get(name)
            units = 0 if price is None else price_units(price) or None
            said[number] = units is not None and not chained and name not in filers.happened
            prices[number] = units or 0
        return cls(prices, groups, said)


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    """Lots and sales of taxpayers whom columns can say, in groups.

    Attributes:
        taxpayers: Of each household of `columns`.
        lots: Row of each lot of `columns` among those of the accounts.
        sales: The same of each sale.
        twice: Of each taxpayer: two of the lots have one id.
    """

    columns: YearColumns
    taxpayers: Ints
    lots: Ints
    sales: Ints
    twice: Flags

    @classmethod
    def of(
        cls, accounts: AccountColumns, assets: _Assets, filers: RowFilers, taxpayers: Ints, owned: Ints, said: Flags
    ) -> "_Gathered":
        chosen = np.flatnonzero(said)
        household = np.cumsum(said) - 1
        keep = said[taxpayers]
        taxpayers, owned = taxpayers[keep], owned[keep]
        lots, sales = accounts.lots, accounts.sales
        places, lot_owned = _expanded(accounts.lot_starts, owned)
        lot_rows = accounts.lot_order[places]
        sale_rows, sale_owned = _expanded(accounts.sale_starts, owned)
        groups = int(assets.groups.max(initial=0)) + 1
        lot_keys = _keys(
            household[taxpayers[lot_owned]], groups, assets.groups[lots.assets[lot_rows]], lots.days[lot_rows]
        )
        sale_keys = _keys(
            household[taxpayers[sale_owned]], groups, assets.groups[sales.assets[sale_rows]], sales.days[sale_rows]
        )
        order = np.argsort(lot_keys, kind="stable")
        lot_keys = lot_keys[order]
        # What is equal is put right by id; then each row finds its owner again.
        ordered(order, lot_keys, accounts.data, lots.id_begins[lot_rows], lots.id_ends[lot_rows])
        lot_rows, lot_owned = lot_rows[order], lot_owned[order]
        twice = np.zeros(len(said), dtype=np.bool_)
        repeated(lot_rows, taxpayers[lot_owned], accounts.data, lots.id_begins, lots.id_ends, twice)
        order = _by_text(sale_keys, sales.positions[sale_rows])
        sale_rows, sale_owned, sale_keys = sale_rows[order], sale_owned[order], sale_keys[order]
        lot_groups, sale_groups = lot_keys >> _DAY_BITS, sale_keys >> _DAY_BITS
        of_groups = np.unique(np.concatenate((lot_groups, sale_groups)))
        lot_starts = np.append(np.searchsorted(lot_groups, of_groups), len(lot_groups))
        named_starts, named = _named(accounts, lot_rows, lot_starts, sale_rows, np.searchsorted(of_groups, sale_groups))
        sheltered = np.array(filers.rows.sheltered, dtype=np.bool_)[owned]
        affiliated = np.array(filers.affiliated, dtype=np.bool_)[keep]
        columns = YearColumns(
            households=households_of([filers.rules[row] for row in chosen.tolist()]),
            taxed=~sheltered & ~affiliated,
            sheltered=sheltered,
            group_households=of_groups // groups,
            lot_starts=lot_starts,
            lot_accounts=lot_owned,
            lot_assets=lots.assets[lot_rows],
            lot_days=lots.days[lot_rows],
            lot_units=lots.units[lot_rows],
            lot_bases=lots.bases[lot_rows],
            sale_starts=np.append(np.searchsorted(sale_groups, of_groups), len(sale_groups)),
            sale_accounts=sale_owned,
            sale_assets=sales.assets[sale_rows],
            sale_days=sales.days[sale_rows],
            sale_units=sales.units[sale_rows],
            sale_proceeds=sales.proceeds[sale_rows],
            named_starts=named_starts,
            named_lots=named,
        )
        return cls(columns, chosen, lot_rows, sale_rows, twice)


def _expanded(starts: Ints, owned: Ints) -> tuple[Ints, Ints]:
    """Return the places of the rows of each account that is owned, and by which row of `owned` each is."""
    counts = np.diff(starts)[owned]
    of = np.repeat(np.arange(len(owned)), counts)
    return np.arange(len(of)) + np.repeat(starts[:-1][owned] - (np.cumsum(counts) - counts), counts), of


def _keys(households: Ints, groups: int, group: Ints, days: Ints) -> Ints:
    """Return whole numbers that are in the order of households, then groups, then days."""
    return (households * groups + group) << _DAY_BITS | days


def _by_text(keys: Ints, positions: Ints) -> Ints:
    """Return the order of sales by their keys, and of one key by their position as a text, as their ids are."""
    digits = np.searchsorted(_POWERS, positions, side="right")
    return np.lexsort((digits, positions * _POWERS[-digits], keys))


def _named(
    accounts: AccountColumns, lot_rows: Ints, lot_starts: Ints, sale_rows: Ints, sale_groups: Ints
) -> tuple[Ints, Ints]:
    """Return for each sale the lots of its group that it names, by their place."""
    lots, sales = accounts.lots, accounts.sales
    names, _ = _expanded(sales.named_starts, sale_rows)
    starts = np.zeros(len(sale_rows) + 1, dtype=np.int64)
    np.cumsum(np.diff(sales.named_starts)[sale_rows], out=starts[1:])
    count = len(lots.id_begins)
    found, found_starts = np.zeros(len(names), np.int64), np.zeros(len(starts), np.int64)
    used = named_rows(
        starts, names + count, sale_groups, lot_starts, lot_rows, accounts.data,
        np.concatenate((lots.id_begins, sales.named_begins)), np.concatenate((lots.id_ends, sales.named_ends)),
        found, found_starts,
    )  # fmt: skip
    return found_starts, found[:used]


def _nobody() -> YearEndTable:
    none, nothing = np.zeros(0, dtype=np.int64), Words((), np.zeros(0, dtype=np.int64))
    zeros = Scaled(none, _CENT_PLACES)
    losses = LossColumns(none, nothing, nothing, [], zeros, zeros, none)
    return YearEndTable(
        none, (), (), zeros, zeros, none, np.zeros(0, dtype=np.bool_), losses, WindowColumns(none, nothing, none)
    )


def _table(
    filing: Filing,
    filers: RowFilers,
    accounts: AccountColumns,
    gathered: _Gathered,
    done: YearEnd,
    differences: Ints,
    years: Mapping[int, YearRules],
) -> YearEndTable:
    template = UnitedStatesYear(years=years).assess(History(()), filing.tax_year).lines
    nothing = np.zeros(len(gathered.taxpayers), dtype=np.int64)
    of_lines = {
        **{name: done.years[:, place] for name, place in LINES.items()},
        "wash_sales_disallowed": done.disallowed,
    }
    return YearEndTable(
        places=np.array(filers.places, dtype=np.int64)[gathered.taxpayers],
        lines=tuple((line.name, line.source) for line in template),
        amounts=tuple(Scaled(of_lines.get(line.name, nothing), _CENT_PLACES) for line in template),
        permanently_lost=Scaled(done.permanently_lost, _CENT_PLACES),
        savings=Scaled(done.savings, _CENT_PLACES),
        differences=differences,
        compiled=np.ones(len(nothing), dtype=np.bool_),
        losses=_losses(filers, accounts, gathered, done),
        windows=_windows(accounts, gathered, done),
    )


def _losses(filers: RowFilers, accounts: AccountColumns, gathered: _Gathered, done: YearEnd) -> LossColumns:
    columns, lots = gathered.columns, accounts.lots
    losing = np.flatnonzero(done.losses)
    rows = gathered.lots[losing]
    groups = np.searchsorted(columns.lot_starts, losing, side="right") - 1
    households, owners = columns.group_households[groups], lots.accounts[rows]
    names = _ranks(accounts.instruments)[lots.assets[rows]]
    # Rows of the database are in the order of their accounts.
    keys = (households * len(filers.rows.account_ids) + owners) * len(accounts.instruments) + names
    order = np.argsort(keys, kind="stable")
    ordered(order, keys[order], accounts.data, lots.id_begins[rows], lots.id_ends[rows])
    rows, losing = rows[order], losing[order]
    return LossColumns(
        rows=households[order],
        accounts=Words(filers.rows.account_ids, lots.accounts[rows]),
        assets=Words(accounts.instruments, lots.assets[rows]),
        lots=texts_of(accounts.data, lots.id_begins[rows], lots.id_ends[rows]),
        units=Scaled(done.losing_units[losing], UNIT_SCALE).least(),
        losses=Scaled(done.losses[losing], _CENT_PLACES),
        free_days=done.free_days[losing],
    )


def _windows(accounts: AccountColumns, gathered: _Gathered, done: YearEnd) -> WindowColumns:
    columns, count = gathered.columns, len(accounts.instruments)
    barred = np.flatnonzero(done.no_buy_days)
    found: list[Ints] = []
    for starts, of_rows in (
        (columns.lot_starts, columns.lot_assets),
        (columns.sale_starts, columns.sale_assets),
    ):
        places, of = _expanded(starts, barred)
        found.append(barred[of] * count + of_rows[places])
    # Each instrument of a group once.
    those = np.unique(np.concatenate(found))
    groups, instruments = those // count, those % count
    rows = columns.group_households[groups]
    order = np.lexsort((_ranks(accounts.instruments)[instruments], rows))
    return WindowColumns(rows[order], Words(accounts.instruments, instruments[order]), done.no_buy_days[groups][order])


def _ranks(names: Sequence[str]) -> Ints:
    """Return the place of each name in their order."""
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return ranks
