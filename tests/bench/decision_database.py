"""A database of decision on a server of its own, for benchmarks that read and write a book."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.runtime.bootstrap import Passwords, bootstrap, owner_role, role, service_url
from services.runtime.database import Database
from services.runtime.migrations import run_migrations
from services.runtime.settings import ServiceSettings
from tools.local.postgres import Postgres

_PASSWORDS = Passwords(service="s", owner="o", keeper="k")


@asynccontextmanager
async def decision_database() -> AsyncIterator[Database]:
    """Start a server with decision's tables, empty, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="evenkeel-bench-") as name:
        # As root, the server runs as another user and must reach its data.
        Path(name).chmod(0o755)
        server = Postgres(Path(name) / "pg")
        server.start()
        try:
            await bootstrap(server.url, {"decision": _PASSWORDS})
            settings = ServiceSettings.from_environment(
                database_url=service_url(server.url, role("decision"), _PASSWORDS.service),
                database_owner_url=service_url(server.url, owner_role("decision"), _PASSWORDS.owner),
                database_schema="decision",
                jwks_url="file:/nonexistent",
                token_issuer="https://issuer.test",
            )
            await run_migrations(settings, "services.decision")
            database = Database(settings)
            yield database
            await database.close()
        finally:
            server.stop()
