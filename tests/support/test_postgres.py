"""A database that served one test is to the next as if it were new."""

import asyncpg

from tests.support.postgres import Databases, ServiceDatabase

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


async def test_a_past_happens_once_and_every_database_has_it_again_whatever_a_test_did(databases: Databases) -> None:
    happened = 0

    async def past(database: ServiceDatabase) -> None:
        nonlocal happened
        happened += 1
        connection = await asyncpg.connect(database.owner_url)
        await connection.execute("CREATE TABLE execution.past (day int)")
        await connection.execute("INSERT INTO execution.past VALUES (7)")
        await connection.close()

    async def days(database: ServiceDatabase, statement: str) -> list[int]:
        connection = await asyncpg.connect(database.owner_url)
        await connection.execute(statement)
        found = await connection.fetch("SELECT day FROM execution.past")
        await connection.close()
        return [row["day"] for row in found]

    first, second = [await databases.take("execution", PACKAGE, past) for _ in range(2)]
    assert await days(first, "DELETE FROM execution.past") == []
    assert await days(second, "INSERT INTO execution.past VALUES (8)") == [7, 8]
    for each in (first, second):
        await databases.give_back(each, PACKAGE, past)

    again = await databases.take("execution", PACKAGE, past)
    plain = await databases.take("execution", PACKAGE)

    assert again in (first, second)
    assert plain not in (first, second)
    assert await days(again, "SELECT 1") == [7]
    assert happened == 1
    await databases.give_back(again, PACKAGE, past)
    await databases.give_back(plain, PACKAGE)
