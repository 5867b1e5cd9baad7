"""Real daily closing prices, read out of a package that ships them.

The `skfolio` wheel (BSD-3-Clause) documents two data sets: twenty S&P 500 stocks from 1990-01-02 and five factor
ETFs from 2014-01-02, both to 2022-12-28, adjusted for splits and dividends. They are read from the package's files
without importing it, which would take longer than the rest of the demo's set-up.
"""

import csv
import gzip
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

# The data sets give three decimal places.
PRICE_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class DailyPrices:
    """Closes of several instruments on the same days.

    Attributes:
        instrument_ids: The instruments, in the order of the columns.
        dates: The days, ascending.
        closes: One tuple per instrument, one price per day, above 0.
    """

    instrument_ids: tuple[str, ...]
    dates: tuple[date, ...]
    closes: tuple[tuple[Decimal, ...], ...]

    def close(self, instrument_id: str, day: date) -> Decimal:
        """Return the close of the last trading day up to `day`.

        Raises:
            ValueError: The instrument is unknown, or `day` is before the first one.
        """
        row = bisect_right(self.dates, day) - 1
        if row < 0:
            raise ValueError(f"prices start on {self.dates[0]}, asked for {day}")
        return self.closes[self.instrument_ids.index(instrument_id)][row]

    def between(self, first: date, last: date) -> "DailyPrices":
        """Return the days from `first` to `last`, both inside."""
        rows = [row for row, day in enumerate(self.dates) if first <= day <= last]
        start, stop = rows[0], rows[-1] + 1
        return DailyPrices(
            self.instrument_ids, self.dates[start:stop], tuple(column[start:stop] for column in self.closes)
        )


def stocks() -> DailyPrices:
    """Return twenty S&P 500 stocks, 1990-01-02 to 2022-12-28."""
    return _read("sp500_dataset.csv.gz")


def factor_etfs() -> DailyPrices:
    """Return five factor ETFs, 2014-01-02 to 2022-12-28."""
    return _read("factors_dataset.csv.gz")


def joined(parts: Sequence[DailyPrices]) -> DailyPrices:
    """Return all instruments on the days that every part has."""
    common = sorted(set.intersection(*(set(part.dates) for part in parts)))
    columns: list[tuple[Decimal, ...]] = []
    for part in parts:
        row_of = {day: row for row, day in enumerate(part.dates)}
        columns += [tuple(column[row_of[day]] for day in common) for column in part.closes]
    return DailyPrices(tuple(i for part in parts for i in part.instrument_ids), tuple(common), tuple(columns))


def _read(name: str) -> DailyPrices:
    spec = find_spec("skfolio")
    if spec is None or spec.origin is None:
        raise RuntimeError("the demo's prices come with the package skfolio, which is not installed: run `make setup`")
    path = Path(spec.origin).parent / "datasets" / "data" / name
    with gzip.open(path, "rt", newline="") as text:
        header, *rows = csv.reader(text)
    return DailyPrices(
        tuple(header[1:]),
        tuple(date.fromisoformat(row[0]) for row in rows),
        tuple(tuple(Decimal(row[column]) for row in rows) for column in range(1, len(header))),
    )
