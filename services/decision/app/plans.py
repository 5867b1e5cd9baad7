"""Shows plans, lets a person decide about those that wait for one, and computes past ones again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.decision.app.calibrating import CostFit, fit_costs
from services.decision.app.changes import Changes
from services.decision.app.events import plan_moved
from services.decision.app.ports.plans import PlanFilter
from services.decision.app.ports.policy import PolicyClient
from services.decision.app.ports.sessions import Begin, Read
from services.decision.app.ports.solving import Solver
from services.decision.app.recalling import found_plan, inputs_of
from services.decision.domain.plan import Plan
from services.decision.domain.recorded import recorded_bytes
from services.decision.domain.run import RunNotFound
from services.kernel.canonical import content_hash
from services.kernel.clock import Clock
from services.kernel.ids import PlanId, RunId


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded plan beside the same computed again."""

    recorded_hash: str
    recomputed_hash: str
    recorded_content_hash: str
    recomputed_content_hash: str
    recorded_engine: str
    engine: str

    @property
    def identical(self) -> bool:
        """Whether they are the same, byte for byte, in everything that the plan's hash covers."""
        return self.recorded_hash == self.recomputed_hash

    @property
    def identical_content(self) -> bool:
        """Whether they are the same, byte for byte, in everything that they say."""
        return self.recorded_content_hash == self.recomputed_content_hash

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        by = "the engine that decided it" if self.engine == self.recorded_engine else "another engine than decided it"
        if self.identical and self.identical_content:
            return f"Computed again by {by}, the plan is the same, byte for byte."
        if self.identical:
            return (
                f"Computed again by {by}, inputs, trades and certificate are the same, byte for byte; its words differ."
            )
        return f"Computed again by {by}, the plan is another one."


@dataclass(frozen=True, slots=True)
class PlanApp:
    """The use cases of plans. `engine` is what computes in this build."""

    begin: Begin
    read: Read
    clock: Clock
    market_clock: Clock
    changes: Changes
    solver: Solver
    policy: PolicyClient
    engine: str

    async def get_plan(self, plan_id: PlanId) -> Plan:
        """Return a plan with its content.

        Raises:
            PlanNotFound: No plan has `plan_id`.
        """
        async with self.read() as session:
            return found_plan(await session.plans.get(plan_id), plan_id)

    async def list_plans(self, which: PlanFilter, after: PlanId | None, limit: int) -> Sequence[Plan]:
        """Return plans after `after` by id, without content."""
        async with self.read() as session:
            return await session.plans.listed(which, after, limit)

    async def calibrate_costs(self, run_id: RunId | None, since: datetime | None, currency: str) -> CostFit:
        """Return the parameters of the cost model that fit what closed orders in `currency` did cost.

        Raises:
            CostsTooFew: There are too few.
        """
        async with self.read() as session:
            return await fit_costs(session, self.policy, run_id=run_id, since=since, currency=currency)

    async def approve_plan(self, plan_id: PlanId, *, plan_hash: str, approver: str, comment: str) -> Plan:
        """Approve a plan that waits for a person, so that execution may act on it. Safe to repeat.

        Raises:
            PlanNotFound: No plan has `plan_id`.
            PlanExpired: It is too old.
            PlanStateForbids: It does not wait for a person.
            ApprovalStale: `plan_hash` is not the plan's.
            SelfApproval: The approver started the run.
        """
        async with self.begin() as session:
            plan = found_plan(await session.plans.lock(plan_id), plan_id)
            run = await session.runs.get(plan.run_id)
            if run is None:
                raise RunNotFound(f"run {plan.run_id} does not exist", run_id=plan.run_id)
            approved = plan.approved(
                approver=approver,
                starter=run.actor,
                plan_hash=plan_hash,
                at=self.clock.now(),
                market_time=self.market_clock.now(),
            )
            if approved is not plan:
                await session.plans.move(approved, was=plan.state)
                await session.emit([plan_moved(approved, comment)])
        self.changes.tell()
        return approved

    async def withdraw_plan(self, plan_id: PlanId, comment: str) -> Plan:
        """Take back a plan that is not being submitted. Safe to repeat.

        Raises:
            PlanNotFound: No plan has `plan_id`.
            PlanStateForbids: It is final, or execution may have it.
        """
        async with self.begin() as session:
            plan = found_plan(await session.plans.lock(plan_id), plan_id)
            withdrawn = plan.withdrawn(self.clock.now())
            if withdrawn is not plan:
                await session.plans.move(withdrawn, was=plan.state)
                await session.emit([plan_moved(withdrawn, comment)])
        self.changes.tell()
        return withdrawn

    async def replay_plan(self, plan_id: PlanId) -> Replay:
        """Compute a plan again from its recorded inputs.

        Raises:
            PlanNotFound: No plan has `plan_id`.
            RuntimeError: Something that it rests on is not stored.
        """
        async with self.read() as session:
            plan = found_plan(await session.plans.get(plan_id), plan_id)
            inputs, basis = await inputs_of(session, plan, self.policy)
        solved = await self.solver.drafts([inputs], basis)
        again = solved[0].draft
        return Replay(
            recorded_hash=plan.plan_hash,
            recomputed_hash=again.plan_hash,
            recorded_content_hash=content_hash(recorded_bytes(plan.content)),
            recomputed_content_hash=content_hash(again.recorded_content),
            recorded_engine=plan.inputs.engine,
            engine=self.engine,
        )
