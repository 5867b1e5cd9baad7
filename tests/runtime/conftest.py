"""A real server with a real database, as small as can be."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from tests.runtime.counter.running import Running
from tests.runtime.counter.service import FULL_NAME, Counters
from tests.runtime.counter.stubs import rpc
from tests.support.telemetry import Recorded, record
from tools.local.issuer import ISSUER, TokenIssuer


@pytest.fixture
def issuer(tmp_path):
    return TokenIssuer.at(tmp_path / "issuer")


@pytest.fixture
async def counter_database(service_database):
    """The counter service's tables, empty."""
    return await service_database("policy", package="tests.runtime.counter")


@pytest.fixture
async def counter_settings(counter_database, issuer):
    """Settings of a counter service whose tables are made."""
    return counter_database.settings(
        jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER, health_period_s=0.05, drain_s=5, database_pool_wait_s=2
    )


@pytest.fixture
async def start(counter_settings, issuer):
    """Start counter services: `running = await start(concurrent_calls_max=3)`."""
    async with AsyncExitStack() as ends:

        @asynccontextmanager
        async def started(given, workers, ready):
            database = Database(given)
            handlers = Counters(database)
            server = Server(
                given,
                servicers=[Servicer(FULL_NAME, rpc.add_CounterServiceServicer_to_server, handlers)],
                database=database,
                package="tests.runtime.counter",
                workers=[each(database) for each in workers],
                ready=ready,
            )
            running = Running(server, handlers, database, issuer, await server.start(), given)
            try:
                yield running
            finally:
                for channel in running.channels:
                    await channel.close()
                await server.drain()
                await database.close()

        async def one(*, workers=(), ready=None, **changed):
            given = counter_settings.model_copy(update=changed)
            return await ends.enter_async_context(started(given, workers, ready))

        yield one


@pytest.fixture
async def counter(start):
    return await start()


@pytest.fixture
def recorded() -> Recorded:
    """What was measured during this test."""
    return record()
