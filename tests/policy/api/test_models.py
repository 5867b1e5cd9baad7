"""Models of models, through the service's own calls and against PostgreSQL."""

from decimal import Decimal

import grpc

from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.decision.clients.policy_document import read_policy
from services.policy.domain.document import Document, Guardrail
from services.policy.domain.mixes import Targets, TargetWeight
from tests.policy.api.conftest import a_request_id, refused
from tests.policy.builders import DAY, NOON, both, risk, targets

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def blend(**weights):
    lines = (TargetWeight(Decimal(weight), model_node_id=name) for name, weight in weights.items())
    return Document(targets=Targets(tuple(lines)))


async def planted(service):
    await service.plant(
        growth=("model", "firm"), income=("model", "firm"), blend=("model", "firm"), acc=("account", "blend")
    )


async def resolved(service, *accounts):
    request = pb.ResolvePoliciesRequest(account_ids=accounts)
    return [policy async for part in service.reading.ResolvePolicies(request) for policy in part.policies]


async def test_an_account_is_decided_by_the_mix_of_models_in_force(service):
    await planted(service)
    growth = await service.enact(targets(VTI="0.8", VXUS="0.2"), "growth")
    income = await service.enact(targets(cash="0.1", BND="0.9"), "income")
    mixed = await service.enact(blend(growth="0.6", income="0.4"), "blend")

    (policy,) = await resolved(service, "acc")

    read = read_policy(policy.document_bytes)
    assert read.weights == {"BND": Decimal("0.36"), "VTI": Decimal("0.48"), "VXUS": Decimal("0.12")}
    assert read.cash_weight == Decimal("0.04")
    assert list(policy.version_hashes) == [each.version_hash for each in (mixed, growth, income)]
    shown = await service.effective("acc")
    sources = [s.node_id for s in shown.sources if s.field == "targets.weights"]
    assert sources == ["blend", "growth", "income"]
    assert shown.policy == policy

    asked = pb.ExplainPolicyRequest(node_id="acc", field="targets.weights")
    explained = await service.reading.ExplainPolicy(asked)
    assert [said.source.node_id for said in explained.statements] == ["blend", "growth", "income"]
    assert '"instrument_id":"VXUS","weight":"0.12"' in explained.value

    # A model's new version is every account's that refers to it, from the same instant on.
    await service.enact(targets(VTI="1"), "growth")
    (policy,) = await resolved(service, "acc")
    assert read_policy(policy.document_bytes).weights["VTI"] == Decimal("0.6")


async def test_models_in_a_circle_are_refused_wherever_the_circle_closes(service):
    await planted(service)
    await service.enact(targets(VTI="1"), "growth")
    await service.enact(blend(growth="1"), "income")
    await service.enact(blend(income="1"), "blend")

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.draft(blend(blend="1"), "growth")
    assert "blend → income → growth → blend" in fields["document.targets.weights"]
    # Also when it would only close later, with a version that is approved and not in force yet.
    change = await service.draft(targets(VTI="0.5", BND="0.5"), "growth", effective_time=NOON + DAY)
    await service.approve(await service.submit(change))
    async with refused(INVALID, "POLICY_CONTRADICTION"):
        await service.draft(blend(growth="1"), "growth")


async def test_what_a_model_is_needed_for_cannot_be_taken_from_it(service):
    await planted(service)
    await service.enact(targets(VTI="1"), "growth")
    await service.enact(blend(growth="1"), "blend")

    change = await service.draft(risk(cash_floor="0"), "growth")
    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.submit(change)
    assert "with this, blend could not work from" in fields["document.targets.weights"]
    assert "no mix applies to it" in fields["document.targets.weights"]


async def test_a_model_that_does_not_exist_or_is_not_allowed_is_refused(service):
    await planted(service)
    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.draft(blend(nobody="1"), "blend")
    assert "no policy node is named nobody" in fields["document.targets.weights"]

    await service.enact(Document(guardrails=(Guardrail("targets.weights", allowed=("VTI", "growth")),)))
    await service.enact(targets(VTI="1"), "growth")
    await service.draft(blend(growth="1"), "blend")
    async with refused(INVALID, "GUARDRAIL_EXCEEDED"):
        await service.draft(blend(income="1"), "blend")


async def test_the_largest_step_binds_at_write_and_in_force(service):
    await planted(service)
    guarded = both(
        risk(cash_floor="0.02"), Document(guardrails=(Guardrail("risk.cash_floor", maximum_step=Decimal("0.01")),))
    )
    await service.enact(risk(cash_floor="0.05"), "acc")
    await service.enact(guarded)

    found = await service.effective("acc")
    assert found.document.risk.cash_floor.value == "0.02"
    async with refused(INVALID, "GUARDRAIL_EXCEEDED") as fields:
        await service.draft(risk(cash_floor="0.031"), "acc")
    assert "must be at most 0.01 away from 0.02, was 0.031" in fields["document.risk.cash_floor"]
    await service.enact(risk(cash_floor="0.03"), "acc")
    assert (await service.effective("acc")).document.risk.cash_floor.value == "0.03"


async def test_a_largest_step_of_the_mix_bounds_each_weight_of_levels_below(service):
    await service.plant(acc=("account", "firm"))
    step = Document(guardrails=(Guardrail("targets.weights", maximum_step=Decimal("0.05")),))
    await service.enact(both(targets(VTI="0.6", BND="0.4"), step))

    async with refused(INVALID, "GUARDRAIL_EXCEEDED") as fields:
        await service.draft(targets(VTI="0.7", BND="0.3"), "acc")
    assert "the weight of BND must be at most 0.05 away from 0.4, was 0.3" in fields["document.targets.weights"]
    assert (await service.enact(targets(VTI="0.65", BND="0.35"), "acc")).state == pb.PolicyChange.STATE_ACTIVE


async def test_what_only_the_service_says_is_refused(service):
    await service.plant()
    request = pb.CreateChangeRequest(request_id=a_request_id(), node_id="firm", reason="because")
    request.document.client.risk_budget.value = "0.1"

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.author().CreateChange(request)
    assert "document.client.risk_budget" in fields


async def test_a_document_of_10_megabytes_is_refused_with_the_limit_and_changes_nothing(service):
    await service.plant()
    request = pb.CreateChangeRequest(request_id=a_request_id(), node_id="firm", reason="because")
    names = [f"{'I' * 50}{number:07}" for number in range(18_000)]
    for number in range(10):
        request.document.eligibility.screens.add(name=f"screen {number}", instrument_ids=names)
    assert request.document.ByteSize() > 10_000_000

    async with refused(INVALID, "FIELD_INVALID") as fields:
        await service.author().CreateChange(request)

    assert fields["document"] == f"must be at most 4,194,304 bytes, was {request.document.ByteSize():,}"
    del request.document.eligibility.screens[3:]
    assert (await service.author().CreateChange(request)).change.change_id


async def test_a_node_with_children_or_with_rules_on_record_stays(service):
    await planted(service)
    node = (await service.reading.GetNode(pb.GetNodeRequest(node_id="blend"))).node
    failed = grpc.StatusCode.FAILED_PRECONDITION

    async with refused(failed, "POLICY_NODE_HAS_CHILDREN") as fields:
        await service.engineer.DeleteNode(
            pb.DeleteNodeRequest(request_id=a_request_id(), node_id="blend", etag=node.etag)
        )
    assert "has 1 children" in fields[""]
    assert (await service.reading.GetNode(pb.GetNodeRequest(node_id="blend"))).node == node


async def test_nodes_that_would_hang_in_a_circle_are_refused(service):
    await service.plant()
    kind = pb.PolicyNode.KIND_MODEL
    nodes = [pb.PolicyNode(node_id=a, parent_id=b, kind=kind) for a, b in (("a", "b"), ("b", "c"), ("c", "a"))]

    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "POLICY_TREE_INVALID") as fields:
        await service.engineer.CreateNodes(pb.CreateNodesRequest(request_id=a_request_id(), nodes=nodes))
    assert "3 nodes hang in a cycle" in fields[""]


async def test_a_field_of_a_newer_client_is_refused_where_it_stands(service):
    await service.plant()
    request = pb.CreateChangeRequest(request_id=a_request_id(), node_id="firm", reason="because")
    line = request.document.targets.weights.add(instrument_id="VTI")
    line.weight.value = "1"
    line.MergeFromString(b"\xfa\x3f\x02hi")

    async with refused(INVALID, "FIELD_INVALID") as fields:
        await service.author().CreateChange(request)
    assert "1023" in fields["document.targets.weights[0]"]
