"""What trading cost against the market's average price of the interval, and against the close."""

from datetime import timedelta
from decimal import Decimal

from services.execution.app.cost_report import GroupBy
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade


async def test_fills_are_compared_with_interval_vwap_and_close_by_instrument(make_world):
    world = await make_world(volume_bucket_s=300)
    await world.market(VTI=100, BND=50)
    # 900 units for 90,300, then up to 1,000 for 100,400 in the same bucket: 100.40 on average. Nobody said it of BND.
    for volume, value in ((900, 90_300), (1_000, 100_400)):
        await world.app.trading.ingest_volumes({"VTI": Decimal(volume)}, NOON, "tape", {"VTI": Decimal(value)})
    await world.app.trading.ingest_volumes({"BND": Decimal(500)}, NOON, "tape")
    await world.submit(a_plan(a_trade(quantity=10), a_trade("BND", Side.SELL, 20, price=50)))
    await world.run()
    # The close of the day comes later, and an older price does not change it.
    closing = NOON + timedelta(hours=4)
    world.market_clock.advance(timedelta(hours=4))
    await world.prices(at=closing, VTI=101, BND=51)
    await world.prices(at=NOON + timedelta(hours=1), VTI=90, BND=90)

    bond, stock = await world.app.queries.cost_report(None, GroupBy.INSTRUMENT)

    assert (stock.key, stock.vwap_amount, stock.vwap_cost) == ("VTI", 1000, Decimal("-4.00"))
    assert (stock.close_amount, stock.close_cost) == (1000, Decimal("-10.00"))
    assert (bond.key, bond.vwap_amount, bond.vwap_cost) == ("BND", 0, 0)
    # Sold at 50, and worth 51 at the close.
    assert (bond.close_amount, bond.close_cost) == (1000, Decimal("20.00"))


async def test_a_fill_that_was_busted_is_compared_with_nothing(make_world):
    world = await make_world()
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.run()
    await world.prices(at=NOON, VTI=101)
    (detail,) = await world.blocks()
    await world.venue.bust_fill(next(iter(detail.record.order.fills)))
    await world.run()

    lines = await world.app.queries.cost_report(None)

    assert [(line.close_amount, line.close_cost) for line in lines] == [(0, 0)]
