"""Rows of the tables, as values of the domain."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.kernel.decimals import parse_decimal, plain
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.approvals import Approval
from services.policy.domain.changes import Change, Decided
from services.policy.domain.history import Activation
from services.policy.domain.index import Governing, RollingOut, document_of
from services.policy.domain.merge import Layer
from services.policy.domain.notices import Notice, NoticeKind
from services.policy.domain.rollout import Cohort, Comparison, Metric, Rollout, RolloutPlan, Stage, Step, StopRule
from services.policy.domain.stops import Stop
from services.policy.domain.tree import Node, NodeKind
from services.policy.tables import activation, node, notice, rollout_comparison, rollout_step, stop

NODE_COLUMNS = (node.c.node_id, node.c.parent_id, node.c.kind, node.c.display_name, node.c.created_time)

ACTIVATION_COLUMNS = (
    activation.c.node_id,
    activation.c.sequence,
    activation.c.follows,
    activation.c.version_id,
    activation.c.change_id,
    activation.c.effective_time,
    activation.c.recorded_time,
    activation.c.revoked_time,
)

NOTICE_COLUMNS = (
    notice.c.position,
    notice.c.kind,
    notice.c.node_id,
    notice.c.version_id,
    notice.c.change_id,
    notice.c.effective_time,
    notice.c.recorded_time,
)

STOP_COLUMNS = tuple(column for column in stop.c if column.name not in ("number", "edition"))

STEP_COLUMNS = tuple(rollout_step.c)

COMPARISON_COLUMNS = tuple(column for column in rollout_comparison.c if column.name not in ("number", "change_id"))

# What JSON holds.
Plain = Mapping[str, Any]


def node_of(row: Row[*tuple[object, ...]]) -> Node:
    """Return the node in a row of `NODE_COLUMNS`."""
    parent_id = None if row.parent_id is None else PolicyNodeId(row.parent_id)
    return Node(PolicyNodeId(row.node_id), NodeKind(row.kind), parent_id, row.display_name, row.created_time)


def activation_of(row: Row[*tuple[object, ...]]) -> Activation:
    """Return the activation in a row of `ACTIVATION_COLUMNS`."""
    return Activation(
        node_id=PolicyNodeId(row.node_id),
        sequence=row.sequence,
        follows=row.follows,
        version_id=PolicyVersionId(row.version_id),
        change_id=ChangeId(row.change_id),
        effective_time=row.effective_time,
        recorded_time=row.recorded_time,
        revoked_time=row.revoked_time,
    )


def notice_of(row: Row[*tuple[object, ...]]) -> Notice:
    """Return the notice in a row of `NOTICE_COLUMNS`."""
    return Notice(
        position=row.position,
        kind=NoticeKind(row.kind),
        node_id=PolicyNodeId(row.node_id),
        version_id=PolicyVersionId(row.version_id),
        change_id=ChangeId(row.change_id),
        effective_time=row.effective_time,
        recorded_time=row.recorded_time,
    )


def layer_of(row: Row[*tuple[object, ...]]) -> Layer:
    """Return the version in force in a row of activation, version and change."""
    return Layer(
        node_id=PolicyNodeId(row.node_id),
        version_id=PolicyVersionId(row.version_id),
        document=document_of(row.document),
        change_id=ChangeId(row.change_id),
        author=row.author,
        approver=row.approver,
        reason=row.reason,
        effective_time=row.effective_time,
        approved_time=row.recorded_time,
    )


def change_of(row: Row[*tuple[object, ...]]) -> Change:
    """Return the change in a row of change, version and the time at which a later version took over."""
    return Change(
        change_id=ChangeId(row.change_id),
        node_id=PolicyNodeId(row.node_id),
        base_version_id=None if row.base_version_id is None else PolicyVersionId(row.base_version_id),
        document=document_of(row.document),
        version_id=PolicyVersionId(row.version_id),
        reason=row.reason,
        requested_time=row.requested_time,
        decided=Decided(row.decided),
        revision=row.revision,
        author=row.author,
        created_time=row.created_time,
        rollout=plan_of(row.rollout),
        approvals=approvals_of(row.approvals),
        account_count=row.account_count,
        approver=row.approver,
        approver_comment=row.approver_comment,
        decided_time=row.decided_time,
        effective_time=row.effective_time,
        superseded_time=row.superseded_time,
    )


def governing_of(row: Row[*tuple[object, ...]]) -> Governing:
    """Return the version that governs a node, in a row of activation, version and change."""
    return Governing(activation_of(row), row.author, row.approver, row.reason, row.document)


def stop_of(row: Row[*tuple[object, ...]]) -> Stop:
    """Return the stop in a row of `STOP_COLUMNS`."""
    return Stop(
        stop_id=ChangeId(row.stop_id),
        node_id=PolicyNodeId(row.node_id),
        document=document_of(row.document),
        version_id=PolicyVersionId(row.version_id),
        reason=row.reason,
        actor=row.actor,
        effective_time=row.effective_time,
        recorded_time=row.recorded_time,
        lifter=row.lifter,
        lift_reason=row.lift_reason,
        lift_time=row.lift_time,
        lift_recorded_time=row.lift_recorded_time,
    )


def rollout_of(row: Row[*tuple[object, ...]], steps: Iterable[Row[*tuple[object, ...]]]) -> Rollout:
    """Return the rollout in a row of rollout and change, and rows of `STEP_COLUMNS` in their order."""
    plan = plan_of(row.rollout)
    if plan is None:
        raise ValueError(f"the rollout of {row.change_id} has no plan")
    return Rollout(
        change_id=ChangeId(row.change_id),
        node_id=PolicyNodeId(row.node_id),
        version_id=PolicyVersionId(row.version_id),
        author=row.author,
        plan=plan,
        steps=tuple(
            Step(Stage(each.stage), each.effective_time, each.recorded_time, each.actor, each.reason) for each in steps
        ),
    )


def rolling_out_of(row: Row[*tuple[object, ...]], steps: Iterable[Row[*tuple[object, ...]]]) -> RollingOut:
    """Return the rollout in a row of rollout, change and version, and rows of its steps, with its content."""
    return RollingOut(rollout_of(row, steps), row.approver, row.reason, row.document)


def comparison_of(row: Row[*tuple[object, ...]]) -> Comparison:
    """Return the comparison in a row of `COMPARISON_COLUMNS`."""
    return Comparison(
        row.run_id, PolicyNodeId(row.account_id), row.tax_bps, row.cost_bps, row.drift_bps, row.turnover_bps, row.failed
    )


def plain_plan(plan: RolloutPlan | None) -> Plain | None:
    """Return a rollout plan as JSON."""
    if plan is None:
        return None
    cohort = plan.cohort
    return {
        "share_bps": plan.share_bps,
        "cohort": None if cohort is None else {"name": cohort.name, "node_ids": list(cohort.node_ids)},
        "stop_rules": [
            {"metric": rule.metric.value, "bound_bps": plain(rule.bound_bps), "window": rule.window}
            for rule in plan.stop_rules
        ],
    }


def plan_of(said: Plain | None) -> RolloutPlan | None:
    """Return the rollout plan that `plain_plan` wrote."""
    if said is None:
        return None
    cohort = said["cohort"]
    return RolloutPlan(
        stop_rules=tuple(
            StopRule(Metric(rule["metric"]), parse_decimal(rule["bound_bps"]), rule["window"])
            for rule in said["stop_rules"]
        ),
        share_bps=said["share_bps"],
        cohort=None if cohort is None else Cohort(cohort["name"], tuple(map(PolicyNodeId, cohort["node_ids"]))),
    )


def plain_approvals(approvals: Iterable[Approval]) -> list[Plain]:
    """Return approvals as JSON."""
    return [
        {
            "approver": each.approver,
            "roles": list(each.roles),
            "comment": each.comment,
            "recorded_time": each.recorded_time.isoformat(),
        }
        for each in approvals
    ]


def approvals_of(said: Iterable[Plain]) -> tuple[Approval, ...]:
    """Return the approvals that `plain_approvals` wrote."""
    return tuple(
        Approval(each["approver"], tuple(each["roles"]), each["comment"], datetime.fromisoformat(each["recorded_time"]))
        for each in said
    )
