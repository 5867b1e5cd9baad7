"""Makes the tables of further logs, and tells which logs have tables."""

from collections.abc import Collection, Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services.audit.tables import EVENTS, NAMES, SCHEMA, log, table_name
from services.runtime.database import Database, database_url
from services.runtime.settings import ServiceSettings

# As for the log `events`: 2^24 entries a partition, eight of them.
PARTITION_ENTRIES = 1 << 24
PARTITIONS = 8
_PARTITIONED = {"entry": "idx", "posting": "start"}


def create_log_sql(name: str, tables: Sequence[str] = NAMES) -> Sequence[str]:
    """Return the statements that make the tables of the log `name`, all as those of the log `events` are.

    A migration gives the `tables` that there are by then.

    Raises:
        ValueError: No log can be called so.
    """
    statements = []
    for table in tables:
        made = f"{SCHEMA}.{table_name(table, name)}"
        column = _PARTITIONED.get(table)
        by = f" partition by range ({column})" if column else ""
        statements.append(f"create table {made} (like {SCHEMA}.{table} including all){by}")
        for number in range(PARTITIONS) if column else ():
            start = number * PARTITION_ENTRIES
            statements.append(
                f"create table {made}_{number:04d} partition of {made} "
                f"for values from ({start}) to ({start + PARTITION_ENTRIES})"
            )
    return [*statements, f"insert into {SCHEMA}.log (name) values ('{name}')"]  # noqa: S608 - a plain name, checked above


async def create_logs(settings: ServiceSettings, names: Collection[str]) -> list[str]:
    """Make the tables of those of the logs `names` that have none, as the schema's owner; return which were made."""
    engine = create_async_engine(
        database_url((settings.database_owner_url or settings.database_url).get_secret_value()), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"lock table {SCHEMA}.log in exclusive mode"))
            known = set((await connection.execute(select(log.c.name))).scalars())
            missing = sorted(set(names) - known - {EVENTS})
            for name in missing:
                for statement in create_log_sql(name):
                    await connection.execute(text(statement))
            return missing
    finally:
        await engine.dispose()


async def stored_logs(database: Database) -> list[str]:
    """Return the names of the logs that have tables."""
    async with database.read() as connection:
        return sorted((await connection.execute(select(log.c.name))).scalars())
