"""Execution, its venue and its database, each ended with SIGKILL at random points of a run, again and again.

`make test-chaos` prints what it counted: 0 orders lost, 0 sent twice, 0 left unknown, books equal to the cent.
Each is killed 200 times, or as often as `EVENKEEL_CHAOS_KILLS` says. The venue is the sandbox in a process of its own,
over FIX; both keep their records on a durable PostgreSQL that nobody else uses.
"""

import asyncio
import os
import random
import shutil
import socket
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest

from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.execution.domain.words import Side
from tests.execution.api.conftest import submit_request
from tests.execution.builders import a_plan, a_trade
from tests.execution.serving import Process, calling, environment_of
from tests.execution.test_process import INSTRUMENTS, load
from tests.support.postgres import Databases
from tools.local.postgres import Postgres

KILLS = int(os.environ.get("EVENKEEL_CHAOS_KILLS", "200"))
# Plans that come between two kills, of three orders each.
PLANS = 4
ANSWER_S = 300
# So long without a report or an order that ends, and nothing goes on any more.
STILL_S = 300


class World:
    """Execution and its venue as processes, and the database server of both."""

    def __init__(self, server, processes, urls):
        self.server = server
        self.processes = processes
        self.urls = urls

    async def start(self):
        for process in self.processes.values():
            await process.start()
        for process in self.processes.values():
            await load(process, datetime.now(UTC))

    async def kill(self, what):
        """End one of the three, and start it again."""
        if what == "database":
            # In this thread: the server ends with the thread that started it.
            self.server.kill()
            self.server.start()
            return
        await self.processes[what].kill()
        await self.processes[what].start()

    async def submit(self, plans):
        """Submit as decision does: the same request until there is an answer."""
        request = submit_request(*plans)
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    async with calling(self.processes["execution"], "decision_service") as channel:
                        answer = await ExecutionServiceStub(channel).SubmitPlans(request, timeout=20)
                        return [each.status for each in answer.results], [
                            each.refusals for each in answer.results if each.refusals
                        ]
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.2)

    async def value(self, whose, query):
        connection = await asyncpg.connect(self.urls[whose])
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def ended(self):
        """Wait until no order is open, for as long as anything goes on: a busy machine takes its time."""
        open_orders = "SELECT count(*) FROM execution.account_order WHERE state IN ('WAITING', 'READY', 'WORKING')"
        said = "SELECT count(*) FROM execution.venue_report"
        loop = asyncio.get_running_loop()
        before, deadline = None, loop.time()
        while left := await self.value("execution", open_orders):
            now = (left, await self.value("execution", said))
            if now != before:
                before, deadline = now, loop.time() + STILL_S
            assert loop.time() < deadline, f"{left} orders are open, and nothing was said of them for {STILL_S} s"
            await asyncio.sleep(0.2)


@pytest.fixture
async def world(policy_address, tmp_path):
    directory = Path(tempfile.mkdtemp(prefix="evenkeel-chaos-"))
    directory.chmod(0o755)
    server = Postgres(directory / "pg", durable=True)
    server.start()
    databases = Databases(server.url)
    found = {name: await databases.take("execution", "services.execution") for name in ("venue", "execution")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    values = {
        "venue": {"SANDBOX_FIX_PORT": port, "SANDBOX_ANSWERS_LOST_EVERY": "4", "SANDBOX_LATENCY_S": "0.05"},
        "execution": {
            "VENUE": "fix44",
            "FIX_HOST": "127.0.0.1",
            "FIX_PORT": port,
            "FIX_TARGET_COMP_ID": "SANDBOX",
            "FIX_HEARTBEAT_S": "1",
            "FIX_ANSWER_S": "1",
            "OUTSIDE_SESSION": "SEND",
        },
    }
    processes = {}
    for name, database in found.items():
        folder = tmp_path / name
        folder.mkdir()
        issuer, environment = environment_of(database, policy_address, folder, **values[name])
        processes[name] = Process(environment, folder / "port", issuer)
    running = World(server, processes, {name: each.url for name, each in found.items()})
    try:
        await running.start()
        yield running
    finally:
        for process in processes.values():
            await process.kill()
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def plans(number):
    """A few accounts that nobody had before, which sell one instrument to buy two others."""
    later = datetime.now(UTC) + timedelta(hours=2)
    for n in range(PLANS):
        sold, *bought = (INSTRUMENTS[(number + n + step) % len(INSTRUMENTS)] for step in (0, 1, 2))
        name = f"{number:04}-{n}"
        trades = [a_trade(sold, Side.SELL, 20 + n), *(a_trade(each, quantity=8 + n // 2) for each in bought)]
        yield a_plan(*trades, plan=f"plan-{name}", account=f"acc-{name}", cash=200, expire_time=later)


ACCOUNTS = """
    SELECT count(*) FROM execution.account_order o
    WHERE filled <> (SELECT coalesce(sum(quantity), 0) FROM execution.allocation a WHERE a.order_id = o.order_id)
        OR filled_amount <> (SELECT coalesce(sum(amount), 0) FROM execution.allocation a WHERE a.order_id = o.order_id)
        OR fees <> (SELECT coalesce(sum(fees), 0) FROM execution.allocation a WHERE a.order_id = o.order_id)
"""
UNKNOWN = "SELECT count(*) FROM execution.block WHERE state IN ('SENDING', 'UNKNOWN') OR NOT allocated"
# What the venue has spoken about, whether or not the answer to its sending ever came.
SENT = "SELECT count(DISTINCT block_id) FROM execution.venue_report"


@pytest.mark.chaos
@pytest.mark.parametrize("what", ["execution", "venue", "database"])
async def test_killed_at_random_points_no_order_is_lost_sent_twice_or_left_unknown(world, what):
    rng = random.Random(f"20261128 {what}")
    submitted = 0
    for number in range(KILLS):
        statuses, refusals = await world.submit(list(plans(number)))
        assert refusals == []
        submitted += len(statuses)
        await asyncio.sleep(rng.uniform(0, 0.6))
        await world.kill(what)
        if (number + 1) % 20 == 0:
            print(f"\n{what}: {number + 1} kills, {submitted} plans", end="", flush=True)  # noqa: T201 - progress
    await world.ended()

    counted = {
        "orders lost": 3 * submitted - await world.value("execution", "SELECT count(*) FROM execution.account_order"),
        "blocks unknown": await world.value("execution", UNKNOWN),
        "accounts off": await world.value("execution", ACCOUNTS),
    }
    at_venue = await world.value("venue", "SELECT count(*) FROM execution.sandbox_order")
    sent = await world.value("execution", SENT)
    counted["sent twice"] = at_venue - sent
    for column, ours in (("filled_quantity", "filled"), ("fees", "fees")):
        venues = await world.value("venue", f"SELECT sum({column}) FROM execution.sandbox_order")
        counted[f"{column} off"] = venues - await world.value(
            "execution",
            f"SELECT sum({ours}) FROM execution.account_order",
        )
    print(f"\n{what}: {KILLS} kills, {3 * submitted} orders, {sent} blocks: {counted}")  # noqa: T201 - counts
    assert set(counted.values()) == {0}
    assert sent > 0
