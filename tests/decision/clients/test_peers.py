"""How policy and execution are asked, over real gRPC, with peers that answer as a test says."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.type import date_pb2

from evenkeel.common.v1 import columns_pb2, values_pb2
from evenkeel.decision.v1 import signed_plan_pb2
from evenkeel.execution.v1 import execution_service_pb2 as execution_pb
from evenkeel.execution.v1.execution_service_pb2_grpc import (
    ExecutionServiceServicer,
    add_ExecutionServiceServicer_to_server,
)
from evenkeel.policy.v1 import policy_service_pb2 as policy_pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceServicer, add_PolicyServiceServicer_to_server
from services.decision.app.ports.execution import ApprovedPlan
from services.decision.clients.execution import GrpcExecution
from services.decision.clients.policy import GrpcPolicy
from services.decision.domain.outline import Outline
from services.decision.domain.plan import Plan, PlanInputs, PlanOutcome, PlanState, Release, ReleasedTrade
from services.decision.domain.problem import Side
from services.kernel.canonical import content_hash
from services.kernel.errors import Invalid, Unreachable
from services.kernel.signing import Signature, verify
from services.runtime.client import connect
from services.runtime.wire import decimal_of, money_of
from tests.decision.stages.world import a_policy, dollars, number

NOON = datetime(2022, 12, 28, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass
class PeerPolicy(PolicyServiceServicer):
    """Knows `known` accounts; all have one policy, but `without`. `before` is as the release before was."""

    known: list = field(default_factory=list)
    without: set = field(default_factory=set)
    document: bytes = field(default_factory=a_policy)
    said_hash: str = ""
    asked: list = field(default_factory=list)
    before: bool = False

    async def ResolvePolicies(self, request, context):
        self.asked.append(list(request.account_ids))
        unknown = set(request.account_ids) - set(self.known)
        if unknown and (self.before or not request.allow_missing):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{min(unknown)} does not exist")
        policy_hash = self.said_hash or content_hash(self.document)
        yield policy_pb.ResolvePoliciesResponse(
            policies=[
                policy_pb.EffectivePolicy(
                    policy_hash=policy_hash, document_bytes=self.document, version_hashes=["sha256:v1", "sha256:v2"]
                )
            ]
        )
        account_ids = [each for each in request.account_ids or self.known if each in self.known]
        yield policy_pb.ResolvePoliciesResponse(
            account_ids=account_ids,
            policy_hashes=columns_pb2.WordColumn(
                words=["", policy_hash], indexes=[0 if each in self.without else 1 for each in account_ids]
            ),
        )


@dataclass
class PeerExecution(ExecutionServiceServicer):
    results: list = field(default_factory=list)
    batches: list = field(default_factory=list)
    received: list = field(default_factory=list)

    async def SubmitPlans(self, request, context):
        self.received.append(request)
        return execution_pb.SubmitPlansResponse(results=self.results)

    async def StreamPlanReports(self, request, context):
        self.received.append(request)
        for batch in self.batches:
            yield execution_pb.StreamPlanReportsResponse(reports=batch)


@asynccontextmanager
async def serving(add, servicer):
    server = grpc.aio.server()
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = connect(f"127.0.0.1:{port}")
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(None)


@pytest.fixture
async def policy():
    peer = PeerPolicy(known=["a1", "a2"])
    async with serving(add_PolicyServiceServicer_to_server, peer) as channel:
        yield peer, GrpcPolicy(channel)


@pytest.fixture
async def execution():
    peer = PeerExecution()
    async with serving(add_ExecutionServiceServicer_to_server, peer) as channel:
        yield peer, GrpcExecution(channel, KEY, "decision-1")


async def test_each_account_gets_its_policy_and_the_versions_it_was_merged_from(policy):
    peer, client = policy
    peer.without = {"a2"}

    found = await client.resolve(["a1", "a2"], NOON)

    name = content_hash(peer.document)
    assert found.documents == {name: peer.document}
    assert found.version_hashes == {name: ("sha256:v1", "sha256:v2")}
    assert found.policy_of == {"a1": name, "a2": ""}


@pytest.mark.parametrize(("before", "asked"), [(False, [["a1", "a9"]]), (True, [["a1", "a9"], []])])
async def test_an_account_that_policy_does_not_know_has_none_and_the_others_theirs(policy, before, asked):
    """It is only asked about these accounts; the release before is asked for all that it knows."""
    peer, client = policy
    peer.before = before

    found = await client.resolve(["a1", "a9"], NOON)

    assert found.policy_of == {"a1": content_hash(peer.document), "a9": ""}
    assert peer.asked == asked


async def test_a_policy_that_is_not_what_its_name_says_is_refused(policy):
    peer, client = policy
    peer.said_hash = content_hash(b"another")

    with pytest.raises(Invalid, match="the document's hash"):
        await client.resolve(["a1"], NOON)


async def test_a_peer_that_is_not_there_is_unreachable():
    channel = connect("127.0.0.1:1")
    try:
        with pytest.raises(Unreachable, match="policy"):
            await GrpcPolicy(channel).resolve(["a1"], NOON)
        with pytest.raises(Unreachable, match="execution"):
            await GrpcExecution(channel, KEY, "decision-1").submit(str(uuid4()), [])
    finally:
        await channel.close()


def an_approved_plan():
    inputs = PlanInputs("sha256:p", ("sha256:v1",), "sha256:a", "s", "ps", "i", "r", "e", NOON)
    trade = ReleasedTrade(
        "VTI", Side.SELL, Decimal("1.5"), Decimal("0.5"), Decimal("190.25"), Decimal("0.123"), Decimal(7)
    )
    release = Release("h1", "custodian-a", "USD", Decimal("12.34"), (trade,), True, Decimal(25), "sandbox")
    plan = Plan(
        plan_id="plan-1",
        run_id="run-1",
        account_id="a1",
        state=PlanState.APPROVED,
        outcome=PlanOutcome.TRADE,
        inputs=inputs,
        plan_hash="sha256:plan",
        review_reasons=(),
        approver="ann",
        refusal="",
        create_time=NOON,
        expire_time=NOON,
        update_time=NOON,
        outline=Outline("USD", ""),
    )
    return ApprovedPlan(plan, release)


async def test_a_plan_travels_as_signed_bytes_that_are_the_same_each_time(execution):
    _, client = execution

    signed, again = client.signed(an_approved_plan()), client.signed(an_approved_plan())

    assert signed == again
    verify({"decision-1": KEY.public_key()}, signed.payload, Signature(signed.key_id, signed.signature))
    payload = signed_plan_pb2.PlanPayload.FromString(signed.payload)
    assert (payload.plan_id, payload.plan_hash, payload.run_id, payload.account_id) == (
        "plan-1",
        "sha256:plan",
        "run-1",
        "a1",
    )
    assert (payload.household_id, payload.custodian, payload.currency) == ("h1", "custodian-a", "USD")
    assert (payload.approver, list(payload.policy_version_hashes)) == ("ann", ["sha256:v1"])
    assert money_of(payload.available_cash, "").amount == Decimal("12.34")
    (trade,) = payload.trades
    assert (trade.instrument_id, trade.side) == ("VTI", values_pb2.SIDE_SELL)
    assert decimal_of(trade.quantity, "") == Decimal("1.5")
    assert decimal_of(trade.held_quantity, "") == 7
    assert money_of(trade.trading_cost, "").amount == Decimal("0.12")
    assert payload.preferences.aggregation_consent
    assert not payload.preferences.crossing_consent
    willing = replace(an_approved_plan(), release=replace(an_approved_plan().release, crossing_consent=True))
    payload = signed_plan_pb2.PlanPayload.FromString(client.signed(willing).payload)
    assert payload.preferences.crossing_consent
    assert decimal_of(payload.preferences.limit_distance_bps, "") == 25


async def test_of_plans_that_were_submitted_those_refused_say_why(execution):
    peer, client = execution
    signed = client.signed(an_approved_plan())
    result = execution_pb.SubmitPlanResult
    peer.results = [
        result(plan_id="plan-1", status=result.STATUS_REFUSED, refusals=[{"reason": "LIMIT", "description": "10 > 5"}])
    ]

    assert await client.submit("8f14e45f-ceea-467f-a9b0-2c1f9d7d3d11", [signed]) == {"plan-1": "LIMIT: 10 > 5"}
    peer.results = [result(plan_id="plan-1", status=result.STATUS_DUPLICATE)]
    assert await client.submit("8f14e45f-ceea-467f-a9b0-2c1f9d7d3d11", [signed]) == {}
    assert peer.received[0] == peer.received[1]
    assert peer.received[0].plans[0].payload == signed.payload


async def test_an_answer_that_does_not_fit_the_question_is_refused(execution):
    _, client = execution

    with pytest.raises(Invalid, match="one for each of 1 plans, were 0"):
        await client.submit(str(uuid4()), [client.signed(an_approved_plan())])


async def test_reports_are_read_in_order_and_one_of_a_kind_unknown_here_still_counts(execution):
    peer, client = execution
    allocation = execution_pb.Allocation(
        order_id="order-1",
        block_id="block-1",
        account_id="a1",
        plan_id="plan-1",
        instrument_id="VTI",
        side=values_pb2.SIDE_BUY,
        quantity=number("2.5"),
        price=dollars(10),
        value=dollars(25),
        fees=dollars(0),
        trade_date=date_pb2.Date(year=2022, month=12, day=28),
        settlement_date=date_pb2.Date(year=2022, month=12, day=30),
    )
    closed = execution_pb.Order(order_id="order-1", plan_id="plan-1", state=execution_pb.Order.STATE_CANCELED)
    correction = execution_pb.AllocationCorrection(allocation=allocation, replaced=allocation, replaced_position=4)
    correction.allocation.quantity.CopyFrom(number("0"))
    peer.batches = [
        [execution_pb.PlanReport(position=4, plan_id="plan-1", trace_parent="00-1", allocation=allocation)],
        [execution_pb.PlanReport(position=5, plan_id="plan-1", closed_order=closed)],
        [execution_pb.PlanReport(position=6, plan_id="plan-1")],
        [execution_pb.PlanReport(position=7, plan_id="plan-1", correction=correction)],
    ]

    reports = [report async for batch in client.reports(3) for report in batch]
    allocations = [each async for batch in client.allocations(3) for each in batch]

    assert [each.position for each in reports] == [4, 5, 6, 7]
    assert reports[0].trace_parent == "00-1"
    first = reports[0].allocation
    assert (first.side, first.quantity, first.value, first.trade_date) == (
        Side.BUY,
        Decimal("2.5"),
        25,
        date(2022, 12, 28),
    )
    assert (reports[1].closed.state, reports[1].closed.filled_quantity) == ("CANCELED", 0)
    assert reports[2].allocation is reports[2].closed is None
    assert (reports[3].allocation.quantity, reports[3].allocation.replaces) == (0, first)
    assert allocations == [first, reports[3].allocation]
    assert [request.follow for request in peer.received] == [True, False]
