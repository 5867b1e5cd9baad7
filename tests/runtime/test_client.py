"""Calls carry a deadline, an identity and the trace; errors say what to do; what is harmless is tried again."""

import asyncio
import gc
import json
from uuid import uuid4

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc import StatusCode

from services.kernel.errors import Conflict, Corrupt, Duplicate, Invalid, NotFound, Overloaded, Rejected, Unreachable
from services.runtime.client import PeerFault, PeerUnreachable, connect, peer_errors
from services.runtime.client.channel import RECONNECT_MS_MIN, service_config
from services.runtime.context import Call, Method, continued, serving
from services.runtime.credentials import ClientCredentials
from services.runtime.deadlines import DeadlinePassed
from tests.runtime.counter.running import add, refused
from tests.runtime.counter.service import FULL_NAME
from tests.runtime.counter.stubs import pb, rpc
from tests.support.tcp_proxy import TcpProxy

GET = f"/{FULL_NAME}/Get"


class Peer(grpc.GenericRpcHandler):
    """Answers any unary method, and remembers what came with each call."""

    def __init__(self):
        self.seen = []
        self.failures = []

    def service(self, details):
        async def answer(request, context):
            self.seen.append((details.method, context.time_remaining(), dict(context.invocation_metadata())))
            if self.failures:
                await context.abort(self.failures.pop(0), "not now")
            return StringValue(value="done")

        return grpc.unary_unary_rpc_method_handler(
            answer, lambda data: data, lambda message: message.SerializeToString()
        )


@pytest.fixture
async def peer():
    peer = Peer()
    server = grpc.aio.server(handlers=[peer])
    peer.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield peer
    await server.stop(None)


@pytest.fixture
async def to(peer):
    """Make a channel to the peer."""
    made = []

    def one(**options):
        made.append(connect(f"127.0.0.1:{peer.port}", services=[FULL_NAME], **options))
        return made[-1]

    yield one
    for channel in made:
        await channel.close()


def get(channel, **options):
    call = channel.unary_unary(GET, lambda message: message.SerializeToString(), StringValue.FromString)
    return call(StringValue(), **options)


def a_call(seconds):
    method = Method(GET, "policy.read", StringValue, StringValue)
    call = Call(method, None, None)
    call.deadline_s = asyncio.get_running_loop().time() + seconds
    return call


async def test_a_peer_that_is_slow_to_greet_is_waited_for(peer):
    proxy = await TcpProxy("127.0.0.1", peer.port).start()
    proxy.hold(until=b"what nobody sends")
    channel = connect(f"127.0.0.1:{proxy.port}")
    asyncio.get_running_loop().call_later(5 * RECONNECT_MS_MIN / 1000, proxy.release)

    assert (await get(channel)).value == "done"

    await channel.close()
    await proxy.stop()


async def test_every_call_has_a_deadline_that_its_server_sees(peer, to):
    await get(to(call_s=7))
    await get(to(), timeout=3)

    assert [round(remaining) for _, remaining, _ in peer.seen] == [7, 3]


async def test_a_call_made_while_serving_ends_before_the_call_served(peer, to):
    with serving(a_call(2)):
        await get(to(call_s=30))

    assert peer.seen[0][1] < 1.95


async def test_nothing_is_asked_when_no_time_is_left(peer, to):
    with serving(a_call(0.01)), pytest.raises(DeadlinePassed):
        await get(to())

    assert peer.seen == []


async def test_the_token_is_the_one_in_the_file_now(peer, to, tmp_path, monkeypatch):
    monkeypatch.setattr("services.runtime.credentials.LOOK_AGAIN_S", 0)
    token = tmp_path / "token"
    token.write_text("first\n")
    channel = to(credentials=ClientCredentials(token_file=token))
    await get(channel)
    token.write_text("second, longer\n")
    await get(channel)

    assert [metadata["authorization"] for _, _, metadata in peer.seen] == ["Bearer first", "Bearer second, longer"]


async def test_the_trace_goes_with_the_call(peer, to, recorded):
    with continued(None, "work") as span:
        await get(to())
        trace_id = format(span.get_span_context().trace_id, "032x")

    (client,) = recorded.named(GET[1:])
    assert peer.seen[0][2]["traceparent"].startswith(f"00-{trace_id}-{client.context.span_id:016x}-")
    assert client.attributes["rpc.response.status_code"] == "OK"
    assert ("OK", GET[1:]) in {
        (labels["rpc.response.status_code"], labels["rpc.method"])
        for labels, _ in recorded.points("rpc.client.call.duration")
    }


async def test_a_call_that_failed_is_measured_as_failed(peer, to, recorded):
    peer.failures = [StatusCode.INTERNAL]
    await refused(get(to()))

    (client,) = recorded.named(GET[1:])
    assert client.attributes["error.type"] == "INTERNAL"
    assert not client.status.is_ok


async def test_a_harmless_call_is_tried_again(peer, to):
    peer.failures = [StatusCode.UNAVAILABLE] * 2

    assert (await get(to())).value == "done"
    assert len(peer.seen) == 3


async def test_a_call_that_may_have_done_something_is_not(peer, to):
    peer.failures = [StatusCode.UNAVAILABLE]
    call = to().unary_unary(f"/{FULL_NAME}/Sleep", lambda _: b"", StringValue.FromString)

    got = await refused(call(StringValue()))

    assert got.code is StatusCode.UNAVAILABLE
    assert len(peer.seen) == 1


def test_reads_and_changes_with_a_request_id_are_tried_again():
    (policy,) = json.loads(service_config([FULL_NAME, "evenkeel.audit.v1.AuditService"]))["methodConfig"]
    harmless = {name["method"] for name in policy["name"] if name["service"] == FULL_NAME}

    assert harmless == {"Add", "AddAll", "Get", "Watch"}
    assert "Append" in {name["method"] for name in policy["name"]}
    assert policy["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


@pytest.mark.parametrize(
    ("kind", "fact", "reason"),
    [
        ("invalid", Invalid, "BOOK_INVALID"),
        ("not_found", NotFound, "PLAN_NOT_FOUND"),
        ("duplicate", Duplicate, "POLICY_NODE_EXISTS"),
        ("rejected", Rejected, "PLAN_EXPIRED"),
        ("conflict", Conflict, "VERSION_CONFLICT"),
        ("overloaded", Overloaded, "LOG_BACKPRESSURE"),
        ("unreachable", Unreachable, "PEER_UNREACHABLE"),
        ("corrupt", Corrupt, "LOG_ROOT_MISMATCH"),
    ],
)
async def test_a_fact_of_a_peer_stays_a_fact(counter, kind, fact, reason):
    with pytest.raises(fact) as caught, peer_errors("counter"):
        await counter.stub().Fail(pb.FailRequest(kind=kind))

    assert caught.value.reason == reason
    assert caught.value.facts["peer"] == "counter"


async def test_what_helps_to_act_comes_with_the_fact(counter):
    with pytest.raises(Invalid) as invalid, peer_errors("counter"):
        await counter.stub().Fail(pb.FailRequest(kind="invalid"))
    with pytest.raises(Overloaded) as overloaded, peer_errors("counter"):
        await counter.stub().Fail(pb.FailRequest(kind="overloaded"))

    assert [violation.field for violation in invalid.value.violations] == ["lots[3]"]
    assert overloaded.value.retry_after_s == 2.5


@pytest.mark.parametrize("kind", ["bug", "denied"])
async def test_that_a_peer_fails_or_refuses_us_is_no_fact_of_our_caller(counter, kind):
    with pytest.raises(PeerFault, match="counter answered"), peer_errors("counter"):
        await counter.stub().Fail(pb.FailRequest(kind=kind))


async def test_a_peer_that_is_not_there_is_unreachable(tmp_path):
    channel = connect(f"unix:{tmp_path}/nobody", services=[FULL_NAME], call_s=2)
    with pytest.raises(PeerUnreachable, match="counter does not answer"), peer_errors("counter"):
        await rpc.CounterServiceStub(channel).Get(pb.GetRequest())
    await channel.close()


async def test_all_four_kinds_of_calls_go_through(counter, recorded):
    stub = counter.stub()
    request_id = str(uuid4())

    async def adds():
        for amount in (1, 2):
            yield pb.AddAllRequest(request_id=request_id, name="apples", amount=amount)

    async def echoes():
        for text in ("a", "b"):
            yield pb.EchoRequest(text=text)

    assert (await stub.Add(add(amount=4))).total == 4
    assert (await stub.AddAll(adds())).total == 7
    assert [answer.number async for answer in stub.Watch(pb.WatchRequest(up_to=3))] == [1, 2, 3]
    assert [answer.text async for answer in stub.Echo(echoes())] == ["a", "b"]
    for name in ("Add", "AddAll", "Watch", "Echo"):
        spans = recorded.named(f"{FULL_NAME}/{name}")
        assert sorted(span.kind.name for span in spans) == ["CLIENT", "SERVER"], name
        assert len({span.context.trace_id for span in spans}) == 1


def left_early(recorded):
    labels = {"rpc.method": f"{FULL_NAME}/Watch", "rpc.response.status_code": "CANCELLED"}
    return sum(count for given, count in recorded.points("rpc.client.call.duration") if labels.items() <= given.items())


async def test_a_stream_that_is_left_early_is_measured_and_ended(counter, recorded):
    call = counter.stub().Watch(pb.WatchRequest(up_to=1_000_000))
    assert (await call.read()).number == 1
    call.cancel()
    await call.code()

    left = [span for span in recorded.named(f"{FULL_NAME}/Watch") if span.kind.name == "CLIENT"]
    assert [span.attributes["rpc.response.status_code"] for span in left] == ["CANCELLED"]
    # What reads the answers ends later, when memory is collected, and is not counted again.
    counted = left_early(recorded)
    del call
    gc.collect()
    await asyncio.sleep(0)
    assert left_early(recorded) == counted > 0
    assert (await counter.stub().Get(pb.GetRequest())).total == 0
