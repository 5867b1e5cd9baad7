"""FIX: orders and reports through journal and session, PostgreSQL's fsync on, beside QuickFIX to QuickFIX.

Ours is what the service runs: the adapter's record and the session's journal in one transaction, group commit, over TCP
to an acceptor of ours in a process of its own, which answers each order with three reports. QuickFIX is two of its own
sessions with threads of their own and its file store, which does not sync, and the same messages.

    python -m tests.bench.fix_session PORT      the acceptor
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import uvloop

from services.execution.app.venue_port import Intent
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.fix.memory import MemoryStore
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.postgres_unit import PostgresUnit
from services.execution.fix.protocol.actions import Received
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.store import SessionId, Unit
from services.execution.fix.protocol.values import Pair
from services.execution.fix.transport.acceptor import Acceptor, Counterparty
from services.execution.fix.transport.application import Notice
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.fix.transport.turn import Together
from services.execution.venues.fix44 import asking
from services.execution.venues.fix44.sessions import broker_session, client_session
from services.execution.venues.fix44.venue import Fix44Venue
from services.execution.venues.fix44.words import (
    AVG_PX,
    CL_ORD_ID,
    COMM_TYPE,
    COMMISSION,
    COMMISSION_ABSOLUTE,
    CUM_QTY,
    CURRENCY,
    EXEC_ID,
    EXEC_TYPE,
    EXECUTION_REPORT,
    LAST_PX,
    LAST_QTY,
    LEAVES_QTY,
    NEW_ORDER,
    ORD_STATUS,
    ORD_TYPE,
    ORDER_ID,
    ORDER_QTY,
    SIDE,
    SYMBOL,
    TRANSACT_TIME,
)
from services.execution.venues.fix44.writing import Writing
from services.kernel.ids import InstrumentId, VenueId
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.server import settle
from tests.bench.results import Result
from tests.bench.servers import use
from tests.support.postgres import Databases
from tools.local.broker import INSTALLED, free_port
from tools.local.postgres import admin_url

ORDERS = 4_000
# Orders that callers submit together, and callers at once.
TOGETHER, CALLERS = 50, 8
# The latency run: orders a second, one by one, and seconds.
RATE, RATE_S = 500, 6
ROUNDS = 3
# Files of write-ahead log that our server has when measuring begins: more than all rounds fill.
WAL_FILES = 12
VENUE = VenueId("fix44")
CLOCK = SystemClock()


@dataclass(slots=True)
class _Broker:
    """Answers each order with three reports, accepted and two fills, written out as `quickfix_pair` writes them."""

    @property
    def answers(self) -> bool:
        """See `Application`."""
        return True

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:
        at = CLOCK.now()
        return [
            reply
            for each in messages
            if each.message.msg_type == NEW_ORDER
            for reply in _answers(each.message.require(CL_ORD_ID), at)
        ]

    async def notice(self, session: SessionId, what: Notice) -> None:
        """Do nothing."""


def _answers(name: str, at: datetime) -> list[Outgoing]:
    terms: list[Pair] = [(SYMBOL, "VTI"), (SIDE, "1"), (ORDER_QTY, "10"), (ORD_TYPE, "1"), (CURRENCY, "USD")]

    def report(number: int, *happened: Pair) -> Outgoing:
        ids: list[Pair] = [(ORDER_ID, name), (CL_ORD_ID, name), (EXEC_ID, f"{name}:{number}")]
        return Outgoing(EXECUTION_REPORT, [*ids, *terms, *happened, (TRANSACT_TIME, at)])

    return [
        report(0, *_stands("0", "0", "10", "0", "0")),
        report(1, *_stands("F", "1", "6", "4", "100.25"), *_trade("4", "100.25", "0.04")),
        report(2, *_stands("F", "2", "0", "10", "100.28"), *_trade("6", "100.30", "0.06")),
    ]


def _stands(kind: str, status: str, leaves: str, filled: str, average: str) -> list[Pair]:
    return [(EXEC_TYPE, kind), (ORD_STATUS, status), (LEAVES_QTY, leaves), (CUM_QTY, filled), (AVG_PX, average)]


def _trade(quantity: str, price: str, fee: str) -> list[Pair]:
    return [(LAST_QTY, quantity), (LAST_PX, price), (COMMISSION, fee), (COMM_TYPE, COMMISSION_ABSOLUTE)]


async def _write_down(unit: Unit, intents: Sequence[Intent]) -> None:
    assert isinstance(unit, PostgresUnit)
    await Writing(unit, VENUE).add_orders(intents, CLOCK.now())


@dataclass(slots=True)
class _Counting:
    """The adapter, and how many reports it has applied: counted after the commit."""

    venue: Fix44Venue
    reports: int = 0
    wanted: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def answers(self) -> bool:
        """See `Application`."""
        return False

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:
        replies = await self.venue.apply(unit, session, messages)
        assert isinstance(unit, PostgresUnit)
        unit.after_commit(lambda: self._count(len(messages)))
        return replies

    def _count(self, messages: int) -> None:
        self.reports += messages
        if self.reports >= self.wanted:
            self.reached.set()

    async def notice(self, session: SessionId, what: Notice) -> None:
        """Do nothing: what was asked after a logon would be counted."""


@dataclass(slots=True)
class _Pair:
    """Our adapter's session with a broker that answers."""

    initiator: Initiator
    venue: Fix44Venue
    counting: _Counting
    database: Database
    sent: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def intents(self, count: int) -> list[Intent]:
        first, self.sent = self.sent, self.sent + count
        return [
            Intent(
                client_order_id=f"order-{number:08}",
                instrument_id=InstrumentId("VTI"),
                side=Side.BUY,
                quantity=Decimal(10),
                increment=Decimal(1),
                order_type=OrderType.MARKET,
                limit_price=None,
                time_in_force=TimeInForce.DAY,
                currency="USD",
            )
            for number in range(first, first + count)
        ]

    async def submit(self, intents: Sequence[Intent]) -> None:
        began = time.perf_counter()
        messages = [asking.new_order(each, CLOCK.now()) for each in intents]
        await self.initiator.send(messages, Together(_write_down, intents))
        self.latencies_s.append(time.perf_counter() - began)

    async def answered(self, orders: int) -> None:
        self.counting.wanted = 3 * orders
        if self.counting.reports < self.counting.wanted:
            self.counting.reached.clear()
            async with asyncio.timeout(120):
                await self.counting.reached.wait()
        # No report was lost or counted twice: they are all in the stream, and no other.
        assert len(await self.venue.reports(3 * orders - 1, 2)) == 1


@asynccontextmanager
async def _pair() -> AsyncIterator[_Pair]:
    async with AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="evenkeel-bench-")))
        # As root, the database server runs as another user: what that cannot reach lies elsewhere, and stays there.
        folder.chmod(0o755)
        url = closing.enter_context(admin_url(folder / "pg", durable=True))
        if (folder / "pg").exists():
            # Our own, made a moment ago: as one that has run for a while.
            await use(url, WAL_FILES)
        databases = Databases(url)
        found = await databases.take("execution", "services.execution")
        database = Database(found.settings())
        closing.push_async_callback(database.close)
        port = free_port()
        command = (sys.executable, "-m", "tests.bench.fix_session", str(port))
        broker = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        closing.push_async_callback(broker.wait)
        closing.callback(broker.terminate)
        store = PostgresStore(database)
        venue = Fix44Venue(VENUE, database, store, CLOCK)
        counting = _Counting(venue)
        session = broker_session("EVENKEEL", "BROKER")
        initiator = Initiator(session, Address("127.0.0.1", port), store, counting, CLOCK)
        initiator.start()
        closing.push_async_callback(initiator.stop)
        async with asyncio.timeout(30):
            await initiator.logged_on()
        yield _Pair(initiator, venue, counting, database)


async def _orders_per_s() -> float:
    async with _pair() as pair:
        await _burst(pair, ORDERS // 4)
        rates = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await _burst(pair, ORDERS)
            rates.append(ORDERS / (time.perf_counter() - began))
        return statistics.median(rates)


async def _burst(pair: _Pair, orders: int) -> None:
    """Send so many orders, many callers at once, and wait until all their reports are applied."""
    batches = iter([pair.intents(TOGETHER) for _ in range(orders // TOGETHER)])

    async def caller() -> None:
        for batch in batches:
            await pair.submit(batch)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await pair.answered(pair.sent)


async def _submit_p99_ms() -> float:
    async with _pair() as pair:
        await _at_rate(pair, 1.0)
        p99s_ms = []
        # One stall of the disk, of a seventh of a second, is more than a hundredth of a round.
        for _ in range(ROUNDS):
            pair.latencies_s.clear()
            await _at_rate(pair, RATE_S)
            p99s_ms.append(1000 * statistics.quantiles(pair.latencies_s, n=100)[98])
        return statistics.median(p99s_ms)


async def _at_rate(pair: _Pair, seconds: float) -> None:
    began, tasks = time.perf_counter(), []
    for number in range(int(RATE * seconds)):
        wait_s = began + number / RATE - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.create_task(pair.submit(pair.intents(1))))
    await asyncio.gather(*tasks)


def _quickfix_per_s() -> float:
    rates = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="evenkeel-bench-") as folder:
            command = [sys.executable, "-m", "tests.bench.quickfix_pair", folder, str(ORDERS)]
            rates.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]))
    return statistics.median(rates)


def orders() -> Sequence[Result]:
    """Orders a second, each with its three reports, until the last report is applied."""
    ours = _run(_orders_per_s)
    if not INSTALLED:
        return [Result("fix.orders_per_s", ours, "orders/s, three reports each")]
    theirs = _quickfix_per_s()
    peer = "QuickFIX to QuickFIX, file store"
    versions = {"quickfix-ssl": version("quickfix-ssl")}
    return [Result("fix.orders_per_s", ours, "orders/s, three reports each", peer, theirs, ours / theirs, versions)]


def submit() -> Sequence[Result]:
    """From a caller's submit until the order is on disk and with the socket, 500 a second one by one.

    The p99 of each round of some seconds, and of the rounds the middle one.
    """
    return [Result("fix.submit_p99_ms", _run(_submit_p99_ms), f"ms, at {RATE} orders/s")]


async def _serve(port: int) -> None:
    config = client_session("BROKER", "EVENKEEL")
    acceptor = Acceptor({config.session_id: Counterparty(config)}, MemoryStore(), _Broker(), CLOCK)
    await acceptor.start("127.0.0.1", port)
    settle()
    # Until whoever started us ends.
    await asyncio.to_thread(sys.stdin.read)


def _run(measure: Callable[[], Awaitable[float]]) -> float:
    """Measure as the service runs: on its event loop, and with garbage looked for as seldom."""
    before = gc.get_threshold()

    async def run() -> float:
        settle()
        return await measure()

    try:
        return uvloop.run(run())
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
