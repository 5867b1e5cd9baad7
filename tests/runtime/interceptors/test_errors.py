"""Every error becomes a status that says what to do."""

import pytest
from grpc import StatusCode

from evenkeel.common.v1.error_reason_pb2 import ErrorReason
from services.kernel.errors import Fact, FieldViolation, Invalid
from tests.runtime.counter.running import HOUR, add, refused
from tests.runtime.counter.service import FAILURES
from tests.runtime.counter.stubs import pb


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("invalid", StatusCode.INVALID_ARGUMENT, "BOOK_INVALID"),
        ("not_found", StatusCode.NOT_FOUND, "PLAN_NOT_FOUND"),
        ("duplicate", StatusCode.ALREADY_EXISTS, "POLICY_NODE_EXISTS"),
        ("rejected", StatusCode.FAILED_PRECONDITION, "PLAN_EXPIRED"),
        ("conflict", StatusCode.ABORTED, "VERSION_CONFLICT"),
        ("denied", StatusCode.PERMISSION_DENIED, "SELF_APPROVAL"),
        ("overloaded", StatusCode.RESOURCE_EXHAUSTED, "LOG_BACKPRESSURE"),
        ("unreachable", StatusCode.UNAVAILABLE, "VENUE_UNREACHABLE"),
        ("corrupt", StatusCode.DATA_LOSS, "LOG_ROOT_MISMATCH"),
    ],
)
async def test_a_fact_is_answered_with_its_code_reason_and_facts(counter, kind, code, reason):
    got = await refused(counter.stub().Fail(pb.FailRequest(kind=kind)))

    assert (got.code, got.reason, got.message) == (code, reason, f"it is {reason}")
    assert got.info.domain == "evenkeel"
    assert got.info.metadata["limit"] == "3"


async def test_invalid_says_which_field_and_overloaded_says_when(counter):
    invalid = await refused(counter.stub().Fail(pb.FailRequest(kind="invalid")))
    overloaded = await refused(counter.stub().Fail(pb.FailRequest(kind="overloaded")))

    assert invalid.fields == {"lots[3]": "must be 0, was 1"}
    assert overloaded.retry.retry_delay.ToMilliseconds() == 2500


async def test_a_fault_of_ours_tells_the_trace_and_nothing_else(recorded, counter, capsys):
    got = await refused(counter.stub().Fail(pb.FailRequest(kind="bug")))

    assert (got.code, got.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert got.info.metadata["trace_id"] in got.message
    assert "secret" not in got.message
    assert "ZeroDivisionError: the secret is 42" in capsys.readouterr().out


async def test_a_stream_that_fails_midway_gives_what_it_had_and_the_reason(counter):
    call = counter.stub().Watch(pb.WatchRequest(up_to=2, then_fail="rejected"))

    assert [(await call.read()).number, (await call.read()).number] == [1, 2]
    assert (await refused(call.read())).reason == "PLAN_EXPIRED"


async def test_the_service_serves_on_after_each_error(counter):
    stub = counter.stub()
    for kind in ("bug", "corrupt", "invalid"):
        await refused(stub.Fail(pb.FailRequest(kind=kind)))

    assert (await stub.Add(add(amount=2))).total == 2


async def test_a_method_that_does_not_exist_says_so(counter):
    call = counter.bare_channel().unary_unary("/evenkeel.countertest.v1.CounterService/Nothing")

    got = await refused(call(b""))

    assert (got.code, got.reason) == (StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")


async def test_bytes_that_are_no_message_are_answered_and_harm_nothing(counter):
    call = counter.bare_channel().unary_unary("/evenkeel.countertest.v1.CounterService/Get")
    token = counter.issuer.token("ann", ["policy_author"], HOUR)

    got = await refused(call(b"\xff\xff\xff", metadata=(("authorization", f"Bearer {token}"),)))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert (await counter.stub().Get(pb.GetRequest(name="apples"))).total == 0


@pytest.mark.parametrize("letter", ["x", "é", "語"])
async def test_a_status_never_outgrows_the_metadata_that_carries_it(counter, letter):
    long = letter * 10_000
    FAILURES["huge"] = lambda: Invalid(
        long, violations=[FieldViolation(f"lots[{row}]", long) for row in range(100)], **dict.fromkeys("abcdefgh", long)
    )

    got = await refused(counter.stub().Fail(pb.FailRequest(kind="huge")))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert got.message.startswith(letter * 100)
    assert "lots[0]" in got.fields


def test_every_reason_of_the_runtime_is_in_the_contract():
    def below(kind):
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    ours = {kind.reason for kind in below(Fact) if kind.__module__.startswith("services.") and hasattr(kind, "reason")}

    assert {f"ERROR_REASON_{reason}" for reason in ours} <= set(ErrorReason.keys())
