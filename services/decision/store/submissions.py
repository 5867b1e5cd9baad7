"""Submissions to execution in PostgreSQL: stored before anything is sent, closed when it is acknowledged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.ports.execution import ApprovedPlan, SignedPlan, Submission
from services.decision.domain.plan import Plan, PlanState
from services.decision.domain.plan_parts import read_release
from services.decision.store.plan_rows import LISTED, plan_of
from services.decision.store.statements import CLAIM_SUBMISSION, OLDEST_UNSENT, UNSENT
from services.decision.tables.runs import plan, run, submission
from services.kernel.errors import Conflict
from services.kernel.ids import PlanId, RunId


@dataclass(frozen=True, slots=True)
class SubmissionStore:
    """The submissions, within one transaction."""

    connection: AsyncConnection

    async def approved(self, market_time: datetime, limit: int) -> Sequence[ApprovedPlan]:
        """Return approved plans of one run that is decided; nobody else gets them meanwhile."""
        run_id = (await self.connection.execute(OLDEST_UNSENT, {"market_time": market_time})).scalar()
        if run_id is None:
            return ()
        which = {"run_id": run_id, "market_time": market_time, "limit": limit}
        rows = await self.connection.execute(UNSENT, which)
        return [ApprovedPlan(plan_of(row), read_release(row.content)) for row in rows]

    async def submit(self, new: Submission, at: datetime) -> None:
        """Keep a submission, and in each of its plans the bytes that travel."""
        await self._add([new], at)
        signed = (
            update(plan)
            .where(
                plan.c.plan_id == bindparam("signed_id"),
                plan.c.state == PlanState.APPROVED.value,
                plan.c.submission_id.is_(None),
            )
            .values(
                submission_id=new.submission_id,
                payload=bindparam("signed_payload"),
                signature=bindparam("signed_signature"),
                key_id=bindparam("signed_key"),
            )
        )
        await self.connection.execute(
            signed,
            [
                {
                    "signed_id": each.plan_id,
                    "signed_payload": each.payload,
                    "signed_signature": each.signature,
                    "signed_key": each.key_id,
                }
                for each in new.plans
            ],
        )

    async def claim_submission(self, now: datetime, until: datetime) -> Submission | None:
        """Take a submission that is not acknowledged, for nobody else until `until`, and count the attempt."""
        claimed = (await self.connection.execute(CLAIM_SUBMISSION, {"now": now, "until": until})).one_or_none()
        if claimed is None:
            return None
        trace_parent = (
            await self.connection.execute(select(run.c.trace_parent).where(run.c.run_id == claimed.run_id))
        ).scalar()
        rows = await self.connection.execute(
            select(plan.c.plan_id, plan.c.payload, plan.c.key_id, plan.c.signature)
            .where(plan.c.submission_id == claimed.submission_id)
            .order_by(plan.c.plan_id)
        )
        plans = tuple(SignedPlan(PlanId(row.plan_id), row.payload, row.key_id, row.signature) for row in rows)
        return Submission(claimed.submission_id, RunId(claimed.run_id), claimed.attempts, trace_parent, plans)

    async def postpone(self, submission_id: str, until: datetime) -> None:
        """Let a submission wait until then."""
        await self.connection.execute(
            update(submission)
            .where(submission.c.submission_id == submission_id, submission.c.acknowledge_time.is_(None))
            .values(next_time=until)
        )

    async def split(self, whole: Submission, parts: Sequence[Submission], at: datetime) -> None:
        """Replace a submission by parts of it; Conflict when it is acknowledged or replaced already."""
        waiting = select(submission.c.submission_id).where(
            submission.c.submission_id == whole.submission_id, submission.c.acknowledge_time.is_(None)
        )
        if (await self.connection.execute(waiting.with_for_update())).one_or_none() is None:
            raise Conflict(f"submission {whole.submission_id} was answered for by another")
        await self._add([replace(part, run_id=whole.run_id) for part in parts], at)
        for part in parts:
            await self.connection.execute(
                update(plan)
                .where(plan.c.plan_id.in_([each.plan_id for each in part.plans]))
                .values(submission_id=part.submission_id)
            )
        await self.connection.execute(delete(submission).where(submission.c.submission_id == whole.submission_id))

    async def acknowledge(self, submission_id: str, refusals: Mapping[PlanId, str], at: datetime) -> Sequence[Plan]:
        """Close a submission: its plans are WORKING, or REFUSED with a refusal. Return those that moved."""
        closed = (
            update(submission)
            .where(submission.c.submission_id == submission_id, submission.c.acknowledge_time.is_(None))
            .values(acknowledge_time=at)
        )
        if (await self.connection.execute(closed)).rowcount != 1:
            raise Conflict(f"submission {submission_id} was acknowledged by another")
        moved: list[Plan] = []
        sent = (plan.c.submission_id == submission_id, plan.c.state == PlanState.APPROVED.value)
        for plan_id, refusal in sorted(refusals.items()):
            refused = (
                update(plan)
                .where(*sent, plan.c.plan_id == plan_id)
                .values(state=PlanState.REFUSED.value, refusal=refusal, update_time=at)
                .returning(*LISTED)
            )
            moved += [plan_of(row) for row in await self.connection.execute(refused)]
        taken = update(plan).where(*sent).values(state=PlanState.WORKING.value, update_time=at).returning(*LISTED)
        return moved + [plan_of(row) for row in await self.connection.execute(taken)]

    async def _add(self, new: Sequence[Submission], at: datetime) -> None:
        await self.connection.execute(
            insert(submission),
            [
                {
                    "submission_id": each.submission_id,
                    "run_id": each.run_id,
                    "create_time": at,
                    "next_time": at,
                }
                for each in new
            ],
        )
