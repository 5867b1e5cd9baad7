"""A set of prices, and a history of closes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from services.kernel.ids import InstrumentId

PriceSetId = NewType("PriceSetId", str)
PriceHistoryId = NewType("PriceHistoryId", str)


@dataclass(frozen=True, slots=True)
class Quote:
    """What one instrument is worth, in its currency. `price` is above 0; bid is at most ask.

    `average_daily_volume` counts units traded on an average day; None where the source does not say.
    """

    price: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    average_daily_volume: Decimal | None = None

    @property
    def spread_bps(self) -> Decimal | None:
        """Full quoted spread in basis points of the price between bid and ask; None without both."""
        if self.bid is None or self.ask is None:
            return None
        return (self.ask - self.bid) / (self.ask + self.bid) * 20_000


@dataclass(frozen=True, slots=True)
class PriceSet:
    """Prices of many instruments as of one instant. Immutable; the id is made of the hash of its content."""

    price_set_id: PriceSetId
    content_hash: str
    source: str
    as_of_time: datetime
    record_time: datetime
    quotes: Mapping[InstrumentId, Quote]

    def price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the price of one unit, or None when the set has none."""
        quote = self.quotes.get(instrument_id)
        return None if quote is None else quote.price


@dataclass(frozen=True, slots=True, eq=False)
class PriceHistory:
    """Daily closing prices, adjusted for splits and dividends, from which risk is estimated.

    Attributes:
        instrument_ids: Order of the rows, each once.
        dates: Order of the columns, ascending, each once.
        units: Closes, shape (instruments, dates), each times 10 ** -scale; all above 0.
        source: Who says so.
    """

    price_history_id: PriceHistoryId
    content_hash: str
    instrument_ids: tuple[InstrumentId, ...]
    dates: tuple[date, ...]
    units: NDArray[np.int64]
    scale: int
    source: str
    as_of_time: datetime
    record_time: datetime

    def __post_init__(self) -> None:
        """Refuse a matrix that does not fit its rows and columns.

        Raises:
            ValueError: The shape is another, or a close is not above 0.
        """
        shape = (len(self.instrument_ids), len(self.dates))
        if self.units.shape != shape:
            raise ValueError(f"closes must have shape {shape}, was {self.units.shape}")
        if self.units.dtype != np.int64 or (self.units <= 0).any():
            raise ValueError("closes must be 64-bit integers above 0")
