"""Explains plans and the lack of them: from what was recorded, and by solving again where that is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.decision.app.ports.policy import PolicyClient
from services.decision.app.ports.sessions import Read
from services.decision.app.ports.solving import Solver
from services.decision.app.recalling import found_plan, inputs_of
from services.decision.domain.deciding import AccountInputs, Basis, problem_of
from services.decision.domain.decision import NotTraded
from services.decision.domain.hypotheses import Scenario, WhatIf, supposed, what_if
from services.decision.domain.lot_reasons import LotReason, lot_reasons
from services.decision.domain.plan import Draft, NothingDecided, Plan, PlanNotFound
from services.decision.domain.raised_cash import RaisedCash, raised_cash
from services.kernel.errors import NotFound
from services.kernel.ids import AccountId, InstrumentId, PlanId

# Trades of a plan for which the best plan without them is computed.
WHAT_IFS_MAX = 100


class InstrumentNotHeld(NotFound):
    """The account neither holds the instrument nor has a target for it."""

    reason = "INSTRUMENT_UNKNOWN"


@dataclass(frozen=True, slots=True)
class ExplainedPlan:
    """A plan, why each lot is sold or kept, and the best plans without one of its instruments, by instrument.

    Attributes:
        raised: What it raises for a withdrawal, and the same money out of other accounts; None where it raises none.
    """

    plan: Plan
    lots: Sequence[LotReason] = ()
    without: Mapping[InstrumentId, WhatIf] = field(default_factory=dict)
    raised: RaisedCash | None = None


@dataclass(frozen=True, slots=True)
class ExplainedNoTrade:
    """A plan with its content, why instruments are not traded, and the plan regardless of triggers, if another."""

    plan: Plan
    instruments: Sequence[NotTraded]
    regardless: Draft | None


@dataclass(frozen=True, slots=True)
class ExplainApp:
    """The use cases of explaining."""

    read: Read
    solver: Solver
    policy: PolicyClient

    async def explain_plan(self, plan_id: PlanId, *, what_ifs: bool) -> ExplainedPlan:
        """Return a plan and, when asked, what is best without each of its trades.

        Raises:
            PlanNotFound: No plan has `plan_id`.
            NothingDecided: Its inputs were refused, so there is nothing to explain.
        """
        async with self.read() as session:
            plan = found_plan(await session.plans.get(plan_id), plan_id)
            decision = None if plan.content is None else plan.content.decision
            if decision is None:
                raise NothingDecided(f"plan {plan_id} has no decision: {plan.outline.sentence}", plan_id=plan_id)
            inputs, basis = await inputs_of(session, plan, self.policy)
        lots: Sequence[LotReason] = ()
        raised = None
        if inputs.policy is not None:
            problem = problem_of(inputs, inputs.policy, basis)
            lots = lot_reasons(problem, decision, basis.risk_model)
            raised = raised_cash(problem, decision, inputs.account.tax_wrapper)
        if not what_ifs or not decision.trades:
            return ExplainedPlan(plan, lots, raised=raised)
        instruments = [trade.instrument_id for trade in decision.trades][:WHAT_IFS_MAX]
        return ExplainedPlan(plan, lots, await self._without(inputs, basis, instruments), raised)

    async def _without(
        self, inputs: AccountInputs, basis: Basis, instruments: Sequence[InstrumentId]
    ) -> Mapping[InstrumentId, WhatIf]:
        scenarios = [Scenario(f"Without {each}", untouched=(each,)) for each in instruments]
        # The plan itself is computed again beside them: what an earlier build recorded may lack figures.
        solved = await self.solver.drafts([inputs, *(supposed(inputs, each) for each in scenarios)], basis)
        first = solved[0].draft
        found = {
            instrument_id: what_if(scenario.name, first, each.draft, same_objective=True)
            for instrument_id, scenario, each in zip(instruments, scenarios, solved[1:], strict=True)
        }
        return {instrument_id: each for instrument_id, each in found.items() if each is not None}

    async def explain_no_trade(
        self, account_id: AccountId, plan_id: PlanId | None, instrument_id: InstrumentId | None
    ) -> ExplainedNoTrade:
        """Return why an account's instruments are not traded in a plan of it, or in its newest.

        Raises:
            PlanNotFound: The account has no such plan, or none at all.
            InstrumentNotHeld: It has nothing to do with `instrument_id`.
        """
        async with self.read() as session:
            plan = await (session.plans.newest(account_id) if plan_id is None else session.plans.get(plan_id))
            if plan is None or plan.account_id != account_id:
                named = "a plan" if plan_id is None else f"plan {plan_id}"
                raise PlanNotFound(f"account {account_id} does not have {named}", account_id=account_id)
            if plan.content is None or plan.content.decision is None:
                return ExplainedNoTrade(plan, (), None)
            inputs, basis = await inputs_of(session, plan, self.policy)
        instruments = await self.solver.not_traded(inputs, basis)
        if instrument_id is not None:
            traded = {trade.instrument_id for trade in plan.content.decision.trades}
            instruments = [each for each in instruments if each.instrument_id == instrument_id]
            if not instruments and instrument_id not in traded:
                raise InstrumentNotHeld(
                    f"account {account_id} has no {instrument_id}, and no target for it", instrument_id=instrument_id
                )
        regardless = None
        if not plan.content.decision.trades and not inputs.looked_regardless:
            (solved,) = await self.solver.drafts([replace(inputs, requested=True)], basis)
            regardless = solved.draft
        return ExplainedNoTrade(plan, instruments, regardless)
