"""Through the service: volumes that were ingested are in what blocks are expected to cost, as audit is told it."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from evenkeel.common.v1.values_pb2 import Provenance
from evenkeel.execution.v1 import execution_service_pb2 as pb
from services.execution.store import begin_with
from services.runtime.wire import decimal_column, instant_message
from tests.execution.builders import NOON, a_plan, a_trade
from tests.execution.world import events_of


async def test_a_day_of_volumes_that_was_ingested_is_what_the_next_days_blocks_are_reckoned_with(start):
    execution = await start(
        impact_model="ALMGREN_2005",
        schedule_spread_bps=8,
        schedule_daily_volatility="0.0226",
        impact_inverse_turnover_days=Decimal(168) / Decimal("1.929"),
    )
    await execution.market(VTI=100)
    for hours, units in ((26, 1_000), (24, 929)):
        await execution.as_("engineer").IngestMarketVolumes(
            pb.IngestMarketVolumesRequest(
                request_id=str(uuid4()),
                provenance=Provenance(source="tape", as_of_time=instant_message(NOON - timedelta(hours=hours))),
                instrument_ids=["VTI"],
                volumes=decimal_column([Decimal(units)], 0),
            )
        )
    await execution.submit(a_plan(a_trade(quantity=193), cash=50_000))
    await execution.closed(1)

    async with begin_with(execution.database)() as ledger:
        (data,) = [data for kind, _, data in await events_of(ledger) if kind == "execution.block.formed"]
    told = data["candidates"][0]

    model = told["cost_model"]
    assert (model["model"], model["daily_volume"], model["daily_volume_day"]) == ("ALMGREN_2005", "1929", "2022-12-27")
    # Half of 8 basis points, and the 43 of the paper's table 3: a tenth of a day's volume, over a tenth of a day.
    assert round(Decimal(told["expected_cost_bps"])) == 47
