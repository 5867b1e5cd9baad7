"""Connections of the driver's own: few, each used by one at a time, and none that is broken or busy."""

import asyncio

import pytest
from asyncpg import PostgresError

from services.runtime.drivers import Drivers, NoConnection


@pytest.fixture
def url(counter_settings):
    return counter_settings.database_url.get_secret_value()


@pytest.fixture
async def drivers(url):
    drivers = Drivers(url, connections=2, wait_s=0.1, age_s=60, options={})
    yield drivers
    await drivers.close()


async def backend(drivers):
    async with drivers.taken() as driver:
        return await driver.fetchval("SELECT pg_backend_pid()")


async def test_a_connection_is_used_again(drivers):
    assert await backend(drivers) == await backend(drivers)


async def test_an_error_in_a_statement_leaves_the_connection_as_it_was(drivers):
    first = await backend(drivers)
    with pytest.raises(PostgresError):
        async with drivers.taken() as driver, driver.transaction():
            await driver.execute("SELECT 1 / 0")

    assert await backend(drivers) == first


async def test_there_are_no_more_than_may_be(drivers):
    async with drivers.taken(), drivers.taken():
        with pytest.raises(NoConnection, match="became free"):
            await backend(drivers)
    assert await backend(drivers)


async def test_whoever_is_cancelled_leaves_no_statement_under_way(drivers):
    first, started = await backend(drivers), asyncio.Event()

    async def sleep():
        async with drivers.taken() as driver:
            started.set()
            await driver.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(sleep())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await backend(drivers) != first


async def test_a_transaction_that_was_left_open_is_not_given_to_the_next(drivers):
    first = await backend(drivers)
    async with drivers.taken() as driver:
        await driver.transaction().start()

    assert await backend(drivers) != first


async def test_old_connections_and_those_of_a_closed_pool_are_replaced(url):
    aged = Drivers(url, connections=1, wait_s=1, age_s=0, options={})
    assert await backend(aged) != await backend(aged)

    async with aged.taken() as driver:
        await aged.close()
    assert driver.is_closed()


async def test_a_database_that_is_away_gives_none(url):
    away = Drivers(url.rpartition(":")[0] + ":1/none", connections=1, wait_s=1, age_s=1, options={"timeout": 1})

    for _ in range(2):
        with pytest.raises(NoConnection, match="does not answer"):
            await backend(away)
