"""Numbers, money and instants of the contracts, as Python values and back."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid4, uuid5

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn, WordColumn

_NANOS = Decimal(10) ** 9
_EPOCH = date(1970, 1, 1)


def new_request_id() -> str:
    """Return a key for a request that was not made before."""
    return str(uuid4())


def repeatable_request_id(*parts: str) -> str:
    """Return the key that `parts` always have, so that a program that starts again repeats its requests harmlessly."""
    digits = bytearray(uuid5(NAMESPACE_URL, "/".join(("evenkeel", *parts))).bytes)
    digits[6] = (digits[6] & 0x0F) | 0x40  # as version 4, which the contracts ask for
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def decimal(message: DecimalMessage) -> Decimal:
    """Return the number; an empty message is zero."""
    return Decimal(message.value or "0")


def amount(money: Money) -> Decimal:
    """Return the amount, without its currency."""
    return Decimal(money.units) + Decimal(money.nanos) / _NANOS


def decimal_message(value: Decimal) -> DecimalMessage:
    """Return the number as a message."""
    return DecimalMessage(value=format(value, "f"))


def timestamp(instant: datetime) -> Timestamp:
    """Return an aware instant as a message."""
    message = Timestamp()
    message.FromDatetime(instant.astimezone(UTC))
    return message


def instant(message: Timestamp) -> datetime:
    """Return the instant, in UTC."""
    return message.ToDatetime(UTC)


def civil_date(message: Date) -> date:
    """Return the date."""
    return date(message.year, message.month, message.day)


def decimal_column(values: Iterable[Decimal], scale: int) -> DecimalColumn:
    """Return `values` as fixed-point integers at `scale`.

    Raises:
        ValueError: A value has more decimal places.
    """
    units: list[int] = []
    for value in values:
        scaled = value.scaleb(scale)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{value} has more than {scale} decimal places")
        units.append(int(scaled))
    return DecimalColumn(units=units, scale=scale)


def date_column(values: Iterable[date]) -> DateColumn:
    """Return `values` as days since 1970-01-01."""
    return DateColumn(days=[(value - _EPOCH).days for value in values])


def word_column(values: Iterable[str]) -> WordColumn:
    """Return `values` as indexes into their different words."""
    row_of: dict[str, int] = {}
    indexes = [row_of.setdefault(value, len(row_of)) for value in values]
    return WordColumn(words=list(row_of), indexes=indexes)
