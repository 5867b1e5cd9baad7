"""`evenkeel.policy.v1.PolicyService`: message → values → use case → message."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceServicer
from services.kernel.clock import Clock
from services.kernel.errors import Invalid
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId, derived_id
from services.policy.api.callers import caller
from services.policy.api.documents import document_of
from services.policy.api.messages import (
    account_values,
    as_of,
    change_message,
    difference_message,
    explanation_message,
    finding_messages,
    instant_in,
    kind_of,
    layer_message,
    need_messages,
    new_node,
    node_message,
    notice_message,
    state_of,
    verdict_message,
    version_message,
)
from services.policy.api.resolving import ACCOUNTS_AT_ONCE, PolicyMessages, parts
from services.policy.api.rollout_messages import plan_in
from services.policy.app import ChangeApp, PolicyApp, TreeApp
from services.policy.app.ports import ChangeFilter
from services.policy.app.proposals import Edit, Proposal
from services.policy.app.reading import ChangePoint, NodePoint, Point, VersionPoint
from services.policy.domain.changes import Change
from services.runtime.paging import Page, cut, read_page

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
NOTICES_AT_ONCE = 500

_EDITABLE = frozenset({"document", "reason", "effective_time", "rollout"})

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class PolicyServicer(PolicyServiceServicer):
    """Answers callers of policy."""

    tree: TreeApp
    changes: ChangeApp
    policies: PolicyApp
    market_clock: Clock
    # How often a follower looks for what other processes decided, in seconds.
    watch_period_s: float
    messages: PolicyMessages

    async def CreateNode(self, request: pb.CreateNodeRequest, context: _Context) -> pb.CreateNodeResponse:
        (created,) = await self.tree.create_nodes([new_node(request.node)])
        return pb.CreateNodeResponse(node=node_message(created))

    async def CreateNodes(self, request: pb.CreateNodesRequest, context: _Context) -> pb.CreateNodesResponse:
        created = await self.tree.create_nodes([new_node(each) for each in request.nodes])
        return pb.CreateNodesResponse(created_count=len(created))

    async def DeleteNode(self, request: pb.DeleteNodeRequest, context: _Context) -> pb.DeleteNodeResponse:
        await self.tree.delete_node(PolicyNodeId(request.node_id), request.etag)
        return pb.DeleteNodeResponse()

    async def RecordAccountValues(
        self, request: pb.RecordAccountValuesRequest, context: _Context
    ) -> pb.RecordAccountValuesResponse:
        recorded, missing = await self.tree.record_values(
            account_values(request), by=caller().subject, allow_missing=request.allow_missing
        )
        return pb.RecordAccountValuesResponse(recorded_count=recorded, missing_account_ids=missing)

    async def GetNode(self, request: pb.GetNodeRequest, context: _Context) -> pb.GetNodeResponse:
        return pb.GetNodeResponse(node=node_message(await self.tree.get_node(PolicyNodeId(request.node_id))))

    async def ListNodes(self, request: pb.ListNodesRequest, context: _Context) -> pb.ListNodesResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.tree.list_nodes(
            parent_id=PolicyNodeId(request.parent_id) if request.parent_id else None,
            kind=kind_of(request.kind),
            after=None if page.after is None else PolicyNodeId(str(page.after[0])),
            limit=page.size + 1,
        )
        shown, token = cut(found, page, lambda node: (node.node_id,))
        return pb.ListNodesResponse(nodes=map(node_message, shown), next_page_token=token)

    async def LintDocument(self, request: pb.LintDocumentRequest, context: _Context) -> pb.LintDocumentResponse:
        findings = await self.policies.lint(PolicyNodeId(request.node_id), document_of(request.document))
        return pb.LintDocumentResponse(findings=finding_messages(findings))

    async def CreateChange(self, request: pb.CreateChangeRequest, context: _Context) -> pb.CreateChangeResponse:
        change, warnings = await self.changes.create_change(
            Proposal(
                change_id=_change_id(request),
                node_id=PolicyNodeId(request.node_id),
                document=document_of(request.document),
                reason=request.reason,
                author=caller().subject,
                requested_time=instant_in(request, "effective_time"),
                rollout=plan_in(request),
            )
        )
        return pb.CreateChangeResponse(change=self._shown(change), warnings=finding_messages(warnings))

    async def UpdateChange(self, request: pb.UpdateChangeRequest, context: _Context) -> pb.UpdateChangeResponse:
        change, warnings = await self.changes.edit_change(
            ChangeId(request.change_id), _edit(request), etag=request.etag, by=caller().subject
        )
        return pb.UpdateChangeResponse(change=self._shown(change), warnings=finding_messages(warnings))

    async def SubmitChange(self, request: pb.SubmitChangeRequest, context: _Context) -> pb.SubmitChangeResponse:
        change = await self.changes.submit_change(ChangeId(request.change_id), etag=request.etag, by=caller().subject)
        return pb.SubmitChangeResponse(change=await self._with_needs(change))

    async def ApproveChange(self, request: pb.ApproveChangeRequest, context: _Context) -> pb.ApproveChangeResponse:
        change = await self.changes.approve_change(
            ChangeId(request.change_id),
            PolicyVersionId(request.version_hash),
            comment=request.comment,
            by=caller().subject,
            roles=caller().roles,
            etag=request.etag or None,
        )
        return pb.ApproveChangeResponse(change=await self._with_needs(change))

    async def RejectChange(self, request: pb.RejectChangeRequest, context: _Context) -> pb.RejectChangeResponse:
        change = await self.changes.reject_change(
            ChangeId(request.change_id), comment=request.comment, by=caller().subject
        )
        return pb.RejectChangeResponse(change=self._shown(change))

    async def WithdrawChange(self, request: pb.WithdrawChangeRequest, context: _Context) -> pb.WithdrawChangeResponse:
        change = await self.changes.withdraw_change(ChangeId(request.change_id), by=caller().subject)
        return pb.WithdrawChangeResponse(change=self._shown(change))

    async def RollBackPolicy(self, request: pb.RollBackPolicyRequest, context: _Context) -> pb.RollBackPolicyResponse:
        change = await self.changes.roll_back(
            _change_id(request),
            PolicyNodeId(request.node_id),
            PolicyVersionId(request.version_hash),
            reason=request.reason,
            author=caller().subject,
        )
        return pb.RollBackPolicyResponse(change=await self._with_needs(change))

    async def GetChange(self, request: pb.GetChangeRequest, context: _Context) -> pb.GetChangeResponse:
        found = await self.changes.get_change(ChangeId(request.change_id))
        return pb.GetChangeResponse(change=await self._with_needs(found))

    async def ListChanges(self, request: pb.ListChangesRequest, context: _Context) -> pb.ListChangesResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        wanted = ChangeFilter(
            node_id=PolicyNodeId(request.node_id) if request.node_id else None,
            author=request.author or None,
            approver=request.approver or None,
            state=state_of(request.state),
            market_time=self.market_clock.now(),
            field=request.field or None,
            created_from=instant_in(request, "start_time"),
            created_before=instant_in(request, "end_time"),
        )
        found = await self.changes.list_changes(wanted, before=_number(page), limit=page.size + 1)
        shown, token = cut(found, page, lambda each: (each.number,))
        return pb.ListChangesResponse(changes=[self._shown(each.change) for each in shown], next_page_token=token)

    async def GetPolicyVersion(
        self, request: pb.GetPolicyVersionRequest, context: _Context
    ) -> pb.GetPolicyVersionResponse:
        change = await self.policies.version(PolicyVersionId(request.version_hash))
        return pb.GetPolicyVersionResponse(version=version_message(change))

    async def GetEffectivePolicy(
        self, request: pb.GetEffectivePolicyRequest, context: _Context
    ) -> pb.GetEffectivePolicyResponse:
        found = await self.policies.applied(PolicyNodeId(request.node_id), as_of(request, self.market_clock.now()))
        return self.messages.answer(found)

    async def ResolvePolicies(
        self, request: pb.ResolvePoliciesRequest, context: _Context
    ) -> AsyncIterator[pb.ResolvePoliciesResponse]:
        resolved = self.policies.resolve(
            [PolicyNodeId(each) for each in request.account_ids],
            as_of(request, self.market_clock.now()),
            at_once=ACCOUNTS_AT_ONCE,
            with_sides=request.with_comparisons,
            supposing=ChangeId(request.change_id) if request.change_id else None,
            allow_missing=request.allow_missing,
        )
        async for part in parts(resolved, self.messages):
            yield part

    async def GetPolicyAsOf(self, request: pb.GetPolicyAsOfRequest, context: _Context) -> pb.GetPolicyAsOfResponse:
        found = await self.policies.path_versions(
            PolicyNodeId(request.node_id), as_of(request, self.market_clock.now())
        )
        return pb.GetPolicyAsOfResponse(
            versions=map(layer_message, found.layers),
            rollout_version_hashes=found.by_rollout,
            stop_ids=[stop.stop_id for stop in found.stops],
        )

    async def DiffPolicies(self, request: pb.DiffPoliciesRequest, context: _Context) -> pb.DiffPoliciesResponse:
        found = await self.policies.differences(self._point(request.before), self._point(request.after))
        return pb.DiffPoliciesResponse(differences=map(difference_message, found))

    async def ExplainPolicy(self, request: pb.ExplainPolicyRequest, context: _Context) -> pb.ExplainPolicyResponse:
        asked = as_of(request, self.market_clock.now())
        return explanation_message(await self.policies.explain(PolicyNodeId(request.node_id), request.field, asked))

    async def WatchPolicies(
        self, request: pb.WatchPoliciesRequest, context: _Context
    ) -> AsyncIterator[pb.WatchPoliciesResponse]:
        position = request.after_position
        while True:
            notices = await self.policies.notices(position, NOTICES_AT_ONCE)
            if notices:
                position = notices[-1].position
                yield pb.WatchPoliciesResponse(notices=map(notice_message, notices))
            else:
                await asyncio.sleep(self.watch_period_s)

    async def CheckPolicies(self, request: pb.CheckPoliciesRequest, context: _Context) -> pb.CheckPoliciesResponse:
        asked = {
            PolicyNodeId(each.account_id): [PolicyVersionId(name) for name in each.version_hashes]
            for each in request.accounts
        }
        at = instant_in(request, "effective_time") or self.market_clock.now()
        hashes = {PolicyNodeId(each.account_id): each.policy_hash for each in request.accounts if each.policy_hash}
        found = await self.policies.verdicts(asked, at, hashes, self.messages.hash_of)
        return pb.CheckPoliciesResponse(verdicts=map(verdict_message, found))

    async def CheckVersions(self, request: pb.CheckVersionsRequest, context: _Context) -> pb.CheckVersionsResponse:
        asked = [PolicyVersionId(each) for each in request.version_hashes]
        at = instant_in(request, "effective_time") or self.market_clock.now()
        in_force = await self.policies.in_force(asked, at)
        return pb.CheckVersionsResponse(in_force_version_hashes=[each for each in asked if each in in_force])

    def _point(self, message: pb.PolicyPoint) -> Point:
        match message.WhichOneof("document"):
            case "version_hash":
                return VersionPoint(PolicyVersionId(message.version_hash))
            case "change_id":
                return ChangePoint(ChangeId(message.change_id))
            case kind:
                merged = kind == "effective_node_id"
                node_id = message.effective_node_id if merged else message.node_id
                return NodePoint(PolicyNodeId(node_id), as_of(message, self.market_clock.now()), merged)

    def _shown(self, change: Change) -> pb.PolicyChange:
        return change_message(change, self.market_clock.now())

    async def _with_needs(self, change: Change) -> pb.PolicyChange:
        message = self._shown(change)
        message.approval_needs.extend(need_messages(await self.changes.approval_needs(change), change))
        return message


def _edit(request: pb.UpdateChangeRequest) -> Edit:
    named = set(request.update_mask.paths)
    if not named or named - _EDITABLE:
        description = f"must name some of {', '.join(sorted(_EDITABLE))}, was {sorted(named)}"
        raise Invalid.of("update_mask", description)
    if "reason" in named and not request.reason:
        description = "must say why, was empty"
        raise Invalid.of("reason", description)
    requested_time = instant_in(request, "effective_time") if "effective_time" in named else None
    return Edit(
        document=document_of(request.document) if "document" in named else None,
        reason=request.reason if "reason" in named else None,
        requested_time=requested_time,
        clear_time="effective_time" in named and requested_time is None,
        rollout=plan_in(request) if "rollout" in named else None,
        clear_rollout="rollout" in named and not request.HasField("rollout"),
    )


def _change_id(request: pb.CreateChangeRequest | pb.RollBackPolicyRequest) -> ChangeId:
    return ChangeId(derived_id("change", request.request_id))


def _number(page: Page) -> int | None:
    return None if page.after is None else int(page.after[0])
