"""Plans that wait for a person, and what a person may do about them."""

from datetime import timedelta

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.ports.plans import PlanFilter
from services.decision.domain.plan import (
    ApprovalStale,
    PlanExpired,
    PlanNotFound,
    PlanState,
    PlanStateForbids,
    SelfApproval,
)
from services.decision.domain.run import RunState
from services.kernel.ids import PlanId
from tests.decision.stages.world import a_policy, dollars, needs_trades, on_target


@pytest.fixture
async def held(world):
    """A run of two accounts; the plan of a1 waits for a person."""
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    world.policy.own["a1"] = a_policy(safety=document_pb.SafetyNets(review_value=dollars(10_000)))
    run_id = await world.start(actor="erin")
    await world.settle()
    plan = await world.plan_of(run_id, "a1")
    assert plan.state is PlanState.HELD
    return plan


async def approve(world, plan, approver="ann", plan_hash=None):
    return await world.plans.approve_plan(
        plan.plan_id, plan_hash=plan_hash or plan.plan_hash, approver=approver, comment="looked at it"
    )


async def test_a_plan_outside_the_safety_nets_waits_and_says_why(world, held):
    assert len(held.review_reasons) == 1
    assert held.review_reasons[0].startswith("traded value ")
    assert held.review_reasons[0].endswith("exceeds 10000 USD")
    assert held.approver == ""
    other = await world.plan_of(held.run_id, "a2")
    assert other.state is PlanState.WORKING
    assert other.approver == f"rule:within_safety_nets@{other.inputs.policy_hash}"


async def test_a_run_is_done_although_a_plan_waits_and_an_approval_is_still_carried_out(world, held):
    await world.fill_all(held.run_id)
    await world.settle()
    assert (await world.runs.get_run(held.run_id)).run.state is RunState.DONE

    await approve(world, held)
    await world.settle()
    await world.fill_all(held.run_id)

    assert (await world.states(held.run_id)) == {PlanState.DONE: 2}
    assert (await world.plan_of(held.run_id, "a1")).approver == "ann"


async def test_approving_twice_changes_nothing(world, held):
    first, second = await approve(world, held), await approve(world, held, approver="bob")

    assert first == second
    assert second.approver == "ann"
    assert await world.events("decision.plan.approved") == ["decision.plan.approved"]


async def test_who_started_the_run_approves_none_of_its_plans(world, held):
    with pytest.raises(SelfApproval):
        await approve(world, held, approver="erin")


async def test_an_approval_binds_to_the_content_that_was_read(world, held):
    with pytest.raises(ApprovalStale):
        await approve(world, held, plan_hash="sha256:another")


async def test_a_plan_that_is_too_old_cannot_be_approved(world, held):
    world.market_clock.advance(held.expire_time - world.market_clock.now())

    with pytest.raises(PlanExpired):
        await approve(world, held)

    await world.keeping.step()
    assert (await world.plan_of(held.run_id, "a1")).state is PlanState.EXPIRED
    with pytest.raises(PlanExpired):
        await approve(world, held)


async def test_a_plan_is_withdrawn_once_and_then_stays_so(world, held):
    await world.plans.withdraw_plan(held.plan_id, "client called")
    again = await world.plans.withdraw_plan(held.plan_id, "client called")

    assert again.state is PlanState.WITHDRAWN
    assert await world.events("decision.plan.withdrawn") == ["decision.plan.withdrawn"]
    with pytest.raises(PlanStateForbids):
        await approve(world, held)


async def test_a_plan_that_execution_has_cannot_be_withdrawn(world, held):
    working = await world.plan_of(held.run_id, "a2")

    with pytest.raises(PlanStateForbids, match="must be HELD or APPROVED, was WORKING"):
        await world.plans.withdraw_plan(working.plan_id, "too late")


async def test_a_plan_that_does_not_exist_is_not_found(world, held):
    with pytest.raises(PlanNotFound):
        await world.plans.get_plan(PlanId("plan-none"))
    with pytest.raises(PlanNotFound):
        await world.plans.withdraw_plan(PlanId("plan-none"), "no reason")


async def test_plans_are_listed_by_run_account_and_state_page_by_page(world, held):
    by_state = await world.plans.list_plans(PlanFilter(state=PlanState.HELD), None, 10)
    first = await world.plans.list_plans(PlanFilter(run_id=held.run_id), None, 1)
    second = await world.plans.list_plans(PlanFilter(run_id=held.run_id), first[0].plan_id, 10)

    assert [each.account_id for each in by_state] == ["a1"]
    assert {each.account_id for each in (*first, *second)} == {"a1", "a2"}
    assert by_state[0].content is None


async def test_an_account_due_by_the_calendar_is_decided_although_it_is_in_its_bands(world):
    await world.ingest(on_target("a1"))
    world.policy.document = a_policy(triggers=document_pb.Triggers(calendar_days=30))
    first = await world.run_to_the_end(request_id="r-1")
    world.market_clock.advance(timedelta(hours=1))
    second = await world.run_to_the_end(request_id="r-2")

    assert (await world.plan_of(first.run.run_id, "a1")).inputs.looked_regardless
    assert not (await world.plan_of(second.run.run_id, "a1")).inputs.looked_regardless
