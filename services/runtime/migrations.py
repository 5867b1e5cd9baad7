"""Tables are made and changed by migrations, one tree per service, each applied once.

Migrations only add, and code runs before and after each. So an older build still serves on a newer schema; it is a
schema older than the build that must wait.
"""

import hashlib
from functools import cache
from importlib import import_module
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from services.runtime.database import database_url
from services.runtime.logging import get_logger
from services.runtime.settings import ServiceSettings

log = get_logger()


async def run_migrations(settings: ServiceSettings, package: str) -> None:
    """Bring the service's schema to the newest revision. Safe to run again, and by several at once.

    Connects as the schema's owner when `database_owner_url` is set. The schema itself and the rights of the service's
    own login are made when the database is set up; the schema is made here when nobody did.

    Args:
        settings: Of the service.
        package: Whose `migrations/` to apply, for instance `services.policy`.
    """
    url = (settings.database_owner_url or settings.database_url).get_secret_value()
    engine = create_async_engine(database_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, package, settings.database_schema)
    finally:
        await engine.dispose()
    log.info("migrated", schema=settings.database_schema, revision=head_revision(package))


def run_env() -> None:
    """Be the whole of a service's `migrations/env.py`: apply what `run_migrations` prepared."""
    connection: Connection = context.config.attributes["connection"]
    schema: str = context.config.attributes["schema"]
    context.configure(
        connection=connection,
        version_table_schema=schema,
        include_schemas=True,
        # `run_migrations` owns the transaction: all revisions together or none.
        transaction_per_migration=False,
    )
    context.run_migrations()


@cache
def head_revision(package: str) -> str | None:
    """Return the newest revision of this build; None when the service has no migrations yet."""
    # A build does not change while it runs, health asks every few seconds, and reading a tree loads each of its files.
    return ScriptDirectory.from_config(_config(package)).get_current_head()


async def current_revision_is_head(connection: AsyncConnection, package: str, schema: str) -> bool:
    """Return whether the schema is at this build's newest revision, or at one that only a newer build knows."""
    try:
        found = (await connection.execute(text(f'SELECT version_num FROM "{schema}".alembic_version'))).scalar()  # noqa: S608 - the setting is a plain name
    except ProgrammingError:
        # No such table: nothing was migrated yet.
        return False
    return found is not None and (found == head_revision(package) or not _knows(package, found))


def _upgrade(connection: Connection, package: str, schema: str) -> None:
    # Several replicas may start at once; the second waits and then finds nothing left to do.
    key = int.from_bytes(hashlib.sha256(f"migrate/{schema}".encode()).digest()[:8], "big", signed=True)
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    known = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :schema")
    if connection.execute(known, {"schema": schema}).first() is None:
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    config = _config(package)
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, "head")


def _config(package: str) -> Config:
    home = import_module(package).__file__
    if home is None:
        raise ValueError(f"{package} has no directory of its own")
    config = Config()
    config.set_main_option("script_location", str(Path(home).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _knows(package: str, revision: str) -> bool:
    return any(each.revision == revision for each in ScriptDirectory.from_config(_config(package)).walk_revisions())
