"""The words that every part of this domain uses."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.kernel.ids import InstrumentId


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """At which price an order may be filled."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order lives."""

    DAY = "DAY"
    IMMEDIATE_OR_CANCEL = "IMMEDIATE_OR_CANCEL"
    FILL_OR_KILL = "FILL_OR_KILL"
    AT_THE_OPENING = "AT_THE_OPENING"
    AT_THE_CLOSE = "AT_THE_CLOSE"


class Algorithm(StrEnum):
    """How an order is spread over time."""

    IMMEDIATE = "IMMEDIATE"  # All at once.
    TIME_WEIGHTED = "TIME_WEIGHTED"  # Evenly.
    VOLUME_WEIGHTED = "VOLUME_WEIGHTED"  # As the day's volume usually runs.
    PARTICIPATION = "PARTICIPATION"  # Never more than a share of what is traded.
    IMPLEMENTATION_SHORTFALL = "IMPLEMENTATION_SHORTFALL"  # Impact weighed against risk.
    OPEN_AUCTION = "OPEN_AUCTION"
    CLOSE_AUCTION = "CLOSE_AUCTION"


@dataclass(frozen=True, slots=True)
class ReferencePrice:
    """A price that execution got by itself, and when and from where."""

    instrument_id: InstrumentId
    price: Decimal
    currency: str
    as_of_time: datetime
    source: str

    def __post_init__(self) -> None:
        """Refuse a price that cannot be.

        Raises:
            ValueError: `price` is not positive.
        """
        if self.price <= 0:
            raise ValueError(f"a price is positive, was {self.price}")
