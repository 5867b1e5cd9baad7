"""The service as a process of its own, ended with SIGKILL again and again while it works."""

import asyncio
import random
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1 import sandbox_service_pb2 as sandbox
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from evenkeel.execution.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from services.execution.domain.words import Side
from services.runtime.wire import decimal_column, instant_message
from tests.execution.api.conftest import ingest_request, submit_request
from tests.execution.builders import a_plan, a_trade
from tests.execution.serving import calling

ROOT = Path(__file__).parents[2]
INSTRUMENTS = [f"I{n}" for n in range(6)]
# By the hundred in `test_chaos.py`.
KILLS = 2


@pytest.fixture
async def process(start_process):
    return await start_process(SANDBOX_ANSWERS_LOST_EVERY="4", SANDBOX_LATENCY_S="0.05")


def plans(now):
    """Thirty accounts that sell one instrument to buy two others."""
    later = now + timedelta(hours=1)
    for n in range(30):
        sold, *bought = (INSTRUMENTS[(n + step) % len(INSTRUMENTS)] for step in (0, 1, 2))
        trades = [a_trade(sold, Side.SELL, 20 + n), *(a_trade(name, quantity=8 + n // 2) for name in bought)]
        yield a_plan(*trades, plan=f"plan-{n:02}", account=f"acc-{n:02}", cash=200, expire_time=later)


async def load(process, now):
    async with calling(process, "platform_engineer") as channel:
        prices = dict.fromkeys(INSTRUMENTS, 100)
        await ExecutionServiceStub(channel).IngestReferencePrices(ingest_request(now, **prices))
        await SandboxServiceStub(channel).LoadSandboxMarket(
            sandbox.LoadSandboxMarketRequest(
                request_id=str(uuid4()),
                instrument_ids=INSTRUMENTS,
                prices=decimal_column([Decimal(100)] * len(INSTRUMENTS), 2),
                currency="USD",
                spread_bps=DecimalMessage(value="4"),
                fee_bps=DecimalMessage(value="1"),
                fill_share_max=DecimalMessage(value="0.3"),
                market_time=instant_message(now),
            )
        )


async def open_orders(connection):
    return await connection.fetchval(
        "SELECT count(*) FROM execution.account_order WHERE state IN ('WAITING', 'READY', 'WORKING')"
    )


async def test_killed_again_and_again_every_order_is_carried_out_once(process, execution_database):
    now = datetime.now(UTC)
    rng = random.Random(20221228)
    await load(process, now)
    request = submit_request(*plans(now))
    async with calling(process, "decision_service") as channel:
        await ExecutionServiceStub(channel).SubmitPlans(request)

    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(0, 0.4))
        await process.kill()
        await process.start()
        # Decision repeats what it has no answer to.
        async with calling(process, "decision_service") as channel:
            await ExecutionServiceStub(channel).SubmitPlans(request)
    connection = await asyncpg.connect(execution_database.url)
    async with asyncio.timeout(60):
        while await open_orders(connection):  # noqa: ASYNC110 - the other process writes them
            await asyncio.sleep(0.05)

    counts = Counter(row["kind"] for row in await connection.fetch("SELECT kind FROM execution.outbox"))
    assert counts["execution.plan.accepted"] == 30
    assert counts["execution.order.closed"] == 90
    assert await connection.fetchval("SELECT count(*) FROM execution.account_order") == 90
    assert await connection.fetchval("SELECT count(*) FROM execution.block WHERE NOT allocated") == 0
    # Every block is one order at the venue, and every unit the venue filled is in exactly one account.
    assert await connection.fetchval("SELECT count(*) FROM execution.sandbox_order") == counts["execution.block.formed"]
    filled = await connection.fetchrow(
        "SELECT (SELECT sum(filled_quantity) FROM execution.sandbox_order) AS venue,"
        " (SELECT sum(quantity) FROM execution.allocation) AS allocated,"
        " (SELECT sum(filled) FROM execution.account_order) AS orders,"
        " (SELECT sum(fees) FROM execution.sandbox_order) AS venue_fees,"
        " (SELECT sum(fees) FROM execution.account_order) AS order_fees"
    )
    assert filled["venue"] == filled["allocated"] == filled["orders"] > 0
    assert filled["venue_fees"] == filled["order_fees"]
    positions = [
        row["position"] for row in await connection.fetch("SELECT position FROM execution.plan_report ORDER BY 1")
    ]
    assert positions == list(range(1, len(positions) + 1))
    await connection.close()
    async with calling(process, "trader") as channel:
        assert (await ExecutionServiceStub(channel).ListBreaks(pb.ListBreaksRequest())).breaks == []
    # And asked to end, it drains.
    assert await process.kill(signal.SIGTERM) == 0
