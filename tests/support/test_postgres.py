"""A database that served one test is to the next as if it were new."""

import asyncpg

from tests.support.postgres import Databases

PACKAGE = "services.execution"
RELATIONS = """
    SELECT oid::regclass::text, CASE relkind WHEN 'S' THEN 'last_value, is_called' ELSE '*' END
    FROM pg_class WHERE relnamespace = 'execution'::regnamespace AND relkind IN ('r', 'S')
"""


async def content(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Return every row of every table, and where every sequence is."""
    names = await connection.fetch(RELATIONS)
    rows = {name: await connection.fetch(f"SELECT {columns} FROM {name}") for name, columns in names}
    return {name: sorted(map(repr, found)) for name, found in rows.items()}


async def test_what_a_test_wrote_is_gone_and_what_the_migrations_wrote_is_there(databases: Databases) -> None:
    database = await databases.take("execution", PACKAGE)
    connection = await asyncpg.connect(database.owner_url)
    began = await content(connection)
    sequences = await connection.fetch("SELECT sequencename FROM pg_sequences WHERE schemaname = 'execution'")
    for row in sequences:
        await connection.execute(f"SELECT nextval('execution.{row['sequencename']}')")
    await connection.execute("DELETE FROM execution.alembic_version")
    assert await content(connection) != began

    # With a connection open, as a test that failed leaves it.
    await databases.give_back(database, PACKAGE)
    again = await databases.take("execution", PACKAGE)

    assert again == database
    reader = await asyncpg.connect(again.owner_url)
    assert await content(reader) == began
    await reader.close()
    await databases.give_back(again, PACKAGE)


async def test_an_altered_schema_serves_nobody_again(databases: Databases) -> None:
    database = await databases.take("execution", PACKAGE)
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("ALTER TABLE execution.alembic_version DISABLE TRIGGER USER")
    await connection.close()

    await databases.give_back(database, PACKAGE)

    again = await databases.take("execution", PACKAGE)
    assert again != database
    await databases.give_back(again, PACKAGE)
