"""Accounts under a rollout of policy are decided by both sides; only the side in force becomes a plan."""

from decimal import Decimal

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.comparing import ComparisonFilter
from services.decision.domain.plan import PlanOutcome
from services.kernel.canonical import content_hash
from tests.decision.stages.world import a_policy, needs_trades, on_target


def wider():
    """Return the document of a candidate under which nothing needs to be traded."""
    document = document_pb.PolicyDocument.FromString(a_policy())
    document.bands.trigger.absolute.value = "0.5"
    document.bands.destination.absolute.value = "0.5"
    return document.SerializeToString(deterministic=True)


async def kept(world, **wanted):
    async with world.store.read() as session:
        found = await session.comparisons.newest(ComparisonFilter(**wanted), None, 99)
    return {each.comparison.account_id: each.comparison for each in found}


async def test_in_shadow_both_sides_are_decided_and_only_the_old_one_is_traded(world):
    await world.ingest(needs_trades("a1"), on_target("a2"), needs_trades("a3"))
    plain = await world.start("a1", "a2", "a3", dry_run=True, request_id="r-0")
    await world.decide_all()
    without = {plan.account_id: plan.plan_hash for plan in await world.plans_of(plain)}
    world.policy.candidate = wider()

    run_id = await world.start("a1", "a2", "a3")
    await world.settle()

    found = await kept(world, run_id=run_id)
    assert set(found) == {"a1", "a2", "a3"}
    one = found["a1"]
    assert (one.candidate_in_force, one.failed) == (False, False)
    assert (one.candidate.outcome, one.incumbent.outcome) == (PlanOutcome.NO_TRADE, PlanOutcome.TRADE)
    assert one.candidate.turnover_bps == 0 < one.incumbent.turnover_bps
    assert one.turnover_bps == -one.incumbent.turnover_bps
    assert one.drift_bps > 0
    # Plans are those of the policy in force, byte for byte the same as without a candidate.
    plans = {plan.account_id: plan for plan in await world.plans_of(run_id)}
    assert {each: plan.plan_hash for each, plan in plans.items()} == without
    assert {plan.inputs.policy_hash for plan in plans.values()} == {content_hash(world.policy.document)}
    assert set(world.execution.taken) == {plans["a1"].plan_id, plans["a3"].plan_id}


async def test_in_canary_the_comparison_is_still_the_candidate_less_the_incumbent(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    world.policy.candidate, world.policy.canary = wider(), {"a2"}

    await world.start("a1", "a2")
    await world.settle()

    found = await kept(world)
    assert [found[each].candidate_in_force for each in ("a1", "a2")] == [False, True]
    assert found["a1"].turnover_bps == found["a2"].turnover_bps < 0
    assert len(world.execution.taken) == 1


async def test_a_candidate_that_cannot_be_read_fails_and_stops_nothing(world):
    broken = document_pb.PolicyDocument.FromString(a_policy())
    broken.bands.trigger.absolute.value = "none"
    await world.ingest(needs_trades("a1"))
    world.policy.candidate = broken.SerializeToString(deterministic=True)

    done = await world.run_to_the_end()

    (one,) = (await kept(world)).values()
    assert (one.failed, one.tax_bps, one.candidate.tax_bps) == (True, Decimal(0), None)
    assert done.outcome_counts == {PlanOutcome.TRADE: 1}


async def test_policy_is_told_once_and_again_with_the_same_request_while_it_does_not_answer(world):
    await world.ingest(needs_trades("a1"), on_target("a2"))
    world.policy.candidate = wider()
    await world.start("a1", "a2")
    await world.decide_all()

    world.policy.down = True
    assert await world.reporting.step() is False
    world.policy.down = False
    world.restarted()
    assert await world.reporting.step() is True
    assert await world.reporting.step() is False

    ((request_id, told),) = world.policy.reports
    assert sorted(each.comparison.account_id for each in told) == ["a1", "a2"]
    assert len(request_id) == 36


async def test_without_a_rollout_nothing_is_decided_twice(world):
    await world.ingest(needs_trades("a1"))
    await world.start("a1")
    await world.settle()

    assert await kept(world) == {}
    assert await world.reporting.step() is False
