"""Values of ours ↔ messages on the wire, exactly or not at all.

`…_of` reads a message and refuses what is not a value, naming the field; `…_message` writes one.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2, decimal_pb2, money_pb2

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn, WordColumn
from services.kernel.decimals import EXACT, from_units, parse_decimal, plain, to_units
from services.kernel.errors import Invalid
from services.kernel.money import Money

# Of google.type.Money, and the largest scale of a column.
NANO_PLACES = 9

_NANOS = 10**NANO_PLACES
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DATE = date(1970, 1, 1)


def money_of(message: money_pb2.Money, field: str) -> Money:
    """Return the amount that `message` says.

    Raises:
        Invalid: The currency is not three capital letters, `nanos` is out of range, or its sign differs from `units`'.
    """
    if not -_NANOS < message.nanos < _NANOS:
        raise Invalid.of(f"{field}.nanos", f"must be within {_NANOS - 1} either way, was {message.nanos}")
    if message.units * message.nanos < 0:
        raise Invalid.of(f"{field}.nanos", f"must have the sign of units, was {message.units} and {message.nanos}")
    amount = Decimal(message.units * _NANOS + message.nanos).scaleb(-NANO_PLACES, EXACT)
    try:
        return Money(amount.normalize(EXACT) if amount else Decimal(0), message.currency_code)
    except ValueError as error:
        raise Invalid.of(f"{field}.currency_code", str(error)) from error


def money_message(money: Money) -> money_pb2.Money:
    """Return the message that says `money`.

    Raises:
        ValueError: The amount has more than 9 decimal places or does not fit 64 bits.
    """
    nanos = EXACT.scaleb(money.amount, NANO_PLACES)
    whole = int(nanos)
    if whole != nanos:
        raise ValueError(f"must have at most {NANO_PLACES} decimal places, was {money}")
    units, rest = divmod(abs(whole), _NANOS)
    sign = -1 if whole < 0 else 1
    return money_pb2.Money(currency_code=money.currency, units=sign * units, nanos=sign * rest)


def decimal_of(message: decimal_pb2.Decimal, field: str) -> Decimal:
    """Return the number that `message` says.

    Raises:
        Invalid: It says no finite number of at most 99 digits either side of the point.
    """
    try:
        return parse_decimal(message.value)
    except ValueError as error:
        raise Invalid.of(f"{field}.value", str(error)) from error


def decimal_message(value: Decimal) -> decimal_pb2.Decimal:
    """Return the message that says `value`, in plain digits."""
    return decimal_pb2.Decimal(value=plain(value))


def date_of(message: date_pb2.Date, field: str) -> date:
    """Return the civil date that `message` says.

    Raises:
        Invalid: It is not a whole date of the calendar.
    """
    try:
        return date(message.year, message.month, message.day)
    except ValueError as error:
        said = f"{message.year:04}-{message.month:02}-{message.day:02}"
        raise Invalid.of(field, f"must be a date with year, month and day, was {said}") from error


def date_message(value: date) -> date_pb2.Date:
    """Return the message that says `value`."""
    return date_pb2.Date(year=value.year, month=value.month, day=value.day)


def instant_of(message: Timestamp, field: str) -> datetime:
    """Return the instant that `message` says, in UTC.

    Raises:
        Invalid: It is outside the years 1 to 9999, or finer than a microsecond.
    """
    nanos = message.nanos
    if nanos % 1000:
        raise Invalid.of(field, f"must be in whole microseconds, was {nanos} nanoseconds")
    try:
        return EPOCH + timedelta(0, message.seconds, nanos // 1000)
    except OverflowError as error:
        raise Invalid.of(field, f"must be within the years 1 to 9999, was {message.seconds} s") from error


def instant_message(value: datetime) -> Timestamp:
    """Return the message that says `value`.

    Raises:
        ValueError: `value` has no time zone.
    """
    if value.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, was {value.isoformat()}")
    microseconds = (value - EPOCH) // timedelta(microseconds=1)
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def decimals_of(column: DecimalColumn, field: str) -> list[Decimal]:
    """Return the numbers of `column`, one per row.

    Raises:
        Invalid: The scale is above 9.
    """
    _check_scale(column.scale, field)
    return from_units(column.units, column.scale)


def decimal_column(values: Iterable[Decimal], scale: int) -> DecimalColumn:
    """Return `values` as a column, exactly.

    Raises:
        ValueError: A value has more decimal places than `scale`, or does not fit 64 bits.
    """
    return DecimalColumn(units=to_units(values, scale), scale=scale)


def units_of(column: DecimalColumn, field: str, scale: int) -> list[int]:
    """Return the numbers of `column` as integers at `scale`, for what computes with whole units.

    Raises:
        Invalid: The column's scale is finer than `scale`.
    """
    if column.scale > scale:
        raise Invalid.of(f"{field}.scale", f"must be at most {scale}, was {column.scale}")
    if column.scale == scale:
        return list(column.units)
    factor = 10 ** (scale - column.scale)
    return [each * factor for each in column.units]


def dates_of(column: DateColumn, field: str) -> list[date]:
    """Return the dates of `column`, one per row.

    Raises:
        Invalid: A day is outside the years 1 to 9999.
    """
    known: dict[int, date] = {}
    dates: list[date] = []
    for row, days in enumerate(column.days):
        found = known.get(days)
        if found is None:
            try:
                found = known[days] = _EPOCH_DATE + timedelta(days=days)
            except OverflowError as error:
                limit = "must be within the years 1 to 9999"
                raise Invalid.of(f"{field}.days[{row}]", f"{limit}, was {days} days") from error
        dates.append(found)
    return dates


def date_column(values: Iterable[date]) -> DateColumn:
    """Return `values` as a column."""
    return DateColumn(days=[(value - _EPOCH_DATE).days for value in values])


def words_of(column: WordColumn, field: str) -> list[str]:
    """Return the words of `column`, one per row.

    Raises:
        Invalid: An index has no word.
    """
    words = list(column.words)
    indexes = column.indexes
    if indexes and max(indexes) >= len(words):
        row = next(row for row, index in enumerate(indexes) if index >= len(words))
        raise Invalid.of(f"{field}.indexes[{row}]", f"must be below {len(words)}, was {indexes[row]}")
    return [words[index] for index in indexes]


def word_column(values: Sequence[str]) -> WordColumn:
    """Return `values` as a column; its words are sorted, so equal values give equal bytes."""
    words = sorted(set(values))
    index = {word: position for position, word in enumerate(words)}
    return WordColumn(words=words, indexes=[index[value] for value in values])


def _check_scale(scale: int, field: str) -> None:
    if scale > NANO_PLACES:
        raise Invalid.of(f"{field}.scale", f"must be at most {NANO_PLACES}, was {scale}")
