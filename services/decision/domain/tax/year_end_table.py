"""Year-ends of some taxpayers of one country as columns: what the compiled road makes, and what others are put into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.tax.year_end import YearEnd

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

# Amounts and units have at least so many decimal places, and at most so many; what is finer is rounded half to even.
PLACES_MIN, PLACES_MAX = 2, 9


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """A column of decimal numbers: `units` times ten to the power of minus `places`."""

    units: Ints
    places: int

    @classmethod
    def of(cls, values: Sequence[Decimal]) -> "Scaled":
        """Return numbers in as few places as they need.

        Raises:
            OverflowError: A number does not fit 64 bits.
        """
        places = PLACES_MIN
        for each in values:
            exponent = each.as_tuple().exponent
            places = max(places, -exponent if isinstance(exponent, int) else 0)
        if places > PLACES_MAX:
            places, step = PLACES_MAX, Decimal(1).scaleb(-PLACES_MAX)
            values = [each.quantize(step, ROUND_HALF_EVEN) for each in values]
        return cls(np.array([int(each.scaleb(places)) for each in values], dtype=np.int64), places)

    def least(self) -> "Scaled":
        """Return the same numbers in as few places as they need."""
        units, places = self.units, self.places
        while places > PLACES_MIN and not (units % 10).any():
            units, places = units // 10, places - 1
        return Scaled(units, places)

    def joined(self, other: "Scaled", order: Ints) -> "Scaled":
        """Return these and the other's numbers, one after the other and then in `order`."""
        places = max(self.places, other.places)
        both = [each.units * 10 ** (places - each.places) for each in (self, other)]
        return Scaled(np.concatenate(both)[order], places)


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A column of words of which few are different: row `r` is `words[indexes[r]]`."""

    words: tuple[str, ...]
    indexes: Ints

    @classmethod
    def of(cls, values: Sequence[str]) -> "Words":
        """Return words as a column."""
        numbers = {word: number for number, word in enumerate(dict.fromkeys(values))}
        return cls(tuple(numbers), np.array([numbers[each] for each in values], dtype=np.int64))

    def used(self) -> "Words":
        """Return the same column with the words that are in it, sorted, each once."""
        there, back = np.unique(self.indexes, return_inverse=True)
        names = [self.words[number] for number in there]
        words = sorted(set(names))
        places = {word: number for number, word in enumerate(words)}
        return Words(tuple(words), np.array([places[each] for each in names], dtype=np.int64)[back])

    def joined(self, other: "Words", order: Ints) -> "Words":
        """Return these and the other's words, one after the other and then in `order`."""
        indexes = np.concatenate((self.indexes, other.indexes + len(self.words)))
        return Words((*self.words, *other.words), indexes[order])


@dataclass(frozen=True, slots=True, eq=False)
class LossColumns:
    """Losses that a sale on the day would realize, by taxpayer, account, instrument and lot.

    Attributes:
        rows: Row of the taxpayer of each in its table.
        lots: Empty where the law lets nobody choose lots.
        free_days: As ordinals; 0 where the loss is free on the day.
    """

    rows: Ints
    accounts: Words
    assets: Words
    lots: Sequence[str]
    units: Scaled
    losses: Scaled
    free_days: Ints


@dataclass(frozen=True, slots=True, eq=False)
class WindowColumns:
    """What must not be bought before a day, by taxpayer and instrument; days are ordinals."""

    rows: Ints
    assets: Words
    open_days: Ints


@dataclass(frozen=True, slots=True, eq=False)
class YearEndTable:
    """Year-ends, one a row, by the place of the taxpayer among those who were asked about.

    Attributes:
        places: Ascending.
        lines: Name and source of each line of the computation, the tax last; none where there are no rows.
        amounts: A column for each line.
        differences: How often ledger and book do not say the same.
        compiled: Which went by columns.
        reviews: Row, and what a person should look at.
    """

    places: Ints
    lines: tuple[tuple[str, str], ...]
    amounts: tuple[Scaled, ...]
    permanently_lost: Scaled
    savings: Scaled
    differences: Ints
    compiled: Flags
    losses: LossColumns
    windows: WindowColumns
    reviews: tuple[tuple[int, str], ...] = ()


def table_of(ends: Mapping[int, tuple[YearEnd, int]]) -> YearEndTable:
    """Return year-ends and their differences as columns, by place.

    Raises:
        OverflowError: A number does not fit 64 bits.
    """
    places = sorted(ends)
    said = [ends[place][0] for place in places]
    losses = [(row, each) for row, end in enumerate(said) for each in end.losses]
    windows = [(row, each) for row, end in enumerate(said) for each in end.windows]
    lines = said[0].lines if said else ()
    return YearEndTable(
        places=_ints(places),
        lines=tuple((line.name, line.source) for line in lines),
        amounts=tuple(Scaled.of([end.lines[number].amount for end in said]) for number in range(len(lines))),
        permanently_lost=Scaled.of([each.permanently_lost for each in said]),
        savings=Scaled.of([each.savings for each in said]),
        differences=_ints([ends[place][1] for place in places]),
        compiled=np.array([each.compiled for each in said], dtype=np.bool_),
        losses=LossColumns(
            rows=_ints([row for row, _ in losses]),
            accounts=Words.of([each.account_id for _, each in losses]),
            assets=Words.of([each.asset for _, each in losses]),
            lots=[each.lot_id or "" for _, each in losses],
            units=Scaled.of([each.quantity for _, each in losses]),
            losses=Scaled.of([each.loss for _, each in losses]),
            free_days=_ints([_ordinal(each.free_date) for _, each in losses]),
        ),
        windows=WindowColumns(
            rows=_ints([row for row, _ in windows]),
            assets=Words.of([each.asset for _, each in windows]),
            open_days=_ints([each.open_date.toordinal() for _, each in windows]),
        ),
        reviews=tuple((row, sentence) for row, end in enumerate(said) for sentence in end.review),
    )


def joined(one: YearEndTable, other: YearEndTable) -> YearEndTable:
    """Return two tables of the same question and law as one; no place is in both."""
    if not len(other.places):
        return one
    if not len(one.places):
        return other
    places = np.concatenate((one.places, other.places))
    order = np.argsort(places)
    # Where each row of the two went.
    row_of = np.empty(len(places), dtype=np.int64)
    row_of[order] = np.arange(len(places))
    ours, theirs = row_of[: len(one.places)], row_of[len(one.places) :]
    reviews = [(int(ours[row]), said) for row, said in one.reviews]
    reviews += [(int(theirs[row]), said) for row, said in other.reviews]
    return YearEndTable(
        places=places[order],
        lines=one.lines,
        amounts=tuple(a.joined(b, order) for a, b in zip(one.amounts, other.amounts, strict=True)),
        permanently_lost=one.permanently_lost.joined(other.permanently_lost, order),
        savings=one.savings.joined(other.savings, order),
        differences=np.concatenate((one.differences, other.differences))[order],
        compiled=np.concatenate((one.compiled, other.compiled))[order],
        losses=_losses(one.losses, other.losses, np.concatenate((ours[one.losses.rows], theirs[other.losses.rows]))),
        windows=_windows(
            one.windows, other.windows, np.concatenate((ours[one.windows.rows], theirs[other.windows.rows]))
        ),
        # A taxpayer's sentences stay in their order.
        reviews=tuple(sorted(reviews, key=lambda each: each[0])),
    )


def _losses(one: LossColumns, other: LossColumns, rows: Ints) -> LossColumns:
    order = np.argsort(rows, kind="stable")
    lots = [*one.lots, *other.lots]
    return LossColumns(
        rows=rows[order],
        accounts=one.accounts.joined(other.accounts, order),
        assets=one.assets.joined(other.assets, order),
        lots=[lots[row] for row in order.tolist()],
        units=one.units.joined(other.units, order),
        losses=one.losses.joined(other.losses, order),
        free_days=np.concatenate((one.free_days, other.free_days))[order],
    )


def _windows(one: WindowColumns, other: WindowColumns, rows: Ints) -> WindowColumns:
    order = np.argsort(rows, kind="stable")
    return WindowColumns(
        rows[order],
        one.assets.joined(other.assets, order),
        np.concatenate((one.open_days, other.open_days))[order],
    )


def _ordinal(day: date | None) -> int:
    return 0 if day is None else day.toordinal()


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)
