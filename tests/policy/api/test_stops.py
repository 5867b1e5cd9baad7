import asyncio
from datetime import timedelta
from decimal import Decimal

import grpc
import pytest
from sqlalchemy import select

from evenkeel.policy.v1 import policy_document_pb2 as pbd
from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1 import stop_service_pb2 as stop_pb
from services.policy.api.documents import document_message, document_of
from services.policy.domain.document import CostSettings, Document, SafetyNets
from services.policy.tables import outbox
from services.runtime.wire import instant_message
from tests.policy.api.conftest import Past, a_request_id, refused
from tests.policy.builders import NOON, both, risk, targets

SECOND = timedelta(seconds=1)


async def stop(service, node_id="firm", document=None, *, by="tess", role="trader"):
    request = stop_pb.CreateStopRequest(request_id=a_request_id(), node_id=node_id, reason="odd")
    if document is not None:
        request.document.CopyFrom(document_message(document))
    return (await service.stops(by, role).CreateStop(request)).stop


async def lift(service, stopped, by="rita", role="risk_officer"):
    request = stop_pb.LiftStopRequest(request_id=a_request_id(), stop_id=stopped.stop_id, reason="fine")
    return (await service.stops(by, role).LiftStop(request)).stop


async def paused(service, node_id="acc", **when):
    return (await service.effective(node_id, **when)).document.safety.paused


@Past
async def grown(service):
    await service.plant(growth=("model", "firm"), acc=("account", "growth"), other=("account", "firm"))
    await service.enact(both(targets(VTI="1"), Document(safety=SafetyNets(paused=False))))


@pytest.fixture
async def planted(service_after):
    return await service_after(grown)


async def test_a_stop_pauses_everything_under_its_node_at_once_until_another_lifts_it(planted):
    stopped = await stop(planted, "growth")
    assert (stopped.actor, stopped.lifter) == ("tess", "")
    assert (await paused(planted), await paused(planted, "other")) == (True, False)

    planted.market_clock.advance(SECOND)
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await lift(planted, stopped, "tess", "trader")
    own = await stop(planted, "acc", by="rita", role="risk_officer")
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "SELF_RESUME"):
        await lift(planted, own, "rita")
    await lift(planted, own, "rob")
    assert await paused(planted) is True
    await lift(planted, stopped)

    assert await paused(planted) is False
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "STOP_STATE"):
        await lift(planted, stopped, "rob")
    # What was in force while it held has an answer.
    assert await paused(planted, effective_time=NOON + SECOND) is True


async def test_a_stop_says_who_did_it_and_is_told(planted):
    stopped = await stop(planted)

    found = await planted.effective("acc")
    (source,) = [each for each in found.sources if each.field == "safety.paused"]
    assert (source.author, source.approver, source.version_hash, source.reason) == (
        "tess", "", stopped.version_hash, "odd",
    )  # fmt: skip
    explained = await planted.reading.ExplainPolicy(pb.ExplainPolicyRequest(node_id="acc", field="safety.paused"))
    assert [each.outcome for each in explained.statements] == [
        pb.FieldStatement.OUTCOME_REPLACED,
        pb.FieldStatement.OUTCOME_HOLDS,
    ]
    async with planted.database.read() as connection:
        kinds = (await connection.execute(select(outbox.c.kind, outbox.c.actor).order_by(outbox.c.seq))).all()
    assert kinds[-1] == ("policy.stop.created", "tess")
    notices = await anext(aiter(planted.reading.WatchPolicies(pb.WatchPoliciesRequest())))
    assert notices.notices[-1].kind == pb.PolicyNotice.KIND_STOPPED
    listed = await planted.stops().ListStops(stop_pb.ListStopsRequest(holding_only=True))
    assert list(listed.stops) == [stopped]


async def test_a_plan_of_before_the_stop_is_not_of_the_policy_any_more(planted):
    versions = (await planted.effective("acc")).policy.version_hashes
    asked = pb.CheckPoliciesRequest(
        accounts=[
            pb.AccountVersions(account_id="acc", version_hashes=versions),
            pb.AccountVersions(account_id="other", version_hashes=versions),
            pb.AccountVersions(account_id="nobody", version_hashes=versions),
        ]
    )
    before = (await planted.reading.CheckPolicies(asked)).verdicts
    assert [each.account_id for each in before] == ["nobody"]

    await stop(planted, "growth")
    paused_one, nobody = (await planted.reading.CheckPolicies(asked)).verdicts
    assert (paused_one.account_id, paused_one.paused, nobody.paused) == ("acc", True, False)

    tight = await stop(planted, "other", Document(cost=CostSettings(turnover_limit=Decimal("0.01"))))
    _, other, _ = (await planted.reading.CheckPolicies(asked)).verdicts
    assert (other.account_id, other.paused) == ("other", False)
    assert tight.version_hash in other.description
    held = await planted.reading.CheckVersions(pb.CheckVersionsRequest(version_hashes=[tight.version_hash, "sha256:0"]))
    assert list(held.in_force_version_hashes) == [tight.version_hash]


async def test_a_stop_that_could_loosen_something_is_refused(planted):
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "STOP_NOT_SAFER") as fields:
        await stop(planted, "growth", both(risk(cash_floor="0"), Document(safety=SafetyNets(paused=False))))
    assert set(fields) - {""} == {"document.risk.cash_floor", "document.safety.paused"}
    async with refused(grpc.StatusCode.NOT_FOUND, "POLICY_NODE_NOT_FOUND"):
        await stop(planted, "nobody")
    async with refused(grpc.StatusCode.NOT_FOUND, "STOP_NOT_FOUND"):
        await lift(planted, stop_pb.Stop(stop_id="none"))
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await stop(planted, by="cora", role="compliance_officer")


async def test_two_who_lift_the_same_stop_lift_it_once(planted):
    stopped = await stop(planted)

    outcomes = await asyncio.gather(
        *(lift(planted, stopped, name) for name in ("rita", "rob", "ray")), return_exceptions=True
    )

    assert sorted(isinstance(each, grpc.aio.AioRpcError) for each in outcomes) == [False, True, True]


async def test_a_document_of_what_a_stop_says_is_the_one_that_was_sent(planted):
    said = Document(cost=CostSettings(turnover_limit=Decimal("0.25")), safety=SafetyNets(paused=True))
    assert document_of((await stop(planted, "acc", said)).document) == said
    assert (await planted.effective("acc")).document.cost.turnover_limit.value == "0.25"
    assert pbd.PolicyDocument() != (await planted.effective("other")).document
    assert instant_message(NOON).seconds > 0
