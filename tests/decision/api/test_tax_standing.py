"""Where accounts stand by their ledger: on the market's day, and anew on the first day of a tax year."""

from datetime import date, timedelta

import pytest

from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.clients.peers import PeerFailed
from tests.decision.api.messages import amount
from tests.decision.api.test_tax_ledger import bought, day, record, sold, usd
from tests.decision.books import MORNING, an_account, lot
from tests.decision.stages.world import a_policy, needs_trades, number

JANUARY = MORNING + timedelta(days=9)
COMPLETE = {"complete": [{"account_id": "a1", "until_date": day("2022-12-26")}]}


async def stands(running, account_id="a1"):
    async with running.world.books.read() as view:
        (account,) = await view.books.accounts([account_id], trades_since=date.max)
    return account


async def lost_ten_thousand(running):
    """`a1` lost 10,000 short-term in 2022, and all of its history is on record."""
    world = running.world
    world.policy.document = a_policy(
        {"VTI": "0.50", "BND": "0.49"},
        tax=document_pb.TaxSettings(jurisdiction="US", short_term_rate=number("0.30"), long_term_rate=number("0.20")),
        data=document_pb.DataRequirements(snapshot_age_max_s=90 * 86_400),
    )
    await world.ingest(needs_trades("a1"))
    done = await running.taxes().RecordTaxEvents(
        record(
            bought("b1", "2022-02-01", 100, 20_000, instrument="BND"),
            sold("s1", "2022-11-01", 100, 10_000, instrument="BND"),
            bought("b2", "2020-01-06", 500, 60_000),
            **COMPLETE,
        )
    )
    assert not done.unsettled


async def in_january(running):
    running.world.market_clock.advance(JANUARY - running.world.market_clock.now())
    await running.world.ingest_prices(as_of=JANUARY)


async def test_an_account_stands_in_the_year_of_the_market_and_not_of_the_computer(running):
    await lost_ten_thousand(running)

    account = await stands(running)
    assert (account.carried_year, [each.day for each in account.realized]) == (2022, [MORNING.date()])
    assert account.gains(lambda on: on.year, 2022) == (-10_000, 0)


async def test_what_a_year_leaves_to_the_next_is_known_on_its_first_plan_without_an_event(running):
    await lost_ten_thousand(running)
    await in_january(running)

    run_id = await running.started()
    await running.world.decide_all()
    (plan,) = await running.world.plans_of(run_id)
    told = await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plan.plan_id))
    # 3,000 met other income in 2022.
    assert amount(told.tax.short_term_before) == -7000
    account = await stands(running)
    assert (account.carried(2023), account.gains(lambda on: on.year, 2023)) == ((7000, 0), (0, 0))


async def test_a_preview_of_the_new_year_knows_it_too_and_looking_back_changes_nothing(running):
    await lost_ten_thousand(running)
    await in_january(running)
    await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))
    assert (await stands(running)).carried(2023) == (7000, 0)

    await running.world.standing.bring_to(["a1"], MORNING.date())
    assert (await stands(running)).carried(2023) == (7000, 0)


async def test_the_accounts_of_a_household_share_what_is_carried_and_each_other_s_gains(running):
    """10,000 lost in one account and 8,000 gained in the other leave nothing to carry; alone 7,000 would be left."""
    world = running.world
    await world.ingest(
        an_account("a1", household_id="h").holding("VTI", lot("l1", 10, 1000)),
        an_account("a2", household_id="h").holding("VTI", lot("l2", 10, 1000)),
    )
    both = {"complete": [{"account_id": each, "until_date": day("2022-12-26")} for each in ("a1", "a2")]}
    await running.taxes().RecordTaxEvents(
        record(
            bought("b1", "2022-02-01", 100, 20_000, instrument="BND"),
            sold("s1", "2022-11-01", 100, 10_000, instrument="BND"),
            bought("b2", "2022-02-01", 100, 20_000, instrument="AAPL", account="a2"),
            sold("s2", "2022-11-01", 100, 28_000, instrument="AAPL", account="a2"),
            **both,
        )
    )
    await world.standing.bring_to(["a1", "a2"], JANUARY.date())

    assert [(await stands(running, each)).carried(2023) for each in ("a1", "a2")] == [(0, 0), (0, 0)]


async def test_while_policy_does_not_answer_nothing_is_brought_forward_and_the_run_waits(running, monkeypatch):
    await lost_ten_thousand(running)

    async def silent(*_):
        raise PeerFailed("policy does not answer")

    monkeypatch.setattr(running.world.policy, "resolve", silent)
    with pytest.raises(PeerFailed):
        await running.world.standing.bring_to(["a1"], JANUARY.date())
    assert (await stands(running)).carried_year == 2022

    await in_january(running)
    run_id = await running.started()
    assert not await running.world.pinning.step()
    async with running.world.store.read() as session:
        run = await session.runs.get(run_id)
    assert "waits to be pinned: policy does not answer" in run.note


async def test_an_account_of_which_no_ledger_can_be_made_is_tried_once_a_day(running, monkeypatch):
    await running.world.ingest(needs_trades("a1"))
    done = await running.taxes().RecordTaxEvents(record(sold("s1", "2022-11-01", 100, 10_000), **COMPLETE))
    assert [each.reason for each in done.unsettled] == ["TAX_HISTORY_INCOMPLETE"]
    asked = []
    resolve = running.world.policy.resolve

    async def counted(account_ids, effective_time):
        asked.append(effective_time.date())
        return await resolve(account_ids, effective_time)

    # Policy is asked for the sets of the day of the sale whenever a ledger is tried.
    monkeypatch.setattr(running.world.policy, "resolve", counted)
    standing, today = running.world.standing, MORNING.date()
    await standing.bring_to(["a1"], today)
    assert asked == []
    for _ in range(2):
        await standing.bring_to(["a1"], today + timedelta(days=1))
    assert asked == [date(2022, 11, 1)]
    assert (await stands(running)).carried_year is None

    # What was missing lets it stand at once, and then there is nothing to try again.
    await running.taxes().RecordTaxEvents(record(bought("b1", "2022-02-01", 100, 20_000)))
    assert (await stands(running)).gains(lambda on: on.year, 2022) == (-10_000, 0)
    asked.clear()
    await standing.bring_to(["a1"], today + timedelta(days=2))
    assert asked == []


async def test_a_merger_for_money_counts_in_the_next_plan_of_each_account_that_had_some(running):
    await running.world.ingest(needs_trades("a1"), needs_trades("a2"))
    both = {"complete": [{"account_id": each, "until_date": day("2022-12-26")} for each in ("a1", "a2")]}
    taken = {"event_id": "m", "instrument_id": "AAPL", "date": day("2022-12-01"), "redeemed": {"paid": [usd(300)]}}
    await running.taxes().RecordTaxEvents(
        record(
            bought("b1", "2022-02-01", 10, 2000, instrument="AAPL"), bought("b2", "2022-02-01", 1, 1, account="a2"),
            **both,
        )
    )  # fmt: skip
    await running.taxes().RecordTaxEvents(record(taken))
    await running.world.standing.bring_to(["a1", "a2"], MORNING.date())
    assert (await stands(running)).gains(lambda on: on.year, 2022) == (1000, 0)

    await running.taxes().RecordTaxEvents(record(withdrawn_event_ids=["m"]))
    await running.world.standing.bring_to(["a1", "a2"], MORNING.date())
    assert (await stands(running)).gains(lambda on: on.year, 2022) == (0, 0)


async def test_what_is_recorded_of_one_counts_in_the_other_s_part_of_the_household_at_once(running):
    world = running.world
    await world.ingest(*(an_account(each, household_id="h") for each in ("a1", "a2")))
    both = {"complete": [{"account_id": each, "until_date": day("2022-12-26")} for each in ("a1", "a2")]}
    await running.taxes().RecordTaxEvents(record(bought("b1", "2021-02-01", 100, 20_000), **both))
    await running.taxes().RecordTaxEvents(record(sold("s1", "2021-11-01", 100, 7_000)))

    # 13,000 were lost in 2021, 3,000 of them deducted then.
    assert [(await stands(running, each)).carried(2022) for each in ("a1", "a2")] == [(5000, 0), (5000, 0)]


async def test_what_was_recorded_while_policy_did_not_answer_counts_in_the_next_plan(running, monkeypatch):
    await lost_ten_thousand(running)

    async def silent(*_):
        raise PeerFailed("policy does not answer")

    with monkeypatch.context() as down:
        down.setattr(running.world.policy, "resolve", silent)
        done = await running.taxes().RecordTaxEvents(record(withdrawn_event_ids=["s1"]))
    assert [each.reason for each in done.unsettled] == ["PEER_UNREACHABLE"]
    assert (await stands(running)).gains(lambda on: on.year, 2022) == (-10_000, 0)
    await running.world.standing.bring_to(["a1"], MORNING.date())
    assert (await stands(running)).gains(lambda on: on.year, 2022) == (0, 0)
