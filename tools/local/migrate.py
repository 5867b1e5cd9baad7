"""Applies the migrations of all four services, one after the other in one process.

`python -m services.<name> migrate` does it for one service, as a cluster does; four of those take a machine that starts
all services at once some seconds longer.

    python -m tools.local.migrate   with the settings of all services in the environment
"""

import asyncio

from services.audit.config import AuditSettings
from services.audit.main import migrate as migrate_audit
from services.decision.config import DecisionSettings
from services.execution.config import ExecutionSettings
from services.policy.config import PolicySettings
from services.runtime.migrations import run_migrations

SETTINGS = (PolicySettings, DecisionSettings, ExecutionSettings)


async def migrate() -> None:
    """Bring every service's schema to its newest revision."""
    for settings in SETTINGS:
        read = settings.from_environment()
        await run_migrations(read, f"services.{read.database_schema}")
    await migrate_audit(AuditSettings.from_environment())


if __name__ == "__main__":
    asyncio.run(migrate())
