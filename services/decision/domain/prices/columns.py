"""Market data as columns, the form in which it arrives; nothing is checked yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.decision.domain.columns import Numbers


@dataclass(frozen=True, slots=True)
class PriceColumns:
    """Prices of many instruments as of one instant; a column that the source does not give is None."""

    source: str
    as_of_time: datetime
    instrument_ids: Sequence[str]
    prices: Numbers
    bids: Numbers | None = None
    asks: Numbers | None = None
    average_daily_volumes: Numbers | None = None


@dataclass(frozen=True, slots=True)
class HistoryColumns:
    """Daily closes: the first instrument's for all days, then the second's. Days count from 1970-01-01."""

    source: str
    as_of_time: datetime
    instrument_ids: Sequence[str]
    days: Sequence[int]
    closes: Numbers
