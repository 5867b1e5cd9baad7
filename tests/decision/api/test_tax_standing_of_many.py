"""Many accounts come to stand together: each as if it were alone, whatever befalls the others or the process."""

import random
from datetime import date, timedelta

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app import tax_standing
from services.decision.domain.tax.ledger import Standing
from services.kernel.errors import Conflict
from services.kernel.ids import AccountId
from tests.decision.api.test_tax_ledger import bought, day, record, sold
from tests.decision.api.test_tax_standing import stands
from tests.decision.books import MORNING, an_account
from tests.decision.stages.world import a_policy

TODAY = MORNING.date()
COMPLETE_UNTIL = "2022-12-26"
ALIKE = a_policy(
    eligibility=document_pb.Eligibility(
        equivalences=[document_pb.EquivalenceSet(name="index", instrument_ids=["VTI", "BND"])]
    )
)


def complete(*account_ids):
    return {"complete": [{"account_id": each, "until_date": day(COMPLETE_UNTIL)} for each in account_ids]}


def lost(account, sale_day="2022-11-01"):
    """500 lost with VTI, and BND bought the day after."""
    after = str(date.fromisoformat(sale_day) + timedelta(days=1))
    return (
        bought(f"{account}-b", "2022-02-01", 10, 1500, account=account),
        sold(f"{account}-s", sale_day, 10, 1000, account=account),
        bought(f"{account}-r", after, 10, 1000, instrument="BND", account=account),
    )


async def ingested(running, *accounts):
    await running.world.ingest(*accounts)
    return [each.account_id for each in accounts]


async def outdate(running, account_ids):
    standing = running.world.standing
    async with standing.begin() as session:
        await session.records.outdate(account_ids)


async def standings_of(running, account_ids):
    found = {}
    for each in account_ids:
        account = await stands(running, each)
        found[each] = (account.carried_year, account.carried(2022), account.gains(lambda on: on.year, 2022))
    return found


async def gains(running, *account_ids):
    return [(await stands(running, each)).gains(lambda on: on.year, 2022)[0] for each in account_ids]


async def test_what_one_household_s_policy_calls_identical_denies_no_loss_of_another(running):
    await ingested(running, an_account("a1"), an_account("a2"))
    running.world.policy.own["a2"] = ALIKE
    await running.taxes().RecordTaxEvents(record(*lost("a1"), *lost("a2"), **complete("a1", "a2")))
    assert await gains(running, "a1", "a2") == [-500, 0]

    await outdate(running, ["a1", "a2"])
    await running.world.standing.bring_to(["a1", "a2"], TODAY)
    assert await gains(running, "a1", "a2") == [-500, 0]


async def test_a_policy_that_cannot_be_read_keeps_its_own_accounts_back_and_is_tried_once_a_day(running):
    await ingested(running, an_account("a1"), an_account("a2"))
    running.world.policy.own["a1"] = b"\xff"
    done = await running.taxes().RecordTaxEvents(record(*lost("a1"), *lost("a2"), **complete("a1", "a2")))

    assert [(each.account_id, each.reason) for each in done.unsettled] == [("a1", "FIELD_INVALID")]
    assert await gains(running, "a1", "a2") == [0, -500]
    calls = running.world.policy.calls
    await running.world.standing.bring_to(["a1", "a2"], TODAY)
    assert running.world.policy.calls == calls
    running.world.policy.own.clear()
    await running.world.standing.bring_to(["a1", "a2"], TODAY + timedelta(days=1))
    assert await gains(running, "a1", "a2") == [-500, -500]


def a_history(rng, account):
    """Purchases and sales on random days of two years, few enough of these that something is always there."""
    events, held = [], {"VTI": 0, "BND": 0}
    for number, offset in enumerate(sorted(rng.randrange(700) for _ in range(14))):
        on, asset = str(date(2021, 1, 4) + timedelta(days=offset)), rng.choice(["VTI", "BND"])
        name, price = f"{account}-{number}", rng.randrange(50, 150)
        if held[asset] > 1 and rng.random() < 0.5:
            units = rng.randrange(1, held[asset])
            held[asset] -= units
            events.append(sold(name, on, units, units * price, instrument=asset, account=account))
        else:
            units = rng.randrange(1, 50)
            held[asset] += units
            events.append(bought(name, on, units, units * price, instrument=asset, account=account))
    return events


@pytest.mark.parametrize("seed", range(3))
async def test_accounts_in_pieces_stand_where_each_household_alone_stands(running, monkeypatch, seed):
    rng = random.Random(seed)
    accounts = [an_account(f"a{number:02}", household_id=rng.choice(["h1", "h2", "h3", ""])) for number in range(12)]
    account_ids = await ingested(running, *accounts)
    own = {each: ALIKE for each in account_ids if rng.random() < 0.4}
    running.world.policy.own.update(own)
    # Of one no whole history is on record, and of another more is sold than was bought.
    events = [event for each in account_ids[1:] for event in a_history(rng, each)]
    broken = sold("broken", "2022-06-01", 10_000, 1, account=account_ids[5])
    await running.taxes().RecordTaxEvents(record(*events, broken, **complete(*account_ids[1:])))
    at_once = await standings_of(running, account_ids)
    assert len(set(at_once.values())) > 4

    for pieces in (1, 4):
        # Where they stood is forgotten, so that whoever does not stand anew shows.
        async with running.world.standing.begin() as session:
            nowhere = [Standing(AccountId(each), 2021, date(2021, 12, 31), 1, 1, 1, 1, 1) for each in account_ids]
            await session.records.stand([each for each in nowhere if at_once[each.account_id][0] is not None])
            await session.records.outdate(account_ids)
        monkeypatch.setattr(tax_standing, "TOGETHER_MAX", pieces)
        monkeypatch.setattr(tax_standing, "ASKED_MAX", 5)
        await running.world.standing.bring_to(account_ids, TODAY)
        assert await standings_of(running, account_ids) == at_once


async def test_a_process_that_dies_leaves_what_it_wrote_and_the_next_does_the_others(running, monkeypatch):
    account_ids = await ingested(running, *(an_account(f"a{number}") for number in range(4)))
    await running.taxes().RecordTaxEvents(record(*(each for name in account_ids for each in lost(name))))
    standing = running.world.standing
    async with standing.begin() as session:
        await session.records.complete(dict.fromkeys(account_ids, date.fromisoformat(COMPLETE_UNTIL)))
    monkeypatch.setattr(tax_standing, "TOGETHER_MAX", 2)
    worked_out = []

    def dies(each, *rest):
        worked_out.append(each.account_ids[0])
        if len(worked_out) == 4:
            raise KeyboardInterrupt
        return outcome(each, *rest)

    outcome = tax_standing._outcome
    with monkeypatch.context() as dying:
        dying.setattr(tax_standing, "_outcome", dies)
        with pytest.raises(KeyboardInterrupt):
            await standing.bring_to(account_ids, TODAY)
    assert await gains(running, *account_ids) == [-500, -500, 0, 0]

    await standing.bring_to(account_ids, TODAY)
    assert await gains(running, *account_ids) == [-500] * 4
    assert worked_out == account_ids


async def test_policy_is_asked_once_on_each_day_and_only_about_who_sold_on_it(running, monkeypatch):
    account_ids = await ingested(running, an_account("a1"), an_account("a2", household_id="h"),
                                 an_account("a3", household_id="h"), an_account("a4"))  # fmt: skip
    events = (
        *lost("a1", "2022-11-01"),
        *lost("a2", "2022-11-01"),
        *lost("a3", "2022-11-02"),
        *lost("a4", "2022-11-01"),
    )
    await running.taxes().RecordTaxEvents(record(*events, **complete(*account_ids)))
    await outdate(running, account_ids)
    asked = []
    resolve = running.world.policy.resolve

    async def noted(some, effective_time):
        asked.append((effective_time.date(), list(some)))
        return await resolve(some, effective_time)

    monkeypatch.setattr(running.world.policy, "resolve", noted)
    monkeypatch.setattr(tax_standing, "TOGETHER_MAX", 1)
    await running.world.standing.bring_to(account_ids, TODAY)
    assert asked == [(date(2022, 11, 1), account_ids), (date(2022, 11, 2), ["a2", "a3"])]


async def test_who_sells_while_policy_is_asked_is_asked_about_again(running, monkeypatch):
    await ingested(running, an_account("a1"))
    await running.taxes().RecordTaxEvents(record(*lost("a1"), **complete("a1")))
    await outdate(running, ["a1"])
    resolve = running.world.policy.resolve
    sales = iter([sold("late", "2022-12-01", 4, 300, instrument="BND", account="a1")])

    async def selling(some, effective_time):
        for each in sales:
            with monkeypatch.context() as silent:
                silent.setattr(running.world.policy, "resolve", resolve)
                await running.taxes().RecordTaxEvents(record(each))
            await outdate(running, ["a1"])
        return await resolve(some, effective_time)

    monkeypatch.setattr(running.world.policy, "resolve", selling)
    await running.world.standing.bring_to(["a1"], TODAY)
    assert await gains(running, "a1") == [-600]


async def test_an_account_that_never_rests_is_refused_and_nothing_of_it_is_guessed(running, monkeypatch):
    await ingested(running, an_account("a1"))
    await running.taxes().RecordTaxEvents(record(*lost("a1"), **complete("a1")))
    await outdate(running, ["a1"])
    monkeypatch.setattr(tax_standing.SaidSets, "know", lambda *_: False)
    with pytest.raises(Conflict, match="account a1 changes faster than it can be brought to"):
        await running.world.standing.bring_to(["a1"], TODAY)
