"""A change of rules reaches accounts in stages, and a stop holds, through the running services."""

import asyncio

from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.decision.v1 import plan_service_pb2 as plan
from evenkeel.decision.v1 import run_service_pb2 as run
from evenkeel.policy.v1 import policy_service_pb2 as policy
from evenkeel.policy.v1 import rollout_pb2 as rollout
from evenkeel.policy.v1 import rollout_service_pb2 as rollouts
from evenkeel.policy.v1 import stop_service_pb2 as stops
from tests.support.systems import ASKED, on
from tools.client.values import new_request_id

pytestmark = on(ASKED)

REPORTED_S_MAX = 60
ASK_EACH_S = 0.1


async def decided(system, account_id):
    """Return the plan that a dry run makes for an account."""
    started = await system.start_run(account_ids=[account_id], dry_run=True)
    await system.finished(started.run_id)
    (found,) = (await system.advisor.plans.ListPlans(plan.ListPlansRequest(run_id=started.run_id))).plans
    return started.run_id, found


async def test_a_change_is_shadowed_compared_and_led_on(asked_system):
    client = asked_system.scenario.clients[2]
    author, approver = asked_system.people["policy_author"], asked_system.people["policy_approver"]
    rule = rollout.StopRule(metric=rollout.StopRule.METRIC_TURNOVER, bound_bps=DecimalMessage(value="1"), window=1)
    draft = policy.CreateChangeRequest(request_id=new_request_id(), node_id=client.household_id, reason="Wider.")
    draft.document.bands.trigger.absolute.value = "0.5"
    draft.document.bands.destination.absolute.value = "0.5"
    draft.rollout.CopyFrom(rollout.RolloutPlan(stop_rules=[rule]))
    draft.rollout.cohort.CopyFrom(rollout.Cohort(name="one", node_ids=[client.account_id]))
    change = (await author.policy.CreateChange(draft)).change
    submitted = await author.policy.SubmitChange(
        policy.SubmitChangeRequest(request_id=new_request_id(), change_id=change.change_id, etag=change.etag)
    )
    await approver.policy.ApproveChange(
        policy.ApproveChangeRequest(
            request_id=new_request_id(),
            change_id=change.change_id,
            version_hash=change.version_hash,
            etag=submitted.change.etag,
        )
    )
    wanted = rollouts.GetRolloutRequest(change_id=change.change_id)

    run_id, shadowed = await decided(asked_system, client.account_id)

    (one,) = (await asked_system.advisor.runs.ListComparisons(run.ListComparisonsRequest(run_id=run_id))).comparisons
    assert (one.change_id, one.candidate_in_force, one.candidate.outcome) == (change.change_id, False, "NO_TRADE")
    assert change.version_hash not in shadowed.inputs.policy_version_hashes
    async with asyncio.timeout(REPORTED_S_MAX):
        seen = (await approver.rollouts.GetRollout(wanted)).rollout
        while not seen.comparison_count:
            await asyncio.sleep(ASK_EACH_S)
            seen = (await approver.rollouts.GetRollout(wanted)).rollout
    assert (seen.readings[0].count, seen.readings[0].broken) == (1, False)

    led = await approver.rollouts.AdvanceRollout(
        rollouts.AdvanceRolloutRequest(
            request_id=new_request_id(), change_id=change.change_id, etag=seen.etag, reason="Less trading."
        )
    )
    assert led.rollout.stage == rollout.ROLLOUT_STAGE_CANARY
    _, canaried = await decided(asked_system, client.account_id)
    assert change.version_hash in canaried.inputs.policy_version_hashes

    await approver.rollouts.RollBackRollout(
        rollouts.RollBackRolloutRequest(request_id=new_request_id(), change_id=change.change_id, reason="Enough.")
    )
    _, after = await decided(asked_system, client.account_id)
    assert list(after.inputs.policy_version_hashes) == list(shadowed.inputs.policy_version_hashes)


async def test_a_stop_keeps_decision_from_planning_until_it_is_lifted(asked_system):
    account_id = asked_system.scenario.clients[3].account_id
    trader, officer = asked_system.people["trader"], asked_system.people["risk_officer"]
    stopped = await trader.stops.CreateStop(
        stops.CreateStopRequest(request_id=new_request_id(), node_id=account_id, reason="Odd.")
    )

    _, held = await decided(asked_system, account_id)
    assert (held.outcome, len(held.trades)) == (plan.Plan.OUTCOME_NO_TRADE, 0)
    assert stopped.stop.version_hash in held.inputs.policy_version_hashes

    await officer.stops.LiftStop(
        stops.LiftStopRequest(request_id=new_request_id(), stop_id=stopped.stop.stop_id, reason="Fine.")
    )
    _, free = await decided(asked_system, account_id)
    assert stopped.stop.version_hash not in free.inputs.policy_version_hashes
