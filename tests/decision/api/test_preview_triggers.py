"""A preview and a run of one account at one moment agree: in what asks, in trades, in words."""

from datetime import timedelta

from evenkeel.decision.v1 import explanation_pb2 as explanation_pb
from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from tests.decision.books import CLOSE, an_account, lot
from tests.decision.stages.world import a_policy, dollars, needs_trades, number, on_target

WIDE = document_pb.Bands(trigger=document_pb.Distance(absolute=number("0.2")))
FLOWS = document_pb.Triggers(cash_flow_minimum=dollars(5_000))


def with_cash(cash, reserved=0):
    """The account on target, with other cash."""
    account = an_account("a1", cash=cash, reserved_cash=reserved)
    return account.holding("VTI", lot("a1-l1", "315.789", 60_000)).holding("BND", lot("a1-l2", "541.667", 40_000))


async def previewed(running, **scenario):
    scenarios = [explanation_pb.Scenario(name="what if", **scenario)] if scenario else []
    response = await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", scenarios=scenarios))
    return response.plans[0].plan


async def run(running, **wish):
    """Return what a run of the account says, with nothing left open after it."""
    run_id = await running.started("a1", **wish)
    await running.world.settle()
    await running.world.fill_all(run_id)
    await running.world.settle()
    plan = await running.world.plan_of(run_id, "a1")
    return (await running.plans().GetPlan(pb.GetPlanRequest(plan_id=plan.plan_id))).plan


def same(preview, plan, *, but=()):
    """Whether both say the same of everything that they say."""
    assert preview.outcome == plan.outcome
    assert preview.trades == plan.trades
    assert preview.explanation == plan.explanation
    assert preview.certificate == plan.certificate
    ours, theirs = pb.PlanInputs(), pb.PlanInputs()
    ours.CopyFrom(preview.inputs)
    theirs.CopyFrom(plan.inputs)
    for field in but:
        ours.ClearField(field)
        theirs.ClearField(field)
    assert ours == theirs


def asking(plan):
    return {plan.explanation.trigger} - {"NONE"}


async def test_weights_outside_their_bands(running):
    await running.world.ingest(needs_trades("a1"))
    preview = await previewed(running)
    plan = await run(running)

    assert asking(plan) == {"DRIFT"}
    same(preview, plan)


async def test_the_calendar(running):
    world = running.world
    world.policy.document = a_policy(
        triggers=document_pb.Triggers(calendar_days=30),
        data=document_pb.DataRequirements(snapshot_age_max_s=90 * 86_400, price_age_max_s=90 * 86_400),
    )
    await world.ingest(on_target("a1"))
    # Never decided before, it is due; and again after thirty days.
    for days, due in ((0, True), (29, False), (30, True)):
        world.market_clock.advance(timedelta(days=days))
        preview = await previewed(running)
        plan = await run(running)
        assert asking(plan) == ({"CALENDAR"} if due else set())
        same(preview, plan)


async def test_money_that_came_or_went(running):
    world = running.world
    world.policy.document = a_policy(bands=WIDE, triggers=FLOWS)
    await world.ingest(with_cash(8_000))
    await run(running)
    # A deposit or a dividend of too little; withdrawals that went, of too little and of just enough.
    for hour, (cash, asks) in enumerate([(12_999, False), (8_000, False), (3_000, True)], 1):
        world.market_clock.advance(timedelta(minutes=1))
        await world.ingest(with_cash(cash), as_of=CLOSE + timedelta(hours=hour))
        preview = await previewed(running)
        plan = await run(running)
        assert asking(plan) == ({"CASH_FLOW"} if asks else set())
        same(preview, plan)


async def test_a_withdrawal_that_is_yet_to_leave(running):
    world = running.world
    world.policy.document = a_policy(bands=WIDE, triggers=FLOWS)
    await world.ingest(on_target("a1"))
    await run(running)
    supposed = await previewed(running, withdrawal=dollars(8_000))
    await world.ingest(with_cash(1_000, reserved=8_000), as_of=CLOSE + timedelta(hours=1))

    preview = await previewed(running)
    plan = await run(running)
    assert asking(plan) == {"CASH_FLOOR"}
    same(preview, plan)
    # What a scenario supposes is what comes.
    assert (supposed.trades, supposed.explanation) == (plan.trades, plan.explanation)


async def test_a_deposit_that_is_supposed_asks_as_one_that_came(running):
    world = running.world
    world.policy.document = a_policy(bands=WIDE, triggers=FLOWS)
    await world.ingest(on_target("a1"))
    await run(running)
    supposed = await previewed(running, deposit=dollars(5_000))
    await world.ingest(with_cash(6_000), as_of=CLOSE + timedelta(hours=1))

    plan = await run(running)
    assert "CASH_FLOW" in asking(plan)
    assert (supposed.trades, supposed.explanation) == (plan.trades, plan.explanation)


async def test_a_scenario_s_policy_asks_by_its_own_triggers(running):
    world = running.world
    world.policy.document = a_policy(bands=WIDE)
    await world.ingest(on_target("a1"))
    await run(running)
    await world.ingest(with_cash(6_000), as_of=CLOSE + timedelta(hours=1))
    looking = a_policy(bands=WIDE, triggers=FLOWS)

    assert asking(await previewed(running)) == set()
    preview = await previewed(running, policy_document=looking, whole_policy=True)
    world.policy.document = looking
    plan = await run(running)
    assert "CASH_FLOW" in asking(plan)
    same(preview, plan, but=("policy_version_hashes",))


async def test_an_event(running):
    await running.world.ingest(on_target("a1"))
    preview = await previewed(running, event="merger of AAA and BBB")
    plan = await run(running, event="merger of AAA and BBB")

    assert asking(plan) == {"EVENT"}
    same(preview, plan)


async def test_a_rollout_s_other_side_asks_by_its_own_triggers(running):
    world = running.world
    world.policy.document = a_policy(bands=WIDE)
    await world.ingest(on_target("a1"))
    await run(running)
    await world.ingest(with_cash(6_000), as_of=CLOSE + timedelta(hours=1))
    world.policy.candidate = a_policy(bands=WIDE, triggers=FLOWS)

    plan = await run(running)
    await world.reporting.step()
    assert asking(plan) == set()
    ((_, (found,)),) = world.policy.reports
    assert found.comparison.incumbent.outcome == "NO_TRADE"
    assert found.comparison.candidate.outcome == "TRADE"
