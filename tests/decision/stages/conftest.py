import pytest

from services.runtime.database import Database
from tests.decision.stages.world import World


@pytest.fixture
async def world(decision_database):
    database = Database(decision_database.settings(database_pool_size=8))
    yield World(database)
    await database.close()
