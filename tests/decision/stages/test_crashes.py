"""A process may die between any two steps, and any answer may be lost. What goes on from the rows ends the same."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.decision.domain.plan import PlanOutcome, PlanState
from services.decision.domain.run import RunState
from services.kernel.errors import Conflict
from services.kernel.ids import PlanId
from tests.decision.stages.world import LEASE, needs_trades, on_target


async def dies(world, step):
    """Run `step` until the solver is asked, and end it there as a kill would."""
    asked, forever = asyncio.Event(), asyncio.Event()

    async def gate():
        asked.set()
        await forever.wait()

    world.solver.gate = gate
    dying = asyncio.create_task(step())
    await asyncio.wait_for(asked.wait(), 10)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    world.solver.gate = None
    world.restarted()


async def test_a_shard_whose_worker_died_is_decided_by_another_after_its_lease(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"), on_target("a3"))
    run_id = await world.start()
    await world.pinning.step()
    await dies(world, world.deciding.step)

    await world.settle()
    assert (await world.runs.get_run(run_id)).decided_count == 1, "the dead worker's shard waits for its lease"
    world.clock.advance(LEASE)
    await world.settle()

    progress = await world.runs.get_run(run_id)
    assert progress.decided_count == 3
    assert progress.outcome_counts == {PlanOutcome.TRADE: 2, PlanOutcome.NO_TRADE: 1}


async def test_results_of_a_worker_that_lost_its_shard_are_not_taken(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    await world.pinning.step()
    slow_asked, slow_may_end = asyncio.Event(), asyncio.Event()

    async def gate():
        if not slow_asked.is_set():
            slow_asked.set()
            await slow_may_end.wait()

    world.solver.gate = gate
    slow = asyncio.create_task(world.deciding.step())
    await slow_asked.wait()
    world.clock.advance(LEASE)
    assert await world.deciding.step()
    slow_may_end.set()
    await slow

    assert (await world.runs.get_run(run_id)).decided_count == 1
    assert (await world.events("decision.plan.decided")) == ["decision.plan.decided"]


async def test_a_worker_that_lives_keeps_its_shard(world):
    await world.ingest(needs_trades("a1"))
    await world.start()
    await world.pinning.step()
    async with world.store.begin() as session:
        shard = await session.runs.claim_shard(world.clock.now(), world.clock.now() + LEASE)
    world.clock.advance(LEASE / 2)
    async with world.store.begin() as session:
        await session.runs.hold_shard(shard, world.clock.now() + LEASE)
    world.clock.advance(LEASE / 2)

    async with world.store.begin() as session:
        assert await session.runs.claim_shard(world.clock.now(), world.clock.now() + LEASE) is None
    with pytest.raises(Conflict):
        async with world.store.begin() as session:
            await session.runs.hold_shard(replace(shard, attempt=0), world.clock.now() + LEASE)


async def test_a_run_whose_pinning_died_is_pinned_by_another(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    async with world.store.begin() as session:
        dead = await session.runs.claim_pin(world.clock.now(), world.clock.now() + LEASE)
    assert not await world.pinning.step()

    world.clock.advance(LEASE)
    assert await world.pinning.step()

    with pytest.raises(Conflict):
        async with world.store.begin() as session:
            await session.runs.hold_pin(dead, world.clock.now() + LEASE)
    assert (await world.runs.get_run(run_id)).run.pinned_time is not None


async def test_a_shard_that_fails_with_what_nobody_expected_is_told_and_waits_longer_each_time(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"), needs_trades("a3"))
    run_id = await world.start()
    await world.pinning.step()

    async def breaks():
        raise RuntimeError("the secret of account a1")

    world.solver.gate = breaks
    for attempt, wait in enumerate((timedelta(seconds=0.5), timedelta(seconds=1)), start=1):
        with pytest.raises(RuntimeError):
            await world.deciding.step()
        noted = (await world.runs.get_run(run_id)).run
        assert noted.note == f"shard 0 failed {attempt} times and is tried again: RuntimeError, see the log"
        world.clock.advance(wait - timedelta(milliseconds=1))
        async with world.store.begin() as session:
            early = await session.runs.claim_shard(world.clock.now(), world.clock.now())
            assert early is None or early.number != 0
        world.clock.advance(timedelta(milliseconds=1))

    world.solver.gate = None
    await world.settle()

    done = await world.runs.get_run(run_id)
    assert done.decided_count == 3
    assert done.run.note == ""


async def test_while_policy_is_down_the_run_waits_and_says_so(world):
    await world.ingest(needs_trades("a1"))
    world.policy.down = True
    run_id = await world.start()

    assert not await world.pinning.step()

    waiting = (await world.runs.get_run(run_id)).run
    assert waiting.state is RunState.DECIDING
    assert "policy does not answer" in waiting.note
    assert not await world.pinning.step(), "not before its backoff is over"
    assert world.policy.calls == 1

    world.policy.down = False
    world.clock.advance(timedelta(seconds=1))
    await world.settle()
    assert (await world.runs.get_run(run_id)).run.note == ""
    assert (await world.states(run_id)) == {PlanState.WORKING: 1}


async def test_while_execution_is_down_plans_wait_and_the_same_request_is_sent_when_it_is_back(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    world.execution.down = True
    run_id = await world.start()

    await world.settle()

    assert (await world.states(run_id)) == {PlanState.APPROVED: 2}
    assert "execution does not answer" in (await world.runs.get_run(run_id)).run.note

    world.execution.down = False
    world.restarted()
    world.clock.advance(timedelta(seconds=1))
    await world.settle()
    assert (await world.states(run_id)) == {PlanState.WORKING: 2}
    assert len(world.execution.requests) == 1


async def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_bytes_and_request_id(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    world.execution.answers_lost = 2
    run_id = await world.start()

    for _ in range(3):
        await world.settle()
        world.restarted()
        world.clock.advance(timedelta(seconds=5))

    first, *others = world.execution.requests
    assert len(others) == 2
    assert all(other == first for other in others)
    assert (await world.states(run_id)) == {PlanState.WORKING: 2}


async def test_a_plan_that_was_signed_and_maybe_sent_cannot_be_taken_back_nor_expire(world):
    await world.ingest(needs_trades("a1"))
    world.execution.answers_lost = 1
    run_id = await world.start()
    await world.settle()
    plan = await world.plan_of(run_id, "a1")
    assert plan.state is PlanState.APPROVED

    canceled = await world.runs.cancel_run(run_id)
    world.market_clock.advance(timedelta(days=3))
    world.clock.advance(timedelta(seconds=5))
    await world.settle()

    assert canceled.run.state is RunState.CANCELED
    assert (await world.states(run_id)) == {PlanState.WORKING: 1}


async def test_reports_that_arrive_before_the_answer_to_the_submission_count(world):
    await world.ingest(needs_trades("a1"))
    world.execution.answers_lost = 1
    run_id = await world.start()
    await world.settle()

    world.execution.fill(await world.plan_of(run_id, "a1"))
    await world.following.follow()

    assert (await world.states(run_id)) == {PlanState.DONE: 1}
    world.clock.advance(timedelta(seconds=5))
    await world.settle()
    progress = await world.runs.get_run(run_id)
    assert (progress.run.state, progress.plan_counts) == (RunState.DONE, {PlanState.DONE: 1})


async def test_each_report_counts_once_however_often_it_is_heard(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    run_id = await world.start()
    await world.settle()
    for account_id in ("a1", "a2"):
        world.execution.fill(await world.plan_of(run_id, account_id))

    await world.following.book(world.execution.stream[:3])
    await world.following.book(world.execution.stream[1:5])
    await asyncio.gather(world.following.follow(), world.following.follow(), return_exceptions=True)
    await world.following.follow()
    await world.settle()

    assert (await world.states(run_id)) == {PlanState.DONE: 2}
    assert not (await world.books.reconcile(run_id)).breaks
    assert (await world.events("decision.plan.done")) == ["decision.plan.done"] * 2
    assert len(await world.events("decision.account.booked")) == sum(
        1 for each in world.execution.stream if each.allocation is not None
    )


async def test_a_gap_in_the_reports_is_not_booked_over(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    await world.settle()
    world.execution.fill(await world.plan_of(run_id, "a1"))

    with pytest.raises(Conflict):
        await world.following.book(world.execution.stream[1:])

    assert await world.events("decision.account.booked") == []


async def test_reports_on_plans_that_nobody_here_made_are_passed_over_but_their_orders_are_not_lost(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    await world.settle()
    plan = await world.plan_of(run_id, "a1")
    world.execution.fill(plan)
    strange = replace(
        world.execution.stream[-1],
        position=len(world.execution.stream) + 1,
        plan_id=PlanId("plan-of-another"),
        closed=replace(world.execution.stream[-1].closed, plan_id=PlanId("plan-of-another"), order_id="order-x"),
    )
    world.execution.stream.append(strange)

    await world.following.follow()

    assert (await world.states(run_id)) == {PlanState.DONE: 1}
    async with world.store.read() as session:
        assert await session.books.stream_position() == len(world.execution.stream)


async def test_a_canceled_run_decides_no_more_and_takes_back_what_was_not_sent(world):
    await world.ingest(*[needs_trades(f"a{number}") for number in range(1, 5)])
    run_id = await world.start()
    await world.pinning.step()
    await world.deciding.step()
    assert (await world.states(run_id)) == {PlanState.APPROVED: 2}

    await world.runs.cancel_run(run_id)
    await world.settle()

    progress = await world.runs.get_run(run_id)
    assert (progress.run.state, progress.decided_count) == (RunState.CANCELED, 2)
    assert (await world.states(run_id)) == {PlanState.WITHDRAWN: 2}
    assert world.execution.requests == []
    assert (await world.runs.cancel_run(run_id)).run == progress.run


async def test_a_shard_that_is_being_decided_when_its_run_is_canceled_leaves_nothing(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    await world.pinning.step()

    async def cancel():
        await world.runs.cancel_run(run_id)

    world.solver.gate = cancel
    await world.deciding.step()

    assert (await world.plans_of(run_id)) == []
    assert (await world.events("decision.plan.")) == []


async def test_plans_that_were_not_sent_in_time_expire(world):
    await world.ingest(needs_trades("a1"))
    run_id = await world.start()
    await world.decide_all()
    plan = await world.plan_of(run_id, "a1")
    world.market_clock.advance(plan.expire_time - world.market_clock.now() - timedelta(microseconds=1))
    await world.keeping.step()
    assert (await world.states(run_id)) == {PlanState.APPROVED: 1}

    world.market_clock.advance(timedelta(microseconds=1))
    await world.settle()

    assert (await world.states(run_id)) == {PlanState.EXPIRED: 1}
    assert (await world.runs.get_run(run_id)).run.state is RunState.DONE
    assert world.execution.requests == []


async def test_what_execution_refuses_is_refused_by_itself(world):
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    run_id = await world.start()
    await world.decide_all()
    refused = await world.plan_of(run_id, "a1")
    world.execution.refusals[refused.plan_id] = "LIMIT_EXCEEDED: 10 above 5"

    await world.settle()

    assert (await world.states(run_id)) == {PlanState.REFUSED: 1, PlanState.WORKING: 1}
    assert (await world.plan_of(run_id, "a1")).refusal == "LIMIT_EXCEEDED: 10 above 5"


async def test_one_plan_that_makes_execution_refuse_the_request_does_not_take_the_others_with_it(world):
    await world.ingest(*[needs_trades(f"a{number}") for number in range(1, 4)])
    run_id = await world.start()
    await world.decide_all()
    broken = await world.plan_of(run_id, "a2")
    world.execution.refuses_requests_with.add(broken.plan_id)

    await world.settle()

    assert (await world.states(run_id)) == {PlanState.REFUSED: 1, PlanState.WORKING: 2}
    assert all(times == 1 for times in world.execution.taken.values())


@pytest.mark.parametrize("accounts", [["a1"], ["a1", "a2"]])
async def test_two_workers_that_hear_the_same_refusal_act_on_it_once(world, accounts):
    await world.ingest(*[needs_trades(each) for each in accounts])
    run_id = await world.start()
    await world.decide_all()
    world.execution.refuses_requests_with.add((await world.plan_of(run_id, "a1")).plan_id)
    submit, asked, may_end = world.execution.submit, asyncio.Event(), asyncio.Event()

    async def slow(request_id, plans):
        asked.set()
        await may_end.wait()
        return await submit(request_id, plans)

    world.execution.submit = slow
    late = asyncio.create_task(world.submitting.step())
    await asked.wait()
    world.execution.submit = submit
    world.clock.advance(LEASE)
    await world.submitting.step()
    may_end.set()
    await late
    await world.settle()

    assert (await world.plan_of(run_id, "a1")).state is PlanState.REFUSED
    assert (await world.states(run_id))[PlanState.WORKING] == len(accounts) - 1
    assert await world.events("decision.plan.refused") == ["decision.plan.refused"]
