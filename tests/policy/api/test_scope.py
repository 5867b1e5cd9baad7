"""Callers who are bound to a program change nothing outside of it, by whatever method."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1 import profile_service_pb2 as profile_pb
from evenkeel.policy.v1 import stop_service_pb2 as stop_pb
from evenkeel.policy.v1.profile_service_pb2_grpc import ProfileServiceStub
from evenkeel.policy.v1.stop_service_pb2_grpc import StopServiceStub
from services.policy.api.documents import document_message
from services.runtime.auth.roles import PERMISSIONS_BY_ROLE
from services.runtime.interceptors.scoping import READING
from tests.policy.api.conftest import a_request_id, refused
from tests.policy.builders import risk, targets
from tests.support.contracts import METHODS, permission

DENIED, OUTSIDE = grpc.StatusCode.PERMISSION_DENIED, "NODE_OUT_OF_SCOPE"
EAST = ("east",)
CHANGING = [
    method
    for method in METHODS
    if method.containing_service.file.package == "evenkeel.policy.v1"
    and permission(method).rpartition(".")[2] not in READING
]


@pytest.fixture
async def programs(service):
    """Two programs, each with a model and an account."""
    await service.plant(
        east=("program", "firm"),
        east_growth=("model", "east"),
        east_acc=("account", "east_growth".replace("_", "-")),
        west=("program", "firm"),
        west_acc=("account", "west"),
    )
    await service.enact(targets(cash="0.1", VTI="0.9"))
    return service


def proposal(node_id, document=None):
    return pb.CreateChangeRequest(
        request_id=a_request_id(),
        node_id=node_id,
        document=document_message(document or risk(cash_floor="0.02")),
        reason="because",
    )


@pytest.mark.parametrize("method", CHANGING, ids=lambda method: method.full_name)
async def test_no_method_that_changes_something_lets_a_bound_caller_past_its_nodes(programs, method):
    """A request that names nothing is about nothing below the caller's node; every method looks before it acts."""
    role = next(role for role, held in PERMISSIONS_BY_ROLE.items() if permission(method) in held)
    request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = programs.channel("ned", role, nodes=EAST).unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=request.SerializeToString,
        response_deserializer=answer.FromString,
    )

    async with refused(DENIED, OUTSIDE):
        await call(request())


async def test_rules_are_written_and_approved_below_the_program_and_nowhere_else(programs):
    author = programs.stub("ned", "policy_author", nodes=EAST)
    for outside in ("firm", "west", "west-acc", "nobody"):
        async with refused(DENIED, OUTSIDE):
            await author.CreateChange(proposal(outside))
    draft = (await author.CreateChange(proposal("east-growth"))).change
    submit = pb.SubmitChangeRequest(request_id=a_request_id(), change_id=draft.change_id, etag=draft.etag)
    submitted = (await author.SubmitChange(submit)).change
    of_west = await programs.submit(await programs.draft(risk(cash_floor="0.03"), "west"))
    of_firm = await programs.submit(await programs.draft(risk(cash_floor="0.04")))

    def approval(change):
        return pb.ApproveChangeRequest(
            request_id=a_request_id(), change_id=change.change_id, version_hash=change.version_hash
        )

    bound = programs.stub("nina", "policy_approver", nodes=EAST)
    for change in (of_west, of_firm):
        async with refused(DENIED, OUTSIDE):
            await bound.ApproveChange(approval(change))
    async with refused(DENIED, OUTSIDE):
        await programs.stub("nobody", "policy_approver", nodes=()).ApproveChange(approval(submitted))
    approved = (await bound.ApproveChange(approval(submitted))).change

    assert approved.approver == "nina"
    assert (await programs.effective("east-acc")).document.risk.cash_floor.value == "0.02"
    # Reading is not bound.
    assert (await author.GetChange(pb.GetChangeRequest(change_id=of_west.change_id))).change.node_id == "west"
    # Who is bound to several may act below each, and who is bound to none everywhere.
    both = programs.stub("otto", "policy_approver", nodes=("east", "west"))
    assert (await both.ApproveChange(approval(of_west))).change.approver == "otto"
    programs.market_clock.advance(timedelta(seconds=1))
    assert (await programs.approve(of_firm)).approver == "bob"


async def test_trading_is_stopped_and_resumed_below_the_program_and_nowhere_else(programs):
    trader = programs.stub("tim", "trader", kind=StopServiceStub, nodes=EAST)
    async with refused(DENIED, OUTSIDE):
        await trader.CreateStop(stop_pb.CreateStopRequest(request_id=a_request_id(), node_id="firm", reason="fear"))
    stopping = stop_pb.CreateStopRequest(request_id=a_request_id(), node_id="east", reason="fear")
    stop = (await trader.CreateStop(stopping)).stop

    lift = stop_pb.LiftStopRequest(request_id=a_request_id(), stop_id=stop.stop_id, reason="calm")
    async with refused(DENIED, OUTSIDE):
        await programs.stub("rita", "risk_officer", kind=StopServiceStub, nodes=("west",)).LiftStop(lift)
    assert (await programs.effective("east-acc")).document.safety.paused
    assert not (await programs.effective("west-acc")).document.safety.paused
    await programs.stub("ruth", "risk_officer", kind=StopServiceStub, nodes=EAST).LiftStop(lift)
    assert not (await programs.effective("east-acc")).document.safety.paused


async def test_nodes_and_clients_are_looked_after_below_the_program_and_nowhere_else(programs):
    engineer = programs.stub("edna", "platform_engineer", nodes=EAST)

    def created(parent_id, node_id="new"):
        node = pb.PolicyNode(node_id=node_id, kind=pb.PolicyNode.KIND_HOUSEHOLD, parent_id=parent_id)
        return pb.CreateNodeRequest(request_id=a_request_id(), node=node)

    for outside in ("west", "firm", ""):
        async with refused(DENIED, OUTSIDE):
            await engineer.CreateNode(created(outside))
    await engineer.CreateNode(created("east-growth"))
    household = pb.PolicyNode(node_id="h", kind=pb.PolicyNode.KIND_HOUSEHOLD, parent_id="east")
    account = pb.PolicyNode(node_id="a", kind=pb.PolicyNode.KIND_ACCOUNT, parent_id="h")
    await engineer.CreateNodes(pb.CreateNodesRequest(request_id=a_request_id(), nodes=[household, account]))
    stray = pb.PolicyNode(node_id="b", kind=pb.PolicyNode.KIND_ACCOUNT, parent_id="west")
    async with refused(DENIED, OUTSIDE):
        await engineer.CreateNodes(pb.CreateNodesRequest(request_id=a_request_id(), nodes=[stray]))

    def consent(node_id):
        return profile_pb.RecordConsentRequest(
            request_id=a_request_id(), node_id=node_id, kind="trading", evidence="letter"
        )

    advisor = programs.stub("ada", "advisor", kind=ProfileServiceStub, nodes=EAST)
    await advisor.RecordConsent(consent("east-acc"))
    async with refused(DENIED, OUTSIDE):
        await advisor.RecordConsent(consent("west-acc"))
