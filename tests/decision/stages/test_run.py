"""A run from its start to its end, over PostgreSQL, with the real optimiser."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from evenkeel.decision.v1 import signed_plan_pb2
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.book import AccountNotFound
from services.decision.app.ports.plans import PlanFilter
from services.decision.app.prices import PriceSetNotFound
from services.decision.domain.freshness import PricesStale
from services.decision.domain.plan import PlanOutcome, PlanState
from services.decision.domain.run import RunState
from services.decision.tables import runs as tables
from services.kernel.errors import Invalid
from services.runtime.database import Database
from services.runtime.wire import money_of
from tests.decision.books import CLOSE, MORNING, an_account, lot
from tests.decision.stages.world import World, a_policy, needs_trades, number, on_target


async def test_a_run_decides_every_account_submits_what_is_approved_and_books_what_is_filled(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"), needs_trades("a3"), on_target("a4"), needs_trades("a5"))

    done = await world.run_to_the_end()

    assert done.run.state is RunState.DONE
    assert done.decided_count == 5
    assert done.outcome_counts == {PlanOutcome.TRADE: 4, PlanOutcome.NO_TRADE: 1}
    assert done.plan_counts == {PlanState.DONE: 4, PlanState.IDLE: 1}
    assert done.totals.turnover > 0
    assert done.totals.drift_after_value < done.totals.drift_before_value
    assert all(times == 1 for times in world.execution.taken.values())
    assert len(world.execution.taken) == 4
    reconciled = await world.books.reconcile(done.run.run_id)
    assert not reconciled.breaks


async def test_each_change_of_state_is_told_once(world):
    await world.ingest(needs_trades("a1"), on_target("a2"))

    await world.run_to_the_end()

    assert await world.events("decision.run.") == [
        "decision.run.started",
        "decision.run.pinned",
        "decision.run.decided",
        "decision.run.done",
    ]
    assert await world.events("decision.plan.") == [
        "decision.plan.decided",
        "decision.plan.decided",
        "decision.plan.submitted",
        "decision.plan.done",
    ]


async def test_a_dry_run_computes_plans_and_sends_none(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"))

    done = await world.run_to_the_end(dry_run=True)

    assert done.run.state is RunState.DONE
    assert done.plan_counts == {PlanState.WITHDRAWN: 2}
    assert world.execution.requests == []


async def test_an_account_that_cannot_be_decided_fails_by_itself_and_says_why(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"), needs_trades("a3"), needs_trades("a4"))
    world.policy.own["a1"] = a_policy({"VTI": "0.6", "AAPL": "0.38"})
    world.policy.own["a2"] = b"\xff\xff"
    world.policy.without.add("a3")

    run_id = await world.start()
    await world.decide_all()

    failures = [(await world.plan_of(run_id, each)).content.failure for each in ("a1", "a2", "a3")]
    assert [each.reason for each in failures] == ["FIELD_INVALID", "FIELD_INVALID", "POLICY_NOT_IN_FORCE"]
    assert failures[0].details == ("policy.targets: weights and cash must sum to 1, were 0.99",)
    assert (await world.plan_of(run_id, "a4")).outcome is PlanOutcome.TRADE


async def test_stale_prices_and_books_are_refused_account_by_account(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"), needs_trades("a3"))
    world.policy.own["a1"] = a_policy(data=document_pb.DataRequirements(price_age_max_s=3600))
    world.policy.own["a2"] = a_policy(data=document_pb.DataRequirements(snapshot_age_max_s=3600))

    run_id = await world.start()
    await world.decide_all()

    assert (await world.plan_of(run_id, "a1")).content.failure.reason == "PRICES_STALE"
    assert (await world.plan_of(run_id, "a2")).content.failure.reason == "SNAPSHOT_STALE"
    assert (await world.plan_of(run_id, "a3")).outcome is PlanOutcome.TRADE


async def test_a_paused_account_is_left_alone(world):
    await world.ingest(needs_trades("a1"))
    world.policy.document = a_policy(safety=document_pb.SafetyNets(paused=True))

    done = await world.run_to_the_end()

    plan = await world.plan_of(done.run.run_id, "a1")
    assert (plan.outcome, plan.state) == (PlanOutcome.NO_TRADE, PlanState.IDLE)
    assert "pauses" in plan.content.note


async def test_an_account_with_a_live_plan_gets_no_second_one(world):
    await world.ingest(needs_trades("a1"), on_target("a2"))
    world.policy.document = a_policy(safety=document_pb.SafetyNets(review_turnover=number("0.0001")))
    first = await world.start(request_id="r-1")
    await world.settle()

    second = await world.start(request_id="r-2")
    await world.settle()

    assert (await world.plan_of(first, "a1")).state is PlanState.HELD
    refused = await world.plan_of(second, "a1")
    assert (refused.outcome, refused.content.failure.reason) == (PlanOutcome.FAILED, "PLAN_LIVE")
    assert (await world.runs.get_run(second)).run.state is RunState.DONE


async def test_two_runs_that_decide_one_account_at_the_same_time_leave_it_one_live_plan(world):
    await world.ingest(needs_trades("a1"))
    first, second = await world.start(request_id="r-1"), await world.start(request_id="r-2")
    await world.pinning.step()
    await world.pinning.step()
    both = asyncio.Barrier(2)
    world.solver.gate = both.wait

    await asyncio.gather(world.deciding.step(), world.deciding.step())

    reasons = {
        failure.reason if (failure := (await world.plan_of(run, "a1")).content.failure) else None
        for run in (first, second)
    }
    assert reasons == {None, "PLAN_LIVE"}
    assert await world.live_accounts_once()


async def test_an_account_that_another_run_traded_meanwhile_is_decided_again_on_what_it_has_now(world):
    await world.ingest(needs_trades("a1"))
    slow, fast = await world.start(request_id="r-1"), await world.start(request_id="r-2")
    await world.pinning.step()
    await world.pinning.step()
    asked, may_end = asyncio.Event(), asyncio.Event()

    async def gate():
        asked.set()
        await may_end.wait()

    world.solver.gate = gate
    deciding = asyncio.create_task(world.deciding.step())
    await asked.wait()
    world.solver.gate = None
    await world.settle()
    await world.fill_all(fast)
    assert (await world.plan_of(fast, "a1")).state is PlanState.DONE
    may_end.set()
    await deciding
    await world.settle()

    assert (await world.plan_of(slow, "a1")).outcome is PlanOutcome.NO_TRADE
    assert (await world.runs.get_run(slow)).run.state is RunState.DONE
    assert len(await world.events("decision.plan.decided")) == 2


async def test_prices_and_accounts_that_do_not_exist_are_refused_at_the_door(world):
    await world.ingest(needs_trades("a1"))

    with pytest.raises(AccountNotFound, match="a9"):
        await world.start("a1", "a9")
    with pytest.raises(PriceSetNotFound):
        await world.start("a1", price_set_id="prices-none")
    with pytest.raises(Invalid, match="named once"):
        await world.start("a1", "a1")
    with pytest.raises(Invalid, match="as_of_time"):
        await world.start("a1", as_of_time=MORNING + timedelta(seconds=1))
    with pytest.raises(PricesStale):
        await world.start("a1", as_of_time=CLOSE - timedelta(seconds=1))
    assert await world.events("decision.run.") == []


async def test_a_plan_computed_again_from_its_recorded_inputs_is_the_same(world):
    await world.ingest(needs_trades("a1"), on_target("a2"))
    done = await world.run_to_the_end()
    # The book, the newest prices and the policy are others by now.
    world.policy.document = a_policy({"AAPL": "0.99"})

    for account_id in ("a1", "a2"):
        replay = await world.plans.replay_plan((await world.plan_of(done.run.run_id, account_id)).plan_id)

        assert replay.identical, account_id
        assert replay.identical_content, account_id
        assert replay.sentence == "Computed again by the engine that decided it, the plan is the same, byte for byte."


async def test_a_plan_whose_record_was_changed_is_not_the_same(world):
    await world.ingest(needs_trades("a1"))
    done = await world.run_to_the_end()
    plan = await world.plan_of(done.run.run_id, "a1")
    async with world.database.begin() as transaction:
        await transaction.connection.execute(
            update(tables.plan).values(plan_hash="sha256:0").where(tables.plan.c.plan_id == plan.plan_id)
        )

    replay = await world.plans.replay_plan(plan.plan_id)
    assert not replay.identical
    assert replay.sentence.endswith("the plan is another one.")


async def test_who_watches_sees_each_change_and_the_end(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    seen = []

    async def watch():
        seen.extend([progress.run.state async for progress in world.runs.watch_run(run_id)])

    watching = asyncio.create_task(watch())
    await world.settle()
    await world.fill_all(run_id)
    await world.settle()
    await asyncio.wait_for(watching, 10)

    assert seen[-1] is RunState.DONE
    assert seen == sorted(seen, key=list(RunState).index)


async def test_a_newer_snapshot_ends_the_plans_that_nobody_has_yet_and_says_so(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"), needs_trades("a3"))
    world.policy.own["a1"] = a_policy(safety=document_pb.SafetyNets(review_turnover=number("0.0001")))
    world.execution.down = True
    run_id = await world.start("a1", "a2")
    await world.decide_all()
    await world.start("a3", request_id="r-2")
    await world.decide_all()
    held, approved, other = [each.state for each in await world.all_plans()]

    await world.ingest(needs_trades("a1"), needs_trades("a2"), as_of=CLOSE + timedelta(hours=1))

    assert (held, approved, other) == (PlanState.HELD, PlanState.APPROVED, PlanState.APPROVED)
    assert [each.state for each in await world.all_plans()] == [
        PlanState.SUPERSEDED,
        PlanState.SUPERSEDED,
        PlanState.APPROVED,
    ]
    assert await world.events("decision.plan.superseded") == ["decision.plan.superseded"] * 2
    # What execution may have is not taken back, and the accounts may be decided again at once.
    world.execution.down = False
    await world.settle()
    assert len(world.execution.taken) == 1
    again = await world.start("a1", "a2", request_id="r-3")
    await world.settle()
    assert {each.outcome for each in await world.plans_of(again)} == {PlanOutcome.TRADE}
    assert (await world.runs.get_run(run_id)).run.state is RunState.DONE


async def test_a_plan_decided_while_its_book_is_replaced_never_lives_on_the_old_book(world):
    await world.ingest(needs_trades("a1"))
    await world.start()
    await world.pinning.step()

    async def replaced():
        world.solver.gate = None
        await world.ingest(on_target("a1"), as_of=CLOSE + timedelta(hours=1))

    world.solver.gate = replaced
    await world.decide_all()

    (plan,) = await world.all_plans()
    assert (plan.outcome, plan.state) == (PlanOutcome.NO_TRADE, PlanState.IDLE)


async def test_execution_is_told_what_cash_is_missing_so_that_buys_do_not_use_it(world):
    short = an_account("a1", cash=-500).holding("VTI", lot("l1", 500, 60_000))
    await world.ingest(short)
    run_id = await world.start()
    await world.settle()

    plan = await world.plan_of(run_id, "a1")
    ((_, sent),) = world.execution.requests
    payload = signed_plan_pb2.PlanPayload.FromString(sent[0][1])
    assert plan.content.release.cash_shortfall == Decimal(500)
    assert money_of(payload.cash_shortfall, "").amount == 500
    assert money_of(payload.available_cash, "").amount == 0


# Each is broken in another way, by what its policy or its book says; none of the book's own doing is let in at all.
BROKEN = {
    "b-currency": "FIELD_INVALID",
    "b-mix": "FIELD_INVALID",
    "b-no-price": "FIELD_INVALID",
    "b-no-policy": "POLICY_NOT_IN_FORCE",
    "b-stale": "PRICES_STALE",
    "b-unreadable": "FIELD_INVALID",
    "b-worthless": "FIELD_INVALID",
}


async def a_batch_with_broken_accounts(world, count):
    """Decide `count` accounts of which some are broken; return the plans by account."""
    good = [needs_trades(f"g-{row:05}") if row % 100 == 0 else on_target(f"g-{row:05}") for row in range(count)]
    bad = [needs_trades(each) for each in BROKEN if each not in ("b-worthless", "b-currency")]
    bad += [an_account("b-worthless", cash=0), an_account("b-currency", cash=1000, currency="EUR")]
    await world.ingest(*good, *bad)
    world.policy.own = {
        "b-mix": a_policy({"VTI": "0.6", "AAPL": "0.38"}),
        "b-no-price": a_policy({"VTI": "0.6", "NOPE": "0.39"}),
        "b-stale": a_policy(data=document_pb.DataRequirements(price_age_max_s=3600)),
        "b-unreadable": b"\xff\xff",
    }
    world.policy.without.add("b-no-policy")
    run_id = await world.start()
    await world.decide_all()
    return {each.account_id: each for each in await world.plans.list_plans(PlanFilter(run_id=run_id), None, 20_000)}


def every_broken_account_says_why(plans):
    reasons = {each: plans[each].outline.sentence.partition(":")[0] for each in BROKEN}
    return reasons == BROKEN and {plans[each].outcome for each in BROKEN} == {PlanOutcome.FAILED}


async def test_broken_accounts_get_their_errors_and_all_others_their_plans(world):
    plans = await a_batch_with_broken_accounts(world, 20)

    assert every_broken_account_says_why(plans)
    others = {each.outcome for name, each in plans.items() if name not in BROKEN}
    assert others == {PlanOutcome.TRADE, PlanOutcome.NO_TRADE}
    assert "NOPE" in plans["b-no-price"].outline.sentence


@pytest.mark.chaos
async def test_broken_accounts_among_ten_thousand_stop_nobody(decision_database):
    database = Database(decision_database.settings(database_pool_size=8))
    plans = await a_batch_with_broken_accounts(World(database, shard_size=500), 10_000 - len(BROKEN))
    await database.close()

    assert every_broken_account_says_why(plans)
    decided = [each for name, each in plans.items() if name not in BROKEN]
    print(f"{len(plans)} accounts, {len(BROKEN)} broken, {len(decided)} decided")  # noqa: T201 - a chaos run tells its counts
    assert len(decided) == 10_000 - len(BROKEN)
    assert {each.outcome for each in decided} == {PlanOutcome.TRADE, PlanOutcome.NO_TRADE}
