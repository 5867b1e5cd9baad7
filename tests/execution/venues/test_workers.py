"""Who keeps FIX sessions up, when what lets it is lost."""

import asyncio

import asyncpg
import pytest

from services.execution.fix.postgres import PostgresStore
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.venues.fix44 import workers
from services.execution.venues.fix44.desk import SandboxDesk
from services.execution.venues.fix44.sessions import broker_session, client_session
from services.execution.venues.fix44.venue import Fix44Venue
from services.execution.venues.fix44.watch import SessionWatch
from services.execution.venues.fix44.workers import SandboxPort, held, keep_up
from services.execution.venues.sandbox.postgres import book_with
from services.execution.venues.sandbox.venue import SandboxVenue
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.database_errors import DatabaseUnreachable
from tests.execution.venues.fix_cases import a_sandbox_broker, a_trader, until
from tools.local.broker import free_port

TAKE_LOCKS_AWAY = """
    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def hold_until_lost(database, administrator):
    async with held(database, "a port", asyncio.Event()) as lost:
        await administrator.execute(TAKE_LOCKS_AWAY)
        await asyncio.wait_for(lost.wait(), 30)


async def test_who_loses_its_lock_fails_and_so_is_started_again(execution_database, monkeypatch):
    monkeypatch.setattr(workers, "LEAD_AGAIN_S", 0.02)
    database = Database(execution_database.settings())
    administrator = await asyncpg.connect(execution_database.url)
    try:
        with pytest.raises(ConnectionError, match="the lock of a port is gone"):
            await hold_until_lost(database, administrator)
    finally:
        await administrator.close()
        await database.close()


@pytest.fixture
async def database(execution_database):
    opened = Database(execution_database.settings())
    yield opened
    await opened.close()


@pytest.fixture
async def away(execution_database):
    """A watch whose database does not answer, as when both were killed."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    nowhere = Database(execution_database.settings(database_url=url))
    yield SessionWatch(nowhere, PostgresStore(nowhere), SystemClock())
    await nowhere.close()


async def listens(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_the_sandbox_frees_its_port_before_it_tells_the_database_which_may_be_away(database, away):
    sandbox = SandboxVenue(begin=book_with(database), clock=SystemClock())
    desk = SandboxDesk(sandbox, database, SystemClock())
    configs = [client_session("BROKER", "EVENKEEL")]
    sandbox_port = SandboxPort(configs, PostgresStore(database), desk, SystemClock(), None)
    port, stop = free_port(), asyncio.Event()
    running = asyncio.create_task(sandbox_port.worker("127.0.0.1", port, database, away).run(stop))
    await until(lambda: listens(port))
    stop.set()

    with pytest.raises(DatabaseUnreachable):
        await running
    assert not await listens(port)


async def test_a_session_is_ended_before_the_database_is_told_which_may_be_away(database, away, execution_database):
    broker = await a_sandbox_broker(execution_database.settings())
    store = PostgresStore(database)
    venue = Fix44Venue("fix44", database, store, SystemClock())
    initiator = Initiator(
        broker_session("EVENKEEL", "BROKER"), Address("127.0.0.1", broker.port), store, venue, SystemClock()
    )

    async def is_up():
        return initiator.up

    stop = asyncio.Event()
    running = asyncio.create_task(keep_up(initiator, database, away).run(stop))
    try:
        await until(is_up)
        stop.set()

        with pytest.raises(DatabaseUnreachable):
            await running
        assert initiator.link is None
    finally:
        await venue.close()
        await broker.stop()


async def test_a_session_that_comes_up_calls_for_what_waited_for_it(execution_database):
    broker = await a_sandbox_broker(execution_database.settings())
    trader = await a_trader(execution_database.settings(), broker.port)
    ready = []
    trader.venue.came_up = lambda: ready.append(trader.venue.ready)

    async def called():
        # It may log on more than once, and calls each time.
        return bool(ready) and all(ready)

    try:
        await trader.down(True)
        await trader.down(False)
        await until(called)
    finally:
        await trader.stop()
        await broker.stop()
