import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import select

from evenkeel.policy.v1 import policy_document_pb2 as pbd
from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.kernel.canonical import content_hash
from services.kernel.clock import FixedClock
from services.kernel.ids import ChangeId, PolicyVersionId
from services.policy.api.documents import document_message, document_of
from services.policy.domain.document import EMPTY, RestrictionKind
from services.policy.domain.errors import VersionConflict
from services.policy.main import build
from services.policy.tables import outbox
from services.runtime.clock import SystemClock
from services.runtime.wire import instant_message, words_of
from tests.policy.api.conftest import a_request_id, refused
from tests.policy.builders import DAY, NOON, bands, both, guarded, restricted, risk, targets

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CONFLICT = grpc.StatusCode.ABORTED
REJECTED = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND
DENIED = grpc.StatusCode.PERMISSION_DENIED

SECOND = timedelta(seconds=1)
SCHEDULED, ACTIVE, SUPERSEDED = (
    pb.PolicyChange.STATE_SCHEDULED,
    pb.PolicyChange.STATE_ACTIVE,
    pb.PolicyChange.STATE_SUPERSEDED,
)
DRAFT, WITHDRAWN, REJECTED_STATE = (
    pb.PolicyChange.STATE_DRAFT,
    pb.PolicyChange.STATE_WITHDRAWN,
    pb.PolicyChange.STATE_REJECTED,
)


async def told(service):
    """Return the kinds of the events told so far, with their subjects."""
    async with service.database.read() as connection:
        rows = await connection.execute(select(outbox.c.kind, outbox.c.subjects, outbox.c.actor).order_by(outbox.c.seq))
        return [(row.kind, row.subjects, row.actor) for row in rows]


def editing(change, mask, **parts):
    return pb.UpdateChangeRequest(
        request_id=a_request_id(),
        change_id=change.change_id,
        etag=change.etag,
        update_mask=FieldMask(paths=mask),
        **parts,
    )


# The tree.


async def test_a_node_is_created_read_listed_and_deleted(service):
    await service.plant(growth=("model", "firm"))
    created = await service.engineer.CreateNode(
        pb.CreateNodeRequest(
            request_id=a_request_id(),
            node=pb.PolicyNode(node_id="acc-1", kind=pb.PolicyNode.KIND_ACCOUNT, parent_id="growth", display_name="A"),
        )
    )

    assert (await service.reading.GetNode(pb.GetNodeRequest(node_id="acc-1"))).node == created.node
    listed = await service.reading.ListNodes(pb.ListNodesRequest(parent_id="growth"))
    assert list(listed.nodes) == [created.node]

    await service.engineer.DeleteNode(
        pb.DeleteNodeRequest(request_id=a_request_id(), node_id="acc-1", etag=created.node.etag)
    )
    async with refused(NOT_FOUND, "POLICY_NODE_NOT_FOUND"):
        await service.reading.GetNode(pb.GetNodeRequest(node_id="acc-1"))


async def test_a_list_of_nodes_pages_to_its_end(service):
    await service.plant(**{f"acc{n}": ("account", "firm") for n in range(5)})

    seen, token = [], ""
    while True:
        page = await service.reading.ListNodes(
            pb.ListNodesRequest(kind=pb.PolicyNode.KIND_ACCOUNT, page_size=2, page_token=token)
        )
        seen += [node.node_id for node in page.nodes]
        if not (token := page.next_page_token):
            break

    assert seen == [f"acc{n}" for n in range(5)]
    async with refused(INVALID, "PAGE_TOKEN_INVALID"):
        await service.reading.ListNodes(pb.ListNodesRequest(page_size=2, page_token="other"))


@pytest.mark.parametrize(
    ("node", "code", "reason"),
    [
        (("x", "KIND_MODEL", "nobody"), NOT_FOUND, "POLICY_NODE_NOT_FOUND"),
        (("growth", "KIND_MODEL", "firm"), grpc.StatusCode.ALREADY_EXISTS, "POLICY_NODE_EXISTS"),
        (("x", "KIND_PROGRAM", "growth"), REJECTED, "POLICY_TREE_INVALID"),
        (("x", "KIND_MODEL", "x"), REJECTED, "POLICY_TREE_INVALID"),
        (("x", "KIND_MODEL", ""), REJECTED, "POLICY_TREE_INVALID"),
        (("not an id", "KIND_MODEL", "firm"), INVALID, "FIELD_INVALID"),
        (("x", "KIND_UNSPECIFIED", "firm"), INVALID, "FIELD_INVALID"),
    ],
)
async def test_a_node_that_does_not_fit_is_refused(service, node, code, reason):
    await service.plant(growth=("model", "firm"))
    node_id, kind, parent_id = node
    wanted = pb.PolicyNode(node_id=node_id, kind=pb.PolicyNode.Kind.Value(kind), parent_id=parent_id)

    async with refused(code, reason):
        await service.engineer.CreateNode(pb.CreateNodeRequest(request_id=a_request_id(), node=wanted))


async def test_many_nodes_are_created_all_or_none(service):
    await service.plant()
    cycle = [
        pb.PolicyNode(node_id="a", kind=pb.PolicyNode.KIND_MODEL, parent_id="b"),
        pb.PolicyNode(node_id="b", kind=pb.PolicyNode.KIND_MODEL, parent_id="a"),
        pb.PolicyNode(node_id="c", kind=pb.PolicyNode.KIND_MODEL, parent_id="firm"),
    ]
    async with refused(REJECTED, "POLICY_TREE_INVALID"):
        await service.engineer.CreateNodes(pb.CreateNodesRequest(request_id=a_request_id(), nodes=cycle))
    async with refused(INVALID, "FIELD_INVALID") as fields:
        await service.engineer.CreateNodes(pb.CreateNodesRequest(request_id=a_request_id(), nodes=[cycle[2], cycle[2]]))

    assert "nodes[1].node_id" in fields
    assert [n.node_id for n in (await service.reading.ListNodes(pb.ListNodesRequest())).nodes] == ["firm"]


async def test_a_node_with_children_or_with_rules_stays(service):
    await service.plant(growth=("model", "firm"))
    firm = (await service.reading.GetNode(pb.GetNodeRequest(node_id="firm"))).node
    growth = (await service.reading.GetNode(pb.GetNodeRequest(node_id="growth"))).node
    await service.draft(targets(VTI="1"), "growth")

    def deletion(node, etag=None):
        return pb.DeleteNodeRequest(request_id=a_request_id(), node_id=node.node_id, etag=etag or node.etag)

    async with refused(REJECTED, "POLICY_NODE_HAS_CHILDREN"):
        await service.engineer.DeleteNode(deletion(firm))
    async with refused(REJECTED, "POLICY_TREE_INVALID"):
        await service.engineer.DeleteNode(deletion(growth))
    async with refused(CONFLICT, "VERSION_CONFLICT"):
        await service.engineer.DeleteNode(deletion(growth, etag="other"))


# How rules change.


async def test_what_one_person_writes_and_another_approves_is_in_force(service):
    await service.plant(growth=("model", "firm"), acc_1=("account", "growth"))
    await service.enact(bands(trigger="0.05", destination="0.02"))
    drafted = await service.draft(targets(cash="0.02", VTI="0.98"), "growth")
    submitted = await service.submit(drafted)
    approved = await service.approve(submitted)

    assert (approved.state, approved.author, approved.approver) == (ACTIVE, "ann", "bob")
    found = await service.effective("acc-1")
    assert document_of(found.document) == both(
        bands(trigger="0.05", destination="0.02"), targets(cash="0.02", VTI="0.98")
    )
    assert found.policy.policy_hash == content_hash(found.policy.document_bytes)
    assert pbd.PolicyDocument.FromString(found.policy.document_bytes) == found.document
    assert found.policy.version_hashes[1] == approved.version_hash
    assert found.document.merged_version_hashes == found.policy.version_hashes
    version = await service.reading.GetPolicyVersion(pb.GetPolicyVersionRequest(version_hash=approved.version_hash))
    assert (version.version.approver, version.version.change_id) == ("bob", approved.change_id)


async def test_every_field_says_who_set_it_and_why(service):
    await service.plant(growth=("model", "firm"))
    firm = await service.enact(guarded("risk.cash_floor", maximum="0.1", document=risk(cash_floor="0.01")))
    model = await service.enact(both(targets(cash="0.02", VTI="0.98"), risk(cash_floor="0.02")), "growth")

    sources = {source.field: source for source in (await service.effective("growth")).sources}

    assert sources.keys() == {"targets.weights", "targets.cash_weight", "risk.cash_floor", "guardrails"}
    floor = sources["risk.cash_floor"]
    assert (floor.value, floor.node_id, floor.version_hash) == ('"0.02"', "growth", model.version_hash)
    assert (floor.author, floor.approver, floor.reason) == ("ann", "bob", "because")
    assert floor.effective_time == model.effective_time
    assert sources["guardrails"].version_hash == firm.version_hash


async def test_nobody_approves_or_rejects_what_they_wrote(service):
    await service.plant()
    change = await service.submit(await service.draft(risk(cash_floor="0.01"), author="ann"), author="ann")

    async with refused(DENIED, "SELF_APPROVAL"):
        await service.approve(change, by="ann")
    async with refused(DENIED, "SELF_APPROVAL"):
        await service.approver("ann").RejectChange(
            pb.RejectChangeRequest(request_id=a_request_id(), change_id=change.change_id, comment="no")
        )
    assert (await service.get(change)).state == pb.PolicyChange.STATE_SUBMITTED


async def test_roles_are_kept_apart(service):
    await service.plant()
    change = await service.submit(await service.draft(risk(cash_floor="0.01")))
    approval = pb.ApproveChangeRequest(
        request_id=a_request_id(), change_id=change.change_id, version_hash=change.version_hash
    )

    async with refused(DENIED, "ROLE_MISSING"):
        await service.author("bob").ApproveChange(approval)
    async with refused(DENIED, "ROLE_MISSING"):
        await service.engineer.ApproveChange(approval)
    async with refused(DENIED, "ROLE_MISSING"):
        await service.approver("bob").CreateChange(
            pb.CreateChangeRequest(
                request_id=a_request_id(), node_id="firm", document=document_message(EMPTY), reason="because"
            )
        )


async def test_an_edit_voids_what_an_approver_read(service):
    await service.plant()
    read = await service.submit(await service.draft(risk(cash_floor="0.01")))
    edited = await service.author().UpdateChange(
        editing(read, ["document"], document=document_message(risk(cash_floor="0.9")))
    )

    assert edited.change.state == DRAFT
    async with refused(REJECTED, "POLICY_CHANGE_STATE"):
        await service.approve(read)
    again = await service.submit(edited.change)
    async with refused(CONFLICT, "APPROVAL_STALE"):
        await service.approve(again, read=read.version_hash)
    assert (await service.approve(again)).state == ACTIVE


async def test_an_approval_and_an_edit_that_race_never_approve_what_was_not_read(service):
    await service.plant()
    for attempt in range(5):
        service.market_clock.advance(SECOND)
        read = await service.submit(await service.draft(risk(cash_floor=f"0.{attempt + 1}")))
        other = document_message(risk(cash_floor=f"0.{attempt + 1}5"))
        await asyncio.gather(
            service.approve(read),
            service.author().UpdateChange(editing(read, ["document"], document=other)),
            return_exceptions=True,
        )

        now = await service.get(read)
        if now.approver:
            assert now.version_hash == read.version_hash
            assert now.document == read.document
        else:
            assert (now.state, now.document) == (DRAFT, other)


async def test_an_approver_can_insist_that_nothing_at_all_has_changed(service):
    await service.plant()
    read = await service.submit(await service.draft(risk(cash_floor="0.01"), effective_time=NOON + DAY))
    sooner = editing(read, ["effective_time"], effective_time=instant_message(NOON + SECOND))
    again = await service.submit((await service.author().UpdateChange(sooner)).change)
    assert again.version_hash == read.version_hash

    def approval(change):
        return pb.ApproveChangeRequest(
            request_id=a_request_id(), change_id=change.change_id, version_hash=change.version_hash, etag=change.etag
        )

    async with refused(CONFLICT, "VERSION_CONFLICT"):
        await service.approver().ApproveChange(approval(read))
    assert (await service.approver().ApproveChange(approval(again))).change.state == SCHEDULED


async def test_only_the_author_may_edit_submit_and_withdraw(service):
    await service.plant()
    change = await service.draft(risk(cash_floor="0.01"), author="ann")
    other = service.author("otto")

    async with refused(DENIED, "POLICY_CHANGE_AUTHOR"):
        await other.UpdateChange(editing(change, ["reason"], reason="mine"))
    async with refused(DENIED, "POLICY_CHANGE_AUTHOR"):
        await service.submit(change, author="otto")
    async with refused(DENIED, "POLICY_CHANGE_AUTHOR"):
        await other.WithdrawChange(pb.WithdrawChangeRequest(request_id=a_request_id(), change_id=change.change_id))


async def test_an_edit_of_what_changed_since_it_was_read_names_both_versions(service):
    await service.plant()
    change = await service.draft(risk(cash_floor="0.01"))
    edited = (await service.author().UpdateChange(editing(change, ["reason"], reason="better"))).change

    async with refused(CONFLICT, "VERSION_CONFLICT") as said:
        await service.author().UpdateChange(editing(change, ["reason"], reason="worse"))
    assert change.etag in said[""]
    assert edited.etag in said[""]


@pytest.mark.parametrize("mask", [[], ["author"], ["document", "state"]])
async def test_an_edit_names_what_it_may_change(service, mask):
    await service.plant()
    change = await service.draft(risk(cash_floor="0.01"))

    async with refused(INVALID, "FIELD_INVALID") as fields:
        await service.author().UpdateChange(editing(change, mask, reason="x"))
    assert "update_mask" in fields


async def test_a_replica_whose_clock_is_behind_neither_rewrites_history_nor_makes_two_versions_hold(service):
    await service.plant()
    first = await service.enact(risk(cash_floor="0.01"))
    second = await service.submit(await service.draft(risk(cash_floor="0.02")))
    behind = build(
        service.database,
        SystemClock(),
        FixedClock(NOON - timedelta(hours=1)),
        watch_period_s=1,
        policy_cache_bytes=1 << 20,
    )

    with pytest.raises(VersionConflict) as conflict:
        await behind.changes.approve_change(
            ChangeId(second.change_id), PolicyVersionId(second.version_hash), comment="", by="bob"
        )

    assert first.version_hash in conflict.value.message
    assert second.version_hash in conflict.value.message
    service.market_clock.advance(SECOND)
    assert (await service.approve(second)).state == ACTIVE
    assert list((await service.effective("firm")).policy.version_hashes) == [second.version_hash]
    earlier = await service.effective("firm", effective_time=first.effective_time.ToDatetime(UTC))
    assert list(earlier.policy.version_hashes) == [first.version_hash]


async def test_of_two_changes_written_for_one_version_the_second_must_look_again(service):
    await service.plant()
    first = await service.submit(await service.draft(risk(cash_floor="0.01")))
    second = await service.submit(await service.draft(risk(cash_floor="0.02"), author="otto"), author="otto")
    won = await service.approve(first)
    service.market_clock.advance(SECOND)

    async with refused(CONFLICT, "VERSION_CONFLICT") as said:
        await service.approve(second)
    assert won.version_hash in said[""]

    edited = (await service.author("otto").UpdateChange(editing(second, ["reason"], reason="seen"))).change
    assert (await service.approve(await service.submit(edited, author="otto"))).state == ACTIVE
    assert (await service.get(first)).state == SUPERSEDED


async def test_two_approvals_that_race_leave_one_version_in_force(service):
    await service.plant()
    changes = [
        await service.submit(
            await service.draft(risk(cash_floor=f"0.0{n}"), author=f"author-{n}"), author=f"author-{n}"
        )
        for n in range(1, 5)
    ]

    answers = await asyncio.gather(*map(service.approve, changes), return_exceptions=True)

    won = [answer for answer in answers if isinstance(answer, pb.PolicyChange)]
    assert len(won) == 1
    assert all(answer.code() == CONFLICT for answer in answers if answer not in won)
    assert list((await service.effective("firm")).policy.version_hashes) == [won[0].version_hash]


async def test_a_change_is_scheduled_until_its_time_comes(service):
    await service.plant()
    await service.enact(risk(cash_floor="0.01"))
    change = await service.submit(await service.draft(risk(cash_floor="0.02"), effective_time=NOON + DAY))
    assert (await service.approve(change)).state == SCHEDULED
    assert (await service.effective("firm")).document.risk.cash_floor.value == "0.01"

    service.market_clock.advance(DAY)

    assert (await service.get(change)).state == ACTIVE
    assert (await service.effective("firm")).document.risk.cash_floor.value == "0.02"
    assert await service.changes.announce_due() == 1
    assert await service.changes.announce_due() == 0
    assert [kind for kind, _, _ in await told(service)][-2:] == [
        "policy.version.superseded",
        "policy.version.activated",
    ]


async def test_a_scheduled_change_can_be_withdrawn_and_another_take_its_place(service):
    await service.plant()
    await service.enact(risk(cash_floor="0.01"))
    scheduled = await service.approve(
        await service.submit(await service.draft(risk(cash_floor="0.9"), effective_time=NOON + DAY))
    )
    withdrawal = pb.WithdrawChangeRequest(request_id=a_request_id(), change_id=scheduled.change_id)

    assert (await service.author().WithdrawChange(withdrawal)).change.state == WITHDRAWN
    await service.enact(risk(cash_floor="0.02"))
    service.market_clock.advance(2 * DAY)
    assert (await service.effective("firm")).document.risk.cash_floor.value == "0.02"
    assert await service.changes.announce_due() == 0


async def test_what_is_in_force_cannot_be_withdrawn(service):
    await service.plant()
    active = await service.enact(risk(cash_floor="0.01"))

    async with refused(REJECTED, "POLICY_CHANGE_STATE"):
        await service.author().WithdrawChange(
            pb.WithdrawChangeRequest(request_id=a_request_id(), change_id=active.change_id)
        )


async def test_history_is_not_rewritten_except_by_a_nodes_first_version(service):
    await service.plant()
    first = await service.enact(risk(cash_floor="0.01"), effective_time=NOON - 5 * DAY)
    assert (first.state, first.effective_time) == (ACTIVE, instant_message(NOON - 5 * DAY))

    late = await service.submit(await service.draft(risk(cash_floor="0.02"), effective_time=NOON - DAY))
    async with refused(REJECTED, "POLICY_CHANGE_STATE"):
        await service.approve(late)


async def test_a_rejected_change_never_holds(service):
    await service.plant()
    change = await service.submit(await service.draft(risk(cash_floor="0.01")))
    rejected = await service.approver().RejectChange(
        pb.RejectChangeRequest(request_id=a_request_id(), change_id=change.change_id, comment="too low")
    )

    assert (rejected.change.state, rejected.change.approver_comment) == (REJECTED_STATE, "too low")
    async with refused(REJECTED, "POLICY_CHANGE_STATE"):
        await service.approve(change)
    async with refused(REJECTED, "POLICY_NOT_IN_FORCE"):
        await service.effective("firm")


async def test_changes_are_listed_by_node_author_and_approver(service):
    await service.plant(growth=("model", "firm"))
    one = await service.enact(risk(cash_floor="0.01"))
    two = await service.draft(risk(cash_floor="0.02"), "growth", author="otto")

    async def listed(**wanted):
        found = await service.reading.ListChanges(pb.ListChangesRequest(**wanted))
        return [change.change_id for change in found.changes]

    assert await listed() == [two.change_id, one.change_id]
    assert await listed(node_id="firm") == [one.change_id]
    assert await listed(author="otto") == [two.change_id]
    assert await listed(approver="bob") == [one.change_id]
    first = await service.reading.ListChanges(pb.ListChangesRequest(page_size=1))
    rest = await service.reading.ListChanges(pb.ListChangesRequest(page_size=1, page_token=first.next_page_token))
    assert [c.change_id for c in (*first.changes, *rest.changes)] == [two.change_id, one.change_id]
    assert rest.next_page_token == ""


async def test_a_repeated_request_is_done_once(service):
    await service.plant()
    change = await service.submit(await service.draft(risk(cash_floor="0.01")))
    approval = pb.ApproveChangeRequest(
        request_id=a_request_id(), change_id=change.change_id, version_hash=change.version_hash
    )

    first = await service.approver().ApproveChange(approval)

    assert await service.approver().ApproveChange(approval) == first
    assert [kind for kind, _, _ in await told(service)].count("policy.change.approved") == 1
    approval.comment = "another"
    async with refused(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"):
        await service.approver().ApproveChange(approval)


async def test_every_step_tells_whom_it_concerns(service):
    await service.plant(family=("household", "firm"), acc_1=("account", "family"))
    change = await service.enact(risk(cash_floor="0.01"), "acc-1")

    events = await told(service)

    assert [kind for kind, _, _ in events] == [
        *["policy.node.created"] * 3,
        "policy.change.created",
        "policy.change.submitted",
        "policy.change.approved",
        "policy.version.activated",
    ]
    about = {
        "policy_node": "acc-1",
        "account": "acc-1",
        "change": change.change_id,
        "policy_version": change.version_hash,
    }
    assert [(subjects, actor) for _, subjects, actor in events[3:]] == [
        (about, "ann"),
        (about, "ann"),
        (about, "bob"),
        (about, "bob"),
    ]


# What a document may say.


async def test_a_contradiction_is_refused_with_all_its_fields_before_anything_is_written(service):
    await service.plant()

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.draft(both(risk(cash_floor="0.3", cash_ceiling="0.2"), targets(VTI="0.7")))

    assert "must be at most the ceiling, was 0.3 and 0.2" in fields["document.risk.cash_floor"]
    assert "sum to 0.7" in fields["document.targets.weights"]
    assert (await service.reading.ListChanges(pb.ListChangesRequest())).changes == []


async def test_a_number_out_of_range_is_refused_with_value_and_limit(service):
    await service.plant()

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.draft(risk(cash_floor="-0.01"))
    assert "must be at least 0, was -0.01" in fields["document.risk.cash_floor"]


async def test_a_contradiction_with_what_is_inherited_is_refused(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(both(risk(instrument_weight_limit="0.5"), restricted("GME")))

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.draft(targets(VTI="0.6", GME="0.4"), "growth")
    assert {"document.targets.weights", "document.risk.instrument_weight_limit", "document.restrictions.items"} <= (
        fields.keys()
    )


async def test_a_guardrail_above_refuses_with_its_bound(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(guarded("risk.instrument_weight_limit", maximum="0.4"))

    async with refused(INVALID, "GUARDRAIL_EXCEEDED") as fields:
        await service.draft(risk(instrument_weight_limit="0.5"), "growth")
    assert "must be at most 0.4, was 0.5" in fields["document.risk.instrument_weight_limit"]


async def test_a_guardrail_that_came_after_the_draft_stops_the_approval(service):
    await service.plant(growth=("model", "firm"))
    waiting = await service.submit(await service.draft(risk(instrument_weight_limit="0.5"), "growth"))
    await service.enact(guarded("risk.instrument_weight_limit", maximum="0.4"))

    async with refused(INVALID, "GUARDRAIL_EXCEEDED"):
        await service.approve(waiting)


async def test_a_guardrail_that_came_after_the_approval_overrules(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(risk(instrument_weight_limit="0.3"))
    await service.enact(risk(instrument_weight_limit="0.5"), "growth")
    await service.enact(
        guarded("risk.instrument_weight_limit", maximum="0.4", document=risk(instrument_weight_limit="0.3"))
    )

    assert (await service.effective("growth")).document.risk.instrument_weight_limit.value == "0.3"


async def test_a_rule_with_which_something_below_could_not_work_is_refused(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(targets(VTI="1"), "growth")
    breaking = await service.draft(risk(instrument_weight_limit="0.5"))

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.submit(breaking)
    assert "with this, growth could not work" in fields["document.targets.weights"]


async def test_a_rule_that_could_not_work_with_what_is_scheduled_is_refused(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(risk(cash_ceiling="0.2"), effective_time=NOON + DAY)
    later = await service.draft(risk(cash_floor="0.3"), "growth")

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.submit(later)
    assert "growth could not work from 2026-03-04" in fields["document.risk.cash_floor"]


async def test_what_later_rules_rest_on_cannot_be_withdrawn(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(risk(cash_ceiling="0.2"))
    wider = await service.enact(risk(cash_ceiling="0.5"), effective_time=NOON + DAY)
    await service.enact(risk(cash_floor="0.3"), "growth", effective_time=NOON + 2 * DAY)
    withdrawal = pb.WithdrawChangeRequest(request_id=a_request_id(), change_id=wider.change_id)

    async with refused(INVALID, "POLICY_CONTRADICTION") as fields:
        await service.author().WithdrawChange(withdrawal)
    assert "growth could not work from 2026-03-05" in fields["document.risk.cash_floor"]
    assert (await service.get(wider)).state == SCHEDULED


async def test_lint_says_everything_and_writes_nothing(service):
    await service.plant(growth=("model", "firm"))
    await service.enact(guarded("risk.instrument_weight_limit", maximum="0.4"))

    async def lint(document):
        request = pb.LintDocumentRequest(node_id="growth", document=document_message(document))
        found = (await service.reading.LintDocument(request)).findings
        return [(pb.Finding.Severity.Name(f.severity), f.rule, list(f.fields)) for f in found]

    assert await lint(risk(instrument_weight_limit="0.5")) == [
        ("SEVERITY_ERROR", "GUARDRAIL_EXCEEDED", ["risk.instrument_weight_limit"])
    ]
    assert await lint(targets(VTI="0.5")) == [("SEVERITY_ERROR", "WEIGHTS_SUM", ["targets.weights"])]
    assert await lint(both(targets(VTI="1"), restricted("VTI", RestrictionKind.NO_BUY))) == [
        ("SEVERITY_WARNING", "TARGET_NOT_BUYABLE", ["targets.weights", "restrictions.items"])
    ]
    assert await lint(EMPTY) == []


async def test_a_field_of_a_newer_client_is_refused(service):
    await service.plant()
    document = pbd.PolicyDocument.FromString(b"\xfa\x3f\x02hi")

    async with refused(INVALID, "FIELD_INVALID") as fields:
        await service.author().CreateChange(
            pb.CreateChangeRequest(request_id=a_request_id(), node_id="firm", document=document, reason="because")
        )
    assert "document" in fields


async def test_a_document_of_ten_megabytes_is_refused_and_the_service_goes_on(service):
    await service.plant()
    document = pbd.PolicyDocument()
    for number in range(2000):
        line = document.targets.weights.add(instrument_id=f"I{number}")
        line.weight.value = "0." + "0" * 5000 + "1"

    async with refused(INVALID, "FIELD_INVALID"):
        await service.author().CreateChange(
            pb.CreateChangeRequest(request_id=a_request_id(), node_id="firm", document=document, reason="because")
        )
    assert (await service.enact(risk(cash_floor="0.01"))).state == ACTIVE


# Which rules apply.


async def test_what_was_in_force_as_known_then(service):
    await service.plant()
    await service.enact(risk(cash_floor="0.01"))
    between = datetime.now(UTC)
    await service.enact(risk(cash_floor="0.02"), effective_time=NOON + DAY)
    later = NOON + 2 * DAY

    assert (await service.effective("firm", later)).document.risk.cash_floor.value == "0.02"
    assert (await service.effective("firm", later, between)).document.risk.cash_floor.value == "0.01"
    async with refused(REJECTED, "POLICY_NOT_IN_FORCE"):
        await service.effective("firm", NOON - DAY)
    async with refused(REJECTED, "POLICY_NOT_IN_FORCE"):
        await service.effective("firm", later, between - DAY)
    async with refused(NOT_FOUND, "POLICY_NODE_NOT_FOUND"):
        await service.effective("nobody")


async def resolve(service, *account_ids, **words):
    """Return the policy hash of each account, in the order streamed, and each policy by its hash."""
    hashes, policies = [], {}
    request = pb.ResolvePoliciesRequest(account_ids=account_ids, **words)
    async for part in service.reading.ResolvePolicies(request):
        for policy in part.policies:
            assert policy.policy_hash not in policies
            policies[policy.policy_hash] = policy
        words = words_of(part.policy_hashes, "policy_hashes")
        assert all(word in policies for word in words if word)
        hashes += zip(part.account_ids, words, strict=True)
    return hashes, policies


async def test_what_would_apply_if_a_change_governed_is_what_applies_once_it_does(service):
    await service.plant(
        growth=("model", "firm"), a1=("account", "growth"), a2=("account", "growth"), a3=("account", "firm")
    )
    await service.enact(both(risk(cash_floor="0.01"), guarded("risk.cash_floor", maximum="0.05")))
    await service.enact(targets(cash="0.05", VTI="0.95"), "growth")
    before = dict((await resolve(service))[0])
    draft = await service.draft(both(targets(cash="0.05", VTI="0.9", BND="0.05"), risk(cash_floor="0.03")), "growth")

    supposed, policies = await resolve(service, change_id=draft.change_id)
    (alone,), _ = await resolve(service, "a2", change_id=draft.change_id)
    as_before = dict((await resolve(service))[0])
    service.market_clock.advance(SECOND)
    await service.approve(await service.submit(draft))
    after = dict((await resolve(service))[0])

    assert as_before == before
    assert dict(supposed) == after
    assert alone == ("a2", after["a2"])
    assert (supposed[0][1] != before["a1"], dict(supposed)["a3"]) == (True, before["a3"])
    assert draft.version_hash in policies[after["a1"]].version_hashes
    async with refused(NOT_FOUND, "POLICY_CHANGE_NOT_FOUND"):
        await resolve(service, change_id="change-of-nobody")


async def test_many_accounts_are_resolved_as_each_alone(service):
    await service.plant(
        growth=("model", "firm"),
        family=("household", "growth"),
        idle=("model", "firm"),
        a1=("account", "family"),
        a2=("account", "family"),
        a3=("account", "growth"),
        a4=("account", "idle"),
    )
    await service.enact(targets(VTI="1"), "growth")
    await service.enact(risk(cash_floor="0"), "a2")

    hashes, policies = await resolve(service)

    assert [account for account, _ in hashes] == ["a1", "a2", "a3", "a4"]
    by_account = dict(hashes)
    assert by_account["a1"] == by_account["a3"] != by_account["a2"]
    assert by_account["a4"] == ""
    assert len(policies) == 2
    for account in ("a1", "a2", "a3"):
        assert policies[by_account[account]] == (await service.effective(account)).policy
    assert (await resolve(service, "a2", "a1"))[0] == [("a2", by_account["a2"]), ("a1", by_account["a1"])]
    async with refused(NOT_FOUND, "POLICY_NODE_NOT_FOUND") as said:
        await resolve(service, "a1", "nobody")
    assert "nobody" in said[""]
    assert (await resolve(service, "a1", "nobody", allow_missing=True))[0] == [("a1", by_account["a1"])]
    assert (await resolve(service, "nobody", allow_missing=True))[0] == []


async def test_equal_rules_from_different_versions_are_different_policies(service):
    await service.plant(a1=("account", "firm"), a2=("account", "firm"))
    one = await service.enact(risk(cash_floor="0.01"), "a1")
    other = await service.enact(risk(cash_floor="0.01"), "a2")

    hashes, policies = await resolve(service)

    assert {account: list(policies[name].version_hashes) for account, name in hashes} == {
        "a1": [one.version_hash],
        "a2": [other.version_hash],
    }


async def test_only_versions_in_force_are_in_force(service):
    await service.plant()
    old = await service.enact(risk(cash_floor="0.01"))
    new = await service.enact(risk(cash_floor="0.02"))
    draft = await service.draft(risk(cash_floor="0.03"))
    asked = [old.version_hash, new.version_hash, draft.version_hash, "sha256:none"]

    async def in_force(at=None):
        request = pb.CheckVersionsRequest(version_hashes=asked)
        if at is not None:
            request.effective_time.CopyFrom(instant_message(at))
        return list((await service.reading.CheckVersions(request)).in_force_version_hashes)

    assert await in_force() == [new.version_hash]
    assert await in_force(NOON + SECOND) == [old.version_hash]
    assert await in_force(NOON) == []


async def test_a_version_that_nobody_approved_says_so(service):
    await service.plant()
    draft = await service.draft(risk(cash_floor="0.03"))

    found = await service.reading.GetPolicyVersion(pb.GetPolicyVersionRequest(version_hash=draft.version_hash))

    assert (found.version.author, found.version.approver) == ("ann", "")
    assert document_of(found.version.document).risk.cash_floor == Decimal("0.03")
    async with refused(NOT_FOUND, "POLICY_VERSION_NOT_FOUND"):
        await service.reading.GetPolicyVersion(pb.GetPolicyVersionRequest(version_hash="sha256:none"))
