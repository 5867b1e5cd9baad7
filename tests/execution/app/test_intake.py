"""What is taken and what is not, and what is remembered of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.execution.app.intake import Status
from services.execution.app.ports import PolicyVerdict
from services.execution.domain.errors import MarketInvalid, PolicyUnverified
from services.execution.domain.words import Side
from tests.execution.builders import VERSION, a_plan, a_trade
from tests.execution.world import KEY_ID, PRIVATE_KEY, a_submission, signed, submission_of, write_public_key


async def only(world, *plans):
    (result,) = await world.submit(*plans)
    return result


def reasons(result):
    return [each.reason for each in result.refusals]


async def test_a_plan_signed_by_another_key_is_refused_and_takes_no_id(world):
    await world.market(VTI=100)
    stranger = Ed25519PrivateKey.generate()

    (result,) = await world.app.intake.submit_plans([a_submission(a_plan(), stranger)])

    assert (result.plan_id, reasons(result)) == ("", ["PLAN_SIGNATURE_INVALID"])
    assert (await only(world, a_plan())).status is Status.ACCEPTED
    assert [kind for kind, _, _ in await world.events()] == [
        "execution.prices.ingested",
        "execution.submission.refused",
        "execution.plan.accepted",
        "execution.order.accepted",
    ]


async def test_a_key_is_rotated_in_while_the_old_one_still_counts_until_it_is_retired(world):
    await world.market(VTI=100)
    newer = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    keys = world.settings.plan_keys_directory

    async def submitted(name, key, key_id):
        plan = a_plan(plan=f"plan-{name}", account=f"acc-{name}")
        (result,) = await world.app.intake.submit_plans([submission_of(*signed(plan, key, key_id))])
        return result.status, reasons(result)

    refused = (Status.REFUSED, ["PLAN_SIGNATURE_INVALID"])
    assert await submitted("a", newer, "decision-2") == refused
    write_public_key(keys / "decision-2.pem", newer)
    world.start()
    assert await submitted("a", newer, "decision-2") == (Status.ACCEPTED, [])
    assert await submitted("b", PRIVATE_KEY, KEY_ID) == (Status.ACCEPTED, [])
    # A name is no key: what one key signed under the other's name is nobody's.
    assert await submitted("c", PRIVATE_KEY, "decision-2") == refused
    (keys / f"{KEY_ID}.pem").unlink()
    world.start()
    assert await submitted("d", PRIVATE_KEY, KEY_ID) == refused
    assert await submitted("d", newer, "decision-2") == (Status.ACCEPTED, [])

    audited = [data for kind, _, data in await world.events() if kind == "execution.submission.refused"]
    assert [(each["key_id"], each["reason"]) for each in audited] == [
        ("decision-2", "PLAN_SIGNATURE_INVALID"),
        ("decision-2", "PLAN_SIGNATURE_INVALID"),
        (KEY_ID, "PLAN_SIGNATURE_INVALID"),
    ]
    assert "no trusted key is named" in audited[0]["description"]


async def test_no_byte_of_a_signed_plan_can_be_altered(make_memory_world):
    world = await make_memory_world()
    payload, signature = signed(a_plan())
    altered = [
        submission_of(payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :], signature)
        for at in range(len(payload))
    ]

    results = await world.app.intake.submit_plans(altered)

    assert {tuple(reasons(result)) for result in results} == {("PLAN_SIGNATURE_INVALID",)}


async def test_the_same_plan_twice_in_one_batch_is_one(world):
    await world.market(VTI=100)

    results = await world.submit(a_plan(), a_plan())

    assert [each.status for each in results] == [Status.ACCEPTED, Status.DUPLICATE]


async def test_other_content_under_a_known_id_is_refused(world):
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(quantity=1)))

    assert reasons(await only(world, a_plan(a_trade(quantity=2)))) == ["ORDER_DUPLICATE"]


async def test_a_second_plan_waits_until_the_first_is_over(world):
    await world.market(VTI=100)
    await world.submit(a_plan(plan="one"))
    assert reasons(await only(world, a_plan(plan="two"))) == ["ORDER_DUPLICATE"]
    await world.run()

    assert (await only(world, a_plan(plan="three"))).status is Status.ACCEPTED


async def test_a_refused_plan_stays_refused(world):
    await world.market(VTI=100)
    assert reasons(await only(world, a_plan(a_trade(price=200)))) == ["PRICE_OUTSIDE_COLLAR"]
    world.market_clock.advance(timedelta(seconds=1))
    await world.prices(at=world.market_clock.now(), VTI=200)

    assert reasons(await only(world, a_plan(a_trade(price=200)))) == ["PRICE_OUTSIDE_COLLAR"]


async def test_two_contents_under_one_id_in_one_batch_are_each_checked_against_the_day(make_world):
    world = await make_world(account_day_orders_max=1)
    await world.market(VTI=100)
    assert (await only(world, a_plan(plan="one", account="acc-1"))).status is Status.ACCEPTED
    await world.run()

    first, second = await world.submit(a_plan(plan="two", account="acc-1"), a_plan(plan="two", account="acc-2"))

    assert reasons(first) == ["LIMIT_EXCEEDED"]
    assert reasons(second) == ["ORDER_DUPLICATE"]


async def test_a_price_of_the_future_is_refused_and_hides_none_of_the_present(world):
    await world.market(VTI=100)
    with pytest.raises(MarketInvalid):
        await world.prices(at=world.market_clock.now() + timedelta(days=365), VTI=500)
    world.market_clock.advance(timedelta(minutes=1))
    await world.prices(at=world.market_clock.now(), VTI=200)

    assert (await only(world, a_plan(a_trade(price=200)))).status is Status.ACCEPTED


async def test_the_day_is_counted_over_restarts_and_ends_at_midnight_in_new_york(make_world):
    world = await make_world(account_day_orders_max=2)
    await world.market(VTI=100, BND=100, AGG=100)
    await world.submit(a_plan(a_trade("VTI"), a_trade("BND"), plan="one"))
    await world.run()
    world.start()
    assert reasons(await only(world, a_plan(plan="two"))) == ["LIMIT_EXCEEDED"]

    world.market_clock.advance(timedelta(hours=13))
    await world.prices(at=world.market_clock.now(), VTI=100)

    later = world.market_clock.now() + timedelta(hours=1)
    assert (await only(world, a_plan(plan="three", expire_time=later))).status is Status.ACCEPTED


async def test_sixty_four_at_once_cannot_pass_a_limit_nor_can_they_after_a_restart(make_postgres_world):
    world = await make_postgres_world(
        household_day_amount_max=Decimal(10_000), venue_day_orders_max=12, database_pool_size=16
    )
    await world.market(VTI=100)

    def plan(n, household="house-1"):
        return a_plan(a_trade(quantity=10), plan=f"p-{n}", account=f"a-{n}", household_id=household)

    results = await asyncio.gather(*(world.submit(plan(n)) for n in range(64)))
    world.start()
    assert reasons(await only(world, plan(64))) == ["LIMIT_EXCEEDED"]
    elsewhere = await asyncio.gather(*(world.submit(plan(n, household=None)) for n in range(65, 69)))

    assert sum(result.status is Status.ACCEPTED for (result,) in elsewhere) == 2
    assert sum(result.status is Status.ACCEPTED for (result,) in results) == 10
    assert {tuple(reasons(result)) for (result,) in results if result.refusals} == {("LIMIT_EXCEEDED",)}


async def test_a_paused_account_and_one_whose_rules_are_others_by_now_are_refused(world):
    await world.market(VTI=100)
    world.policies.against = {
        "a-1": PolicyVerdict(paused=True, description="trading of a-1 is paused"),
        "a-2": PolicyVerdict(paused=False, description="sha256:2 governs it, too"),
    }

    results = await world.submit(*(a_plan(plan=f"p-{n}", account=f"a-{n}") for n in range(3)))

    assert [reasons(each) for each in results] == [[], ["TRADING_HALTED"], ["PLAN_POLICY_NOT_IN_FORCE"]]
    assert "paused" in results[1].refusals[0].description
    # Policy is told which effective policy each plan rests on: it also changes with what clients say.
    assert world.policies.effective == {f"a-{n}": a_plan().policy_hash for n in range(3)}


async def test_what_was_paused_stays_so_while_policy_does_not_answer(world):
    await world.market(VTI=100)
    world.policies.against = {"a-1": PolicyVerdict(paused=True, description="trading of a-1 is paused")}
    await world.submit(a_plan(plan="p-1", account="a-1"))
    world.policies.down = True

    first, second = await world.submit(a_plan(plan="p-2", account="a-1"), a_plan(plan="p-3", account="a-2"))

    assert (reasons(first), second.status) == (["TRADING_HALTED"], Status.ACCEPTED)


async def test_policy_is_asked_once_for_many_plans_and_again_when_its_answer_is_old(world):
    await world.market(VTI=100)
    await world.submit(*(a_plan(plan=f"p-{n}", account=f"a-{n}") for n in range(3)))
    await world.submit(a_plan(plan="p-3", account="a-3"))
    assert world.policies.asked == 1

    world.clock.advance(timedelta(seconds=6))
    await world.submit(a_plan(plan="p-4", account="a-4"))

    assert world.policies.asked == 2


async def test_a_policy_taken_out_of_force_stops_plans_within_seconds(world):
    await world.market(VTI=100)
    await world.submit(a_plan())
    world.policies.versions.clear()
    world.clock.advance(timedelta(seconds=6))

    result = await only(world, a_plan(plan="two", account="acc-2"))

    assert reasons(result) == ["PLAN_POLICY_NOT_IN_FORCE"]
    assert VERSION in result.refusals[0].description


async def test_while_policy_is_down_its_last_answer_counts_for_a_while(world):
    await world.market(VTI=100)
    await world.submit(a_plan())
    world.policies.down = True

    world.clock.advance(timedelta(seconds=300))
    assert (await only(world, a_plan(plan="two", account="acc-2"))).status is Status.ACCEPTED
    world.clock.advance(timedelta(microseconds=1))
    with pytest.raises(PolicyUnverified, match="300 s old at most"):
        await world.submit(a_plan(plan="three", account="acc-3"))


async def test_restricted_instruments_are_a_setting(make_world):
    world = await make_world(restricted_instruments={"VTI"})
    await world.market(VTI=100)

    assert reasons(await only(world, a_plan())) == ["INSTRUMENT_RESTRICTED"]


async def test_another_venue_than_ours_is_refused(world):
    await world.market(VTI=100)
    plan = a_plan()
    elsewhere = replace(plan, preferences=replace(plan.preferences, venue_id="elsewhere"))

    assert reasons(await only(world, elsewhere)) == ["TRADE_INVALID"]


async def test_sells_may_leave_at_once_and_buys_as_far_as_cash_goes(world):
    await world.market(VTI=100, BND=100, AGG=100)
    plan = a_plan(a_trade("VTI", quantity=5), a_trade("AGG", quantity=50), a_trade("BND", Side.SELL, 60), cash=600)
    await world.submit(plan)

    released = {order.instrument_id: order.released for order in await world.orders()}
    assert released == {"VTI": 5, "AGG": 0, "BND": 60}
