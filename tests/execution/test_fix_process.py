"""The whole service trades over FIX with a broker of others, and is ended with SIGKILL at random points of its work.

The broker lives on: what it has is compared with what we have. Nothing may be lost or doubled: every order there once,
every fill of each in our books once, every share instructed and booked once.
"""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.execution.domain.words import Side
from tests.execution.api.conftest import ingest_request, submit_request
from tests.execution.builders import a_plan, a_trade
from tests.execution.serving import calling
from tests.execution.venues import fix_cases
from tests.support.quickfix_process import needs_quickfix

INSTRUMENTS = [f"I{n}" for n in range(6)]
# How long after the last kill all may be done, in seconds.
DONE_S_MAX = 120
OPEN = "SELECT count(*) FROM execution.account_order WHERE state IN ('WAITING', 'READY', 'WORKING')"
NOT_BOOKED = "SELECT count(*) FROM execution.instruction WHERE state <> 'ACCEPTED'"


@pytest.fixture
async def broker(tmp_path):
    found = await fix_cases.a_quickfix_broker(tmp_path / "broker")
    prices = dict.fromkeys(INSTRUMENTS, "100")
    await found.ask("market", time=datetime.now(UTC).isoformat(), prices=prices, fee_bps="1", seed=7, share="0.3")
    yield found
    await found.stop()


@pytest.fixture
async def service(start_process, broker):
    process = await start_process(
        VENUE="fix44", OUTSIDE_SESSION="SEND", FIX_HOST="127.0.0.1", FIX_PORT=str(broker.port),
        FIX_SENDER_COMP_ID="EVENKEEL", FIX_TARGET_COMP_ID="BROKER", FIX_ANSWER_S="1",
    )  # fmt: skip
    async with calling(process, "platform_engineer") as channel:
        prices = dict.fromkeys(INSTRUMENTS, 100)
        await ExecutionServiceStub(channel).IngestReferencePrices(ingest_request(datetime.now(UTC), **prices))
    return process


def plans(turn, accounts, now):
    """Accounts that sell one instrument to buy another."""
    later = now + timedelta(hours=6)
    for n in range(accounts):
        sold, bought = INSTRUMENTS[(n + turn) % len(INSTRUMENTS)], INSTRUMENTS[(n + turn + 1) % len(INSTRUMENTS)]
        trades = [a_trade(sold, Side.SELL, 20 + n), a_trade(bought, quantity=8 + n // 2)]
        yield a_plan(
            *trades, plan=f"plan-{turn:03}-{n:02}", account=f"acc-{turn:03}-{n:02}", cash=200, expire_time=later
        )


async def submit(process, request):
    async with calling(process, "decision_service") as channel:
        await ExecutionServiceStub(channel).SubmitPlans(request)


async def trade_and_kill(process, kills, accounts, seed):
    """Submit plans, and end the process while it carries them out; so often."""
    chance = random.Random(seed)
    for turn in range(kills):
        request = submit_request(*plans(turn, accounts, datetime.now(UTC)))
        await submit(process, request)
        await asyncio.sleep(chance.uniform(0, 1.2))
        await process.kill()
        await process.start()
        # Decision repeats what it has no answer to.
        await submit(process, request)


async def check(process, broker, connection, orders):
    async with asyncio.timeout(DONE_S_MAX):
        while await connection.fetchval(OPEN) or await connection.fetchval(NOT_BOOKED):  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.1)
    state = await broker.ask("state")
    assert state["counts"]["duplicates"] == 0
    blocks = await connection.fetch("SELECT client_order_id, filled_quantity, allocated FROM execution.block")
    ours = {row["client_order_id"]: row["filled_quantity"] for row in blocks}
    # Every block is one order there, with the same fills.
    assert ours == {name: Decimal(order["filled"]) for name, order in state["orders"].items()}
    assert all(row["allocated"] for row in blocks)
    fills = await connection.fetch("SELECT report_id FROM execution.venue_report WHERE kind = 'Filled'")
    told = Counter(fix_cases.exec_id(row["report_id"]) for row in fills)
    assert told == Counter(fill for order in state["orders"].values() for fill in order["fills"])
    # Every unit is in exactly one account, and every share was instructed and booked once.
    assert await connection.fetchval("SELECT count(*) FROM execution.account_order") == orders
    sums = await connection.fetchrow(
        "SELECT (SELECT sum(quantity) FROM execution.allocation) AS allocated,"
        " (SELECT sum(filled) FROM execution.account_order) AS filled"
    )
    assert sums["allocated"] == sums["filled"] == sum(ours.values()) > 0
    filled_blocks = sum(quantity > 0 for quantity in ours.values())
    assert await connection.fetchval("SELECT count(*) FROM execution.instruction") == filled_blocks
    async with calling(process, "trader") as channel:
        assert not (await ExecutionServiceStub(channel).ListBreaks(pb.ListBreaksRequest())).breaks
    return len(ours), len(fills)


@needs_quickfix
async def test_killed_over_fix_nothing_is_lost_or_doubled(service, broker, execution_database):
    await trade_and_kill(service, 2, 6, 20221228)
    connection = await asyncpg.connect(execution_database.url)
    await check(service, broker, connection, orders=2 * 6 * 2)
    await connection.close()


@needs_quickfix
@pytest.mark.chaos
async def test_killed_over_fix_by_the_hundred_nothing_is_lost_or_doubled(service, broker, execution_database):
    kills = 100
    await trade_and_kill(service, kills, 6, 20261128)
    connection = await asyncpg.connect(execution_database.url)
    blocks, fills = await check(service, broker, connection, orders=kills * 6 * 2)
    await connection.close()
    print(f"\n{kills} kills, {blocks} orders at the broker and {fills} fills, each once in our books")  # noqa: T201 - counts
