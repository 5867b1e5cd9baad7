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
