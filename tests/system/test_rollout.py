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
from tools.cli.documents import document_from_yaml
from tools.client.values import new_request_id

pytestmark = on(ASKED)

REPORTED_S_MAX = 120
ASK_EACH_S = 0.1
FINAL = (plan.Plan.STATE_REFUSED, plan.Plan.STATE_DONE, plan.Plan.STATE_WITHDRAWN, plan.Plan.STATE_EXPIRED)
# A mix that no account of the demo is near to.
FAR = """
targets:
  weights: [{instrument_id: JNJ, weight: 0.33}, {instrument_id: KO, weight: 0.33}, {instrument_id: JPM, weight: 0.33}]
  cash_weight: 0.01
"""


async def decided(system, account_id):
    """Return the plan that a dry run makes for an account."""
    started = await system.start_run(account_ids=[account_id], dry_run=True)
    await system.finished(started.run_id)
    (found,) = (await system.advisor.plans.ListPlans(plan.ListPlansRequest(run_id=started.run_id))).plans
    return started.run_id, found


async def enacted(system, node_id, document, plan=None):
    """Return the change by which one person writes a document and another approves it."""
    author, approver = system.people["policy_author"], system.people["policy_approver"]
    draft = policy.CreateChangeRequest(
        request_id=new_request_id(), node_id=node_id, reason="Other.", document=document, rollout=plan
    )
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
    return change


async def test_a_draft_is_tried_on_a_past_run_before_anybody_approves_it(asked_system):
    account_id = asked_system.scenario.clients[7].account_id
    run_id, plan_then = await decided(asked_system, account_id)
    author = asked_system.people["policy_author"]
    request = policy.CreateChangeRequest(
        request_id=new_request_id(), node_id=account_id, reason="Other.", document=document_from_yaml(FAR)
    )
    draft = (await author.policy.CreateChange(request)).change

    found = await author.runs.PreviewChange(run.PreviewChangeRequest(change_id=draft.change_id, run_id=run_id))

    (one,) = found.comparisons
    assert (one.account_id, one.candidate.outcome) == (account_id, "TRADE")
    assert one.incumbent_hash == plan_then.inputs.policy_hash != one.candidate_hash
    assert float(one.candidate.turnover_bps.value) > 1_000
    assert float(one.turnover_delta_bps.value) > 0
    # Nothing came of it.
    assert (await decided(asked_system, account_id))[1].inputs.policy_hash == plan_then.inputs.policy_hash


def stopping(metric, bound, account_id):
    """Return the plan of a rollout to one account, with one stop rule over one comparison."""
    return rollout.RolloutPlan(
        stop_rules=[rollout.StopRule(metric=metric, bound_bps=DecimalMessage(value=bound), window=1)],
        cohort=rollout.Cohort(name="one", node_ids=[account_id]),
    )


async def rollout_when(system, change, condition):
    """Return a rollout once `condition` is true of it."""
    asking = system.people["policy_approver"].rollouts
    async with asyncio.timeout(REPORTED_S_MAX):
        while True:
            found = (await asking.GetRollout(rollouts.GetRolloutRequest(change_id=change.change_id))).rollout
            if condition(found):
                return found
            await asyncio.sleep(ASK_EACH_S)


async def test_a_change_is_shadowed_compared_and_led_on(asked_system):
    client = asked_system.scenario.clients[2]
    approver = asked_system.people["policy_approver"]
    wider = document_from_yaml("bands: {trigger: {absolute: 0.5}, destination: {absolute: 0.5}}")
    change = await enacted(
        asked_system, client.household_id, wider, stopping(rollout.StopRule.METRIC_TURNOVER, "1", client.account_id)
    )

    run_id, shadowed = await decided(asked_system, client.account_id)

    (one,) = (await asked_system.advisor.runs.ListComparisons(run.ListComparisonsRequest(run_id=run_id))).comparisons
    assert (one.change_id, one.candidate_in_force, one.candidate.outcome) == (change.change_id, False, "NO_TRADE")
    assert change.version_hash not in shadowed.inputs.policy_version_hashes
    seen = await rollout_when(asked_system, change, lambda found: found.comparison_count > 0)
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


async def test_a_rollout_that_trades_too_much_is_taken_back_by_itself(asked_system):
    client = asked_system.scenario.clients[4]
    other = document_from_yaml(FAR)
    change = await enacted(
        asked_system, client.household_id, other, stopping(rollout.StopRule.METRIC_TURNOVER, "100", client.account_id)
    )

    run_id, shadowed = await decided(asked_system, client.account_id)

    (one,) = (await asked_system.advisor.runs.ListComparisons(run.ListComparisonsRequest(run_id=run_id))).comparisons
    assert (one.candidate_in_force, one.candidate.outcome) == (False, "TRADE")
    gone = await rollout_when(asked_system, change, lambda found: found.stage == rollout.ROLLOUT_STAGE_ROLLED_BACK)
    last = gone.steps[-1]
    assert last.actor == "rule:stop"
    assert "turnover" in last.reason
    _, after = await decided(asked_system, client.account_id)
    assert list(after.inputs.policy_version_hashes) == list(shadowed.inputs.policy_version_hashes)


async def test_a_plan_that_was_approved_is_not_taken_under_a_stop(asked_system):
    client = asked_system.scenario.clients[5]
    trader, officer = asked_system.people["trader"], asked_system.people["risk_officer"]
    # So far from what is held that there are trades, and so cautious that each plan waits for a person.
    waits = document_from_yaml(f"{FAR}\nsafety: {{review_turnover: 0}}")
    await enacted(asked_system, client.household_id, waits)
    started = await asked_system.start_run(account_ids=[client.account_id])
    await asked_system.finished(started.run_id)
    (held,) = await asked_system.plans(started.run_id)
    assert held.state == plan.Plan.STATE_HELD

    stopped = await trader.stops.CreateStop(
        stops.CreateStopRequest(request_id=new_request_id(), node_id=client.account_id, reason="Odd.")
    )
    await asked_system.advisor.plans.ApprovePlan(
        plan.ApprovePlanRequest(request_id=new_request_id(), plan_id=held.plan_id, plan_hash=held.plan_hash)
    )

    async with asyncio.timeout(REPORTED_S_MAX):
        refused = held
        while refused.state not in FINAL:
            await asyncio.sleep(ASK_EACH_S)
            (refused,) = await asked_system.plans(started.run_id)
    assert refused.state == plan.Plan.STATE_REFUSED
    assert f"trading of {client.account_id} is paused by policy" in refused.refusal
    assert await asked_system.orders(started.run_id) == []

    await officer.stops.LiftStop(
        stops.LiftStopRequest(request_id=new_request_id(), stop_id=stopped.stop.stop_id, reason="Fine.")
    )
    # Others who share the system plan for this account by what it had before.
    await enacted(asked_system, client.household_id, document_from_yaml("objective: {philosophy: as before}"))


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
