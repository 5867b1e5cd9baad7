"""Finds again what a plan was decided on, by the hashes that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.decision.app.policies import with_policy
from services.decision.app.ports.policy import PolicyClient
from services.decision.app.ports.sessions import Session
from services.decision.domain.book import account_from_content
from services.decision.domain.deciding import NOT_OF_INPUTS, AccountInputs, Basis
from services.decision.domain.market import Market
from services.decision.domain.plan import Plan, PlanNotFound
from services.decision.domain.prices import PriceSet, PriceSetId
from services.decision.domain.recorded import InstrumentList, read_recorded, read_risk_model
from services.kernel.canonical import content_hash
from services.kernel.ids import PlanId


def found_plan(plan: Plan | None, plan_id: PlanId) -> Plan:
    """Return the plan.

    Raises:
        PlanNotFound: There is none.
    """
    if plan is None:
        raise PlanNotFound(f"plan {plan_id} does not exist", plan_id=plan_id)
    return plan


def basis_of(
    prices: PriceSet,
    instruments: bytes,
    risk_model: bytes,
    *,
    engine: str,
    as_of_time: datetime,
    currency: str,
) -> Basis:
    """Return what all accounts of a run are decided on.

    Args:
        prices: Of the instruments.
        instruments: Recorded text of the `InstrumentList` that was known when the run was pinned.
        risk_model: Its recorded text.
        engine: Name and version of what computes.
        as_of_time: The business instant that is decided for.
        currency: Of every account.
    """
    known = read_recorded(InstrumentList, instruments)
    return Basis(
        market=Market(
            prices, {each.instrument_id: each for each in known.instruments}, known.reviewed_years, known.amounts
        ),
        risk_model=read_risk_model(risk_model),
        instruments_hash=content_hash(instruments),
        risk_model_hash=content_hash(risk_model),
        engine=engine,
        as_of_time=as_of_time,
        currency=currency,
    )


async def inputs_of(session: Session, plan: Plan, policy: PolicyClient) -> tuple[AccountInputs, Basis]:
    """Return what `plan` was decided on.

    Raises:
        RuntimeError: Something that it rests on is not stored.
    """
    inputs, basis = await inputs_of_all(session, [plan], policy)
    return inputs[0], basis


async def inputs_of_all(
    session: Session, plans: Sequence[Plan], policy: PolicyClient
) -> tuple[Sequence[AccountInputs], Basis]:
    """Return what plans of one run were decided on, in their order.

    Args:
        session: To read in.
        plans: One or more.
        policy: Reads policies.

    Raises:
        RuntimeError: Something that they rest on is not stored.
    """
    named = plans[0].inputs
    run = await session.runs.get(plans[0].run_id)
    prices = await session.prices.price_set(PriceSetId(named.price_set_id))
    hashes = {named.instruments_hash, named.risk_model_hash}
    for plan in plans:
        hashes |= {each for each in (plan.inputs.account_hash, plan.inputs.policy_hash) if each}
    bodies = await session.contents.get(hashes)
    missing = sorted(hashes - bodies.keys())
    if run is None or prices is None or missing:
        what = ", ".join(missing) or f"the prices {named.price_set_id}"
        raise RuntimeError(f"plan {plans[0].plan_id} rests on {what}, which is not stored")
    basis = basis_of(
        prices,
        bodies[named.instruments_hash],
        bodies[named.risk_model_hash],
        engine=named.engine,
        as_of_time=named.as_of_time,
        currency=run.currency,
    )
    return [_inputs(plan, bodies, policy) for plan in plans], basis


def _inputs(plan: Plan, bodies: Mapping[str, bytes], policy: PolicyClient) -> AccountInputs:
    named = plan.inputs
    inputs = AccountInputs(
        account=account_from_content(bodies[named.account_hash]),
        account_hash=named.account_hash,
        policy=None,
        policy_hash=named.policy_hash,
        policy_version_hashes=named.policy_version_hashes,
        looked_regardless=named.looked_regardless,
        cash_flow=named.cash_flow,
        event=named.event,
        household_trades=named.household_trades,
        household=named.household,
    )
    if named.policy_hash:
        inputs = with_policy(inputs, policy, bodies[named.policy_hash])
    failure = None if plan.content is None else plan.content.failure
    if failure is not None and failure.reason in NOT_OF_INPUTS:
        inputs = replace(inputs, refused=failure)
    return inputs
