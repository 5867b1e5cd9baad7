"""The migrations make exactly the tables that the code declares."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.decision.tables import metadata
from services.runtime.database import database_url


async def test_the_migrated_schema_is_the_declared_one(decision_database):
    # Elsewhere by default, so that Alembic names our schema as the tables do.
    elsewhere = {"server_settings": {"search_path": "pg_catalog"}}
    engine = create_async_engine(database_url(decision_database.owner_url), connect_args=elsewhere)

    def differences(connection: Connection) -> list[object]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: name == "decision" if kind == "schema" else name != "alembic_version",
            "version_table_schema": "decision",
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()

    assert found == []
