"""Written while the rest is decided or at the end, it comes to the same, and is told in an order that makes sense."""

from collections import Counter

import pytest

from services.execution.app import fills, forming, intake
from services.execution.app.records import AllocationRecord
from services.execution.domain.words import Side
from tests.execution.builders import a_plan, a_trade

ACCOUNTS = 7


@pytest.fixture
def at_once(monkeypatch):
    """Have so many orders written at once."""

    def put(orders):
        for module in (intake, forming, fills):
            monkeypatch.setattr(module, "ORDERS_AT_ONCE", orders)

    return put


async def carried_out(world):
    """Sells that fund buys, an account without cash, a plan that comes twice, fills in parts, a bust."""
    await world.market(VTI=100, BND=80, GLD=50, spread_bps=7, fee_bps=1, share="0.4")
    plans = [
        a_plan(
            a_trade("VTI", quantity=3 + number),
            a_trade("BND", Side.SELL, 5, price=80),
            a_trade("GLD", quantity=2, price=50),
            plan=f"plan-{number}",
            account=f"acc-{number}",
            cash=0 if number % 3 == 0 else 10_000,
        )
        for number in range(ACCOUNTS)
    ]
    results = await world.submit(*plans, plans[0], a_plan(a_trade("TLT"), plan="plan-x", account="acc-x"))
    await world.run()
    block = next(each for each in await world.blocks() if each.record.block.terms.instrument_id == "GLD")
    await world.venue.bust_fill(next(iter(block.record.order.fills)))
    await world.run()
    orders = sorted(await world.orders(), key=lambda order: order.order_id)
    return {
        "results": [(each.plan_id, each.status) for each in results],
        "orders": [(each.order_id, each.state, each.filled, each.filled_amount, each.fees) for each in orders],
        "stream": Counter(repr(getattr(each.content, "allocation", each.content)) for each in await world.reports()),
        "events": Counter(f"{kind} {subjects} {data}" for kind, subjects, data in await world.events()),
    }


async def test_however_many_are_written_at_once_it_comes_to_the_same(make_memory_world, make_postgres_world, at_once):
    at_once(500)
    whole = await carried_out(await make_memory_world())
    for orders in (1, 4):
        at_once(orders)
        assert await carried_out(await make_memory_world()) == whole
    at_once(2)
    stored = await carried_out(await make_postgres_world())

    assert {name: stored[name] for name in ("results", "orders")} == {
        name: whole[name] for name in ("results", "orders")
    }
    assert (stored["stream"].total(), stored["events"].total()) == (whole["stream"].total(), whole["events"].total())


async def test_the_stream_has_no_gap_and_an_order_ends_after_its_allocations(make_world, at_once):
    at_once(2)
    world = await make_world()

    await carried_out(world)

    reports = await world.reports()
    assert [each.position for each in reports] == list(range(1, len(reports) + 1))
    ended = set()
    for each in reports:
        if isinstance(each.content, AllocationRecord):
            assert each.content.order_id not in ended
        elif not hasattr(each.content, "replaced"):
            ended.add(each.content.order_id)


async def test_what_a_venue_said_is_told_before_what_follows_from_it(make_world, at_once):
    at_once(1)
    world = await make_world()

    await carried_out(world)

    over = set()
    for kind, subjects, _ in await world.events():
        if kind == "execution.block.finished":
            over.add(subjects["block"])
        elif kind == "execution.order.allocated":
            assert subjects["block"] in over
