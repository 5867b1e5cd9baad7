"""The best-execution file of each order is made again from what audit was told, and from nothing else."""

from datetime import timedelta
from decimal import Decimal

from services.audit.domain.reports.base import missing
from services.audit.domain.reports.best_execution import BEST_EXECUTION
from services.execution.domain.words import Algorithm, Side
from tests.audit.domain.test_reports import facts_of
from tests.execution.builders import NOON, a_plan, a_trade


async def file_of(world):
    """Return the report's rows by instrument, from the events in the outbox alone."""
    told = [(kind, "execution_service", subjects, data) for kind, subjects, data in await world.events()]
    return {row.values["instrument"]: row for row in BEST_EXECUTION.rows(facts_of(told, account=""))}


async def test_quotes_candidates_choice_and_result_of_each_order_are_in_the_log(make_world):
    world = await make_world(schedule_spread_bps=8, schedule_daily_volume=1_000_000, schedule_daily_volatility="0.01")
    await world.market(VTI=100, BND=50, spread_bps=20)
    await world.submit(a_plan(a_trade(quantity=100), a_trade("BND", Side.SELL, 10, price=50), cash=20_000))
    await world.run()

    rows = await file_of(world)

    assert set(rows) == {"VTI", "BND"}
    bought = rows["VTI"].values
    assert bought["account"] == "acc-1"
    (quote,) = bought["quotes"]
    assert (Decimal(quote["price"]), quote["source"], quote["as_of_time"]) == (100, "test", "2022-12-28T17:00:00Z")
    ((chosen, other),) = bought["candidates"]
    # Half the spread, and 1 % of volatility times the square root of a ten-thousandth of the day's volume.
    assert (chosen["venue_id"], chosen["eligible"], chosen["expected_cost_bps"]) == ("sandbox", True, "5")
    assert (chosen["cost_model"]["model"], chosen["cost_model"]["daily_volume"]) == ("SQUARE_ROOT", "1000000")
    assert (other["venue_id"], other["eligible"], other["why"]) == ("fix44", False, "no broker is connected here")
    assert bought["reasons"] == ["the only venue that takes orders here"]
    # The sandbox takes half of its spread of 20 basis points.
    assert (bought["venue"], bought["average_price"], bought["cost_bps"]) == ("sandbox", "100.1", "10")
    assert len(bought["executions"]) == 1
    assert rows["BND"].values["cost_bps"] == "10"
    assert [missing(BEST_EXECUTION, row) for row in rows.values()] == [[], []]


async def test_each_child_of_an_order_that_goes_in_parts_has_its_own_quote(make_memory_world):
    world = await make_memory_world(schedule_interval_s=60, schedule_horizon_s=120)
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(), algorithm=Algorithm.TIME_WEIGHTED))
    await world.run()
    for clock in (world.market_clock, world.clock):
        clock.advance(timedelta(seconds=60))
    await world.market(at=world.market_clock.now(), VTI=101)
    await world.run()

    row = (await file_of(world))["VTI"]

    assert [Decimal(each["price"]) for each in row.values["quotes"]] == [100, 101]
    assert [each["as_of_time"] for each in row.values["quotes"]] == ["2022-12-28T17:00:00Z", "2022-12-28T17:01:00Z"]
    assert row.values["algorithm"] == ["TIME_WEIGHTED"]
    assert missing(BEST_EXECUTION, row) == []
    assert world.market_clock.now() > NOON
