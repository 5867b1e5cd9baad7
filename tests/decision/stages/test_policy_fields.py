"""What a policy may say beside targets and bands, in a whole run: what is held, what waits, what is left alone."""

from decimal import Decimal

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.domain.plan import PlanOutcome, PlanState
from tests.decision.stages.world import a_policy, dollars, needs_trades, number

CONSENT = document_pb.ClientTerms(required_consents=["mandate"], missing_consents=["mandate"])


async def test_an_account_is_held_by_what_is_missing_or_beyond_belief(world):
    await world.ingest(*(needs_trades(each) for each in ("a1", "a2", "a3", "a4")))
    world.policy.own["a1"] = a_policy(client=CONSENT)
    world.policy.own["a2"] = a_policy(
        targets=document_pb.Targets(problem="models may not stand for themselves: m → m"),
        safety=document_pb.SafetyNets(paused=True),
    )
    world.policy.own["a3"] = a_policy(safety=document_pb.SafetyNets(pause_drift=number("0.3")))
    world.policy.own["a4"] = a_policy(
        triggers=document_pb.Triggers(net_benefit_minimum=dollars(1_000_000)),
        client=document_pb.ClientTerms(required_consents=["mandate"]),
    )

    done = await world.run_to_the_end()

    notes = {}
    for account_id in ("a1", "a2", "a3", "a4"):
        plan = await world.plan_of(done.run.run_id, account_id)
        assert (plan.outcome, plan.state) == (PlanOutcome.NO_TRADE, PlanState.IDLE)
        notes[account_id] = plan.content.note
    assert notes["a1"] == "The policy holds this account: no valid consent is on record: mandate."
    assert notes["a2"] == "The policy holds this account: models may not stand for themselves: m → m."
    assert "BND is 0.3900 away from its target, more than 0.3" in notes["a3"]
    assert world.execution.taken == {}


async def test_a_plan_waits_for_a_person_above_what_the_policy_lets_a_machine_do(world):
    await world.ingest(*(needs_trades(each) for each in ("a1", "a2", "a3", "a4")))
    world.policy.own["a1"] = a_policy(risk=document_pb.RiskLimits(volatility_limit=number("0.0001")))
    world.policy.own["a2"] = a_policy(
        cost=document_pb.CostSettings(spread_bps=number(100)),
        safety=document_pb.SafetyNets(review_cost_bps=number("0.5")),
    )
    world.policy.own["a3"] = a_policy(
        targets=document_pb.Targets(
            weights=[
                document_pb.TargetWeight(instrument_id=each, weight=number(weight))
                for each, weight in (("VTI", "0.6"), ("BND", "0.39"))
            ],
            cash_weight=number("0.01"),
            account_minimum=dollars(10_000_000),
        )
    )
    world.policy.own["a4"] = a_policy(risk=document_pb.RiskLimits(volatility_limit=number("9")))

    done = await world.run_to_the_end()

    reasons = {}
    for account_id in ("a1", "a2", "a3", "a4"):
        plan = await world.plan_of(done.run.run_id, account_id)
        reasons[account_id] = plan.review_reasons
        assert plan.state is (PlanState.DONE if account_id == "a4" else PlanState.HELD)
    assert reasons["a1"][0].startswith("volatility 0.")
    assert reasons["a1"][0].endswith("exceeds 0.0001")
    assert reasons["a2"][0].startswith("trading cost of ")
    assert reasons["a3"][0].startswith("the account's value of ")
    assert reasons["a3"][0].endswith(" is below 10000000 USD")
    assert reasons["a4"] == ()


async def test_what_an_issuer_may_weigh_is_kept_by_the_plan(world):
    await world.ingest(needs_trades("a1"))
    world.policy.own["a1"] = a_policy(
        {"VTI": "0.5", "BND": "0.49"},
        risk=document_pb.RiskLimits(issuer_weight_limit=number("0.3")),
    )

    done = await world.run_to_the_end()

    plan = await world.plan_of(done.run.run_id, "a1")
    after = {each.instrument_id: each.weight_after for each in plan.content.decision.explanation.trades}
    # VTI is above the limit and may fall; BND's issuer is bought up to it and no further.
    assert plan.state is PlanState.DONE
    assert Decimal("0.29") < after["BND"] <= Decimal("0.3")
