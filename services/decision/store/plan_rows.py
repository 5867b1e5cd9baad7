"""Rows of the table of plans, as plans."""

from typing import Any

from services.decision.domain.outline import Outline
from services.decision.domain.plan import Plan, PlanContent, PlanInputs, PlanOutcome, PlanState
from services.decision.domain.recorded import read_recorded
from services.decision.tables.runs import plan
from services.kernel.ids import AccountId, PlanId, RunId

# Without what a plan says, which only some need and is most of it.
LISTED = [
    plan.c.plan_id,
    plan.c.run_id,
    plan.c.account_id,
    plan.c.state,
    plan.c.outcome,
    plan.c.inputs,
    plan.c.plan_hash,
    plan.c.review_reasons,
    plan.c.approver,
    plan.c.refusal,
    plan.c.create_time,
    plan.c.expire_time,
    plan.c.update_time,
    plan.c.submission_id,
    plan.c.outline,
]


def plan_of(row: Any, content: bytes | None = None) -> Plan:  # noqa: ANN401 - rows of any query of `LISTED`
    """Return the plan of a row of `LISTED`, with its content if that was read."""
    return Plan(
        plan_id=PlanId(row.plan_id),
        run_id=RunId(row.run_id),
        account_id=AccountId(row.account_id),
        state=PlanState(row.state),
        outcome=PlanOutcome(row.outcome),
        inputs=read_recorded(PlanInputs, row.inputs),
        plan_hash=row.plan_hash,
        review_reasons=tuple(row.review_reasons),
        approver=row.approver,
        refusal=row.refusal,
        create_time=row.create_time,
        expire_time=row.expire_time,
        update_time=row.update_time,
        outline=read_recorded(Outline, row.outline),
        content=None if content is None else read_recorded(PlanContent, content),
        submission_id=row.submission_id,
    )
