"""Admission, deadlines and sizes: a service that is asked too much says so and serves on."""

import asyncio

import grpc
import pytest
from grpc import StatusCode

from tests.runtime.counter.running import HOUR, add, refused, until
from tests.runtime.counter.stubs import pb
from tests.support.refusals import Refused

RUNNING_QUERIES = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"


async def test_one_call_too_many_is_told_when_to_come_back(start):
    counter = await start(concurrent_calls_max=2)
    stub = counter.stub()
    counter.handlers.go.clear()
    first = [asyncio.ensure_future(stub.Add(add())) for _ in range(2)]
    await until(lambda: counter.handlers.runs == 2)

    got = await refused(stub.Get(pb.GetRequest()))
    counter.handlers.go.set()
    await asyncio.gather(*first)

    assert (got.code, got.reason) == (StatusCode.RESOURCE_EXHAUSTED, "CALLS_EXCEED_LIMIT")
    assert got.retry.retry_delay.ToMilliseconds() == 1000
    assert (await stub.Get(pb.GetRequest(name="apples"))).total == 2


@pytest.mark.parametrize("write", [False, True])
async def test_a_deadline_that_passes_ends_the_query_too(counter, write):
    got = await refused(counter.stub().Sleep(pb.SleepRequest(seconds=60, write=write), timeout=0.3))

    assert got.code is StatusCode.DEADLINE_EXCEEDED
    async with counter.database.dedicated() as connection:
        await until(lambda: _none_runs(connection))
    assert (await counter.stub().Get(pb.GetRequest())).total == 0
    assert counter.database.connections_in_use == 0


async def _none_runs(connection):
    return (await connection.exec_driver_sql(RUNNING_QUERIES)).scalar_one() == 0


async def test_a_caller_that_hangs_up_ends_the_query_too(counter):
    call = counter.stub().Sleep(pb.SleepRequest(seconds=60))
    waiting = asyncio.ensure_future(call)
    await counter.handlers.sleeping.wait()
    waiting.cancel()

    async with counter.database.dedicated() as connection:
        await until(lambda: _none_runs(connection))


async def test_a_call_without_deadline_gets_ours(start):
    counter = await start(call_s_max=0.3)
    token = counter.issuer.token("ann", ["policy_author"], HOUR)
    call = counter.bare_channel().unary_unary(
        "/evenkeel.countertest.v1.CounterService/Sleep", pb.SleepRequest.SerializeToString, pb.SleepResponse.FromString
    )

    got = await refused(call(pb.SleepRequest(seconds=60), metadata=(("authorization", f"Bearer {token}"),)))

    assert (got.code, got.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED")


async def test_a_message_that_is_too_large_is_refused_and_harms_nothing(start):
    counter = await start(message_bytes_max=64 * 1024)
    stub = counter.stub()

    got = await refused(stub.Get(pb.GetRequest(name="x" * 100_000)))

    assert got.code is StatusCode.RESOURCE_EXHAUSTED
    assert (await stub.Get(pb.GetRequest())).total == 0


async def test_a_pool_that_is_used_up_is_unavailable_and_recovers(start):
    counter = await start(database_pool_size=1, database_pool_wait_s=0.2)
    stub = counter.stub()
    sleeping = asyncio.ensure_future(stub.Sleep(pb.SleepRequest(seconds=60), timeout=1.5))
    await counter.handlers.sleeping.wait()

    got = await refused(stub.Get(pb.GetRequest()))
    assert (got.code, got.reason) == (StatusCode.UNAVAILABLE, "DATABASE_UNREACHABLE")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sleeping
    assert Refused(caught.value).code is StatusCode.DEADLINE_EXCEEDED
    assert (await stub.Get(pb.GetRequest())).total == 0
