"""What was bought with proceeds that have not settled is not sold before they do."""

from datetime import timedelta

from services.execution.app.intake import Status
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade

DAY = timedelta(days=1)


async def bought(make_world, *, cash):
    """An account that sold BND and bought VTI on Wednesday; two days to settle."""
    world = await make_world(price_age_max_s=604_800)
    await world.market(VTI=100, BND=100)
    await world.submit(a_plan(a_trade("BND", Side.SELL, 10), a_trade("VTI", quantity=9), cash=cash))
    await world.run()
    assert (await world.order("VTI")).filled == 9
    return world


def selling(number, world, *, held=9, cash=100):
    expires = world.market_clock.now() + DAY
    trade = a_trade("VTI", Side.SELL, 9, held=held)
    return a_plan(trade, plan=f"plan-{number}", cash=cash, expire_time=expires)


async def pass_days(world, days):
    world.market_clock.advance(days * DAY)
    await world.prices(at=world.market_clock.now(), VTI=100, BND=100)


async def test_it_is_refused_until_the_proceeds_settle_and_taken_then(make_world):
    world = await bought(make_world, cash=0)

    (same_day,) = await world.submit(selling(2, world))
    await pass_days(world, 1)
    (day_after,) = await world.submit(selling(3, world))
    await pass_days(world, 1)
    (settled,) = await world.submit(selling(4, world))

    assert [same_day.status, day_after.status, settled.status] == [Status.REFUSED, Status.REFUSED, Status.ACCEPTED]
    (refusal,) = same_day.refusals
    assert refusal.reason == "PROCEEDS_UNSETTLED"
    assert refusal.description == (
        "quantity to sell must be at most the 0 of 9 that are paid for before 2022-12-30, was 9"
    )


async def test_what_settled_cash_paid_for_may_be_sold_at_once(make_world):
    world = await bought(make_world, cash=1000)

    (same_day,) = await world.submit(selling(2, world))

    assert same_day.status is Status.ACCEPTED


async def test_units_that_were_there_before_may_be_sold(make_world):
    world = await bought(make_world, cash=0)

    (same_day,) = await world.submit(selling(2, world, held=18))

    assert same_day.status is Status.ACCEPTED


async def test_proceeds_that_a_later_plan_calls_cash_are_no_settled_cash(make_world):
    world = await make_world(price_age_max_s=604_800)
    await world.market(VTI=100, BND=100)
    await world.submit(a_plan(a_trade("BND", Side.SELL, 10), cash=0))
    await world.run()
    # Decision books the sale at once, so the next plan has its money.
    await world.submit(a_plan(a_trade("VTI", quantity=9), plan="plan-2", cash=1000))
    await world.run()

    (same_day,) = await world.submit(selling(3, world))

    assert [each.reason for each in same_day.refusals] == ["PROCEEDS_UNSETTLED"]
    assert world.market_clock.now() == NOON
