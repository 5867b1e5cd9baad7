"""The service trades over FIX, people see it, and no one person resets a session."""

from uuid import uuid4

import grpc
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from evenkeel.execution.v1 import execution_service_pb2 as execution
from evenkeel.execution.v1 import fix_service_pb2 as pb
from evenkeel.execution.v1.fix_service_pb2_grpc import FixServiceStub
from services.execution.venues.fix44 import watch
from tests.execution.builders import a_plan, a_trade
from tests.execution.venues.fix_cases import until
from tests.support.keyboard import Keyboard
from tests.support.refusals import refused
from tests.support.telemetry import Recorded
from tools.client.profile import SERVICES, Profile
from tools.local.broker import free_port

ORDERS = "FIX.4.4:EVENKEEL->SANDBOX"
CLIENT = "FIX.4.4:SANDBOX->EVENKEEL"


@pytest.fixture
async def running(start):
    """Execution that trades at its own sandbox, over FIX through its own port."""
    port = free_port()
    service = await start(
        venue="fix44",
        fix_host="127.0.0.1",
        fix_port=port,
        fix_target_comp_id="SANDBOX",
        sandbox_fix_port=port,
        outside_session="SEND",
    )
    await until(lambda: is_up(service))
    return service


def fix_as(service, who="trader"):
    return FixServiceStub(service.channel(who))


async def sessions(service):
    found = await fix_as(service).ListFixSessions(pb.ListFixSessionsRequest())
    return {each.session: each for each in found.sessions}


async def is_up(service):
    found = await sessions(service)
    return set(found) == {ORDERS, CLIENT} and all(each.up for each in found.values())


async def messages(service, session=ORDERS, **which):
    return (await fix_as(service).ListFixMessages(pb.ListFixMessagesRequest(session=session, **which))).messages


async def test_a_plan_is_traded_over_fix_and_the_books_agree(running):
    await running.market(VTI=100, BND=50, fee_bps="1", share="0.4")
    await running.submit(a_plan(a_trade(quantity=10), a_trade("BND", quantity=20, price=50)))
    reports = await running.closed(2)

    allocated = [each.allocation for each in reports if each.WhichOneof("content") == "allocation"]
    assert sorted(each.quantity.value for each in allocated) == ["10", "20"]
    breaks = await running.as_("trader").ListBreaks(execution.ListBreaksRequest())
    assert not breaks.breaks
    sent = [each for each in await messages(running) if each.msg_type == "D"]
    assert sorted(field.value for each in sent for field in each.fields if field.name == "Symbol") == ["BND", "VTI"]

    # The broker is told who got what, and says that it books it.
    blocks = {each.block_id for each in allocated}
    await until(lambda: booked(running, blocks))
    said = await messages(running, page_size=1000)
    assert [sum(each.msg_type == kind for each in said) for kind in ("J", "P", "AS")] == [2, 2, 2]
    (told,) = (await running.as_("trader").GetBlock(execution.GetBlockRequest(block_id=min(blocks)))).instructions
    about = await messages(running, value=told.allocation_id)
    assert {each.name for each in about} == {
        "AllocationInstruction",
        "AllocationInstructionAck",
        "AllocationReport",
    }


async def booked(service, blocks):
    """Return whether the venue books the shares of all these blocks."""
    found = [await service.as_("trader").GetBlock(execution.GetBlockRequest(block_id=each)) for each in blocks]
    accepted = execution.AllocationInstruction.STATE_ACCEPTED
    return all([told.state for told in each.instructions] == [accepted] for each in found)


async def test_messages_are_shown_with_names_and_found_by_what_they_say(running):
    await running.market(VTI=100)
    await running.submit(a_plan(a_trade(quantity=10)))
    await running.closed(1)

    (order,) = await messages(running, msg_type="D")
    fields = {each.name: each.value for each in order.fields}
    assert (order.name, order.direction) == ("NewOrderSingle", pb.FixMessage.DIRECTION_OUT)
    assert (fields["Side"], fields["OrderQty"], fields["Symbol"]) == ("1", "10", "VTI")
    about = await messages(running, value=fields["ClOrdID"])
    assert {"NewOrderSingle", "ExecutionReport"} <= {each.name for each in about}
    assert [each.time.ToDatetime() for each in about] == sorted(
        (each.time.ToDatetime() for each in about), reverse=True
    )
    assert not await messages(running, value="no such id")


async def test_messages_come_in_pages_without_a_gap(running):
    await running.market(VTI=100, share="0.1")
    await running.submit(a_plan(a_trade(quantity=10)))
    await running.closed(1)
    everything = [(each.direction, each.number) for each in await messages(running, page_size=1000)]

    paged, token = [], ""
    while True:
        request = pb.ListFixMessagesRequest(session=ORDERS, page_size=3, page_token=token)
        page = await fix_as(running).ListFixMessages(request)
        paged += [(each.direction, each.number) for each in page.messages]
        token = page.next_page_token
        if not token:
            break
    assert paged[-len(everything) :] == everything or paged == everything


async def test_two_persons_begin_a_session_anew(running):
    propose = pb.ProposeFixResetRequest(request_id=str(uuid4()), session=ORDERS, reason="The broker lost its store.")
    reset = (await fix_as(running).ProposeFixReset(propose)).reset
    assert (await fix_as(running).ProposeFixReset(propose)).reset == reset
    assert [each.reset_id for each in (await sessions(running))[ORDERS].open_resets] == [reset.reset_id]

    approve = pb.ApproveFixResetRequest(request_id=str(uuid4()), reset_id=reset.reset_id)
    approved = (await fix_as(running, "risk").ApproveFixReset(approve)).reset
    assert (approved.state, approved.approver) == (pb.FixReset.STATE_APPROVED, "risk")

    async def anew():
        found = await sessions(running)
        return all(each.generation == 1 and each.up and not each.open_resets for each in found.values())

    await until(anew)
    # What came before is still there, and trading goes on.
    await running.market(VTI=100)
    await running.submit(a_plan(a_trade(quantity=10)))
    await running.closed(1)
    assert {each.generation for each in await messages(running, heartbeats=True)} == {0, 1}


async def test_nobody_approves_a_reset_of_their_own(running):
    propose = pb.ProposeFixResetRequest(request_id=str(uuid4()), session=ORDERS, reason="Because.")
    reset = (await fix_as(running, "both").ProposeFixReset(propose)).reset
    approve = pb.ApproveFixResetRequest(request_id=str(uuid4()), reset_id=reset.reset_id)

    got = await refused(fix_as(running, "both").ApproveFixReset(approve))
    assert (got.code, got.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_RESET")
    got = await refused(fix_as(running, "trader").ApproveFixReset(approve))
    assert (got.code, got.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


async def test_what_does_not_exist_is_named(running):
    got = await refused(fix_as(running).ListFixMessages(pb.ListFixMessagesRequest(session="nobody")))
    assert (got.code, got.reason) == (grpc.StatusCode.NOT_FOUND, "FIX_SESSION_NOT_FOUND")
    assert ORDERS in got.message
    approve = pb.ApproveFixResetRequest(request_id=str(uuid4()), reset_id="none")
    got = await refused(fix_as(running, "risk").ApproveFixReset(approve))
    assert (got.code, got.reason) == (grpc.StatusCode.NOT_FOUND, "FIX_RESET_NOT_FOUND")


async def test_who_may_not_read_is_refused(running):
    got = await refused(fix_as(running, "author").ListFixMessages(pb.ListFixMessagesRequest(session=ORDERS)))
    assert got.reason == "ROLE_MISSING"


@pytest.fixture
def evenkeel(running, tmp_path):
    """Type a command at the service that trades over FIX: `await evenkeel("fix", "status")`."""
    address = running.address
    tokens = {}
    for name in ("trader", "risk_officer"):
        tokens[name] = tmp_path / name
        tokens[name].write_text(running.token(name, [name]))
    profile = Profile(dict.fromkeys(SERVICES, address), token_files=tokens)
    profile.save(tmp_path / "profile.toml")
    return Keyboard(tmp_path, {"EVENKEEL_PROFILE": str(tmp_path / "profile.toml")})


async def test_commands_show_sessions_and_messages_and_two_persons_reset(running, evenkeel):
    await running.market(VTI=100)
    await running.submit(a_plan(a_trade(quantity=10)))
    await running.closed(1)

    status = await evenkeel("fix", "status")
    assert (status.code, status.out.count("up")) == (0, 2), status.err
    assert ORDERS in status.out
    assert CLIENT in status.out

    log = await evenkeel("fix", "log", ORDERS, "--type", "D")
    assert log.code == 0, log.err
    assert "NewOrderSingle" in log.out
    assert "Symbol=VTI" in log.out
    name = log.out.partition("ClOrdID=")[2].split()[0]
    about = await evenkeel("fix", "log", ORDERS, "--value", name, "-n", "100", "--raw")
    assert f"|11={name}|" in about.out
    assert "|35=8|" in about.out
    assert "|49=EVENKEEL|" in about.out
    unnamed = await evenkeel("fix", "log")
    assert unnamed.code != 0
    assert "name a session" in unnamed.err

    asked = await evenkeel("--json", "fix", "reset", ORDERS, "--reason", "The broker lost its store.")
    assert asked.code == 0, asked.err
    reset = asked.json["reset"]["reset_id"]
    assert f"reset {reset} of {ORDERS}: " in (await evenkeel("fix", "status")).out
    alone = await evenkeel("--as", "trader", "fix", "approve", reset)
    assert alone.code == 1
    assert "ROLE_MISSING" in alone.err
    approved = await evenkeel("fix", "approve", reset)
    assert (approved.code, ORDERS in approved.out) == (0, True), approved.err

    async def anew():
        found = (await sessions(running))[ORDERS]
        return found.generation == 1 and found.up and not found.open_resets

    await until(anew)


@pytest.fixture
def recorded(monkeypatch):
    """What is measured of the service that starts after it, and of no other of this process."""
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(watch, "meter", lambda: meters.get_meter("evenkeel"))
    exporter = InMemorySpanExporter()
    yield Recorded(exporter, reader)
    meters.shutdown()


async def test_each_session_is_measured(recorded, running):
    await running.market(VTI=100)
    await running.submit(a_plan(a_trade(quantity=10)))
    await running.closed(1)

    def measured(metric, session=ORDERS):
        points = recorded.points(f"evenkeel.fix.session.{metric}")
        (value,) = [value for labels, value in points if labels["evenkeel.fix.session"] == session]
        return value

    assert measured("up") == measured("up", CLIENT) == 1
    logged = await messages(running, heartbeats=True, page_size=1000)
    out = sum(each.direction == pb.FixMessage.DIRECTION_OUT for each in logged)
    assert measured("messages.out") >= out >= 2
    assert measured("messages.in") >= len(logged) - out >= 3
    assert measured("messages.in", CLIENT) >= out
    assert measured("bytes.out") > 100
    assert measured("bytes.in") > 300
    assert 1 <= measured("turns") <= measured("messages.out") + measured("messages.in") + 1
    assert measured("garbled") == measured("resent") == 0
