"""A real PostgreSQL for tests: one server a test process, a database for each test as if it were new.

The fixtures `policy_database`, `decision_database`, `execution_database` and `audit_database` each give a
`ServiceDatabase`: a database of its own, with that service's schema, roles and rights as in production, and its
migrations applied. They run once a session, into a template that databases are copied from; one that a test is done
with is put back to how it began and serves another test, which takes a tenth of the time of a new one (`reuse.sql`).
`empty_database` is one without tables, for tests of the plumbing; `service_database` gives also such as have a past,
where what many tests begin with has happened already.

`EVENKEEL_DATABASE_URL` runs the same tests on another server.
"""

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
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

if TYPE_CHECKING:
    from tests.support.connections import Kept

# A file system in memory, on Linux.
MEMORY = Path("/dev/shm")
# Databases serve one test after another, so a few exist at a time.
ROOM_BYTES = 4 * 1024**3

REUSE = Path(__file__).parent / "reuse.sql"
# Deleted rows stay in the files until somebody cleans up; beyond this a new database is cheaper.
REUSED_BYTES_MAX = 4 * 1024**2

# Roles belong to the whole server; test processes that share one must agree on them.
PASSWORDS = {
    service: Passwords(
        service=f"{service}-test",
        owner=f"{service}-owner-test",
        keeper=f"{service}-keeper-test" if service == KEPT else "",
    )
    for service in ROW_GRANTS
}
# Nobody guesses those, and a client hashes one as often for each of thousands of connections.
HASHED = 1


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
            # A busy machine is not an overloaded service.
            "database_pool_wait_s": 60,
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
        with admin_url(directory / "pg", durable=False) as url, pytest.MonkeyPatch.context() as environment:
            if directory.joinpath("pg").exists():
                # Our own server does not encrypt; asyncpg would ask it at each connection: 1 ms of 4.
                environment.setenv("PGSSLMODE", "disable")
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# What happened in a database before a test has it: done once a session, in a template.
Past = Callable[[ServiceDatabase], Awaitable[None]]
# The service whose roles a database has, the package whose migrations are in, and its past.
Kind = tuple[str, str | None, Past | None]


class Databases:
    """The databases of one server, by kind."""

    def __init__(self, url: str, kept: "Kept | None" = None) -> None:
        """Nothing is made before somebody asks; connections that are `kept` survive what puts a database back."""
        if kept is None:
            from tests.support.connections import Kept  # noqa: PLC0415 - as in `databases`

            kept = Kept()
        self._url = url
        self._kept = kept
        self._templates: dict[Kind, str] = {}
        # Whose test is over, as they began.
        self._idle: dict[Kind, list[str]] = defaultdict(list)
        # Each puts one database back to how it began, and has planned that.
        self._restoring: dict[str, asyncpg.Connection] = {}

    async def take(self, service: str, package: str | None, past: Past | None = None) -> ServiceDatabase:
        """Return a database as `package`'s migrations and then `past` leave it; without tables for no package."""
        kind = service, package, past
        name = self._idle[kind].pop() if self._idle[kind] else await self._copy(service, await self._template(kind))
        if package is not None:
            self._kept.keep(name)
        return ServiceDatabase(service, name, self._url)

    async def give_back(self, database: ServiceDatabase, package: str | None, past: Past | None = None) -> None:
        """Put a database back to how it began, or drop it when that cannot be."""
        if package is not None and await self._restored(database.name):
            self._idle[database.service, package, past].append(database.name)
        else:
            await self._drop(database.name)

    async def drop_all(self) -> None:
        """Drop what is here; a server that is not ours lives on."""
        for name in (*self._templates.values(), *chain.from_iterable(self._idle.values())):
            await self._drop(name)

    async def _drop(self, name: str) -> None:
        await self._kept.forget(name)
        connection = self._restoring.pop(name, None)
        if connection is not None:
            await connection.close()
        await self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    async def _copy(self, service: str, template: str) -> str:
        name = f"evenkeel_test_{service}_{os.getpid()}_{uuid4().hex[:8]}"
        await self._administer(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy",
            # A copy has the schema and its grants, and forgets what was set for the database as a whole.
            f"ALTER ROLE {role(service)} IN DATABASE {name} SET search_path = {service}",
            f"ALTER ROLE {owner_role(service)} IN DATABASE {name} SET search_path = {service}",
        )
        return name

    async def _template(self, kind: Kind) -> str:
        if kind not in self._templates:
            service, package, past = kind
            if past is None:
                name = await self._migrated(service, package)
            else:
                name = await self._copy(service, await self._template((service, package, None)))
                await past(ServiceDatabase(service, name, self._url))
            if package is not None:
                await self._administer("SELECT pristine.remember()", database=name)
            self._templates[kind] = name
        return self._templates[kind]

    async def _migrated(self, service: str, package: str | None) -> str:
        name = f"evenkeel_template_{service}_{os.getpid()}_{uuid4().hex[:8]}"
        await bootstrap(self._url, {service: PASSWORDS[service]}, name, iterations=HASHED)
        if package is not None:
            from services.runtime.migrations import run_migrations  # noqa: PLC0415 - as in `databases`

            await run_migrations(ServiceDatabase(service, name, self._url).settings(), package)
            await self._administer(REUSE.read_text().replace("{schema}", service), database=name)
        return name

    async def _restored(self, name: str) -> bool:
        connection = self._restoring.get(name)
        if connection is None or connection.is_closed():
            as_replica = {"session_replication_role": "replica"}
            connection = await asyncpg.connect(self._url, database=name, server_settings=as_replica)
            self._restoring[name] = connection
        mine = self._kept.backends(name)
        return bool(await connection.fetchval("SELECT pristine.restore($1, $2)", REUSED_BYTES_MAX, mine))

    async def _administer(self, *statements: str, database: str | None = None) -> None:
        connection = await asyncpg.connect(self._url, **({"database": database} if database else {}))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
async def databases(postgres_url: str) -> AsyncIterator[Databases]:
    """The session's databases."""
    # Here, because every test process imports this module and few need SQLAlchemy, which takes a second.
    from tests.support.statements import kept, share_statements  # noqa: PLC0415 - for the reason above

    share_statements()
    found = Databases(postgres_url, kept)
    yield found
    await found.drop_all()


@pytest.fixture
async def service_database(databases: Databases) -> AsyncIterator[Callable[..., Awaitable[ServiceDatabase]]]:
    """Make databases for one test: `await service_database("policy")`.

    `package` names another than the service's own package, whose migrations shall be in; None: no table. `past` is
    what shall have happened in it.
    """
    taken: list[tuple[ServiceDatabase, str | None, Past | None]] = []

    async def fresh(
        service: str, *, package: str | None = "services.{service}", past: Past | None = None
    ) -> ServiceDatabase:
        whose = package and package.format(service=service)
        database = await databases.take(service, whose, past)
        taken.append((database, whose, past))
        return database

    yield fresh
    for each in taken:
        await databases.give_back(*each)


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
    return await service_database("policy", package=None)
