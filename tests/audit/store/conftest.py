"""The database of one log, as the service and as a superuser behind its back see it."""

import asyncpg
import pytest

from services.runtime.database import Database


@pytest.fixture
async def database(audit_database):
    """As the service sees it."""
    database = Database(audit_database.settings())
    yield database
    await database.close()


@pytest.fixture
async def superuser(audit_database):
    """A connection that may change anything."""
    connection = await asyncpg.connect(audit_database.admin_server_url, database=audit_database.name)
    yield connection
    await connection.close()
