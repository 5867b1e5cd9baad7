"""Accounts as the database sends them, made columns.

Lots of all accounts become one column, first those of the beginning and then what was bought, and so do sales.

What is left to the exact road: amounts finer than a cent, units finer than a millionth, what is larger than columns
hold, lots of unknown cost, and units that were sold without being there.
"""

from dataclasses import dataclass

import numpy as np

from services.decision.domain.tax.account_rows import AccountRows
from services.decision.domain.tax.assessment.history import EARLIEST_DATE
from services.decision.domain.tax.batch.array_bytes import Bytes, Numbers, Texts, days, numbers, texts, whole_numbers
from services.decision.domain.tax.batch.columns import AMOUNT_MAX, UNITS_MAX
from services.decision.domain.tax.batch.texts import numbered
from services.decision.domain.tax.batch.whole import UNIT, UNIT_SCALE, Flags, Ints, compiled

_CENT_PLACES = 2
_CENTS_MAX = int(AMOUNT_MAX) * 10**_CENT_PLACES
_STEPS_MAX = UNITS_MAX * UNIT
_FIRST_DAY = EARLIEST_DATE.toordinal()


@dataclass(frozen=True, slots=True, eq=False)
class Lots:
    """Lots of many accounts. Money in cents, units in millionths, days as ordinals; ids are bytes of `data`."""

    accounts: Ints
    assets: Ints
    days: Ints
    units: Ints
    bases: Ints
    id_begins: Ints
    id_ends: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Sales:
    """Sales of many accounts, by account and position in execution's stream.

    Attributes:
        named_starts: Where the lots that each sale names begin among `named_begins`; one more than there are sales.
        named_begins: Where the id of each lot that is named begins.
    """

    accounts: Ints
    assets: Ints
    days: Ints
    units: Ints
    proceeds: Ints
    positions: Ints
    named_starts: Ints
    named_begins: Ints
    named_ends: Ints


@dataclass(frozen=True, slots=True, eq=False)
class AccountColumns:
    """Accounts as columns.

    Attributes:
        said: Of each account: columns say all of it.
        instruments: Every instrument that is named, by its number.
        differences: Of each account: of how many instruments ledger and book do not say the same.
        data: The bytes of all ids.
        lot_order: Lots by account; `lot_starts` has where those of each begin, one more than there are accounts.
        sale_starts: Where the sales of each account begin; one more than there are accounts.
    """

    said: Flags
    instruments: tuple[str, ...]
    differences: Ints
    data: Bytes
    lots: Lots
    lot_order: Ints
    lot_starts: Ints
    sales: Sales
    sale_starts: Ints


def account_columns(rows: AccountRows, last_day: int) -> AccountColumns:
    """Return accounts as columns; nothing of an account that says all happened after `last_day`, an ordinal."""
    # Instruments of all three kinds of rows have one numbering.
    named = texts([*rows.position_instruments, *rows.opening_instruments, *rows.trade_instruments])
    instruments, asset_of = numbered(named)
    count = len(rows.account_ids)
    ids = texts([*rows.lot_ids, *rows.trade_lot_ids])
    said = np.array(rows.plain, dtype=np.bool_)
    for each in (named.readable.reshape(3, count), ids.readable.reshape(2, count)):
        said &= each.all(axis=0)
    positions = _Kind(named.starts[: count + 1], asset_of)
    openings = _Kind(named.starts[count : 2 * count + 1], asset_of)
    traded = _Kind(named.starts[2 * count :], asset_of)
    opened = _opened(rows, openings, ids, last_day, said)
    bought, sales = _booked(rows, traded, ids, last_day, said)
    held = _read(numbers(rows.position_quantities, UNIT_SCALE), positions.starts, said)
    lots = Lots(*(np.concatenate((getattr(opened, name), getattr(bought, name))) for name in Lots.__slots__))
    lot_order = np.argsort(lots.accounts, kind="stable")
    everyone = np.arange(count + 1)
    lot_starts = np.searchsorted(lots.accounts[lot_order], everyone)
    sale_starts = np.searchsorted(sales.accounts, everyone)
    differences = np.zeros(count, dtype=np.int64)
    _compare(
        np.zeros(len(instruments), dtype=np.int64), said, positions.starts, asset_of, held, lot_order, lot_starts,
        lots.assets, lots.units, sale_starts, sales.assets, sales.units, differences,
    )  # fmt: skip
    return AccountColumns(said, instruments, differences, ids.data, lots, lot_order, lot_starts, sales, sale_starts)


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """Where the rows of one kind begin, account by account, among the instruments of all kinds; and these."""

    starts: Ints
    assets: Ints

    @property
    def accounts(self) -> Ints:
        """The account of each row."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def of(self) -> Ints:
        """Return the instrument of each row."""
        return self.assets[self.starts[0] : self.starts[-1]]


def _read(column: Numbers, starts: Ints, said: Flags) -> Ints:
    """Return a column that has as many rows of each account as `starts` says; one that has not is not said."""
    said &= column.readable
    wanted = np.diff(starts)
    if np.array_equal(np.diff(column.starts), wanted):
        return column.values
    said &= np.diff(column.starts) == wanted
    values = np.zeros(starts[-1] - starts[0], dtype=np.int64)
    for account in np.flatnonzero(said):
        begin = starts[account] - starts[0]
        values[begin : begin + wanted[account]] = column.values[column.starts[account] : column.starts[account + 1]]
    return values


def _unsaid(said: Flags, accounts: Ints, wrong: Flags) -> None:
    """Say of the accounts that have a wrong row that columns do not say them."""
    said[accounts[wrong]] = False


def _opened(rows: AccountRows, openings: _Kind, ids: Texts, last_day: int, said: Flags) -> Lots:
    """Return the lots that accounts began with."""
    place = whole_numbers(rows.lot_positions)
    said &= place.readable
    starts = place.starts
    accounts = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    lot_days = _read(days(rows.lot_days), starts, said)
    units = _read(numbers(rows.lot_quantities, UNIT_SCALE), starts, said)
    bases = _read(numbers(rows.lot_bases, _CENT_PLACES), starts, said)
    of_lots = ids.starts[: len(starts)]
    begins = _read(Numbers(of_lots, ids.begins[: of_lots[-1]], said), starts, said)
    ends = _read(Numbers(of_lots, ids.ends[: of_lots[-1]], said), starts, said)
    there = np.diff(openings.starts)[accounts]
    outside = (place.values < 0) | (place.values >= there)
    wrong = outside | (lot_days < _FIRST_DAY) | (lot_days > last_day) | (begins == ends)
    wrong |= (units <= 0) | (units > _STEPS_MAX) | (bases < 0) | (bases > _CENTS_MAX)
    _unsaid(said, accounts, wrong)
    keep = said[accounts]
    at = (place.values + openings.starts[accounts])[keep]
    # A position without lots is one of unknown cost.
    full = np.zeros(len(openings.assets), dtype=np.bool_)
    full[at] = True
    _unsaid(said, openings.accounts, ~full[openings.starts[0] : openings.starts[-1]])
    kept = (each[keep] for each in (lot_days, units, bases, begins, ends))
    return Lots(accounts[keep], openings.assets[at], *kept)


def _booked(rows: AccountRows, traded: _Kind, ids: Texts, last_day: int, said: Flags) -> tuple[Lots, Sales]:
    """Return what was bought since, and the sales."""
    starts, accounts, assets = traded.starts, traded.accounts, traded.of()
    positions = _read(numbers(rows.trade_positions, 0), starts, said)
    sells = _read(whole_numbers(rows.trade_sells), starts, said) == 1
    on = _read(days(rows.trade_days), starts, said)
    units = _read(numbers(rows.trade_quantities, UNIT_SCALE), starts, said)
    values = _read(numbers(rows.trade_values, _CENT_PLACES), starts, said)
    fees = _read(numbers(rows.trade_fees, _CENT_PLACES), starts, said)
    uncovered = _read(numbers(rows.trade_uncovered, UNIT_SCALE), starts, said)
    counts = _read(whole_numbers(rows.trade_lots), starts, said)
    amounts = np.where(sells, np.maximum(values - fees, 0), values + fees)
    # A purchase has the one lot that it made.
    wrong = (uncovered != 0) | (counts < 0) | (~sells & (counts != 1)) | (on < _FIRST_DAY) | (on > last_day)
    wrong |= (units <= 0) | (units > _STEPS_MAX) | (amounts < 0) | (amounts > _CENTS_MAX)
    _unsaid(said, accounts, wrong)
    owned = ids.starts[len(starts) - 1 :]
    of_account = np.bincount(accounts, np.maximum(counts, 0), len(starts) - 1).astype(np.int64)
    said &= of_account == np.diff(owned)
    # What columns do not say is left out, so that the lots of the others lie where their counts say.
    keep = said[accounts]
    firsts = np.zeros(len(counts), dtype=np.int64)
    np.cumsum(np.where(keep, counts, 0)[:-1], out=firsts[1:])
    named = np.flatnonzero(np.repeat(said, np.diff(owned))) + owned[0]
    begins, ends = ids.begins[named], ids.ends[named]
    buys, sold = keep & ~sells, keep & sells
    of_buys = firsts[buys]
    bought = Lots(accounts[buys], assets[buys], on[buys], units[buys], amounts[buys], begins[of_buys], ends[of_buys])
    of_sales = np.repeat(sold, np.where(keep, counts, 0))
    named_starts = np.zeros(int(sold.sum()) + 1, dtype=np.int64)
    np.cumsum(counts[sold], out=named_starts[1:])
    sales = Sales(
        accounts[sold], assets[sold], on[sold], units[sold], amounts[sold], positions[sold], named_starts,
        begins[of_sales], ends[of_sales],
    )  # fmt: skip
    return bought, sales


@compiled
def _compare(
    scratch: Ints,
    said: Flags,
    position_starts: Ints,
    position_assets: Ints,
    held: Ints,
    lot_order: Ints,
    lot_starts: Ints,
    lot_assets: Ints,
    lot_units: Ints,
    sale_starts: Ints,
    sale_assets: Ints,
    sale_units: Ints,
    differences: Ints,
) -> None:
    """Count for each account the instruments of which its lots less its sales are not what it holds.

    `scratch` has a zero for each instrument, and has again afterwards.
    """
    for account in range(len(said)):
        if not said[account]:
            continue
        for row in range(position_starts[account], position_starts[account + 1]):
            scratch[position_assets[row]] += held[row - position_starts[0]]
        for place in range(lot_starts[account], lot_starts[account + 1]):
            row = lot_order[place]
            scratch[lot_assets[row]] -= lot_units[row]
        for row in range(sale_starts[account], sale_starts[account + 1]):
            scratch[sale_assets[row]] += sale_units[row]
        for row in range(position_starts[account], position_starts[account + 1]):
            asset = position_assets[row]
            differences[account] += scratch[asset] != 0
            scratch[asset] = 0
        for place in range(lot_starts[account], lot_starts[account + 1]):
            asset = lot_assets[lot_order[place]]
            differences[account] += scratch[asset] != 0
            scratch[asset] = 0
