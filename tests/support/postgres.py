"""A real PostgreSQL for tests: one server a test process, one fresh database a test.

The fixtures `policy_database`, `decision_database`, `execution_database` and `audit_database` each give a
`ServiceDatabase`: a database of its own, with that service's schema, roles and rights as in production, and its
migrations applied. They run once a session, into a template that each test's database is copied from.
`empty_database` is one without tables, for tests of the plumbing.

`EVENKEEL_DATABASE_URL` runs the same tests on another server.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from services.runtime.bootstrap import (
    KEPT,
    ROW_GRANTS,
    Passwords,
    bootstrap,
    keeper_role,
    owner_role,
    role,
    service_url,
)
from services.runtime.settings import ServiceSettings
from tools.local.postgres import admin_url

# A file system in memory, on Linux.
MEMORY = Path("/dev/shm")
# Databases are dropped when their test ends, so a few exist at a time.
ROOM_BYTES = 4 * 1024**3

# Roles belong to the whole server; test processes that share one must agree on them.
PASSWORDS = {
    service: Passwords(
        service=f"{service}-test",
        owner=f"{service}-owner-test",
        keeper=f"{service}-keeper-test" if service == KEPT else "",
    )
    for service in ROW_GRANTS
}


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """A database that holds one service's schema, and how its roles connect."""

    service: str
    name: str
    admin_server_url: str

    @property
    def url(self) -> str:
        """For the service itself: it reads and writes rows, as far as it may in production."""
        return service_url(self.admin_server_url, role(self.service), PASSWORDS[self.service].service, self.name)

    @property
    def owner_url(self) -> str:
        """For the owner of the schema, who runs migrations."""
        return service_url(self.admin_server_url, owner_role(self.service), PASSWORDS[self.service].owner, self.name)

    @property
    def keeper_url(self) -> str:
        """For audit's keeper, who destroys what two people decided to destroy."""
        return service_url(self.admin_server_url, keeper_role(self.service), PASSWORDS[self.service].keeper, self.name)

    def settings(self, **values: object) -> ServiceSettings:
        """Return settings that name this database, the others as a test needs them; `values` win."""
        given: dict[str, object] = {
            "database_url": self.url,
            "database_owner_url": self.owner_url,
            "database_schema": self.service,
            "database_pool_size": 4,
            "jwks_url": "file:/nonexistent/jwks.json",
            "token_issuer": "https://issuer.test",
        }
        return ServiceSettings.from_environment(**{**given, **values})


def _roomy(directory: Path) -> bool:
    """Return whether the databases of one test process fit into `directory`."""
    return directory.is_dir() and os.access(directory, os.W_OK) and shutil.disk_usage(directory).free > ROOM_BYTES


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Where to administer the session's server."""
    # A database a test, each of some megabytes: in memory, where there is enough, they never meet a disk.
    directory = Path(tempfile.mkdtemp(prefix="evenkeel-test-", dir=MEMORY if _roomy(MEMORY) else None))
    # Readable below: as root, the server runs as another user and must reach its data.
    directory.chmod(0o755)
    try:
        with admin_url(directory / "pg", durable=False) as url:
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def service_template(postgres_url: str) -> AsyncIterator[Callable[[str, bool], Awaitable[str]]]:
    """Make, once a session, the database that those of a service's tests are copied from; return its name."""
    made: dict[tuple[str, bool], str] = {}

    async def template(service: str, migrated: bool) -> str:
        if (service, migrated) not in made:
            name = f"evenkeel_template_{service}_{os.getpid()}_{uuid4().hex[:8]}"
            await bootstrap(postgres_url, {service: PASSWORDS[service]}, name)
            made[service, migrated] = name
            if migrated:
                # Here, because every test process imports this module and few need SQLAlchemy, which takes a second.
                from services.runtime.migrations import run_migrations  # noqa: PLC0415 - for the reason above

                database = ServiceDatabase(service, name, postgres_url)
                await run_migrations(database.settings(), f"services.{service}")
        return made[service, migrated]

    yield template
    for name in made.values():
        await _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def service_database(
    postgres_url: str, service_template: Callable[[str, bool], Awaitable[str]]
) -> AsyncIterator[Callable[..., Awaitable[ServiceDatabase]]]:
    """Make fresh databases for one test: `await service_database("policy")`; they are dropped after it."""
    made: list[str] = []

    async def fresh(service: str, *, migrated: bool = True) -> ServiceDatabase:
        template = await service_template(service, migrated)
        name = f"evenkeel_test_{service}_{os.getpid()}_{uuid4().hex[:8]}"
        await _administer(
            postgres_url,
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy",
            # A copy has the schema and its grants, and forgets what was set for the database as a whole.
            f"ALTER ROLE {role(service)} IN DATABASE {name} SET search_path = {service}",
            f"ALTER ROLE {owner_role(service)} IN DATABASE {name} SET search_path = {service}",
        )
        made.append(name)
        return ServiceDatabase(service, name, postgres_url)

    yield fresh
    for name in made:
        await _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


Fresh = Callable[..., Awaitable[ServiceDatabase]]


@pytest.fixture
async def policy_database(service_database: Fresh) -> ServiceDatabase:
    """Policy's tables, empty."""
    return await service_database("policy")


@pytest.fixture
async def decision_database(service_database: Fresh) -> ServiceDatabase:
    """Decision's tables, empty."""
    return await service_database("decision")


@pytest.fixture
async def execution_database(service_database: Fresh) -> ServiceDatabase:
    """Execution's tables, empty."""
    return await service_database("execution")


@pytest.fixture
async def audit_database(service_database: Fresh) -> ServiceDatabase:
    """Audit's tables, empty."""
    return await service_database("audit")


@pytest.fixture
async def empty_database(service_database: Fresh) -> ServiceDatabase:
    """Policy's schema and roles, and no table."""
    return await service_database("policy", migrated=False)


async def _administer(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
