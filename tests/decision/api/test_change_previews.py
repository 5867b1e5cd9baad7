"""What a change of policy would have done on a past day, account by account."""

from datetime import timedelta

import grpc

from evenkeel.decision.v1 import run_service_pb2 as run_pb
from services.runtime.wire import decimal_of, instant_message
from tests.decision.api.conftest import refused
from tests.decision.stages.test_comparing import wider
from tests.decision.stages.world import needs_trades, on_target

CHANGE = "change-9"


def previewed(running, **request):
    asked = run_pb.PreviewChangeRequest(change_id=CHANGE, **request)
    return running.runs("cleo", "policy_author").PreviewChange(asked)


async def test_a_change_is_tried_on_what_a_past_run_rested_on(running):
    await running.world.ingest(needs_trades("a1"), on_target("a2"), needs_trades("a3"))
    run_id = await running.started(dry_run=True)
    await running.world.settle()
    plan = await running.world.plan_of(run_id, "a1")
    # Another day: what the accounts have, what they may do and what things cost is not what it was.
    running.world.policy.changes[CHANGE] = ({"a1", "a2"}, wider())
    running.world.market_clock.advance(timedelta(days=1))
    later = running.world.market_clock.now()
    await running.world.ingest(on_target("a1"), on_target("a3"), as_of=later)

    found = await previewed(running, run_id=run_id)

    assert (found.run_id, found.account_count, found.next_page_token) == (run_id, 3, "")
    assert found.as_of_time == instant_message(plan.inputs.as_of_time)
    of_account = {each.account_id: each for each in found.comparisons}
    assert set(of_account) == {"a1", "a2"}
    one = of_account["a1"]
    assert (one.incumbent.outcome, one.candidate.outcome, one.failed) == ("TRADE", "NO_TRADE", False)
    assert (one.change_id, one.incumbent_hash) == (CHANGE, plan.inputs.policy_hash)
    totals = plan.outline.totals
    assert abs(decimal_of(one.incumbent.tax_bps, "") - totals.tax / totals.value * 10_000) < 1
    assert abs(decimal_of(one.incumbent.cost_bps, "") - totals.trading_cost / totals.value * 10_000) < 1
    assert decimal_of(one.turnover_delta_bps, "") == -decimal_of(one.incumbent.turnover_bps, "") < 0
    assert decimal_of(one.drift_delta_bps, "") > 0
    assert decimal_of(of_account["a2"].drift_delta_bps, "") == 0
    # What policy knew when the run was pinned, and nothing that it learned since.
    run = await running.world.runs.get_run(run_id)
    assert running.world.policy.supposed_as_of == [(run.run.as_of_time, run.run.pinned_time)]
    assert len(await running.world.all_plans()) == 3


async def test_the_day_is_the_last_one_decided_by_the_instant_asked_about(running):
    await running.world.ingest(needs_trades("a1"))
    running.world.policy.changes[CHANGE] = ({"a1"}, wider())
    first = await running.started(dry_run=True)
    await running.world.settle()
    day = running.world.market_clock.now()
    running.world.market_clock.advance(timedelta(hours=1))
    second = await running.started(dry_run=True)
    await running.world.settle()

    assert (await previewed(running)).run_id == second
    assert (await previewed(running, as_of_time=instant_message(day))).run_id == first
    async with refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND"):
        await previewed(running, as_of_time=instant_message(day - timedelta(seconds=1)))
    async with refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND"):
        await previewed(running, run_id="run-of-nobody")
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await previewed(running, run_id=first, as_of_time=instant_message(day))
    assert set(fields) == {"as_of_time"}


async def test_accounts_come_in_pages_and_a_change_that_nobody_made_is_refused(running):
    await running.world.ingest(*(needs_trades(f"a{number}") for number in range(5)))
    run_id = await running.started(dry_run=True)
    await running.world.settle()
    async with refused(grpc.StatusCode.NOT_FOUND, "POLICY_CHANGE_NOT_FOUND"):
        await previewed(running, run_id=run_id)
    running.world.policy.changes[CHANGE] = ({"a0", "a3"}, wider())

    seen, looked, token = [], 0, ""
    while True:
        page = await previewed(running, run_id=run_id, page_size=2, page_token=token)
        seen += [each.account_id for each in page.comparisons]
        looked += page.account_count
        if not (token := page.next_page_token):
            break

    assert (sorted(seen), looked) == (["a0", "a3"], 5)
    # Pages are of one run, also when another is decided between them.
    first = await previewed(running, page_size=2)
    await running.started(dry_run=True)
    await running.world.settle()
    assert (await previewed(running, page_size=2, page_token=first.next_page_token)).run_id == run_id
    # No other rules, no difference.
    running.world.policy.changes[CHANGE] = ({"a0"}, running.world.policy.document)
    assert not (await previewed(running, run_id=run_id)).comparisons
