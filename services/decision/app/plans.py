"""Shows plans, lets a person decide about those that wait for one, and computes past ones again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.decision.app.events import plan_moved
from services.decision.app.policies import with_policy
from services.decision.app.ports import Begin, Changes, PlanFilter, PolicyClient, Read, Session, Solver
from services.decision.domain.account_problem import Market
from services.decision.domain.book import account_from_content
from services.decision.domain.deciding import NOT_OF_INPUTS, AccountInputs, Basis
from services.decision.domain.plan import Plan, PlanNotFound
from services.decision.domain.prices import PriceSetId
from services.decision.domain.recorded import InstrumentList, read_recorded, read_risk_model
from services.decision.domain.run import RunNotFound
from services.kernel.clock import Clock
from services.kernel.ids import PlanId


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded plan beside the same computed again."""

    recorded_hash: str
    recomputed_hash: str
    engine: str

    @property
    def identical(self) -> bool:
        """Whether they are the same, byte for byte, in everything that the hash covers."""
        return self.recorded_hash == self.recomputed_hash


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
            return _found(await session.plans.get(plan_id), plan_id)

    async def list_plans(self, which: PlanFilter, after: PlanId | None, limit: int) -> Sequence[Plan]:
        """Return plans after `after` by id, without content."""
        async with self.read() as session:
            return await session.plans.listed(which, after, limit)

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
            plan = _found(await session.plans.lock(plan_id), plan_id)
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
            plan = _found(await session.plans.lock(plan_id), plan_id)
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
            plan = _found(await session.plans.get(plan_id), plan_id)
            inputs, basis = await self._inputs(session, plan)
        solved = await self.solver.drafts([inputs], basis)
        return Replay(plan.plan_hash, solved[0].draft.plan_hash, self.engine)

    async def _inputs(self, session: Session, plan: Plan) -> tuple[AccountInputs, Basis]:
        named = plan.inputs
        run = await session.runs.get(plan.run_id)
        prices = await session.prices.price_set(PriceSetId(named.price_set_id))
        hashes = {named.account_hash, named.instruments_hash, named.risk_model_hash}
        if named.policy_hash:
            hashes.add(named.policy_hash)
        bodies = await session.contents.get(hashes)
        missing = sorted(hashes - bodies.keys())
        if run is None or prices is None or missing:
            what = ", ".join(missing) or f"the prices {named.price_set_id}"
            raise RuntimeError(f"plan {plan.plan_id} rests on {what}, which is not stored")
        known = read_recorded(InstrumentList, bodies[named.instruments_hash]).instruments
        inputs = AccountInputs(
            account=account_from_content(bodies[named.account_hash]),
            account_hash=named.account_hash,
            policy=None,
            policy_hash=named.policy_hash,
            policy_version_hashes=named.policy_version_hashes,
            looked_regardless=named.looked_regardless,
            cash_flow=named.cash_flow,
        )
        if named.policy_hash:
            inputs = with_policy(inputs, self.policy, bodies[named.policy_hash])
        failure = None if plan.content is None else plan.content.failure
        if failure is not None and failure.reason in NOT_OF_INPUTS:
            inputs = replace(inputs, refused=failure)
        basis = Basis(
            market=Market(prices, {each.instrument_id: each for each in known}),
            risk_model=read_risk_model(bodies[named.risk_model_hash]),
            instruments_hash=named.instruments_hash,
            risk_model_hash=named.risk_model_hash,
            engine=named.engine,
            as_of_time=named.as_of_time,
            currency=run.currency,
        )
        return inputs, basis


def _found(plan: Plan | None, plan_id: PlanId) -> Plan:
    if plan is None:
        raise PlanNotFound(f"plan {plan_id} does not exist", plan_id=plan_id)
    return plan
