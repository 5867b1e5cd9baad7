"""Execution over PostgreSQL."""

import pytest

from services.execution.store import begin_with
from services.execution.venues.sandbox.postgres import book_with
from services.runtime.database import Database
from tests.execution.world import World, settings_for


@pytest.fixture
async def make_world(execution_database, tmp_path):
    """Make the service over its own PostgreSQL database: `await make_world(block_orders_max=2)`."""
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
async def world(make_world):
    return await make_world()
