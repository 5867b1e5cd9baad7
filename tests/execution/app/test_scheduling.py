"""Orders that go in parts: exact, fair, never above a cap, and through restarts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.execution.app.records import LifeState
from services.execution.app.scheduling import bucket_of
from services.execution.domain.order import OrderState
from services.execution.domain.trading_state import EVERYTHING, TradingState
from services.execution.domain.words import Algorithm, Side
from tests.execution.builders import NOON, a_plan, a_trade

MINUTE = timedelta(minutes=1)
TEN_MINUTES = {"schedule_interval_s": 60, "schedule_horizon_s": 600, "check_again_s": 30}


async def pass_time(world, step=MINUTE, **prices):
    world.market_clock.advance(step)
    world.clock.advance(step)
    if prices:
        await world.market(at=world.market_clock.now(), **prices)
    await world.run()


async def children(world):
    """Quantities of the child blocks, in the order in which they were formed."""
    records = sorted((each.record for each in await world.blocks()), key=lambda each: (each.market_time, each.block_id))
    return [int(each.block.quantity) for each in records]


async def started(make, *plans, **settings):
    world = await make(**{**TEN_MINUTES, **settings})
    await world.market(VTI=100, BND=100)
    results = await world.submit(*plans)
    assert [each.refusals for each in results] == [()] * len(plans)
    await world.run()
    return world


def twap(quantity, account="acc-1", algorithm=Algorithm.TIME_WEIGHTED, **fields):
    return a_plan(
        a_trade(quantity=quantity),
        plan=f"plan-{account}",
        account=account,
        cash=1_000_000,
        algorithm=algorithm,
        **fields,
    )


async def test_time_weighted_parts_are_even_sum_exactly_and_leave_nothing_for_the_end(make_world):
    world = await started(make_world, twap(1003))
    for _ in range(12):
        await pass_time(world)

    parts = await children(world)
    assert sum(parts) == 1003
    assert len(parts) == 10
    assert max(parts) - min(parts) <= 1
    assert (await world.order("VTI")).state is LifeState.FILLED


async def test_every_order_takes_part_in_each_child_in_proportion(make_memory_world):
    world = await started(make_memory_world, twap(100, "a"), twap(200, "b"), twap(7, "c"))
    for _ in range(12):
        await pass_time(world)

    assert {each.account_id: each.filled for each in await world.orders()} == {"a": 100, "b": 200, "c": 7}
    for detail in await world.blocks():
        got = {each.account_id: each.quantity for each in detail.allocations}
        assert abs(2 * got["a"] - got["b"]) <= 2


async def test_a_process_that_dies_in_mid_flight_goes_on_where_it_was_and_dumps_nothing(make_world):
    world = await started(make_world, twap(1000))
    for _ in range(3):
        await pass_time(world)
    assert await children(world) == [100] * 4
    world.start()
    # Four intervals passed while nobody was there.
    await pass_time(world, 5 * MINUTE)
    for _ in range(3):
        await pass_time(world)

    parts = await children(world)
    assert parts[:4] == [100] * 4
    assert sum(parts) == 1000
    assert max(parts[4:]) - min(parts[4:]) <= 1


async def test_what_was_missed_until_the_end_is_spread_anew(make_memory_world):
    world = await started(make_memory_world, twap(1000))
    world.start()
    await pass_time(world, timedelta(hours=1), VTI=100)

    assert await children(world) == [100, 90]


async def test_volume_weighted_parts_follow_the_usual_volume(make_world):
    world = await make_world(**TEN_MINUTES, volume_bucket_s=300)
    await world.market(VTI=100)
    async with world.begin() as ledger:
        for days in (1, 2):
            for minutes, volume in ((0, 3000), (5, 1000)):
                bucket = bucket_of(NOON - timedelta(days=days) + minutes * MINUTE, timedelta(minutes=5))
                await ledger.put_volumes({"VTI": Decimal(volume * days)}, bucket)
    await world.submit(twap(1000, algorithm=Algorithm.VOLUME_WEIGHTED))
    await world.run()
    for _ in range(10):
        await pass_time(world)

    assert await children(world) == [150] * 5 + [50] * 5


async def test_without_a_known_volume_curve_parts_are_even(make_memory_world):
    world = await started(make_memory_world, twap(100, algorithm=Algorithm.VOLUME_WEIGHTED))
    for _ in range(10):
        await pass_time(world)

    assert await children(world) == [10] * 10


async def test_participation_never_exceeds_its_cap_in_any_bucket(make_world):
    world = await make_world(**TEN_MINUTES, volume_bucket_s=300)
    await world.market(VTI=100)
    await world.submit(twap(1000, algorithm=Algorithm.PARTICIPATION, participation="0.1"))
    await world.run()
    assert await children(world) == []
    volumes = {}
    for minute in range(13):
        bucket = bucket_of(world.market_clock.now(), timedelta(minutes=5))
        volumes[bucket] = volumes.get(bucket, 0) + 137 * (minute % 4)
        await world.app.trading.ingest_volumes({"VTI": Decimal(volumes[bucket])}, world.market_clock.now(), "tape")
        await pass_time(world)

    ours = {}
    for detail in await world.blocks():
        bucket = bucket_of(detail.record.market_time, timedelta(minutes=5))
        ours[bucket] = ours.get(bucket, 0) + detail.record.block.quantity
    assert sum(ours.values()) > 80
    assert len(ours) == 3
    assert all(ours[bucket] <= Decimal("0.1") * volumes[bucket] for bucket in ours)


async def test_participation_never_exceeds_its_cap_in_any_bucket_where_a_part_waits_for_its_price(make_world):
    world = await make_world(**TEN_MINUTES, volume_bucket_s=300)
    await world.market(VTI=101)
    # No more than 100: what is sent rests at the venue until the price falls.
    plan = twap(1000, algorithm=Algorithm.PARTICIPATION, participation="0.1", limit_bps=0)
    assert [each.refusals for each in await world.submit(plan)] == [()]
    await world.app.trading.ingest_volumes({"VTI": Decimal(1000)}, world.market_clock.now(), "tape")
    await pass_time(world)
    assert await children(world) == [100]
    assert [each.record.order.filled_quantity for each in await world.blocks()] == [0]

    # The next bucket has traded less, and the price falls late in it.
    await pass_time(world, 4 * MINUTE)
    await world.app.trading.ingest_volumes({"VTI": Decimal(300)}, world.market_clock.now(), "tape")
    for _ in range(3):
        await pass_time(world)
    await pass_time(world, VTI=99)

    first, *_ = [each.record for each in await world.blocks() if each.record.block.quantity == 100]
    assert (first.cancel_reason, first.order.state) == ("VOLUME_BUCKET_OVER", OrderState.CANCELED)
    filled = [each.record.order.filled_quantity for each in await world.blocks()]
    assert sorted(filled) == [0, 30]
    # What came back goes on.
    order = await world.order("VTI")
    assert (order.state, order.quantity - order.placed) == (LifeState.READY, 970)


async def test_a_part_that_fills_after_its_bucket_counts_in_the_bucket_in_which_it_fills(make_world):
    world = await make_world(**TEN_MINUTES, volume_bucket_s=300)
    await world.market(VTI=101)
    await world.submit(twap(1000, algorithm=Algorithm.PARTICIPATION, participation="0.1", limit_bps=0))
    await world.app.trading.ingest_volumes({"VTI": Decimal(1000)}, world.market_clock.now(), "tape")
    await pass_time(world)
    # It is filled in the next bucket, before it could be called back.
    world.market_clock.advance(4 * MINUTE)
    await world.market(VTI=99, at=world.market_clock.now())
    await world.app.fills.apply_reports()
    await world.app.trading.ingest_volumes({"VTI": Decimal(1500)}, world.market_clock.now(), "tape")
    await pass_time(world)

    assert await children(world) == [100, 50]


async def test_a_limit_of_participation_holds_for_what_else_would_go_at_once(make_memory_world):
    world = await started(make_memory_world, twap(1000, algorithm=Algorithm.IMMEDIATE, participation="0.2"))
    await world.app.trading.ingest_volumes({"VTI": Decimal(500)}, world.market_clock.now(), "tape")
    await pass_time(world)

    assert await children(world) == [100]


async def test_two_limited_orders_share_one_bucket(make_world):
    both = [twap(1000, name, Algorithm.PARTICIPATION, participation="0.1", consent=False) for name in "ab"]
    world = await started(make_world, *both)
    await world.app.trading.ingest_volumes({"VTI": Decimal(1000)}, world.market_clock.now(), "tape")
    await pass_time(world)

    assert sum(await children(world)) == 100


async def test_implementation_shortfall_trades_ahead_of_even_parts(make_world):
    world = await started(
        make_world, twap(1000, algorithm=Algorithm.IMPLEMENTATION_SHORTFALL), schedule_risk_aversion="0.01"
    )
    for _ in range(10):
        await pass_time(world)

    parts = await children(world)
    assert sum(parts) == 1000
    assert parts == sorted(parts, reverse=True)
    assert parts[0] > 2 * parts[-1]


async def test_a_buy_for_the_close_waits_for_the_auction_and_is_filled_there(make_world):
    close = datetime(2022, 12, 28, 21, tzinfo=UTC)
    world = await started(make_world, twap(10, algorithm=Algorithm.CLOSE_AUCTION, expire_time=close + MINUTE))
    assert await children(world) == []
    await pass_time(world, close - NOON - timedelta(minutes=10))
    assert await children(world) == [10]
    assert (await world.order("VTI")).filled == 0
    await pass_time(world, timedelta(minutes=10), VTI=101)

    assert (await world.order("VTI")).filled_amount == 1010
    (detail,) = await world.blocks()
    assert detail.record.block.terms.time_in_force == "AT_THE_CLOSE"


async def test_a_buy_for_the_opening_goes_before_the_next_one(make_world):
    opening = datetime(2022, 12, 29, 14, 30, tzinfo=UTC)
    plan = twap(10, algorithm=Algorithm.OPEN_AUCTION, expire_time=opening + MINUTE)
    world = await started(make_world, plan, price_age_max_s=604_800)
    await pass_time(world, opening - NOON - timedelta(minutes=11))
    assert await children(world) == []
    await pass_time(world, MINUTE)
    assert await children(world) == [10]


async def test_a_halt_stops_the_parts_that_have_not_gone(make_world):
    world = await started(make_world, twap(1000))
    await world.app.trading.halt(EVERYTHING, TradingState.HALTED, by="ruth", why="test")
    for _ in range(3):
        await pass_time(world)

    assert await children(world) == [100]
    assert (await world.order("VTI")).close_reason == "TRADING_HALTED"


async def test_each_part_is_checked_again_before_it_goes(make_world):
    world = await started(make_world, twap(1000), policy_fresh_s=0)
    await pass_time(world)
    world.policies.versions.clear()
    await pass_time(world)

    assert await children(world) == [100, 100]
    assert (await world.order("VTI")).close_reason.startswith("PLAN_POLICY_NOT_IN_FORCE")


@pytest.mark.parametrize(
    ("algorithm", "participation", "refused"),
    [
        (Algorithm.PARTICIPATION, None, True),
        (Algorithm.PARTICIPATION, "1", True),
        (Algorithm.TIME_WEIGHTED, "0", True),
        (Algorithm.PARTICIPATION, "0.5", False),
    ],
)
async def test_a_limit_of_participation_must_be_one(make_memory_world, algorithm, participation, refused):
    world = await make_memory_world()
    await world.market(VTI=100)
    (result,) = await world.submit(twap(10, algorithm=algorithm, participation=participation))

    assert [each.reason for each in result.refusals] == ["TRADE_INVALID"] * refused


async def test_a_sell_in_parts_funds_its_buys_in_parts(make_memory_world):
    plan = a_plan(
        a_trade("BND", Side.SELL, 100), a_trade("VTI", quantity=90), cash=0, algorithm=Algorithm.TIME_WEIGHTED
    )
    world = await started(make_memory_world, plan, buy_part_amount_min=100)
    for _ in range(25):
        await pass_time(world)

    buy, sell = await world.order("VTI"), await world.order("BND")
    assert (sell.filled, buy.filled) == (100, 90)
