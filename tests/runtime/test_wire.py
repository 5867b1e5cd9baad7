"""Values cross the wire exactly or are refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2, decimal_pb2, money_pb2
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn, WordColumn
from services.kernel.errors import Invalid
from services.kernel.money import Money
from services.runtime import wire

amounts = st.decimals(min_value=-(2**62), max_value=2**62, places=9)
instants = st.datetimes(timezones=st.just(UTC))


@given(amounts)
def test_money_comes_back_as_it_went(amount):
    money = Money(amount, "USD")

    assert wire.money_of(wire.money_message(money), "price") == money


@pytest.mark.parametrize(
    ("amount", "units", "nanos"), [("-1.75", -1, -750_000_000), ("-0.5", 0, -500_000_000), ("3", 3, 0)]
)
def test_money_is_whole_units_and_billionths_of_one_sign(amount, units, nanos):
    message = wire.money_message(Money(Decimal(amount), "USD"))

    assert (message.units, message.nanos) == (units, nanos)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (money_pb2.Money(currency_code="USD", units=1, nanos=-1), "price.nanos"),
        (money_pb2.Money(currency_code="USD", nanos=1_000_000_000), "price.nanos"),
        (money_pb2.Money(currency_code="usd", units=1), "price.currency_code"),
        (money_pb2.Money(units=1), "price.currency_code"),
    ],
)
def test_what_is_not_money_is_refused_with_its_field(message, field):
    with pytest.raises(Invalid) as caught:
        wire.money_of(message, "price")

    assert [violation.field for violation in caught.value.violations] == [field]


def test_money_finer_than_a_billionth_is_not_rounded():
    with pytest.raises(ValueError, match="9 decimal places"):
        wire.money_message(Money(Decimal("0.0000000001"), "USD"))
    with pytest.raises(ValueError, match=r".*"):
        wire.money_message(Money(Decimal(2**63), "USD"))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_a_number_comes_back_as_it_went(value):
    assert wire.decimal_of(wire.decimal_message(value), "weight") == value


@pytest.mark.parametrize("text", ["", "NaN", "1e1000", "one", "1,5"])
def test_what_is_not_a_number_is_refused_with_its_field(text):
    with pytest.raises(Invalid, match=r"weight\.value: .*must"):
        wire.decimal_of(decimal_pb2.Decimal(value=text), "weight")


@given(instants)
def test_an_instant_comes_back_as_it_went(value):
    assert wire.instant_of(wire.instant_message(value), "time") == value


def test_an_instant_is_utc_whatever_zone_it_was_said_in():
    tokyo = datetime(2026, 3, 5, 21, tzinfo=timezone(timedelta(hours=9)))

    assert wire.instant_message(tokyo) == wire.instant_message(datetime(2026, 3, 5, 12, tzinfo=UTC))
    with pytest.raises(ValueError, match="time zone"):
        wire.instant_message(datetime(2026, 3, 5, 12))


@pytest.mark.parametrize("message", [Timestamp(nanos=1), Timestamp(seconds=2**60), Timestamp(seconds=-(2**60))])
def test_what_is_no_instant_of_ours_is_refused(message):
    with pytest.raises(Invalid, match="time: must be"):
        wire.instant_of(message, "time")


@given(st.dates())
def test_a_date_comes_back_as_it_went(value):
    assert wire.date_of(wire.date_message(value), "date") == value


@pytest.mark.parametrize(
    "message", [date_pb2.Date(), date_pb2.Date(year=2026, month=2, day=29), date_pb2.Date(year=2026)]
)
def test_what_is_no_date_is_refused(message):
    with pytest.raises(Invalid, match="date: must be a date"):
        wire.date_of(message, "date")


@given(st.lists(st.decimals(min_value=-(10**9), max_value=10**9, places=6)))
def test_a_column_of_numbers_comes_back_as_it_went(values):
    column = wire.decimal_column(values, 6)

    assert wire.decimals_of(column, "prices") == values
    assert wire.units_of(column, "prices", 9) == [int(value * 10**9) for value in values]


def test_a_column_is_not_rounded():
    with pytest.raises(ValueError, match="at most 2 decimal places"):
        wire.decimal_column([Decimal("0.001")], 2)
    with pytest.raises(Invalid, match=r"prices\.scale: must be at most 2, was 6"):
        wire.units_of(DecimalColumn(units=[1], scale=6), "prices", 2)
    with pytest.raises(Invalid, match=r"prices\.scale: must be at most 9, was 10"):
        wire.decimals_of(DecimalColumn(units=[1], scale=10), "prices")


@given(st.lists(st.dates()))
def test_a_column_of_dates_comes_back_as_it_went(values):
    assert wire.dates_of(wire.date_column(values), "dates") == values


def test_a_day_outside_the_calendar_is_refused_with_its_row():
    with pytest.raises(Invalid, match=r"dates\.days\[1\]: must be within"):
        wire.dates_of(DateColumn(days=[0, 2**31 - 1]), "dates")
    assert wire.date_column([date(1970, 1, 2)]).days == [1]


@given(st.lists(st.sampled_from(["VTI", "VEA", "BND"])))
def test_a_column_of_words_comes_back_as_it_went(values):
    column = wire.word_column(values)

    assert wire.words_of(column, "instruments") == values
    assert list(column.words) == sorted(set(values))


def test_an_index_without_a_word_is_refused_with_its_row():
    with pytest.raises(Invalid, match=r"names\.indexes\[1\]: must be below 1, was 5"):
        wire.words_of(WordColumn(words=["VTI"], indexes=[0, 5]), "names")
