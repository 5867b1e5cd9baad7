"""What audit is told of runs and plans: one event for each change of state."""

from collections.abc import Mapping

from services.decision.domain.plan import NewPlan, Plan, PlanState
from services.decision.domain.run import Run
from services.kernel.canonical import JsonValue, rfc3339
from services.kernel.events import Event

# An event is at most 60 KiB; the plan itself keeps every trade.
TRADES_TOLD_MAX = 200


def run_event(what: str, run: Run, data: Mapping[str, JsonValue]) -> Event:
    """Return the event `decision.run.<what>`."""
    subjects = {"run": str(run.run_id)}
    if run.snapshot_id:
        subjects["snapshot"] = run.snapshot_id
    said: dict[str, JsonValue] = {
        "as_of_time": rfc3339(run.as_of_time),
        "price_set_id": run.price_set_id,
        "price_history_id": run.price_history_id,
        "engine": run.engine,
        "dry_run": run.dry_run,
        "event": run.event,
        **data,
    }
    return Event(f"decision.run.{what}", subjects, said)


def plan_decided(run: Run, new: NewPlan) -> Event:
    """Return the event of a plan that was decided: what it rests on, what it does, and the state it begins in."""
    draft = new.draft
    inputs, decision, release = draft.inputs, draft.content.decision, draft.content.release
    subjects = {"run": str(run.run_id), "plan": str(new.plan_id), "account": str(draft.account_id)}
    if inputs.snapshot_id:
        subjects["snapshot"] = inputs.snapshot_id
    if inputs.policy_version_hashes:
        subjects["policy_version"] = inputs.policy_version_hashes[-1]
    if release is not None and release.household_id is not None:
        subjects["household"] = str(release.household_id)
    trades = () if decision is None else decision.trades
    failure = draft.content.failure
    return Event(
        "decision.plan.decided",
        subjects,
        {
            "state": new.state.value,
            "outcome": draft.outcome.value,
            "plan_hash": draft.plan_hash,
            "approver": new.approver,
            "review_reasons": list(draft.review_reasons),
            "policy_hash": inputs.policy_hash,
            "policy_version_hashes": list(inputs.policy_version_hashes),
            "account_hash": inputs.account_hash,
            "price_set_id": inputs.price_set_id,
            "risk_model_hash": inputs.risk_model_hash,
            "instruments_hash": inputs.instruments_hash,
            "engine": inputs.engine,
            "failure": None if failure is None else {"reason": failure.reason, "message": failure.message[:1024]},
            "trade_count": len(trades),
            "trades": [
                {"instrument_id": trade.instrument_id, "side": trade.side.value, "quantity": trade.quantity}
                for trade in trades[:TRADES_TOLD_MAX]
            ],
        },
    )


def plan_moved(plan: Plan, comment: str = "") -> Event:
    """Return the event of a plan whose state changed; its kind is the new state."""
    kinds = {PlanState.WORKING: "submitted", PlanState.HELD: "held"}
    what = kinds.get(plan.state, plan.state.value.lower())
    data: dict[str, JsonValue] = {"plan_hash": plan.plan_hash}
    if plan.state is PlanState.APPROVED:
        data["approver"] = plan.approver
    if plan.refusal:
        data["refusal"] = plan.refusal
    if comment:
        data["comment"] = comment
    return Event(f"decision.plan.{what}", plan.subjects, data)
