"""Migrations are applied once, by whoever comes first."""

import asyncio

import asyncpg
import pytest

from services.runtime.database import Database
from services.runtime.migrations import current_revision_is_head, head_revision, run_migrations

PACKAGE = "tests.runtime.counter"


@pytest.fixture
async def settings(empty_database):
    return empty_database.settings()


async def at_head(settings):
    database = Database(settings)
    async with database.dedicated() as connection:
        answer = await current_revision_is_head(connection, PACKAGE, settings.database_schema)
    await database.close()
    return answer


async def test_migrations_bring_the_schema_to_the_newest_revision(settings):
    assert not await at_head(settings)
    await run_migrations(settings, PACKAGE)

    assert await at_head(settings)
    assert head_revision(PACKAGE) == "0001"


async def test_migrations_may_be_repeated(settings):
    await run_migrations(settings, PACKAGE)
    await run_migrations(settings, PACKAGE)

    assert await at_head(settings)


async def test_several_may_migrate_at_once(settings):
    await asyncio.gather(*(run_migrations(settings, PACKAGE) for _ in range(3)))

    assert await at_head(settings)


async def test_the_service_itself_may_not_change_its_tables(settings, empty_database):
    await run_migrations(settings, PACKAGE)
    service = await asyncpg.connect(empty_database.url)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("ALTER TABLE policy.counter ADD COLUMN more text")
    await service.close()


async def test_a_schema_that_nobody_made_is_made(empty_database):
    administrator = empty_database.admin_server_url.rsplit("/", 1)[0] + f"/{empty_database.name}"
    settings = empty_database.settings(database_url=administrator, database_owner_url=None, database_schema="fresh")

    await run_migrations(settings, "tests.runtime.counter")

    assert await at_head(settings)
