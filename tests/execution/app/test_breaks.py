"""What does not agree with the venue is shown, and nothing is invented to make it agree."""

from decimal import Decimal

from services.execution.domain.order import FillBusted, FillCorrected, Filled
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


async def test_a_bust_after_allocation_is_a_break_and_changes_no_account(world):
    name = await carried_out(world)
    await say(world, name, FillBusted(f"{name}:bust", f"{name}:1"))

    found = await breaks(world)
    assert found["ALLOCATED_QUANTITY"] == ("10", "0")
    assert found["ALLOCATED_AMOUNT"] == ("1000", "0")
    assert (await world.order("VTI")).filled == 10
    assert "execution.block.changed_after_allocation" in [kind for kind, _, _ in await world.events()]


async def test_a_correction_of_the_price_after_allocation_is_a_break(world):
    name = await carried_out(world)
    await say(world, name, FillCorrected(f"{name}:c", f"{name}:1", Decimal(10), Decimal(101), Decimal("0.10")))

    found = await breaks(world)
    assert found["ALLOCATED_AMOUNT"] == ("1000", "1010")
    assert found["AMOUNT"] == ("1010", "1000")


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
