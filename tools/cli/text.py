"""Values of the contracts as people read them."""

from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money

from services.runtime.wire import instant_message
from tools.client.values import amount, civil_date, decimal, instant


def money(message: Money) -> str:
    """Return an amount with two decimals, its thousands apart, and its currency."""
    return f"{bare(message)} {message.currency_code}".strip()


def bare(message: Money) -> str:
    """Return an amount with two decimals, its thousands apart, where its currency is said beside."""
    return f"{amount(message):,.2f}"


def price(message: Money) -> str:
    """Return a price with all its decimals, at least two, and its currency; nothing when absent."""
    if not message.currency_code:
        return ""
    exact = amount(message).normalize()
    exponent = exact.as_tuple().exponent
    decimals = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"{exact:,.{decimals}f} {message.currency_code}"


def day(message: Date) -> str:
    """Return a date; nothing when absent."""
    return str(civil_date(message)) if message.year else ""


def percent(message: DecimalMessage, decimals: int = 2) -> str:
    """Return a fraction in percent; nothing when absent."""
    return f"{decimal(message) * 100:.{decimals}f} %" if message.value else ""


def number(message: DecimalMessage) -> str:
    """Return a number without needless zeros; nothing when absent."""
    return plain(decimal(message)) if message.value else ""


def plain(value: Decimal) -> str:
    """Return a number without needless zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def state(enum: EnumDescriptor, value: int) -> str:
    """Return an enum value in lower case, without the enum's name; its number when it has none here."""
    known = enum.values_by_number.get(value)
    if known is None:
        # A service may be newer than this program.
        return str(value)
    name = known.name
    prefix = "".join("_" + c if c.isupper() else c for c in enum.name).lstrip("_").upper() + "_"
    return name.removeprefix(prefix).lower().replace("_", " ")


def time(message: Timestamp) -> str:
    """Return an instant to the second, in UTC; nothing when absent."""
    return instant(message).strftime("%Y-%m-%d %H:%M:%SZ") if message.seconds else ""


def short(identifier: str) -> str:
    """Return enough of a hash to tell it from others."""
    return identifier.removeprefix("sha256:")[:12] if identifier.startswith("sha256:") else identifier


def utc_message(entered: datetime) -> Timestamp:
    """Return the instant that a person entered; without a time zone it is in UTC."""
    return instant_message(entered if entered.tzinfo else entered.replace(tzinfo=UTC))
