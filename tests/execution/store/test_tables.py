"""The migrations make what the code believes is there."""

import asyncpg
import pytest

from services.execution import tables
from services.execution.fix import tables as fix
from services.execution.venues.fix44 import tables as fix44
from services.execution.venues.sandbox import tables as sandbox
from tests.execution.builders import a_plan


@pytest.fixture
async def columns(execution_database):
    connection = await asyncpg.connect(execution_database.url)
    found = await connection.fetch(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns WHERE table_schema = 'execution'"
    )
    await connection.close()
    return {(row["table_name"], row["column_name"]): row["is_nullable"] == "YES" for row in found}


async def test_every_column_exists_and_no_other(columns):
    declared = {
        (table.name, column.name): bool(column.nullable)
        for metadata in (tables.metadata, sandbox.metadata, fix.metadata, fix44.metadata)
        for table in metadata.tables.values()
        for column in table.columns
    }

    assert {name: null for name, null in columns.items() if name[0] != "alembic_version"} == declared


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE execution.account_order SET filled = quantity + 1",
        "UPDATE execution.account_order SET placed = released + 1",
    ],
)
async def test_the_database_itself_refuses_more_than_was_ordered(make_postgres_world, execution_database, statement):
    world = await make_postgres_world()
    await world.market(VTI=100)
    await world.submit(a_plan())
    connection = await asyncpg.connect(execution_database.url)

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(statement)
    await connection.close()
