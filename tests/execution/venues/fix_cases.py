"""The FIX adapter under the venue contract: against the sandbox's own acceptor, and against a broker by QuickFIX."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from services.execution.app.venue_port import MarketSetting
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.protocol.store import SessionId
from services.execution.fix.transport.acceptor import Acceptor, Counterparty
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.venues.fix44.desk import SandboxDesk
from services.execution.venues.fix44.drop_copies import DropCopies
from services.execution.venues.fix44.sessions import broker_session, client_session
from services.execution.venues.fix44.venue import Fix44Venue
from services.execution.venues.sandbox.postgres import book_with
from services.execution.venues.sandbox.venue import SandboxVenue
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from tests.execution.builders import NOON
from tests.support.tcp_proxy import TcpProxy
from tools.local.broker import Counterparty as Process
from tools.local.broker import free_port

# Short, so that lost answers cost little; long enough for a busy machine's answers.
ANSWER_S = 1.0
SETTLED_S = 60.0
NEW_ORDER = b"\x0135=D\x01"
STATUS = b"\x0135=H\x01"


async def until(condition, timeout_s=SETTLED_S):
    """Wait until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - what other processes do sets no event here
            await asyncio.sleep(0.02)


def exec_id(report_id):
    """Return what the broker calls a report of ours."""
    return report_id.partition("/")[2]


@dataclass
class Trader:
    """Our side: the adapter and its sessions, over a proxy that can fail."""

    venue: Fix44Venue
    initiator: Initiator
    proxy: TcpProxy
    store: PostgresStore
    database: Database
    copies: Initiator | None = None

    async def up(self):
        return self.initiator.up

    async def down(self, is_down):
        self.proxy.down = is_down
        if is_down:
            self.proxy.cut()

            async def gone():
                return not self.initiator.up

            await until(gone)
        else:
            await until(self.up)

    async def numbers(self):
        numbers = dict(await self.store.sessions())[self.initiator.session_id]
        return numbers.next_out, numbers.next_in

    async def stop(self):
        await self.venue.close()
        await self.initiator.stop()
        if self.copies is not None:
            await self.copies.stop()
        await self.proxy.stop()
        await self.database.close()


async def a_trader(
    settings, port, *, us="EVENKEEL", broker="BROKER", drop_copies=False, tls=None, up_within_s=None, **fields
):
    """Start the adapter against a broker on `port`."""
    database = Database(settings)
    store = PostgresStore(database)
    proxy = await TcpProxy("127.0.0.1", port).start()
    clock = SystemClock()
    venue = Fix44Venue("fix44", database, store, clock, answer_s=ANSWER_S, **fields)
    address = Address("127.0.0.1", proxy.port, tls, "localhost" if tls is not None else None)
    initiator = Initiator(broker_session(us, broker), address, store, venue, clock)
    venue.sender = initiator
    trader = Trader(venue, initiator, proxy, store, database)
    if drop_copies:
        copies = Address("127.0.0.1", port)
        trader.copies = Initiator(broker_session("COPIES", broker), copies, store, DropCopies(venue), clock)
        trader.copies.start()
    initiator.start()
    try:
        await until(trader.up, up_within_s or SETTLED_S)
    except TimeoutError:
        await trader.stop()
        raise
    return trader


@dataclass
class SandboxBroker:
    """The sandbox behind our acceptor."""

    sandbox: SandboxVenue
    desk: SandboxDesk
    acceptor: Acceptor
    store: PostgresStore
    database: Database
    port: int
    session: SessionId
    stopping: asyncio.Event
    pumps: list

    def __post_init__(self):
        self.setting = {"share": "1", "price": "100", "days": 0}

    async def load(self, **changed):
        self.setting.update(changed)
        at = NOON + timedelta(days=self.setting["days"])
        market = MarketSetting("USD", Decimal(0), Decimal(1), 7, Decimal(self.setting["share"]), at)
        prices = {"VTI": Decimal(self.setting["price"]), "EUR/USD": Decimal("1.2")}
        await self.sandbox.load_market(market, prices)

    async def numbers(self):
        # As committed: what is being applied has not happened yet.
        numbers = dict(await self.store.sessions()).get(self.session)
        return None if numbers is None else (numbers.next_in, numbers.next_out)

    async def quiet(self):
        async with self.sandbox.begin() as book:
            last = await book.last_position()
        if await self.sandbox.reports(last, 1):
            return False
        return await self.desk.told(self.session) == last

    async def stop(self):
        self.stopping.set()
        await asyncio.gather(*self.pumps)
        await self.acceptor.stop()
        await self.database.close()


async def a_sandbox_broker(settings, *, drop_copies=False, client="EVENKEEL", tls=None, names=None):
    """Start the sandbox with an acceptor in front of it."""
    database = Database(settings)
    store = PostgresStore(database)
    clock = SystemClock()
    sandbox = SandboxVenue(begin=book_with(database), clock=clock)
    configs = [client_session("BROKER", client)] + ([client_session("BROKER", "COPIES")] if drop_copies else [])
    copies = configs[1].session_id if drop_copies else None
    desk = SandboxDesk(sandbox, database, clock, drop_copies=copies)
    counterparties = {each.session_id: Counterparty(each, names) for each in configs}
    acceptor = Acceptor(counterparties, store, desk, clock, tls=tls)
    port = await acceptor.start("127.0.0.1", 0)
    stopping = asyncio.Event()
    pumps = [
        asyncio.create_task(desk.pump(session, lambda session=session: acceptor.link(session), stopping))
        for session in counterparties
    ]
    session = configs[0].session_id
    broker = SandboxBroker(sandbox, desk, acceptor, store, database, port, session, stopping, pumps)
    await broker.load()
    return broker


@dataclass
class QuickFixBroker:
    """The broker by QuickFIX, at the desk of one client."""

    process: Process
    port: int
    client: str = "EVENKEEL"

    def __post_init__(self):
        self.setting = {"share": "1", "price": "100", "days": 0}

    async def load(self, **changed):
        self.setting.update(changed)
        at = NOON + timedelta(days=self.setting["days"])
        await self.ask(
            "market",
            time=at.isoformat(),
            prices={"VTI": self.setting["price"], "EUR/USD": "1.2"},
            fee_bps="1",
            seed=7,
            share=self.setting["share"],
        )

    async def numbers(self):
        state = await self.ask("numbers")
        return state["next_in"], state["next_out"]

    async def quiet(self):
        state = await self.ask("numbers")
        return state["quiet"] and state["logged_on"]

    async def ask(self, do, **values):
        return await self.process.ask(do, client=self.client, **values)

    async def stop(self):
        await self.process.stop()


async def a_quickfix_broker(folder, *, clients=("EVENKEEL",), drop_copies=False, tls=None, **options):
    """Start the broker by QuickFIX."""
    port = free_port()
    arguments = ["--port", str(port), "--folder", str(folder), "--clients", *clients]
    if drop_copies:
        arguments += ["--drop-copies-to", "COPIES"]
    if tls is not None:
        arguments += ["--tls", str(tls)]
    for name, value in options.items():
        arguments += ["--set", f"{name}={value}"]
    process = await Process("tools.local.quickfix_broker", *arguments).start()
    broker = QuickFixBroker(process, port, clients[0])
    await broker.load()
    return broker


async def settled(trader, broker):
    """Wait until the broker is quiet, and both sides have read what the other sent."""

    async def same_numbers():
        link = trader.initiator.link
        if link is None or not trader.initiator.up:
            return False
        numbers, theirs = link.session.numbers, await broker.numbers()
        # In memory first; then on disk, where the readers are.
        return (numbers.next_out, numbers.next_in) == theirs and await trader.numbers() == theirs

    async def agree():
        # What was read last may have set the market going again.
        return await same_numbers() and await broker.quiet() and await same_numbers()

    await until(agree)
