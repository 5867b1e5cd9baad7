import asyncio
import json
from datetime import timedelta

import grpc
from sqlalchemy import select

from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.policy.domain.document import EMPTY
from services.policy.tables import outbox
from tests.policy.api.conftest import a_request_id, refused
from tests.policy.builders import DAY, NOON, bands, both, guarded, risk, targets

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def differences(service, before, after):
    found = await service.reading.DiffPolicies(pb.DiffPoliciesRequest(before=before, after=after))
    return [(d.field, d.item, pb.PolicyDifference.Step.Name(d.step), d.before, d.after) for d in found.differences]


async def test_a_change_is_compared_with_what_is_in_force(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(both(targets(VTI="0.7", BND="0.3"), risk(cash_floor="0")), "growth")
    change = await service.draft(targets(VTI="0.6", BND="0.3", GLD="0.1"), "growth")

    assert await differences(service, pb.PolicyPoint(node_id="growth"), pb.PolicyPoint(change_id=change.change_id)) == [
        ("targets.weights", "GLD", "STEP_SET", "", '"0.1"'),
        ("targets.weights", "VTI", "STEP_LOWERED", '"0.7"', '"0.6"'),
        ("risk.cash_floor", "", "STEP_CLEARED", '"0"', ""),
    ]


async def test_versions_nodes_and_effective_policies_are_compared(service):
    await service.plant(growth=("model", "firm"))
    old = await service.enact(risk(cash_floor="0.01"))
    new = await service.enact(risk(cash_floor="0.02"))
    await service.enact(bands(trigger="0.05"), "growth")
    raised = [("risk.cash_floor", "", "STEP_RAISED", '"0.01"', '"0.02"')]
    before = pb.PolicyPoint(effective_node_id="growth", effective_time=old.effective_time)

    versions = [pb.PolicyPoint(version_hash=each.version_hash) for each in (old, new)]
    assert await differences(service, *versions) == raised
    assert await differences(service, pb.PolicyPoint(node_id="growth"), pb.PolicyPoint(effective_node_id="growth")) == [
        ("risk.cash_floor", "", "STEP_SET", "", '"0.02"')
    ]
    assert (await differences(service, before, pb.PolicyPoint(effective_node_id="growth")))[1:] == raised
    for point, reason in (
        (pb.PolicyPoint(node_id="nobody"), "POLICY_NODE_NOT_FOUND"),
        (pb.PolicyPoint(effective_node_id="nobody"), "POLICY_NODE_NOT_FOUND"),
        (pb.PolicyPoint(change_id="none"), "POLICY_CHANGE_NOT_FOUND"),
        (pb.PolicyPoint(version_hash="none"), "POLICY_VERSION_NOT_FOUND"),
    ):
        async with refused(NOT_FOUND, reason):
            await differences(service, point, versions[0])
    async with refused(INVALID, "FIELD_INVALID"):
        await differences(service, pb.PolicyPoint(), versions[0])


async def test_every_level_of_a_path_is_heard(service):
    await service.plant(growth=("model", "firm"), acc_1=("account", "growth"))
    await service.enact(risk(cash_floor="0.01"))
    await service.enact(risk(cash_floor="0.3"), "acc-1")
    await service.enact(guarded("risk.cash_floor", maximum="0.2", document=risk(cash_floor="0.02")), "growth")

    found = await service.reading.ExplainPolicy(pb.ExplainPolicyRequest(node_id="acc-1", field="risk.cash_floor"))

    assert found.value == '"0.02"'
    assert [
        (s.source.node_id, s.source.value, pb.FieldStatement.Outcome.Name(s.outcome)) for s in found.statements
    ] == [
        ("firm", '"0.01"', "OUTCOME_REPLACED"),
        ("growth", '"0.02"', "OUTCOME_HOLDS"),
        ("acc-1", '"0.3"', "OUTCOME_OVERRULED"),
    ]
    assert found.statements[2].guardrail_node_id == "growth"
    assert found.statements[2].guardrail.maximum.value == "0.2"
    assert [guardrail.reason for guardrail in found.guardrails] == ["the board says so"]


async def test_a_field_that_does_not_exist_is_refused(service):
    await service.plant()

    async with refused(INVALID, "FIELD_INVALID") as fields:
        await service.reading.ExplainPolicy(pb.ExplainPolicyRequest(node_id="firm", field="risk.cash"))
    assert "risk.cash" in fields["field"]
    async with refused(NOT_FOUND, "POLICY_NODE_NOT_FOUND"):
        await service.reading.ExplainPolicy(pb.ExplainPolicyRequest(node_id="nobody", field="risk.cash_floor"))


async def test_going_back_is_a_new_change_with_old_content_that_another_person_approves(service):
    await service.plant()
    old = await service.enact(risk(cash_floor="0.01"))
    await service.enact(risk(cash_floor="0.02"))
    request = pb.RollBackPolicyRequest(
        request_id=a_request_id(), node_id="firm", version_hash=old.version_hash, reason="it was better"
    )

    back = (await service.author().RollBackPolicy(request)).change

    assert (back.state, back.version_hash) == (pb.PolicyChange.STATE_SUBMITTED, old.version_hash)
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL"):
        await service.approve(back, by="ann")
    service.market_clock.advance(timedelta(seconds=1))
    await service.approve(back)
    assert (await service.effective("firm")).document.risk.cash_floor.value == "0.01"
    version = await service.reading.GetPolicyVersion(pb.GetPolicyVersionRequest(version_hash=old.version_hash))
    assert (version.version.change_id, version.version.reason) == (back.change_id, "it was better")


async def test_one_goes_back_only_to_what_was_approved_for_the_node(service):
    await service.plant(growth=("model", "firm"))
    elsewhere = await service.enact(risk(cash_floor="0.01"), "growth")
    draft = await service.draft(risk(cash_floor="0.02"))

    for version_hash in (elsewhere.version_hash, draft.version_hash, "sha256:none"):
        async with refused(NOT_FOUND, "POLICY_VERSION_NOT_FOUND"):
            await service.author().RollBackPolicy(
                pb.RollBackPolicyRequest(
                    request_id=a_request_id(), node_id="firm", version_hash=version_hash, reason="because"
                )
            )


async def test_a_follower_sees_what_becomes_of_versions_and_resumes(service):
    await service.plant(growth=("model", "firm"))
    first = await service.enact(risk(cash_floor="0.01"))

    async def follow(after, count):
        seen = []
        call = service.reading.WatchPolicies(pb.WatchPoliciesRequest(after_position=after))
        async for part in call:
            seen += part.notices
            if len(seen) >= count:
                break
        call.cancel()
        return [(n.position, pb.PolicyNotice.Kind.Name(n.kind), n.node_id, n.change_id) for n in seen]

    waiting = asyncio.create_task(follow(0, 4))
    scheduled = await service.enact(bands(trigger="0.05"), "growth", effective_time=NOON + DAY)
    bad = await service.enact(risk(cash_floor="0.9"), effective_time=NOON + 2 * DAY)
    await service.author().WithdrawChange(pb.WithdrawChangeRequest(request_id=a_request_id(), change_id=bad.change_id))
    assert await waiting == [
        (1, "KIND_ACTIVATED", "firm", first.change_id),
        (2, "KIND_SCHEDULED", "growth", scheduled.change_id),
        (3, "KIND_SCHEDULED", "firm", bad.change_id),
        (4, "KIND_WITHDRAWN", "firm", bad.change_id),
    ]

    service.market_clock.advance(DAY)
    await service.changes.announce_due()
    assert await follow(4, 1) == [(5, "KIND_ACTIVATED", "growth", scheduled.change_id)]


async def test_changes_are_listed_by_state_and_field(service):
    await service.plant()
    old = await service.enact(risk(cash_floor="0.01"))
    new = await service.enact(both(risk(cash_floor="0.02"), bands(trigger="0.05")))
    draft = await service.draft(EMPTY)

    async def listed(**wanted):
        found = await service.reading.ListChanges(pb.ListChangesRequest(**wanted))
        return [change.change_id for change in found.changes]

    assert await listed(state=pb.PolicyChange.STATE_ACTIVE) == [new.change_id]
    assert await listed(state=pb.PolicyChange.STATE_SUPERSEDED) == [old.change_id]
    assert await listed(state=pb.PolicyChange.STATE_DRAFT) == [draft.change_id]
    assert await listed(field="bands") == [new.change_id]
    assert await listed(start_time=draft.create_time) == [draft.change_id]
    assert await listed(end_time=new.create_time) == [old.change_id]


async def test_an_approval_tells_what_is_different(service):
    await service.plant()
    await service.enact(targets(VTI="1"))
    await service.enact(targets(VTI="0.9", BND="0.1"))

    async with service.database.read() as connection:
        query = select(outbox.c.body).where(outbox.c.kind == "policy.change.approved").order_by(outbox.c.seq)
        told = [json.loads(body) for body in (await connection.execute(query)).scalars()]

    assert told[0]["differences"] == ["targets.weights of VTI is set to 1"]
    assert told[1]["differences"] == [
        "targets.weights of BND is set to 0.1",
        "targets.weights of VTI is lowered from 1 to 0.9",
    ]
