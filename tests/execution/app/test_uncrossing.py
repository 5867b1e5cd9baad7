"""A cross that should not have been is undone on both sides, when two persons say so."""

from decimal import Decimal

import pytest

from services.execution.app.cost_report import GroupBy
from services.execution.app.records import CloseReason, Correction, LifeState
from services.execution.domain.crossing import INTERNAL
from services.execution.domain.errors import BlockNotCrossed, BlockNotFound, SelfUncross, UncrossNotFound
from services.execution.domain.words import Side
from tests.execution.builders import a_plan, a_trade
from tests.execution.world import Killed


@pytest.fixture
async def crossed(make_world):
    """A world in which 10 were crossed and 20 bought at the market for the same order; and both blocks of the cross."""
    world = await make_world(crossing=True)
    await world.market(VTI=100, fee_bps=1)
    await world.submit(
        a_plan(a_trade(quantity=30), plan="plan-b", account="buyer", crossing=True, cash=100_000),
        a_plan(a_trade(side=Side.SELL, quantity=10), plan="plan-s", account="seller", crossing=True),
    )
    await world.run()
    return world, await inside(world)


async def inside(world):
    found = [each for each in await world.blocks() if each.record.block.terms.venue_id == INTERNAL]
    return sorted(found, key=lambda each: each.record.block.terms.side, reverse=True)


async def undo(world, block_id):
    await world.app.uncrossing.propose(block_id, by="tara", why="the consent was not the client's")
    return await world.app.uncrossing.approve(block_id, by="ruth")


@pytest.mark.parametrize("side", [0, 1])
async def test_both_sides_are_taken_back_with_a_link_to_what_they_replace(crossed, side):
    world, blocks = crossed
    before = {each.allocation_id for detail in blocks for each in detail.allocations}
    done = await undo(world, blocks[side].record.block_id)

    assert (done.sell_block_id, done.buy_block_id) == tuple(each.record.block_id for each in blocks)
    now = [each for detail in await inside(world) for each in detail.allocations]
    assert {(each.account_id, each.quantity, each.amount, each.revision) for each in now} == {
        ("buyer", 0, 0, 1),
        ("seller", 0, 0, 1),
    }
    assert {each.replaces for each in now} == before
    told = [each.content for each in await world.reports() if isinstance(each.content, Correction)]
    assert {(each.replaced.account_id, each.replaced.quantity, each.allocation.quantity) for each in told} == {
        ("buyer", 10, 0),
        ("seller", 10, 0),
    }


async def test_orders_keep_what_the_market_gave_and_are_not_sent_again(crossed):
    world, blocks = crossed
    await undo(world, blocks[0].record.block_id)
    sent = await world.venue.mass_status()
    await world.run()

    buyer, seller = [await world.order("VTI", name) for name in ("buyer", "seller")]
    assert (buyer.filled, buyer.state, buyer.close_reason) == (20, LifeState.CANCELED, CloseReason.FILL_BUSTED)
    assert (seller.filled, seller.filled_amount, seller.fees) == (0, 0, 0)
    assert await world.venue.mass_status() == sent
    (line,) = await world.app.queries.cost_report(None, GroupBy.NOTHING)
    assert (line.crossed_amount, line.traded_amount) == (0, 20 * Decimal(100))


async def test_it_needs_two_and_happens_once(crossed):
    world, blocks = crossed
    block_id = blocks[0].record.block_id
    with pytest.raises(UncrossNotFound):
        await world.app.uncrossing.approve(block_id, by="ruth")
    wish = await world.app.uncrossing.propose(block_id, by="tara", why="a mistake")
    assert await world.app.uncrossing.propose(blocks[1].record.block_id, by="omar", why="another") == wish
    with pytest.raises(SelfUncross):
        await world.app.uncrossing.approve(block_id, by="tara")
    assert [each.allocations[0].quantity for each in await inside(world)] == [10, 10]

    done = await world.app.uncrossing.approve(block_id, by="ruth")
    reports = await world.reports()
    assert await world.app.uncrossing.approve(block_id, by="omar") == done
    assert await world.reports() == reports
    assert {each.uncross for each in await inside(world)} == {done}


async def test_what_a_venue_filled_is_not_uncrossed(crossed):
    world, _ = crossed
    (market,) = [each.record for each in await world.blocks() if each.record.block.terms.venue_id != INTERNAL]
    with pytest.raises(BlockNotCrossed):
        await world.app.uncrossing.propose(market.block_id, by="tara", why="a mistake")
    with pytest.raises(BlockNotFound):
        await world.app.uncrossing.propose("no-such-block", by="tara", why="a mistake")


async def test_audit_hears_who_asked_why_and_who_approved(crossed):
    world, blocks = crossed
    await undo(world, blocks[1].record.block_id)
    told = {
        kind: {subjects["block"]: data for k, subjects, data in await world.events() if k == kind}
        for kind in ("execution.block.uncross_proposed", "execution.block.uncrossed")
    }
    names = {each.record.block_id for each in blocks}

    for of_side in told.values():
        assert of_side.keys() == {each["crossed_block_id"] for each in of_side.values()} == names
    assert {
        (each["proposer"], each["approver"], each["why"]) for each in told["execution.block.uncrossed"].values()
    } == {("tara", "ruth", "the consent was not the client's")}
    again = [kind for kind, _, _ in await world.events() if kind == "execution.order.reallocated"]
    assert len(again) == 2


async def test_killed_anywhere_it_is_undone_once_and_whole(crossed):
    world, blocks = crossed
    block_id = blocks[0].record.block_id
    await world.app.uncrossing.propose(block_id, by="tara", why="a mistake")
    kills = 0
    for point in range(1, 100):
        world.points.passed, world.points.kill_at = 0, point
        try:
            await world.app.uncrossing.approve(block_id, by="ruth")
        except Killed:
            kills += 1
            world.points.kill_at = None
            world.start()
            # Half a cross there never is.
            assert len({each.allocations[0].quantity for each in await inside(world)}) == 1
            continue
        break
    world.points.kill_at = None

    assert kills > 0
    assert [each.allocations[0].quantity for each in await inside(world)] == [0, 0]
    assert len([each for each in await world.reports() if isinstance(each.content, Correction)]) == 2
