"""What does not agree with the venue is shown, and nothing is invented to make it agree."""

from decimal import Decimal

from services.execution.domain.order import Filled
from tests.execution.builders import NOON, a_plan, a_trade


async def carried_out(world):
    await world.market(VTI=100, fee_bps=1)
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.run()
    (view,) = await world.venue.mass_status()
    return view.client_order_id


async def say(world, name, report):
    async with world.begin_book() as book:
        await book.say([(name, report, NOON)])
    await world.run()


async def breaks(world):
    return {each.kind: (each.ours, each.venues) for each in await world.app.queries.list_breaks()}


async def test_when_all_agrees_there_is_none(world):
    await carried_out(world)

    assert await breaks(world) == {}


async def test_more_than_was_ordered_is_given_to_nobody(world):
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    (detail,) = await world.blocks()
    name = detail.record.block.client_order_id
    await say(world, name, Filled(f"{name}:extra", Decimal(3), Decimal(100)))

    found = await breaks(world)
    assert found["OVERFILLED"] == ("10", "13")
    (detail,) = await world.blocks()
    assert detail.allocations == ()
