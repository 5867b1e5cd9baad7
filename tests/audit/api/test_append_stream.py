"""Appending as a stream: in order, answered message by message, and never faster than the log."""

import asyncio

import asyncpg
import grpc
import pytest

from evenkeel.audit.v1 import audit_service_pb2 as pb
from tests.audit.api.conftest import message_of
from tests.audit.api.test_audit_service import opened, refused, until
from tests.audit.builders import an_event, some_events
from tests.audit.check_log import check_log


def message(*events, log=""):
    return pb.AppendStreamRequest(events=map(message_of, events), log=log)


async def test_messages_are_appended_and_answered_in_their_order(service):
    batches = [some_events(1 + number % 3, f"batch {number}") for number in range(40)]

    answers = [answer async for answer in service.producer.AppendStream(message(*batch) for batch in batches)]

    assert [len(answer.results) for answer in answers] == [len(batch) for batch in batches]
    indexes = [result.index for answer in answers for result in answer.results]
    assert indexes == list(range(len(indexes)))
    assert all(answer.checkpoint.size > answer.results[-1].index for answer in answers)
    assert opened(answers[-1].checkpoint).size == len(indexes)
    assert [entry.event for entry in await check_log(service.reader)] == [each for batch in batches for each in batch]


async def test_a_stream_that_is_repeated_changes_nothing(service):
    batches = [some_events(5, f"batch {number}") for number in range(6)]
    first = [answer async for answer in service.producer.AppendStream(message(*batch) for batch in batches)]

    again = [answer async for answer in service.producer.AppendStream(message(*batch) for batch in batches)]

    assert [[r.index for r in a.results] for a in again] == [[r.index for r in a.results] for a in first]
    assert {r.status for a in again for r in a.results} == {pb.AppendResult.STATUS_DUPLICATE}
    assert len(await check_log(service.reader)) == 30


@pytest.mark.parametrize(
    ("bad", "code", "reason"),
    [
        (message(), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (message(an_event("x", producer="policy")), grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"),
        (message(an_event("x"), log="access"), grpc.StatusCode.PERMISSION_DENIED, "LOG_RESERVED"),
        (message(an_event("x"), log="nowhere"), grpc.StatusCode.NOT_FOUND, "LOG_UNKNOWN"),
    ],
)
async def test_the_first_refused_message_ends_the_stream_and_those_before_it_are_answered(service, bad, code, reason):
    call = service.producer.AppendStream(iter([message(an_event("a")), message(an_event("b")), bad]))
    answers = []

    async with refused(code, reason):
        while True:
            answers.append((await call.read()).results[0].index)

    assert answers == [0, 1]
    assert len(await check_log(service.reader)) == 2


async def test_a_log_that_cannot_follow_makes_the_sender_wait(service, audit_database):
    owner = await asyncpg.connect(audit_database.owner_url)
    sent = 0

    async def messages():
        nonlocal sent
        for number in range(60):
            yield message(*some_events(1, f"message {number}"))
            sent += 1

    async with owner.transaction():
        # No commit can end while this lock is held.
        await owner.execute("lock table audit.event_key in share mode")
        call = service.producer.AppendStream(messages())
        await until(lambda: service.sequencer.committing and service.sequencer.queued_events >= 7)
        await asyncio.sleep(0.05)
        # What one stream has in the log's queue is bounded.
        assert service.sequencer.queued_events <= 8
    answers = [answer async for answer in call]
    await owner.close()

    assert len(answers) == sent == 60


async def test_a_sender_that_goes_away_takes_nothing_else_with_it(service):
    call = service.producer.AppendStream(iter([message(an_event("a"))]))
    await call.read()
    call.cancel()

    await service.append(an_event("b"))

    assert [entry.event.data for entry in await check_log(service.reader)] == [an_event("a").data, an_event("b").data]
