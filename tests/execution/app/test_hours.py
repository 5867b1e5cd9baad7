"""What becomes of orders while the exchange is closed: carried to the next session, or given up at the cut-off."""

from datetime import UTC, datetime

from services.execution.app.records import LifeState
from services.execution.domain.order import OrderState
from services.execution.domain.words import Algorithm
from tests.execution.builders import a_plan, a_trade

# A Thursday before a long weekend: New York closes at 21:00 UTC, and opens again on Tuesday.
CLOSING = datetime(2022, 12, 29, 20, 59, tzinfo=UTC)
CLOSED = datetime(2022, 12, 30, 21, 0, tzinfo=UTC)
NEXT_OPEN = datetime(2023, 1, 3, 14, 30, tzinfo=UTC)
LATER = datetime(2023, 1, 5, tzinfo=UTC)


async def begun(make_world, at, outside, **fields):
    world = await make_world(outside_session=outside, price_age_max_s=604_800)
    world.market_clock.advance(at - world.market_clock.now())
    await world.market(at=at, VTI=100)
    await world.submit(a_plan(a_trade(), expire_time=LATER, **fields))
    return world


async def test_what_comes_after_the_close_waits_for_the_next_session(make_world):
    world = await begun(make_world, CLOSED, "CARRY")
    await world.run()
    assert (await world.order("VTI")).state is LifeState.READY
    assert await world.blocks() == []

    world.market_clock.advance(NEXT_OPEN - CLOSED)
    await world.run()

    assert (await world.order("VTI")).state is LifeState.FILLED


async def test_a_block_that_was_formed_and_not_sent_in_time_does_not_leave_and_its_orders_go_again(make_world):
    world = await begun(make_world, CLOSING, "CARRY")
    assert await world.app.forming.form_blocks() == 1
    world.market_clock.advance(CLOSED - CLOSING)
    await world.run()
    (held,) = await world.blocks()
    assert (held.record.order.state, held.record.cancel_reason) == (OrderState.CANCELED, "CUT_OFF")
    assert (await world.order("VTI")).state is LifeState.READY

    world.market_clock.advance(NEXT_OPEN - CLOSED)
    await world.run()

    order = await world.order("VTI")
    assert (order.state, order.filled) == (LifeState.FILLED, 10)


async def test_what_has_not_left_at_the_cut_off_is_given_up_where_it_is_not_carried(make_world):
    world = await begun(make_world, CLOSING, "CANCEL")
    world.market_clock.advance(CLOSED - CLOSING)
    await world.run()

    order = await world.order("VTI")
    assert (order.state, order.close_reason) == (LifeState.CANCELED, "CUT_OFF")


async def test_a_schedule_begins_with_the_session(make_world):
    world = await begun(make_world, CLOSED, "CARRY", algorithm=Algorithm.TIME_WEIGHTED)
    await world.run()

    order = await world.order("VTI")
    assert order.schedule.start == NEXT_OPEN
    assert order.placed == 0
