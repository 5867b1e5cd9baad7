"""When the outcome of a send is unknown the state says so, and the venue is asked before anything is sent again."""

from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from opentelemetry import trace
from sqlalchemy.exc import DBAPIError

from services.execution.app.records import LifeState
from services.execution.domain.order import OrderState
from tests.execution.builders import a_plan, a_trade
from tests.execution.venues.test_venue_contract import an_order
from tests.support.telemetry import record


async def formed(world):
    await world.market(VTI=100)
    await world.submit(a_plan())
    await world.app.forming.form_blocks()


async def state_of(world):
    (detail,) = await world.blocks()
    return detail.record.order.state


async def test_taken_with_its_answer_lost(world):
    await formed(world)
    world.venue.faults.answers_lost = 1
    await world.app.sending.send_blocks()
    assert await state_of(world) is OrderState.UNKNOWN

    assert await world.app.sending.send_blocks() == 0
    await world.run()

    assert (await world.order("VTI")).state is LifeState.FILLED
    assert len(await world.venue.mass_status()) == 1


async def test_never_arrived(world):
    await formed(world)
    world.venue.faults.sends_lost = 1
    await world.app.sending.send_blocks()
    assert await state_of(world) is OrderState.UNKNOWN

    await world.app.sending.resolve_blocks()
    assert await state_of(world) is OrderState.PENDING
    await world.run()

    assert (await world.order("VTI")).state is LifeState.FILLED


async def test_while_the_venue_does_not_answer_it_stays_unknown(world):
    await formed(world)
    world.venue.faults.down = True
    await world.app.sending.send_blocks()
    await world.app.sending.resolve_blocks()
    assert await state_of(world) is OrderState.UNKNOWN
    world.venue.faults.down = False

    world.clock.advance(timedelta(seconds=1))
    await world.run()

    assert (await world.order("VTI")).state is LifeState.FILLED


async def test_a_send_that_nobody_finished_is_asked_about_only_when_it_must_be_over(make_world):
    world = await make_world(resolve_after_s=2)
    await formed(world)
    async with world.begin() as ledger:
        await ledger.claim_blocks("sandbox", "an attempt of a process that died", world.clock.now(), 10)

    assert await world.app.sending.resolve_blocks() == 0
    world.clock.advance(timedelta(seconds=2))
    assert await world.app.sending.resolve_blocks() == 1
    await world.run()

    assert (await world.order("VTI")).state is LifeState.FILLED


async def test_an_attempt_that_lost_its_claim_sends_nothing(world):
    await formed(world)
    async with world.begin() as ledger:
        (block_id,) = await ledger.claim_blocks("sandbox", "slow", world.clock.now(), 10)
    await world.app.sending.resolve_blocks()

    async with world.begin() as ledger:
        assert await ledger.claimed_blocks("slow", [block_id]) == []


async def test_what_the_venue_refuses_is_rejected_with_its_words(world):
    await world.prices(NONE=50)
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade("NONE", quantity=2, price=50)))
    await world.run()

    order = await world.order("NONE")
    assert order.state is LifeState.REJECTED
    assert order.close_reason == "VENUE_REJECTED: NONE has no market here"


async def test_a_venue_that_reports_what_is_not_ours_is_a_break(world):
    await formed(world)
    await world.venue.submit([an_order("stray")])
    await world.run()

    (found,) = await world.app.queries.list_breaks()
    assert (found.kind, found.client_order_id, found.block_id) == ("UNKNOWN_ORDER", "stray", None)
    assert (await world.order("VTI")).state is LifeState.FILLED


@asynccontextmanager
async def no_room_for_sent_blocks(database):
    """PostgreSQL refuses, as a full disk does, the event that says that a block was sent."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$;"
            "CREATE TRIGGER no_room BEFORE INSERT ON outbox FOR EACH ROW"
            " WHEN (NEW.kind = 'execution.block.sent') EXECUTE FUNCTION no_room()"
        )
        yield
    finally:
        await owner.execute("DROP FUNCTION IF EXISTS no_room CASCADE")
        await owner.close()


async def test_a_write_that_fails_after_the_next_blocks_left_ends_in_asking(make_postgres_world, execution_database):
    # The error of the first block's event is raised by the first write for the second, which is at the venue by then.
    world = await make_postgres_world()
    await world.market(VTI=100, BND=50)
    record()
    for number, trade in enumerate((a_trade("VTI"), a_trade("BND", price=50)), 1):
        with trace.get_tracer("test").start_as_current_span("run"):
            await world.submit(a_plan(trade, plan=f"plan-{number}", account=f"acc-{number}"))
    await world.app.forming.form_blocks()
    async with no_room_for_sent_blocks(execution_database):
        with pytest.raises(DBAPIError, match="no room"):
            await world.app.sending.send_blocks()
    at_venue = {view.client_order_id for view in await world.venue.mass_status()}

    details = await world.blocks()
    assert at_venue == {detail.record.block.client_order_id for detail in details}
    assert [detail.record.order.state for detail in details] == [OrderState.SENDING] * 2
    assert await world.app.sending.send_blocks() == 0

    await world.run()

    assert {order.state for order in await world.orders()} == {LifeState.FILLED}
    assert {view.client_order_id for view in await world.venue.mass_status()} == at_venue
    kinds = [kind for kind, _, _ in await world.events()]
    assert (kinds.count("execution.block.found_at_venue"), kinds.count("execution.block.sent")) == (2, 0)
