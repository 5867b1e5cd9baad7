"""What was set free after its plan was taken is checked again before it leaves."""

from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.app.ports import PolicyVerdict
from services.execution.app.records import LifeState
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade

ROTATION = a_plan(a_trade("BND", Side.SELL, 100), a_trade("VTI", quantity=95), cash=0)


async def sold_but_not_bought(make, **settings):
    """A world in which a plan's sell is done and its buy was set free a moment ago."""
    world = await make(**settings)
    await world.market(VTI=100, BND=100)
    await world.submit(ROTATION)
    for _ in range(20):
        await world.app.step()
        world.clock.advance(timedelta(milliseconds=10))
        if (await world.order("VTI")).released > 0:
            assert len(await world.blocks()) == 1
            return world
    raise AssertionError("the buy was never set free")


async def refused_buy(world):
    await world.run()
    buy = await world.order("VTI")
    assert (buy.state, buy.filled) == (LifeState.CANCELED, 0)
    assert len(await world.venue.mass_status()) == 1
    return buy.close_reason


async def test_a_buy_that_nothing_speaks_against_goes(make_world):
    world = await sold_but_not_bought(make_world)
    await world.run()

    assert (await world.order("VTI")).filled == 95


async def test_a_buy_whose_policy_is_not_in_force_any_more_does_not_go(make_world):
    world = await sold_but_not_bought(make_world, policy_fresh_s=0)
    world.policies.versions.clear()

    assert (await refused_buy(world)).startswith("PLAN_POLICY_NOT_IN_FORCE")


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (PolicyVerdict(paused=True, description="stopped by risk"), "TRADING_HALTED: stopped by risk"),
        (PolicyVerdict(paused=False, description="other rules"), "PLAN_POLICY_NOT_IN_FORCE: other rules"),
    ],
)
async def test_a_buy_that_policy_has_something_against_does_not_go(make_memory_world, verdict, reason):
    world = await sold_but_not_bought(make_memory_world)
    world.policies.against["acc-1"] = verdict

    assert await refused_buy(world) == reason


async def test_a_buy_whose_price_ran_away_does_not_go(make_memory_world):
    world = await sold_but_not_bought(make_memory_world)
    world.market_clock.advance(timedelta(minutes=1))
    await world.prices(at=world.market_clock.now(), VTI=106)

    assert (await refused_buy(world)).startswith("PRICE_OUTSIDE_COLLAR: price must be within 5.3")


async def test_a_buy_without_a_fresh_reference_does_not_go(make_memory_world):
    world = await sold_but_not_bought(make_memory_world, price_age_max_s=3600)
    world.market_clock.advance(timedelta(hours=2))

    assert (await refused_buy(world)).startswith("REFERENCE_STALE")


async def test_a_buy_that_was_restricted_meanwhile_does_not_go(make_memory_world):
    world = await sold_but_not_bought(make_memory_world)
    # The list is a setting: it is another one after a restart.
    world.settings = world.settings.model_copy(update={"restricted_instruments": frozenset({"VTI"})})
    world.start()

    assert (await refused_buy(world)).startswith("INSTRUMENT_RESTRICTED")


async def test_while_policy_does_not_answer_nothing_unchecked_goes_and_nothing_is_lost(make_world):
    world = await sold_but_not_bought(make_world, policy_fresh_s=0, policy_age_max_s=0)
    world.policies.down = True
    world.clock.advance(timedelta(seconds=1))
    await world.run()
    assert (await world.order("VTI")).state is LifeState.READY

    world.policies.down = False
    await world.run()
    assert (await world.order("VTI")).filled == 95


async def test_what_waited_long_is_checked_again_though_it_was_free_from_the_start(make_world):
    world = await make_world(check_again_s=10)
    await world.market(VTI=100)
    await world.submit(a_plan())
    world.clock.advance(timedelta(seconds=11))
    world.policies.against["acc-1"] = PolicyVerdict(paused=True, description="stopped by risk")
    await world.run()

    assert (await world.order("VTI")).close_reason == "TRADING_HALTED: stopped by risk"
    assert await world.venue.mass_status() == []


async def test_a_buy_set_free_later_is_reckoned_at_the_price_of_then(make_memory_world):
    world = await make_memory_world()
    await world.market(VTI=100, BND=100)
    await world.submit(a_plan(a_trade("BND", Side.SELL, 100), a_trade("VTI", quantity=99), cash=0))
    world.market_clock.advance(timedelta(minutes=1))
    await world.market(at=NOON + timedelta(minutes=1), VTI=104, BND=100)
    await world.run()

    # At the price of the plan all 99 would be covered, and the account overdrawn.
    buy, sell = await world.order("VTI"), await world.order("BND")
    assert buy.unit_cost_max == Decimal("104.52")
    assert buy.filled == 96
    assert buy.filled_amount + buy.fees <= sell.filled_amount - sell.fees
