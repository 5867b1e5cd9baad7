"""Opposite client orders meet where both agreed and the firm offers it; else each goes to the market."""

from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.app.cost_report import GroupBy
from services.execution.app.records import LifeState
from services.execution.domain.crossing import INTERNAL
from services.execution.domain.trading_state import Scope, ScopeKind, TradingState
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade
from tests.execution.world import Killed


def a_buyer(quantity=10, number=1, **plan):
    plan = {"crossing": True, "cash": 100_000, **plan}
    return a_plan(a_trade(quantity=quantity), plan=f"plan-b{number}", account=f"buyer-{number}", **plan)


def a_seller(quantity=10, number=1, **plan):
    plan = {"crossing": True, **plan}
    trade = a_trade(side=Side.SELL, quantity=quantity)
    return a_plan(trade, plan=f"plan-s{number}", account=f"seller-{number}", **plan)


async def traded(world, *plans, at=NOON):
    await world.market(VTI=100, spread_bps=20, fee_bps=1, at=at)
    await world.submit(*plans)
    await world.run()
    orders = await world.orders()
    assert {order.state for order in orders} == {LifeState.FILLED}
    return [detail for detail in await world.blocks() if detail.record.block.terms.venue_id == INTERNAL]


@pytest.fixture
def make_crossing_world(make_world):
    async def make(**changed):
        return await make_world(**{"crossing": True, **changed})

    return make


async def test_two_who_agreed_meet_at_the_reference_price_and_nothing_is_sent(make_crossing_world):
    world = await make_crossing_world()
    blocks = await traded(world, a_buyer(), a_seller())
    allocations = [each for detail in blocks for each in detail.allocations]

    assert await world.venue.mass_status() == []
    assert {(each.account_id, each.quantity, each.price, each.amount, each.fees) for each in allocations} == {
        ("buyer-1", 10, 100, 1000, 0),
        ("seller-1", 10, 100, 1000, 0),
    }
    assert [detail.record.crossed_block_id for detail in blocks] == [
        blocks[1].record.block_id,
        blocks[0].record.block_id,
    ]
    assert {type(report.content).__name__ for report in await world.reports()} == {"AllocationRecord", "OrderRecord"}


async def test_what_one_side_has_too_much_goes_to_the_market(make_crossing_world):
    world = await make_crossing_world()
    blocks = await traded(world, a_buyer(30, 1), a_buyer(10, 2), a_seller(20))
    crossed = {each.account_id: each.quantity for detail in blocks for each in detail.allocations}
    (market,) = [each.record for each in await world.blocks() if each.record.block.terms.venue_id != INTERNAL]

    assert crossed == {"buyer-1": 15, "buyer-2": 5, "seller-1": 20}
    assert (market.block.quantity, market.block.terms.side) == (20, Side.BUY)
    assert (await world.order("VTI", "seller-1")).fees == 0
    # Half of it at the middle, half at the market's price and with its fee.
    buyer = await world.order("VTI", "buyer-1")
    assert (buyer.filled_amount, buyer.fees > 0) == (15 * 100 + 15 * Decimal("100.1"), True)


@pytest.mark.parametrize(
    ("buyer", "seller", "settings"),
    [
        ({"crossing": False}, {}, {}),
        ({}, {"crossing": False}, {}),
        ({}, {"consent": False}, {}),
        ({}, {}, {"crossing": False}),
        ({"household_id": "hh"}, {"household_id": "hh"}, {}),
        ({"custodian": "custodian-b"}, {}, {}),
        ({}, {}, {"own_accounts": ["buyer-1"]}),
    ],
)
async def test_else_they_never_meet(make_world, buyer, seller, settings):
    world = await make_world(**{"crossing": True, **settings})

    assert await traded(world, a_buyer(**buyer), a_seller(**seller)) == []
    assert len(await world.venue.mass_status()) == 2


async def test_a_price_that_is_not_fresh_is_none(make_crossing_world):
    world = await make_crossing_world(crossing_price_age_max_s=60)
    assert len(await traded(world, a_buyer(), a_seller(), at=NOON - timedelta(seconds=60))) == 2

    world.market_clock.advance(timedelta(seconds=1))
    await world.submit(a_buyer(number=2), a_seller(number=2))
    await world.run()

    assert len(await world.venue.mass_status()) == 2


@pytest.mark.parametrize(
    ("scope", "state"),
    [
        (Scope(ScopeKind.VENUE, INTERNAL), TradingState.HALTED),
        (Scope(ScopeKind.VENUE, INTERNAL), TradingState.REDUCING),
    ],
)
async def test_crossing_can_be_halted_by_itself(make_crossing_world, scope, state):
    world = await make_crossing_world()
    await world.app.trading.halt(scope, state, by="ruth", why="a doubt about prices")

    assert await traded(world, a_buyer(), a_seller()) == []


@pytest.mark.parametrize("scope", [Scope(ScopeKind.ACCOUNT, "buyer-1"), Scope(ScopeKind.INSTRUMENT, "VTI")])
async def test_what_is_halted_meets_nobody(make_crossing_world, scope):
    world = await make_crossing_world()
    await world.market(VTI=100)
    await world.submit(a_buyer(), a_seller())
    await world.app.trading.halt(scope, TradingState.REDUCING, by="ruth", why="storm")
    await world.run()

    assert {detail.record.block.terms.venue_id for detail in await world.blocks()} <= {"sandbox"}
    assert (await world.order("VTI", "buyer-1")).filled == 0


async def test_what_a_cross_brings_sets_buys_free(make_crossing_world):
    world = await make_crossing_world()
    await world.market(VTI=100, BND=50)
    funded = a_plan(
        a_trade(side=Side.SELL), a_trade("BND", price=50), plan="p", account="seller-1", cash=0, crossing=True
    )
    await world.submit(funded, a_buyer())
    await world.app.forming.form_blocks()

    assert (await world.order("BND", "seller-1")).state is LifeState.READY


async def test_audit_hears_the_rule_the_price_and_who_agreed_and_the_report_what_it_saved(make_crossing_world):
    world = await make_crossing_world()
    blocks = await traded(world, a_buyer(30), a_seller(10))
    told = [(subjects, data) for kind, subjects, data in await world.events() if kind == "execution.block.crossed"]
    formed = {s["block"]: d for k, s, d in await world.events() if k == "execution.block.formed"}
    stated = {s["block"] for k, s, d in await world.events() if k == "execution.block.allocation_stated"}
    inside = {detail.record.block_id for detail in blocks}

    assert {subjects["block"] for subjects, _ in told} == inside <= stated
    for subjects, data in told:
        (consent,) = data["consents"]
        assert (Decimal(data["price"]), Decimal(data["quantity"])) == (100, 10)
        assert data["crossed_block_id"] in inside - {subjects["block"]}
        assert "80b-6(3)" in data["rule"]
        assert consent[1] == consent[2]
        assert consent[3][0].startswith("sha256:")
        assert formed[subjects["block"]]["quote"]["source"] == "test"
        assert formed[subjects["block"]]["candidates"][0]["venue_id"] == INTERNAL

    (line,) = await world.app.queries.cost_report(None, GroupBy.NOTHING)
    # 10 bought and 10 sold inside; the market's 20 cost half the spread.
    assert line.crossed_amount == 2000
    assert line.trading == 20 * Decimal("0.1")


async def test_killed_anywhere_it_is_crossed_once(make_crossing_world):
    world = await make_crossing_world()
    await world.market(VTI=100)
    await world.submit(a_buyer(30), a_seller(10))
    for point in range(1, 400):
        world.points.passed, world.points.kill_at = 0, point
        try:
            await world.run()
        except Killed:
            world.points.kill_at = None
            world.start()
            continue
        break
    world.points.kill_at = None
    await world.run()

    filled = {order.account_id: order.filled for order in await world.orders()}
    inside = [each for each in await world.blocks() if each.record.block.terms.venue_id == INTERNAL]
    assert filled == {"buyer-1": 30, "seller-1": 10}
    assert [sum(each.quantity for each in detail.allocations) for detail in inside] == [10, 10]
