"""Third stage of a run: sends approved plans to execution, signed.

Plans are put into a submission, and the bytes that travel are stored with it, before anything is sent. Whether an
unanswered submission arrived is unknown, so it is sent again, the same bytes under the same request id, until it is
acknowledged.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.decision.app.changes import Changes
from services.decision.app.events import plan_moved
from services.decision.app.leases import held
from services.decision.app.ports.execution import ExecutionClient, SignedPlan, Submission
from services.decision.app.ports.sessions import Begin
from services.decision.app.ports.tracing import Tracing
from services.decision.domain.plan import Plan
from services.decision.domain.run import backoff
from services.kernel.clock import Clock
from services.kernel.errors import Conflict, Fact, Invalid
from services.kernel.ids import PlanId

# Execution takes 500 at once; fewer keep the event loop free while they are signed.
PLANS_PER_SUBMISSION_MAX = 200


@dataclass(frozen=True, slots=True)
class Submitting:
    """Puts plans into submissions, and sends them one at a time. A claim not renewed for `lease` is free for others."""

    begin: Begin
    clock: Clock
    market_clock: Clock
    execution: ExecutionClient
    tracing: Tracing
    changes: Changes
    lease: timedelta

    async def step(self) -> bool:
        """Prepare and send what there is, and return whether anything was done."""
        prepared = await self._prepare()
        return await self._send() or prepared

    async def _prepare(self) -> bool:
        """Put approved plans of one run into a submission; from then on they count as sent."""
        at = self.clock.now()
        async with self.begin() as session:
            plans = await session.plans.approved(self.market_clock.now(), PLANS_PER_SUBMISSION_MAX)
            if not plans:
                return False
            submission = _submission(plans[0].plan, [self.execution.signed(plan) for plan in plans])
            await session.plans.submit(submission, at)
        return True

    async def _send(self) -> bool:
        now = self.clock.now()
        async with self.begin() as session:
            submission = await session.plans.claim_submission(now, now + self.lease)
        if submission is None:
            return False
        with self.tracing.continued(
            submission.trace_parent,
            "decision.submit",
            evenkeel__run=submission.run_id,
            evenkeel__plans=len(submission.plans),
            evenkeel__attempt=submission.attempts,
        ):
            try:
                async with held(lambda: self._hold(submission, self.lease), self.lease):
                    answer: Mapping[PlanId, str] | Invalid = await self.execution.submit(
                        submission.submission_id, submission.plans
                    )
            except Invalid as invalid:
                answer = invalid
            except Fact as fact:
                await self._unanswered(submission, fact)
                return False
            try:
                await self._answered(submission, answer)
            except Conflict:
                # Our claim ran out, and another worker sent the same request and heard the same answer before us.
                return True
        self.changes.tell()
        return True

    async def _answered(self, submission: Submission, answer: Mapping[PlanId, str] | Invalid) -> None:
        if isinstance(answer, Invalid):
            await self._refused(submission, answer)
        else:
            await self._acknowledged(submission, answer)

    async def _acknowledged(self, submission: Submission, refusals: Mapping[PlanId, str]) -> None:
        at = self.clock.now()
        async with self.begin() as session:
            moved = await session.plans.acknowledge(submission.submission_id, refusals, at)
            await session.runs.note(submission.run_id, "")
            await session.emit([plan_moved(plan) for plan in moved])

    async def _hold(self, submission: Submission, lease: timedelta) -> None:
        async with self.begin() as session:
            await session.plans.postpone(submission.submission_id, self.clock.now() + lease)

    async def _unanswered(self, submission: Submission, fact: Fact) -> None:
        await self._hold(submission, backoff(submission.attempts))
        async with self.begin() as session:
            await session.runs.note(submission.run_id, f"waits to submit plans: {fact.message}")
        self.changes.tell()

    async def _refused(self, submission: Submission, invalid: Invalid) -> None:
        """Find the plan that makes execution refuse them all: send each by itself; a lone one is refused."""
        at = self.clock.now()
        async with self.begin() as session:
            if len(submission.plans) > 1:
                parts = [_part(submission, plan) for plan in submission.plans]
                await session.plans.split(submission, parts, at)
                return
            refusals = {submission.plans[0].plan_id: f"{invalid.reason}: {invalid.message}"}
            moved = await session.plans.acknowledge(submission.submission_id, refusals, at)
            await session.emit([plan_moved(plan) for plan in moved])


def _submission(first: Plan, plans: Sequence[SignedPlan]) -> Submission:
    return Submission(_request_id([str(plan.plan_id) for plan in plans]), first.run_id, 0, None, tuple(plans))


def _part(submission: Submission, plan: SignedPlan) -> Submission:
    request_id = _request_id([submission.submission_id, str(plan.plan_id)])
    return replace(submission, submission_id=request_id, attempts=0, plans=(plan,))


def _request_id(parts: Sequence[str]) -> str:
    """Return the UUID that stands for `parts`; a plan is in one submission only, so none is used twice."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
