"""Execution over its fakes and over PostgreSQL."""

import pytest

from services.execution.store import begin_with
from services.execution.venues.sandbox.postgres import book_with
from services.runtime.database import Database
from tests.execution.memory import MemoryDatabase, MemoryVenueBook
from tests.execution.world import World, settings_for

NO_DATABASE = {
    "database_url": "postgresql://nobody@nowhere/none",
    "jwks_url": "file:/nonexistent/jwks.json",
    "token_issuer": "https://issuer.test",
}


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
