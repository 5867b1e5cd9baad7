"""Arrays as PostgreSQL sends them: what is read is what was put, and what columns cannot say is not read."""

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import text

from services.decision.domain.tax.batch.array_bytes import days, numbers, texts, whole_numbers
from services.runtime.database import Database


@pytest.fixture
async def sent(service_database):
    """Return the bytes of an array that is an expression of SQL."""
    database = Database((await service_database("decision")).settings())

    async def bytes_of(*arrays):
        async with database.read() as connection:
            return [(await connection.execute(text(f"SELECT array_send({each})"))).scalar_one() for each in arrays]

    yield bytes_of
    await database.close()


async def test_numbers_of_any_size_are_read_exactly(sent):
    values = ["0", "0.00", "0.000001", "-0.000001", "1", "10000", "9999.9999", "10000.0001", "123456789012.654321",
              "-99999999.5", "1e11", "20000.000000", "0.010000000"]  # fmt: skip
    arrays = await sent(f"ARRAY[{', '.join(values)}]::numeric[]", "'{}'::numeric[]", "ARRAY[7]::numeric[]")
    read = numbers(arrays, 6)

    assert read.readable.all()
    assert read.starts.tolist() == [0, len(values), len(values), len(values) + 1]
    assert read.values.tolist() == [int(Decimal(each).scaleb(6)) for each in (*values, "7")]


@pytest.mark.parametrize(
    "array",
    [
        "ARRAY[1, 0.0000001]", "ARRAY[1, 1e13]", "ARRAY[1, 'NaN']", "ARRAY[1, 'Infinity']", "ARRAY[1, NULL]",
        "ARRAY[[1, 2], [3, 4]]", "ARRAY[1, 1e100]", "ARRAY[1, 1e-100]",
    ],
)  # fmt: skip
async def test_what_is_no_such_number_makes_its_own_array_unreadable_and_no_other(sent, array):
    read = numbers(await sent("ARRAY[5]::numeric[]", f"({array})::numeric[]", "ARRAY[6]::numeric[]"), 6)

    assert read.readable.tolist() == [True, False, True]
    assert (read.values[read.starts[0]], read.values[read.starts[2]]) == (5_000_000, 6_000_000)


async def test_days_whole_numbers_and_texts_are_read(sent):
    dates = ["1900-01-01", "1999-12-31", "2000-01-01", "2024-02-29"]
    in_sql = ", ".join(f"'{each}'" for each in dates)
    assert days(await sent(f"ARRAY[{in_sql}]::date[]")).values.tolist() == [
        date.fromisoformat(each).toordinal() for each in dates
    ]
    assert whole_numbers(await sent("ARRAY[-2147483648, -1, 0, 2147483647]")).values.tolist() == [
        -(2**31), -1, 0, 2**31 - 1,
    ]  # fmt: skip
    read = texts(await sent("ARRAY['', 'a', 'Zürich 日本']", "ARRAY['b', NULL]"))
    assert [read.text(row) for row in range(3)] == ["", "a", "Zürich 日本"]
    assert read.readable.tolist() == [True, False]


def test_bytes_that_are_no_array_are_not_read():
    cut = bytes.fromhex("00000001 00000000 000006a4 00000002 00000001 00000008 0001")
    for broken in (b"", b"\0" * 11, cut, cut[:20]):
        assert not numbers([broken], 2).readable.any()
