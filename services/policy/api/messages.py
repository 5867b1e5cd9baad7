"""Values of policy as messages, and the other way."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from google.protobuf.message import Message

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_document_pb2 import PolicyDocument
from services.kernel.canonical import canonical_json, content_hash
from services.kernel.errors import Violations
from services.kernel.ids import PolicyNodeId
from services.kernel.money import Money
from services.policy.api.documents import document_message, guardrail_message
from services.policy.api.rollout_messages import plan_message
from services.policy.app.reading import Verdict
from services.policy.app.tree import NewNode, etag_of
from services.policy.domain.approvals import Need
from services.policy.domain.changes import Change, State
from services.policy.domain.content import plain_value
from services.policy.domain.diff import Difference, Step
from services.policy.domain.document import FIELDS, Document
from services.policy.domain.explain import Explanation, Outcome
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Finding, Severity
from services.policy.domain.merge import Layer, Origin
from services.policy.domain.notices import Notice, NoticeKind
from services.policy.domain.resolve import Applied
from services.policy.domain.tree import Node, NodeKind
from services.runtime.wire import instant_message, instant_of, money_of

_KINDS = {
    NodeKind.FIRM: pb.PolicyNode.KIND_FIRM,
    NodeKind.PROGRAM: pb.PolicyNode.KIND_PROGRAM,
    NodeKind.MODEL: pb.PolicyNode.KIND_MODEL,
    NodeKind.HOUSEHOLD: pb.PolicyNode.KIND_HOUSEHOLD,
    NodeKind.ACCOUNT: pb.PolicyNode.KIND_ACCOUNT,
}
_KINDS_BY_NUMBER: dict[int, NodeKind] = {number: kind for kind, number in _KINDS.items()}

_STATES = {
    State.DRAFT: pb.PolicyChange.STATE_DRAFT,
    State.SUBMITTED: pb.PolicyChange.STATE_SUBMITTED,
    State.SCHEDULED: pb.PolicyChange.STATE_SCHEDULED,
    State.ACTIVE: pb.PolicyChange.STATE_ACTIVE,
    State.SUPERSEDED: pb.PolicyChange.STATE_SUPERSEDED,
    State.REJECTED: pb.PolicyChange.STATE_REJECTED,
    State.WITHDRAWN: pb.PolicyChange.STATE_WITHDRAWN,
    State.ROLLING_OUT: pb.PolicyChange.STATE_ROLLING_OUT,
    State.ROLLED_BACK: pb.PolicyChange.STATE_ROLLED_BACK,
}

_STATES_BY_NUMBER: dict[int, State] = {number: state for state, number in _STATES.items()}

_OUTCOMES = {
    Outcome.HOLDS: pb.FieldStatement.OUTCOME_HOLDS,
    Outcome.REPLACED: pb.FieldStatement.OUTCOME_REPLACED,
    Outcome.OVERRULED: pb.FieldStatement.OUTCOME_OVERRULED,
}

_ORIGINS = {
    Origin.VERSION: pb.FieldSource.ORIGIN_VERSION,
    Origin.PROFILE_RULE: pb.FieldSource.ORIGIN_PROFILE_RULE,
    Origin.PREFERENCE: pb.FieldSource.ORIGIN_PREFERENCE,
}

_STEPS = {
    Step.SET: pb.PolicyDifference.STEP_SET,
    Step.CLEARED: pb.PolicyDifference.STEP_CLEARED,
    Step.RAISED: pb.PolicyDifference.STEP_RAISED,
    Step.LOWERED: pb.PolicyDifference.STEP_LOWERED,
    Step.CHANGED: pb.PolicyDifference.STEP_CHANGED,
}

_NOTICES = {
    NoticeKind.SCHEDULED: pb.PolicyNotice.KIND_SCHEDULED,
    NoticeKind.ACTIVATED: pb.PolicyNotice.KIND_ACTIVATED,
    NoticeKind.WITHDRAWN: pb.PolicyNotice.KIND_WITHDRAWN,
    NoticeKind.SHADOWED: pb.PolicyNotice.KIND_SHADOWED,
    NoticeKind.CANARIED: pb.PolicyNotice.KIND_CANARIED,
    NoticeKind.ROLLED_BACK: pb.PolicyNotice.KIND_ROLLED_BACK,
    NoticeKind.STOPPED: pb.PolicyNotice.KIND_STOPPED,
    NoticeKind.LIFTED: pb.PolicyNotice.KIND_LIFTED,
}

_SEVERITIES = {
    Severity.WARNING: pb.Finding.SEVERITY_WARNING,
    Severity.ERROR: pb.Finding.SEVERITY_ERROR,
}


def new_node(message: pb.PolicyNode) -> NewNode:
    """Return the node that a caller wants; what only the service says is ignored."""
    parent_id = PolicyNodeId(message.parent_id) if message.parent_id else None
    return NewNode(PolicyNodeId(message.node_id), _KINDS_BY_NUMBER[message.kind], parent_id, message.display_name)


def account_values(request: pb.RecordAccountValuesRequest) -> list[tuple[PolicyNodeId, Money, datetime]]:
    """Return what a request says that accounts are worth.

    Raises:
        Invalid: An amount or an instant is none, an amount is negative, or an account is named twice.
    """
    found: dict[PolicyNodeId, tuple[PolicyNodeId, Money, datetime]] = {}
    violations = Violations()
    for place, each in enumerate(request.values):
        at = f"values[{place}]"
        value = money_of(each.value, f"{at}.value")
        account_id = PolicyNodeId(each.account_id)
        if value.amount < 0:
            violations.add(f"{at}.value", f"must be at least 0, was {value}")
        if account_id in found:
            violations.add(f"{at}.account_id", f"{account_id} is named twice")
        found[account_id] = (account_id, value, instant_of(each.as_of_time, f"{at}.as_of_time"))
    violations.raise_if_any()
    return list(found.values())


def kind_of(number: int) -> NodeKind | None:
    """Return the kind, or None for any."""
    return _KINDS_BY_NUMBER.get(number)


def state_of(number: int) -> State | None:
    """Return the state, or None for any."""
    return _STATES_BY_NUMBER.get(number)


def node_message(node: Node) -> pb.PolicyNode:
    """Return the message that says `node`."""
    return pb.PolicyNode(
        node_id=node.node_id,
        parent_id=node.parent_id or "",
        kind=_KINDS[node.kind],
        display_name=node.display_name,
        etag=etag_of(node),
        create_time=instant_message(node.created_time),
    )


def change_message(change: Change, market_time: datetime) -> pb.PolicyChange:
    """Return the message that says `change`, in the state that it has at the business instant `market_time`."""
    message = pb.PolicyChange(
        change_id=change.change_id,
        node_id=change.node_id,
        document=document_message(change.document),
        reason=change.reason,
        version_hash=change.version_id,
        state=_STATES[change.state(market_time)],
        author=change.author,
        approver=change.approver or "",
        approver_comment=change.approver_comment,
        etag=change.etag,
        create_time=instant_message(change.created_time),
    )
    if (effective_time := change.effective_time or change.requested_time) is not None:
        message.effective_time.CopyFrom(instant_message(effective_time))
    if change.decided_time is not None:
        message.decide_time.CopyFrom(instant_message(change.decided_time))
    if change.rollout is not None:
        message.rollout.CopyFrom(plan_message(change.rollout))
    for each in change.approvals:
        message.approvals.add(
            approver=each.approver,
            roles=each.roles,
            comment=each.comment,
            record_time=instant_message(each.recorded_time),
        )
    message.account_count = change.account_count or 0
    return message


def need_messages(needs: Iterable[Need], change: Change) -> Iterator[pb.ApprovalNeed]:
    """Yield the messages that say `needs`, and how far the approvals of `change` meet them."""
    for need in needs:
        yield pb.ApprovalNeed(
            role=need.role or "",
            count=need.count,
            given_count=need.given(change.approvals),
            description=need.description,
        )


def layer_message(layer: Layer) -> pb.PolicyVersion:
    """Return a version that governed a node as a message."""
    return pb.PolicyVersion(
        version_hash=layer.version_id,
        node_id=layer.node_id,
        document=document_message(layer.document),
        author=layer.author,
        approver=layer.approver,
        reason=layer.reason,
        effective_time=instant_message(layer.effective_time),
        approve_time=instant_message(layer.approved_time),
        change_id=layer.change_id,
    )


def verdict_message(verdict: Verdict) -> pb.PolicyVerdict:
    """Return the message that says `verdict`."""
    return pb.PolicyVerdict(
        account_id=verdict.account_id,
        paused=verdict.paused,
        version_hashes=verdict.version_ids,
        description=verdict.description,
    )


def version_message(change: Change) -> pb.PolicyVersion:
    """Return the content of `change` as a version; approver and times only if it is approved."""
    message = pb.PolicyVersion(
        version_hash=change.version_id,
        node_id=change.node_id,
        document=document_message(change.document),
        author=change.author,
        reason=change.reason,
        change_id=change.change_id,
    )
    if change.effective_time is not None and change.decided_time is not None:
        message.approver = change.approver or ""
        message.effective_time.CopyFrom(instant_message(change.effective_time))
        message.approve_time.CopyFrom(instant_message(change.decided_time))
    return message


def finding_messages(findings: Iterable[Finding]) -> Iterator[pb.Finding]:
    """Yield the messages that say `findings`."""
    for finding in findings:
        yield pb.Finding(
            severity=_SEVERITIES[finding.severity],
            rule=finding.rule,
            fields=finding.fields,
            description=finding.description,
        )


def effective_document(
    applied: Applied, message_of: Callable[[Document], PolicyDocument] = document_message
) -> PolicyDocument:
    """Return the merged rules, with the versions that they were merged of."""
    message = message_of(applied.plain.document)
    message.merged_version_hashes.extend(applied.version_ids)
    return message


def effective_message(
    applied: Applied, message_of: Callable[[Document], PolicyDocument] = document_message
) -> pb.EffectivePolicy:
    """Return the message that names an effective policy by the hash of its bytes."""
    return named(applied, effective_document(applied, message_of))


def named(applied: Applied, document: PolicyDocument) -> pb.EffectivePolicy:
    """Return the message that names an effective policy, written as `document`, by the hash of its bytes."""
    data = document.SerializeToString(deterministic=True)
    return pb.EffectivePolicy(policy_hash=content_hash(data), document_bytes=data, version_hashes=applied.version_ids)


def source_messages(applied: Applied) -> Iterator[pb.FieldSource]:
    """Yield who set each field, in the order of the fields; each contributor of a field that several fill."""
    for field, value in FIELDS.set_in(applied.plain.document):
        for layer in applied.sources(field.path):
            yield _source(field.path, value, layer)


def explanation_message(explanation: Explanation) -> pb.ExplainPolicyResponse:
    """Return the message that says why a field has its value."""
    response = pb.ExplainPolicyResponse(
        value=_text(explanation.value), guardrails=[guardrail_message(bound.guardrail) for bound in explanation.bounds]
    )
    for said in explanation.said:
        statement = response.statements.add(
            source=_source(explanation.path, said.value, said.layer), outcome=_OUTCOMES[said.outcome]
        )
        if said.bound is not None:
            statement.guardrail.CopyFrom(guardrail_message(said.bound.guardrail))
            statement.guardrail_node_id = said.bound.node_id
    return response


def difference_message(difference: Difference) -> pb.PolicyDifference:
    """Return the message that says `difference`."""
    return pb.PolicyDifference(
        field=difference.path,
        item=difference.item,
        step=_STEPS[difference.step],
        before=_text(difference.before),
        after=_text(difference.after),
        description=difference.description,
    )


def notice_message(notice: Notice) -> pb.PolicyNotice:
    """Return the message that says `notice`."""
    return pb.PolicyNotice(
        position=notice.position,
        kind=_NOTICES[notice.kind],
        node_id=notice.node_id,
        version_hash=notice.version_id,
        change_id=notice.change_id,
        effective_time=instant_message(notice.effective_time),
        record_time=instant_message(notice.recorded_time),
    )


def as_of(request: Message, market_time: datetime) -> AsOf:
    """Return the instants that a request asks about; the market's present as known now when it says none."""
    valid_time = instant_in(request, "effective_time")
    return AsOf(market_time if valid_time is None else valid_time, instant_in(request, "known_time"))


def instant_in(request: Message, name: str) -> datetime | None:
    """Return the instant in the field `name` of a request, or None when it is absent."""
    return instant_of(getattr(request, name), name) if request.HasField(name) else None


def _source(path: str, value: object, layer: Layer) -> pb.FieldSource:
    return pb.FieldSource(
        field=path,
        value=_text(value),
        node_id=layer.node_id,
        version_hash=layer.version_id,
        author=layer.author,
        approver=layer.approver,
        effective_time=instant_message(layer.effective_time),
        reason=layer.reason,
        origin=_ORIGINS[layer.origin],
        approve_time=instant_message(layer.approved_time),
    )


def _text(value: object) -> str:
    return "" if value is None or value == () else canonical_json(plain_value(value)).decode()
