"""The service as a process of its own, ended with SIGKILL again and again while it works."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1 import sandbox_service_pb2 as sandbox
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from evenkeel.execution.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from evenkeel.policy.v1 import policy_service_pb2 as policy
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceServicer, add_PolicyServiceServicer_to_server
from services.execution.domain.words import Side
from services.runtime.client import connect
from services.runtime.wire import decimal_column, instant_message
from tests.execution.api.conftest import ingest_request, submit_request
from tests.execution.builders import a_plan, a_trade
from tests.execution.world import settings_for
from tools.local.issuer import ISSUER, TokenIssuer

ROOT = Path(__file__).parents[2]
INSTRUMENTS = [f"I{n}" for n in range(6)]
KILLS = 6


class EverythingInForce(PolicyServiceServicer):
    async def CheckVersions(self, request, context):
        return policy.CheckVersionsResponse(in_force_version_hashes=request.version_hashes)

    async def CheckPolicies(self, request, context):
        return policy.CheckPoliciesResponse()


@pytest.fixture
async def policy_address():
    server = grpc.aio.server()
    add_PolicyServiceServicer_to_server(EverythingInForce(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


class Process:
    """`python -m services.execution serve`, which can be killed and started again."""

    def __init__(self, environment, port_file):
        self._environment = environment
        self._port_file = port_file
        self._process = None
        self.port = None

    async def start(self):
        self._port_file.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.execution", "serve", cwd=ROOT, env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(60):
            while not self._port_file.exists():
                assert self._process.returncode is None
                await asyncio.sleep(0.02)
        self.port = int(self._port_file.read_text())

    async def kill(self, how=signal.SIGKILL):
        self._process.send_signal(how)
        return await self._process.wait()


@pytest.fixture
async def process(execution_database, policy_address, tmp_path):
    issuer = TokenIssuer.at(tmp_path / "issuer")
    settings_for({**execution_database.settings().model_dump(exclude_unset=True)}, tmp_path / "keys")
    values = {
        "DATABASE_URL": execution_database.url,
        "DATABASE_SCHEMA": "execution",
        "JWKS_URL": issuer.jwks_file.as_uri(),
        "TOKEN_ISSUER": ISSUER,
        "PLAN_KEYS_DIRECTORY": str(tmp_path / "keys"),
        "POLICY_ADDRESS": policy_address,
        "BLOCK_QUIET_S": "0.05",
        "LOOK_S": "0.02",
        "RESOLVE_AFTER_S": "0.2",
        "BLOCK_ORDERS_MAX": "5",
        "SANDBOX_ANSWERS_LOST_EVERY": "4",
        "SANDBOX_LATENCY_S": "0.05",
    }
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("EVENKEEL_", "OTEL_"))},
        **{f"EVENKEEL_EXECUTION_{name}": value for name, value in values.items()},
        "EVENKEEL_PORT_FILE": str(tmp_path / "port"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}",
    }
    running = Process(environment, tmp_path / "port")
    await running.start()
    running.issuer = issuer
    yield running
    await running.kill()


@asynccontextmanager
async def calling(process, role):
    token = process.issuer.token(role, [role], timedelta(hours=1))
    channel = connect(f"127.0.0.1:{process.port}", token=lambda: token)
    yield channel
    await channel.close()


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


async def test_it_drains_when_asked_to_end(process):
    assert await process.kill(signal.SIGTERM) == 0
    await process.start()
