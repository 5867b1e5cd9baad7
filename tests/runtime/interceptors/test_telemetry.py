"""Every call is a span and a duration, named as the conventions say."""

import asyncio

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.trace import SpanKind

from services.runtime.context import continued
from tests.runtime.counter.running import add, refused, until
from tests.runtime.counter.service import FULL_NAME
from tests.runtime.counter.stubs import pb


def of_server(recorded, method):
    return [span for span in recorded.named(f"{FULL_NAME}/{method}") if span.kind is SpanKind.SERVER]


async def the_call(recorded, method):
    """Return the server's span of the only call; it ends after its caller has the answer."""
    await until(lambda: of_server(recorded, method))
    (span,) = of_server(recorded, method)
    return span


async def test_a_call_is_a_span_of_its_callers_trace(counter, recorded):
    with continued(None, "work") as work:
        await counter.stub().Get(pb.GetRequest())

    span = await the_call(recorded, "Get")
    assert span.context.trace_id == work.get_span_context().trace_id
    assert dict(span.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{FULL_NAME}/Get",
        "rpc.response.status_code": "OK",
    }


@pytest.mark.parametrize(
    ("kind", "code", "fault"),
    [("rejected", "FAILED_PRECONDITION", False), ("bug", "INTERNAL", True), ("unreachable", "UNAVAILABLE", True)],
)
async def test_only_our_faults_mark_the_span_as_failed(counter, recorded, kind, code, fault):
    await refused(counter.stub().Fail(pb.FailRequest(kind=kind)))

    span = await the_call(recorded, "Fail")
    assert span.attributes["rpc.response.status_code"] == code
    assert (not span.status.is_ok) == fault
    assert span.attributes.get("error.type") == (code if fault else None)
    labels = {"rpc.system.name": "grpc", "rpc.method": f"{FULL_NAME}/Fail", "rpc.response.status_code": code}
    assert any(labels.items() <= found.items() for found, _ in recorded.points("rpc.server.call.duration"))


async def test_a_call_that_its_caller_gave_up_is_counted_so(counter, recorded):
    call = asyncio.ensure_future(counter.stub().Sleep(pb.SleepRequest(seconds=60)))
    await counter.handlers.sleeping.wait()
    call.cancel()

    # The server notices in its own time.
    assert (await the_call(recorded, "Sleep")).attributes["rpc.response.status_code"] == "CANCELLED"


async def test_statements_are_spans_within_the_call_without_any_value(counter, recorded):
    await counter.stub().Add(add(name="secret apples"))

    call = await the_call(recorded, "Add")
    statements = [span for span in recorded.spans if span.attributes.get("db.system.name")]
    assert {span.context.trace_id for span in statements} == {call.context.trace_id}
    assert {"INSERT counter", "INSERT outbox", "INSERT request_answer", "SELECT request_answer"} <= {
        span.name for span in statements
    }
    assert "secret" not in "".join(str(dict(span.attributes)) for span in statements)


async def test_health_checks_leave_no_spans(counter, recorded):
    await health_pb2_grpc.HealthStub(counter.bare_channel()).Check(health_pb2.HealthCheckRequest())

    assert [span for span in recorded.spans if "Health" in span.name] == []
