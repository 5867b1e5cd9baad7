"""Ends the process at every point at which it touches its ledger or its venue, starts it again, and counts.

Nothing may be lost and nothing done twice, wherever it ends: 0 orders lost, 0 sent twice, 0 left unknown, and the books
equal to the cent.
"""

from collections import Counter
from decimal import Decimal

import pytest

from services.execution.app.records import AllocationRecord, LifeState
from services.execution.app.venue_port import InstructionState
from services.execution.domain.words import Side
from tests.execution.builders import a_plan, a_trade
from tests.execution.world import Killed

SETTINGS = {"sandbox_answers_lost_every": 3, "block_orders_max": 2, "buy_part_amount_min": 100}

PLANS = [
    # Pays with cash.
    a_plan(a_trade("VTI", quantity=10), plan="plan-1", account="acc-1"),
    # Pays with what it sells.
    a_plan(
        a_trade("BND", Side.SELL, 40, price=80), a_trade("VTI", quantity=30), plan="plan-2", account="acc-2", cash=0
    ),
    # Travels alone.
    a_plan(a_trade("BND", Side.SELL, 25, price=80), plan="plan-3", account="acc-3", consent=False),
    # Its limit is never reached.
    a_plan(a_trade("BND", quantity=5, price=78), plan="plan-4", account="acc-4", limit_bps=0),
    # Nobody trades it.
    a_plan(a_trade("GONE", quantity=5, price=50), plan="plan-5", account="acc-5"),
]
# Between two kills of one life; in a prime rhythm.
STRIDE = 37
ORDERS = sum(len(plan.trades) for plan in PLANS)


async def a_whole_life(world):
    """Submit, work, let the market move on, expire; a step that was cut off is simply done again."""
    await world.submit(*PLANS)
    await world.run()
    last = max(plan.expire_time for plan in PLANS)
    if world.market_clock.now() < last:
        world.market_clock.advance(last - world.market_clock.now())
    await world.run()


async def prepared(make):
    world = await make(**SETTINGS)
    await world.market(VTI=100, BND=80, spread_bps=10, fee_bps=2, share="0.6")
    await world.prices(GONE=50)
    world.points.passed = 0
    return world


async def count_points(make):
    world = await prepared(make)
    await a_whole_life(world)
    points = world.points.passed
    await check(world)
    return points


async def killed_at(make, *points):
    """Kill at the first of `points`, and again at each of the others, counted through the restarts."""
    world = await prepared(make)
    for point in points:
        world.points.kill_at = point
        with pytest.raises(Killed):
            await a_whole_life(world)
        world.start()
    world.points.kill_at = None
    await a_whole_life(world)
    await check(world)


async def check(world):
    """Check everything that must hold when nothing is left to do."""
    orders = {order.order_id: order for order in await world.orders()}
    assert len(orders) == ORDERS
    assert all(order.closed for order in orders.values())

    blocks = await world.blocks()
    venue = {view.client_order_id: view for view in await world.venue.mass_status()}
    assert all(detail.record.allocated for detail in blocks)
    sent = {detail.record.block.client_order_id for detail in blocks if detail.record.ours == "PENDING_NEW"}
    assert set(venue) == sent
    assert await world.app.queries.list_breaks() == []

    for detail in blocks:
        order = detail.record.order
        assert sum(each.quantity for each in detail.allocations) == order.filled_quantity
        assert sum(each.amount for each in detail.allocations) == order.gross_amount.quantize(Decimal("0.01"))
        assert sum(each.fees for each in detail.allocations) == order.fees
        # The venue knows of its shares, once.
        told = [each.state for each in detail.instructions]
        assert told == ([InstructionState.ACCEPTED] if detail.allocations else [])
    allocated = [each for detail in blocks for each in detail.allocations]
    for order_id, order in orders.items():
        mine = [each for each in allocated if each.order_id == order_id]
        assert sum((each.quantity for each in mine), Decimal(0)) == order.filled
        assert sum((each.amount for each in mine), Decimal(0)) == order.filled_amount

    buys = [order for order in orders.values() if order.account_id == "acc-2" and order.terms.side is Side.BUY]
    sells = [order for order in orders.values() if order.account_id == "acc-2" and order.terms.side is Side.SELL]
    spent = sum(order.filled_amount + order.fees for order in buys)
    assert spent <= sum(order.filled_amount - order.fees for order in sells)
    assert [order.state for order in orders.values() if order.account_id == "acc-1"] == [LifeState.FILLED]
    assert [order.state for order in orders.values() if order.account_id == "acc-5"] == [LifeState.REJECTED]

    reports = await world.reports()
    assert [each.position for each in reports] == list(range(1, len(allocated) + ORDERS + 1))
    assert sum(isinstance(each.content, AllocationRecord) for each in reports) == len(allocated)

    told = Counter(kind for kind, _, _ in await world.events())
    assert told["execution.plan.accepted"] == len(PLANS)
    assert told["execution.block.formed"] == len(blocks)
    assert told["execution.block.finished"] == len(blocks)
    assert told["execution.order.allocated"] == len(allocated)
    assert told["execution.order.closed"] == ORDERS


async def test_killed_again_and_again_nothing_is_lost_and_nothing_done_twice(make_memory_world):
    points = await count_points(make_memory_world)
    assert points > 150

    # Every point is somebody's first kill or a later one; after a restart there is more to do, so all are reached.
    for first in range(1, STRIDE + 1):
        await killed_at(make_memory_world, *range(first, points + 1, STRIDE))


@pytest.mark.chaos
async def test_killed_at_every_single_point_nothing_is_lost_and_nothing_done_twice(make_memory_world):
    points = await count_points(make_memory_world)
    for point in range(1, points + 1):
        await killed_at(make_memory_world, point)
    print(f"\nkilled once at each of {points} points: nothing lost, nothing done twice")  # noqa: T201 - counts


@pytest.mark.parametrize("part", range(4))
async def test_killed_over_postgresql_nothing_is_lost_and_nothing_done_twice(
    make_postgres_world, make_memory_world, part
):
    points = await count_points(make_memory_world)

    # The fakes make the same calls in the same order; a prime step meets every kind of them.
    await killed_at(make_postgres_world, 1 + (part * 37 + 11) % points)
