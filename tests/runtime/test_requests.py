"""A request that arrives twice is done once."""

import asyncio
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import func, select

from tests.runtime.counter.running import add, refused
from tests.runtime.counter.stubs import pb
from tests.runtime.counter.tables import counter as counter_table
from tests.runtime.counter.tables import outbox, request_answer


async def written(running):
    """Return how many counters, events and answers there are."""
    async with running.database.read() as connection:
        return [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (counter_table, outbox, request_answer)
        ]


async def test_a_repeat_gets_the_first_answer_and_does_nothing(counter):
    request = add(amount=5)
    stub = counter.stub()

    first = await stub.Add(request)
    await stub.Add(add(amount=3))
    again = await stub.Add(request)

    assert (first.total, again.total) == (5, 5)
    assert counter.handlers.runs == 2
    assert (await stub.Get(pb.GetRequest(name="apples"))).total == 8


async def test_the_answer_survives_a_restart(start):
    request = add(amount=5)
    before = await start()
    await before.stub().Add(request)
    after = await start()

    assert (await after.stub().Add(request)).total == 5
    assert after.handlers.runs == 0


@pytest.mark.parametrize("changed", [{"amount": 6}, {"name": "pears"}])
async def test_the_same_id_with_another_body_is_refused(counter, changed):
    request_id = str(uuid4())
    stub = counter.stub()
    await stub.Add(add(request_id=request_id, amount=5))

    got = await refused(stub.Add(add(request_id=request_id, **{"amount": 5, **changed})))

    assert (got.code, got.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert counter.handlers.runs == 1


async def test_the_same_id_by_another_caller_is_refused(counter):
    request = add()
    await counter.stub(subject="ann").Add(request)

    got = await refused(counter.stub(subject="bob").Add(request))

    assert got.reason == "REQUEST_ID_REUSED"


async def test_an_id_is_the_same_in_any_spelling(counter):
    request_id = uuid4()
    await counter.stub().Add(add(request_id=str(request_id)))

    assert (await counter.stub().Add(add(request_id=str(request_id).upper()))).total == 1
    assert counter.handlers.runs == 1


@pytest.mark.parametrize("failure", ["rejected", "bug"])
async def test_a_failed_call_stores_nothing_and_may_be_repeated(counter, failure):
    request_id = str(uuid4())
    stub = counter.stub()
    await refused(stub.Add(add(request_id=request_id, then_fail=failure)))

    assert await written(counter) == [0, 0, 0]
    assert (await stub.Add(add(request_id=request_id, amount=2))).total == 2


async def test_change_event_and_answer_are_written_together(counter):
    await counter.stub().Add(add())

    assert await written(counter) == [1, 1, 1]


async def test_twenty_at_once_do_it_once(counter):
    request = add(amount=7)
    stub = counter.stub()
    counter.handlers.go.clear()
    calls = [asyncio.ensure_future(stub.Add(request)) for _ in range(20)]
    counter.handlers.go.set()

    assert {answer.total for answer in await asyncio.gather(*calls)} == {7}
    assert counter.handlers.runs == 1


async def test_a_call_that_was_cut_off_has_done_nothing(counter):
    stub = counter.stub()
    counter.handlers.go.clear()
    request = add(amount=7)
    got = await refused(stub.Add(request, timeout=0.2))
    counter.handlers.go.set()

    assert got.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await stub.Get(pb.GetRequest(name="apples"))).total == 0
    assert (await stub.Add(request)).total == 7


async def test_a_streamed_request_is_done_once_too(counter):
    request_id = str(uuid4())
    stub = counter.stub()

    async def requests():
        for amount in (1, 2, 3):
            yield pb.AddAllRequest(request_id=request_id, name="apples", amount=amount)

    first = await stub.AddAll(requests())
    again = await stub.AddAll(requests())

    assert (first.total, again.total) == (6, 6)
    assert counter.handlers.runs == 1
