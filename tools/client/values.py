"""Values of the contracts as a client reads them; what is absent reads as zero."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid4, uuid5

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money

_NANOS = Decimal(10) ** 9


def new_request_id() -> str:
    """Return a key for a request that was not made before."""
    return str(uuid4())


def repeatable_request_id(*parts: str) -> str:
    """Return the key that `parts` always have, so that a program that starts again repeats its requests harmlessly."""
    return str(uuid5(NAMESPACE_URL, "/".join(("evenkeel", *parts))))


def decimal(message: DecimalMessage) -> Decimal:
    """Return the number; an empty message is zero."""
    return Decimal(message.value or "0")


def amount(money: Money) -> Decimal:
    """Return the amount, without its currency."""
    return Decimal(money.units) + Decimal(money.nanos) / _NANOS


def instant(message: Timestamp) -> datetime:
    """Return the instant, in UTC."""
    return message.ToDatetime(UTC)


def civil_date(message: Date) -> date:
    """Return the date."""
    return date(message.year, message.month, message.day)
