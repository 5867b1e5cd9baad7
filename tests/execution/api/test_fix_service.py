"""The service trades over FIX, people see it, and no one person resets a session."""

import json
from decimal import Decimal
from uuid import uuid4

import grpc
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from evenkeel.execution.v1 import execution_service_pb2 as execution
from evenkeel.execution.v1 import fix_service_pb2 as pb
from evenkeel.execution.v1.fix_service_pb2_grpc import FixServiceStub
from services.execution.venues.fix44 import watch
from tests.execution.api.conftest import starting
from tests.execution.builders import a_plan, a_trade
from tests.execution.venues.fix_cases import until
from tests.support.keyboard import Keyboard
from tests.support.refusals import refused
from tests.support.telemetry import Recorded
from tools.client.profile import SERVICES, Profile
from tools.local.broker import free_port

ORDERS = "FIX.4.4:EVENKEEL->SANDBOX"
CLIENT = "FIX.4.4:SANDBOX->EVENKEEL"


@pytest.fixture(scope="module")
def recorded():
    """What is measured of the service below, and of no other of this process."""
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(watch, "meter", lambda: meters.get_meter("evenkeel"))
        yield Recorded(InMemorySpanExporter(), reader)
    meters.shutdown()


@pytest.fixture(scope="module")
async def running(databases, recorded, tmp_path_factory):
    """Execution that trades at its own sandbox, over FIX through its own port: one for all tests here.

    So each test trades for accounts of its own (`traded`), and counts from what was there before it.
    """
    port = free_port()
    database = await databases.take("execution", "services.execution")
    async with starting(database, tmp_path_factory.mktemp("service")) as start:
        service = await start(
            venue="fix44",
            fix_host="127.0.0.1",
            fix_port=port,
            fix_target_comp_id="SANDBOX",
            sandbox_fix_port=port,
            outside_session="SEND",
        )
        await until(lambda: is_up(service))
        yield service
    await databases.give_back(database, "services.execution")


@pytest.fixture
def traded(running):
    """Trade a plan of its own, and return its block's reports when it is done: `await traded(a_trade())`."""

    async def one(*trades, share=None, **prices):
        name = uuid4().hex[:8]
        await running.market(**prices, share=share)
        await running.submit(a_plan(*trades, plan=f"plan-{name}", account=f"acc-{name}"))

        def mine(reports):
            return [each for each in reports if each.plan_id == f"plan-{name}"]

        def done(reports):
            return sum(each.WhichOneof("content") == "closed_order" for each in mine(reports)) == len(trades)

        return mine(await running.reports(done))

    return one


async def block_of(service, reports):
    """Return the block that a plan's only order was part of."""
    (block_id,) = {each.allocation.block_id for each in reports if each.WhichOneof("content") == "allocation"}
    return await service.as_("trader").GetBlock(execution.GetBlockRequest(block_id=block_id))


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


async def test_a_plan_is_traded_over_fix_and_the_books_agree(running, traded):
    trades = (a_trade(quantity=10), a_trade("BND", quantity=20, price=50))
    reports = await traded(*trades, VTI=100, BND=50, share="0.4")

    allocated = [each.allocation for each in reports if each.WhichOneof("content") == "allocation"]
    assert sum(Decimal(each.quantity.value) for each in allocated) == 30
    breaks = await running.as_("trader").ListBreaks(execution.ListBreaksRequest())
    assert not breaks.breaks
    blocks = {each.block_id for each in allocated}
    assert len(blocks) == 2
    for block_id in blocks:
        block = (await running.as_("trader").GetBlock(execution.GetBlockRequest(block_id=block_id))).block
        about = await messages(running, value=block.client_order_id, page_size=1000)
        (sent,) = [each for each in about if each.msg_type == "D"]
        assert field(sent, "Symbol") == block.instrument_id

    # The broker is told who got what, and says that it books it.
    await until(lambda: booked(running, blocks))
    for block_id in blocks:
        (told,) = (await running.as_("trader").GetBlock(execution.GetBlockRequest(block_id=block_id))).instructions
        about = await messages(running, value=told.allocation_id)
        assert sorted(each.msg_type for each in about) == ["AS", "J", "P"]
        assert {each.name for each in about} == {
            "AllocationInstruction",
            "AllocationInstructionAck",
            "AllocationReport",
        }


def field(message, name):
    (value,) = [each.value for each in message.fields if each.name == name]
    return value


async def booked(service, blocks):
    """Return whether the venue books the shares of all these blocks."""
    found = [await service.as_("trader").GetBlock(execution.GetBlockRequest(block_id=each)) for each in blocks]
    accepted = execution.AllocationInstruction.STATE_ACCEPTED
    return all([told.state for told in each.instructions] == [accepted] for each in found)


async def test_messages_are_shown_with_names_and_found_by_what_they_say(running, traded):
    name = (await block_of(running, await traded(a_trade(quantity=10), VTI=100))).block.client_order_id

    about = await messages(running, value=name)
    (order,) = [each for each in about if each.msg_type == "D"]
    assert (order.name, order.direction) == ("NewOrderSingle", pb.FixMessage.DIRECTION_OUT)
    assert [field(order, each) for each in ("ClOrdID", "Side", "OrderQty", "Symbol")] == [name, "1", "10", "VTI"]
    assert {"NewOrderSingle", "ExecutionReport"} <= {each.name for each in about}
    assert [each.time.ToDatetime() for each in about] == sorted(
        (each.time.ToDatetime() for each in about), reverse=True
    )
    assert all(each.msg_type == "D" for each in await messages(running, msg_type="D"))
    assert not await messages(running, value="no such id")


async def test_messages_come_in_pages_without_a_gap(running, traded):
    await traded(a_trade(quantity=10), VTI=100, share="0.1")
    everything = [(each.direction, each.generation, each.number) for each in await messages(running, page_size=1000)]

    paged, token = [], ""
    while True:
        request = pb.ListFixMessagesRequest(session=ORDERS, page_size=3, page_token=token)
        page = await fix_as(running).ListFixMessages(request)
        paged += [(each.direction, each.generation, each.number) for each in page.messages]
        token = page.next_page_token
        if not token:
            break
    assert len(everything) > 10
    # Messages may have come meanwhile.
    assert paged[-len(everything) :] == everything


def open_resets(found):
    return {reset.reset_id for each in found.values() for reset in each.open_resets}


async def is_anew(service, reset_id, generation):
    """Return whether a reset was done, and both sides are up in this generation."""
    found = await sessions(service)
    return reset_id not in open_resets(found) and all(
        each.generation == generation and each.up for each in found.values()
    )


async def told_of(service, reset_id):
    """Return what audit is told of a reset, and whose doing it was."""
    async with service.database.read() as connection:
        found = await connection.execute(
            text("SELECT kind, actor, body FROM execution.outbox WHERE kind LIKE 'execution.fix.reset%' ORDER BY seq")
        )
        return [(row.kind, row.actor) for row in found if json.loads(row.body)["reset_id"] == reset_id]


async def test_two_persons_begin_a_session_anew(running, traded):
    await until(lambda: is_up(running))
    generation = (await sessions(running))[ORDERS].generation
    propose = pb.ProposeFixResetRequest(request_id=str(uuid4()), session=ORDERS, reason="The broker lost its store.")
    reset = (await fix_as(running).ProposeFixReset(propose)).reset
    assert (await fix_as(running).ProposeFixReset(propose)).reset == reset
    assert reset.reset_id in open_resets(await sessions(running))

    approve = pb.ApproveFixResetRequest(request_id=str(uuid4()), reset_id=reset.reset_id)
    approved = (await fix_as(running, "risk").ApproveFixReset(approve)).reset
    assert (approved.state, approved.approver) == (pb.FixReset.STATE_APPROVED, "risk")

    await until(lambda: is_anew(running, reset.reset_id, generation + 1))
    # Audit is told of each step once, and that it was done by the service.
    assert await told_of(running, reset.reset_id) == [
        ("execution.fix.reset_proposed", "trader"),
        ("execution.fix.reset_approved", "risk"),
        ("execution.fix.reset_done", "execution_service"),
    ]
    # What came before is still there, and trading goes on.
    await traded(a_trade(quantity=10), VTI=100)
    logged = await messages(running, heartbeats=True, page_size=1000)
    assert {generation, generation + 1} <= {each.generation for each in logged}


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


async def test_commands_show_sessions_and_messages_and_two_persons_reset(running, traded, evenkeel):
    await until(lambda: is_up(running))
    name = (await block_of(running, await traded(a_trade(quantity=10), VTI=100))).block.client_order_id

    status = await evenkeel("fix", "status")
    assert status.code == 0, status.err
    lines = [line.split() for line in status.out.splitlines() if line.strip()]
    rows = {words[0]: words[1] for words in lines if words[0] in (ORDERS, CLIENT)}
    assert rows == {ORDERS: "up", CLIENT: "up"}

    log = await evenkeel("fix", "log", ORDERS, "--type", "D", "--value", name)
    assert log.code == 0, log.err
    assert "NewOrderSingle" in log.out
    assert "Symbol=VTI" in log.out
    about = await evenkeel("fix", "log", ORDERS, "--value", name, "-n", "100", "--raw")
    assert f"|11={name}|" in about.out
    assert "|35=8|" in about.out
    assert "|49=EVENKEEL|" in about.out
    unnamed = await evenkeel("fix", "log")
    assert unnamed.code != 0
    assert "name a session" in unnamed.err

    generation = (await sessions(running))[ORDERS].generation
    asked = await evenkeel("--json", "fix", "reset", ORDERS, "--reason", "The broker lost its store.")
    assert asked.code == 0, asked.err
    reset = asked.json["reset"]["reset_id"]
    assert f"reset {reset} of {ORDERS}: " in (await evenkeel("fix", "status")).out
    alone = await evenkeel("--as", "trader", "fix", "approve", reset)
    assert alone.code == 1
    assert "ROLE_MISSING" in alone.err
    approved = await evenkeel("fix", "approve", reset)
    assert (approved.code, ORDERS in approved.out) == (0, True), approved.err
    await until(lambda: is_anew(running, reset, generation + 1))


async def test_what_the_broker_rejected_is_told_again(running, traded, evenkeel):
    block = (await block_of(running, await traded(a_trade(quantity=10), VTI=100))).block.block_id
    await until(lambda: booked(running, [block]))

    async def told():
        found = await running.as_("trader").GetBlock(execution.GetBlockRequest(block_id=block))
        return list(found.instructions)

    (first,) = await told()
    assert (first.trade_date.year, first.trade_date.month, first.trade_date.day) == (2022, 12, 28)
    early = await evenkeel("block", "instruct", first.allocation_id, "--reason", "To be sure.")
    assert (early.code, "INSTRUCTION_NOT_REJECTED" in early.err) == (1, True), early.out
    # As if the broker had said no: it has no orders of another day, and took it.
    async with running.database.begin() as transaction:
        await transaction.connection.execute(
            text("UPDATE execution.instruction SET state = 'REJECTED', why = 'no' WHERE allocation_id = :name"),
            {"name": first.allocation_id},
        )
    again = await evenkeel("block", "instruct", first.allocation_id, "--reason", "They had a fill to book.")
    assert again.code == 0, again.err
    accepted, rejected = execution.AllocationInstruction.STATE_ACCEPTED, execution.AllocationInstruction.STATE_REJECTED

    async def is_booked():
        return [each.state for each in await told()] == [rejected, accepted]

    await until(is_booked)
    (_, second) = await told()
    assert second.replaces == first.allocation_id
    (sent,) = [each for each in await messages(running, value=second.allocation_id) if each.msg_type == "J"]
    # New to the broker, which has nothing of what it rejected.
    assert (field(sent, "AllocTransType"), field(sent, "TradeDate")) == ("0", "20221228")
    unknown = execution.InstructAllocationRequest(request_id=str(uuid4()), allocation_id="none", reason="Because.")
    got = await refused(running.as_("trader").InstructAllocation(unknown))
    assert (got.code, got.reason) == (grpc.StatusCode.NOT_FOUND, "INSTRUCTION_NOT_FOUND")
    got = await refused(running.as_("author").InstructAllocation(unknown))
    assert got.reason == "ROLE_MISSING"


METRICS = ("messages.out", "messages.in", "bytes.out", "bytes.in", "turns", "garbled", "resent")


async def test_each_session_is_measured(recorded, running, traded):
    await until(lambda: is_up(running))

    def measured(metric, session=ORDERS):
        points = recorded.points(f"evenkeel.fix.session.{metric}")
        (value,) = [value for labels, value in points if labels["evenkeel.fix.session"] == session]
        return value

    async def logged():
        found = await messages(running, heartbeats=True, page_size=1000)
        out = sum(each.direction == pb.FixMessage.DIRECTION_OUT for each in found)
        return out, len(found) - out

    def counts():
        return {(session, metric): measured(metric, session) for session in (ORDERS, CLIENT) for metric in METRICS}

    before, (out_before, in_before) = counts(), await logged()
    await traded(a_trade(quantity=10), VTI=100)
    (out, came), after = await logged(), counts()

    assert measured("up") == measured("up", CLIENT) == 1
    grown = {key: after[key] - before[key] for key in after}
    # What else went on is counted, too, and may be so before it is seen in the journal.
    assert grown[ORDERS, "messages.out"] >= out - out_before - 1 >= 0
    assert grown[ORDERS, "messages.in"] >= came - in_before - 1 >= 1
    assert grown[CLIENT, "messages.in"] >= 1
    assert grown[ORDERS, "bytes.out"] > 100
    assert grown[ORDERS, "bytes.in"] > 300
    assert grown[ORDERS, "turns"] >= 1
    assert after[ORDERS, "garbled"] == after[CLIENT, "garbled"] == 0
    assert grown[ORDERS, "resent"] == grown[CLIENT, "resent"] == 0
