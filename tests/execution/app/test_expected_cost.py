"""What a block is expected to cost is told with its inputs, so that the log alone is enough to work it out again."""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from services.execution.domain.impact import Stock, realised_impact, square_root_cost
from services.execution.domain.words import Algorithm, Side
from tests.execution.builders import NOON, a_plan, a_trade

MARKET = {"schedule_spread_bps": 8, "schedule_daily_volume": 1_000_000, "schedule_daily_volatility": "0.01"}
YESTERDAY = datetime(2022, 12, 27, 15, 0, tzinfo=UTC)


async def traded_volume(world, units, at=YESTERDAY, instrument="VTI"):
    await world.app.trading.ingest_volumes({instrument: Decimal(units)}, at, "tape")


async def formed(world):
    """Return what was told of each block that was formed, with its instrument."""
    events = [each for each in await world.events() if each[0] == "execution.block.formed"]
    return [(subjects["instrument"], data) for _, subjects, data in events]


def again(data):
    """Work the estimate of the chosen venue out again, from what was told of the block alone."""
    chosen = data["candidates"][0]
    told = chosen["cost_model"]
    given = {name: Decimal(str(each)) for name, each in told.items() if name not in ("model", "daily_volume_day")}
    quantity, half_spread = Decimal(str(data["quantity"])), given["spread_bps"] / 20_000
    if told["model"] == "SQUARE_ROOT":
        cost = square_root_cost(
            quantity,
            half_spread=half_spread,
            daily_volume=given["daily_volume"],
            daily_volatility=given["daily_volatility"],
            factor=given["factor"],
        )
    else:
        outstanding = given["daily_volume"] * given["inverse_turnover_days"]
        stock = Stock(given["daily_volume"], outstanding, given["daily_volatility"])
        cost = half_spread + realised_impact(quantity, given["days"], stock)
    return (cost * 10_000).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def expected(data):
    return Decimal(str(data["candidates"][0]["expected_cost_bps"]))


def daily_volume(data):
    told = data["candidates"][0]["cost_model"]
    day = told["daily_volume_day"]
    return Decimal(str(told["daily_volume"])), None if day is None else date.fromisoformat(str(day))


async def test_an_instruments_own_volume_of_the_last_day_that_is_over_counts_else_the_setting(make_world):
    world = await make_world(**MARKET)
    await world.market(VTI=100, BND=50)
    # The day before has two buckets, the one before that is older, and today is not over.
    await traded_volume(world, 4_000)
    await traded_volume(world, 6_000, YESTERDAY + timedelta(hours=2))
    await traded_volume(world, 77_000, YESTERDAY - timedelta(days=1))
    await traded_volume(world, 88_000, NOON)
    await world.submit(a_plan(a_trade(quantity=100), a_trade("BND", Side.SELL, 100, price=50), cash=20_000))
    await world.run()

    told = dict(await formed(world))

    assert daily_volume(told["VTI"]) == (10_000, YESTERDAY.date())
    assert daily_volume(told["BND"]) == (1_000_000, None)
    # Half of 8 basis points; 100 times the root of a hundredth, and of a ten-thousandth.
    assert (expected(told["VTI"]), expected(told["BND"])) == (14, 5)
    assert [again(data) == expected(data) for data in told.values()] == [True, True]


@pytest.mark.parametrize(
    ("at", "units"), [(NOON - timedelta(days=29), 10_000), (YESTERDAY, 0)], ids=["long ago", "nothing traded"]
)
async def test_a_volume_that_says_nothing_does_not_count(make_world, at, units):
    world = await make_world(**MARKET)
    await world.market(VTI=100)
    await traded_volume(world, units, at)
    await world.submit(a_plan(a_trade(quantity=100), cash=20_000))
    await world.run()

    ((_, data),) = await formed(world)

    assert daily_volume(data) == (1_000_000, None)


async def test_almgren_and_others_tell_the_days_that_a_block_trades(make_world):
    parts = {"schedule_interval_s": 60, "schedule_horizon_s": 120}
    world = await make_world(**MARKET, **parts, impact_model="ALMGREN_2005", impact_inverse_turnover_days=87)
    await world.market(VTI=100)
    await traded_volume(world, 10_000)
    in_parts = {"plan": "plan-2", "account": "acc-2", "algorithm": Algorithm.TIME_WEIGHTED}
    await world.submit(a_plan(a_trade(quantity=50)), a_plan(a_trade(quantity=80), **in_parts))
    await world.run()

    told = {data["algorithm"]: data for _, data in await formed(world)}

    models = {name: data["candidates"][0]["cost_model"] for name, data in told.items()}
    assert {each["model"] for each in models.values()} == {"ALMGREN_2005"}
    # At once: the shortest time of the published table. A part: the minute until the next, of a day of 6.5 hours.
    assert Decimal(models["IMMEDIATE"]["days"]) == Decimal("0.1")
    assert Decimal(models["TIME_WEIGHTED"]["days"]) == Decimal(60) / 23_400
    assert [daily_volume(data) for data in told.values()] == [(10_000, YESTERDAY.date())] * 2
    assert [again(data) == expected(data) > 4 for data in told.values()] == [True, True]


async def test_of_a_pair_of_currencies_half_the_spread_alone_is_told(make_world):
    world = await make_world(**MARKET, impact_model="ALMGREN_2005")
    await world.market(currency="EUR", SAP=100)
    await world.market(**{"EUR/USD": "1.2"})
    await traded_volume(world, 10, instrument="EUR/USD")
    await world.submit(a_plan(a_trade("SAP", price=120)))
    await world.run()

    leg = dict(await formed(world))["EUR/USD"]["candidates"][0]

    assert Decimal(str(leg["expected_cost_bps"])) == 4
    assert {name: str(each) for name, each in leg["cost_model"].items()} == {"model": "HALF_SPREAD", "spread_bps": "8"}


async def test_of_a_cross_both_are_told_what_nothing_costs_and_what_the_market_would(make_world):
    world = await make_world(**MARKET, crossing=True)
    await world.market(VTI=100)
    await traded_volume(world, 1_000)
    bought = a_plan(a_trade(), plan="plan-1", account="acc-1", crossing=True)
    await world.submit(bought, a_plan(a_trade(side=Side.SELL), plan="plan-2", account="acc-2", crossing=True))
    await world.run()

    told = [data["candidates"][:2] for _, data in await formed(world)]

    assert len(told) == 2
    for inside, outside in told:
        assert (Decimal(str(inside["expected_cost_bps"])), inside["cost_model"]) == (0, {"model": "MIDDLE_PRICE"})
        # Half of 8 basis points, and 100 times the root of a hundredth.
        assert (Decimal(str(outside["expected_cost_bps"])), outside["cost_model"]["model"]) == (14, "SQUARE_ROOT")
