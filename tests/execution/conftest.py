"""Execution over its fakes and over PostgreSQL."""

import grpc
import pytest

from evenkeel.policy.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server
from services.execution.store import begin_with
from services.execution.venues.sandbox.postgres import book_with
from services.runtime.database import Database
from tests.execution.memory import MemoryDatabase, MemoryVenueBook
from tests.execution.serving import EverythingInForce, Process, environment_of
from tests.execution.world import World, settings_for

NO_DATABASE = {
    "database_url": "postgresql://nobody@nowhere/none",
    "jwks_url": "file:/nonexistent/jwks.json",
    "token_issuer": "https://issuer.test",
}

# Of what the processes of a failed test wrote, in characters.
LOG_SHOWN = 20_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Show with a failure what the test's processes wrote last."""
    report = yield
    folder = item.funcargs.get("tmp_path")
    if report.failed and folder is not None:
        for log in sorted(folder.rglob("service.log")):
            written = log.read_text(errors="replace")[-LOG_SHOWN:]
            report.sections.append((str(log.relative_to(folder)), written))
    return report


@pytest.fixture
async def make_postgres_world(execution_database, tmp_path):
    """Make the service over its own PostgreSQL database: `await make_postgres_world(block_orders_max=2)`."""
    databases = []

    async def make(**changed):
        values = execution_database.settings().model_dump(exclude_unset=True)
        settings = settings_for(values, tmp_path / "keys", **{"database_pool_size": 8, **changed})
        database = Database(settings)
        databases.append(database)
        return World(settings, begin_with(database), book_with(database))

    yield make
    for database in databases:
        await database.close()


@pytest.fixture
def make_memory_world(tmp_path):
    """Make the service over its fakes: `await make_memory_world(block_orders_max=2)`."""

    async def make(**changed):
        settings = settings_for(NO_DATABASE, tmp_path / "keys", **changed)
        return World(settings, MemoryDatabase().begin, MemoryVenueBook().begin)

    return make


@pytest.fixture(params=["memory", "postgres"])
def make_world(request):
    """Make the service, over the fakes and over PostgreSQL."""
    return request.getfixturevalue(f"make_{request.param}_world")


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
async def policy_address():
    """Where a policy service answers that everything is in force."""
    server = grpc.aio.server()
    add_PolicyServiceServicer_to_server(EverythingInForce(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
async def start_process(execution_database, policy_address, tmp_path):
    """Start the service as a process of its own: `await start_process(VENUE="fix44")`."""
    running = []

    async def start(**changed):
        issuer, environment = environment_of(execution_database, policy_address, tmp_path, **changed)
        process = Process(environment, tmp_path / "port", issuer)
        running.append(process)
        await process.start()
        return process

    yield start
    for each in running:
        await each.kill()
