"""Columns as texts of arrays come back from PostgreSQL as they were."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.runtime.arrays import plain_array, text_array
from services.runtime.database import Database


class Color(StrEnum):
    RED = "RED"


AWAY = timezone(timedelta(hours=-5, minutes=-30))
PLAIN = {
    "numeric": [Decimal("0"), Decimal("-1.50"), Decimal("1E+20"), Decimal("1E-20"), None],
    "bigint": [0, -5, 2**63 - 1, None],
    "boolean": [True, False, None],
    "date": [date(2022, 12, 28), None, date(2022, 12, 28)],
    "timestamptz": [
        datetime(2022, 12, 28, 15, 0, 0, 1, tzinfo=UTC),
        datetime(2022, 12, 28, 23, 59, tzinfo=AWAY),
        None,
        datetime(2022, 12, 28, 15, 0, 0, 1, tzinfo=UTC),
    ],
}
TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8))


@pytest.fixture
async def database(counter_database):
    opened = Database(counter_database.settings())
    yield opened
    await opened.close()


async def returned(database, kind, written):
    async with database.read() as connection:
        return (await connection.execute(text(f"SELECT CAST(CAST(:it AS text) AS {kind}[])"), {"it": written})).scalar()


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("some", [True, False])
async def test_numbers_truth_values_and_times_come_back(database, kind, some):
    values = PLAIN[kind] if some else []

    assert await returned(database, kind, plain_array(values)) == values


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("count", [1, 3])
async def test_what_all_rows_say_comes_back_for_each(database, kind, count):
    for each in PLAIN[kind]:
        assert await returned(database, kind, plain_array([each] * count)) == [each] * count


@pytest.mark.parametrize("value", ["", "NULL", 'a"b\\', None])
async def test_a_text_that_all_rows_say_comes_back_for_each(database, value):
    assert await returned(database, "text", text_array([value] * 3)) == [value] * 3


@pytest.mark.parametrize("values", [[5, 5], ["a", 5], [None, 5]])
def test_what_is_no_text_is_refused(values):
    with pytest.raises(TypeError):
        text_array(values)


@given(values=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
async def test_texts_come_back_whatever_they_say(database, values):
    assert await returned(database, "text", text_array(values)) == values


async def test_texts_that_look_like_the_notation_of_arrays_come_back(database):
    values = ["", "NULL", "a,b", '"', "\\", "{}", '","', " a ", "\n", Color.RED]

    assert await returned(database, "text", text_array(values)) == values
