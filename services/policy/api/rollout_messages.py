"""Rollouts and stops as messages, and the other way."""

from collections.abc import Iterable
from decimal import Decimal

from google.protobuf.message import Message

from evenkeel.policy.v1 import rollout_pb2 as pb
from evenkeel.policy.v1 import rollout_service_pb2 as service_pb
from evenkeel.policy.v1 import stop_service_pb2 as stop_pb
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.api.documents import document_message
from services.policy.domain.rollout import Cohort, Comparison, Metric, Reading, Rollout, RolloutPlan, Stage, StopRule
from services.policy.domain.stops import Stop
from services.runtime.wire import decimal_message, decimal_of, instant_message

_METRICS = {
    Metric.TAX: pb.StopRule.METRIC_TAX,
    Metric.COST: pb.StopRule.METRIC_COST,
    Metric.DRIFT: pb.StopRule.METRIC_DRIFT,
    Metric.TURNOVER: pb.StopRule.METRIC_TURNOVER,
    Metric.FAILURES: pb.StopRule.METRIC_FAILURES,
}
_METRICS_BY_NUMBER: dict[int, Metric] = {number: metric for metric, number in _METRICS.items()}

_STAGES = {
    Stage.SHADOW: pb.ROLLOUT_STAGE_SHADOW,
    Stage.CANARY: pb.ROLLOUT_STAGE_CANARY,
    Stage.ALL: pb.ROLLOUT_STAGE_ALL,
    Stage.ROLLED_BACK: pb.ROLLOUT_STAGE_ROLLED_BACK,
}

# A mean is shown to a millionth of a basis point.
_SHOWN = Decimal("0.000001")


def plan_in(request: Message, name: str = "rollout") -> RolloutPlan | None:
    """Return the rollout plan in the field `name` of a request; None when it is absent."""
    if not request.HasField(name):
        return None
    said: pb.RolloutPlan = getattr(request, name)
    rules = tuple(
        StopRule(
            _METRICS_BY_NUMBER[rule.metric],
            decimal_of(rule.bound_bps, f"{name}.stop_rules[{row}].bound_bps"),
            rule.window,
        )
        for row, rule in enumerate(said.stop_rules)
    )
    if said.WhichOneof("canary") == "cohort":
        node_ids = tuple(map(PolicyNodeId, said.cohort.node_ids))
        return RolloutPlan(rules, cohort=Cohort(said.cohort.name, node_ids))
    return RolloutPlan(rules, share_bps=said.share_bps)


def plan_message(plan: RolloutPlan) -> pb.RolloutPlan:
    """Return the message that says `plan`."""
    message = pb.RolloutPlan(stop_rules=map(_rule_message, plan.stop_rules))
    if plan.cohort is not None:
        message.cohort.CopyFrom(pb.Cohort(name=plan.cohort.name, node_ids=plan.cohort.node_ids))
    else:
        message.share_bps = plan.share_bps or 0
    return message


def rollout_message(rollout: Rollout, seen: Iterable[Reading] = (), comparison_count: int = 0) -> pb.Rollout:
    """Return the message that says `rollout`, and what its stop rules see."""
    return pb.Rollout(
        change_id=rollout.change_id,
        node_id=rollout.node_id,
        version_hash=rollout.version_id,
        plan=plan_message(rollout.plan),
        stage=_STAGES[rollout.stage],
        steps=[
            pb.RolloutStep(
                stage=_STAGES[step.stage],
                effective_time=instant_message(step.effective_time),
                record_time=instant_message(step.recorded_time),
                actor=step.actor,
                reason=step.reason,
            )
            for step in rollout.steps
        ],
        readings=map(_reading_message, seen),
        comparison_count=comparison_count,
        etag=rollout.etag,
    )


def reported(request: service_pb.ReportComparisonsRequest) -> dict[ChangeId, list[Comparison]]:
    """Return the comparisons of a report, by the change whose rollout they are about."""
    found: dict[ChangeId, list[Comparison]] = {}
    for row, said in enumerate(request.comparisons):
        at = f"comparisons[{row}]"
        found.setdefault(ChangeId(said.change_id), []).append(
            Comparison(
                run_id=said.run_id,
                account_id=PolicyNodeId(said.account_id),
                tax_bps=decimal_of(said.tax_bps, f"{at}.tax_bps"),
                cost_bps=decimal_of(said.cost_bps, f"{at}.cost_bps"),
                drift_bps=decimal_of(said.drift_bps, f"{at}.drift_bps"),
                turnover_bps=decimal_of(said.turnover_bps, f"{at}.turnover_bps"),
                failed=said.failed,
            )
        )
    return found


def stop_message(stop: Stop) -> stop_pb.Stop:
    """Return the message that says `stop`."""
    message = stop_pb.Stop(
        stop_id=stop.stop_id,
        node_id=stop.node_id,
        document=document_message(stop.document),
        reason=stop.reason,
        actor=stop.actor,
        version_hash=stop.version_id,
        effective_time=instant_message(stop.effective_time),
        record_time=instant_message(stop.recorded_time),
        lifter=stop.lifter or "",
        lift_reason=stop.lift_reason,
    )
    if stop.lift_time is not None:
        message.lift_time.CopyFrom(instant_message(stop.lift_time))
    return message


def _rule_message(rule: StopRule) -> pb.StopRule:
    return pb.StopRule(metric=_METRICS[rule.metric], bound_bps=decimal_message(rule.bound_bps), window=rule.window)


def _reading_message(reading: Reading) -> pb.StopRuleReading:
    message = pb.StopRuleReading(rule=_rule_message(reading.rule), count=reading.count, broken=reading.broken)
    if reading.mean_bps is not None:
        message.mean_bps.CopyFrom(decimal_message(reading.mean_bps.quantize(_SHOWN)))
    return message
