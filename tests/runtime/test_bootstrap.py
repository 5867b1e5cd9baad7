"""Who may do what in the database: each service its own rows, audit only adds, nobody sees another's."""

from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from services.runtime.bootstrap import ROW_GRANTS, bootstrap, keeper_role, main, owner_role, role, service_url
from tests.support.postgres import PASSWORDS

REFUSED = asyncpg.InsufficientPrivilegeError


class Server:
    """A server with a bootstrapped database that holds one table of each service, with one row."""

    def __init__(self, url):
        self.url = url
        self.database = f"evenkeel_bootstrap_{uuid4().hex[:8]}"

    @asynccontextmanager
    async def administrator(self):
        connection = await asyncpg.connect(self.url)
        yield connection
        await connection.close()

    @asynccontextmanager
    async def owner(self, service):
        url = service_url(self.url, owner_role(service), PASSWORDS[service].owner, self.database)
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()

    @asynccontextmanager
    async def login(self, service, password=None):
        url = service_url(self.url, role(service), password or PASSWORDS[service].service, self.database)
        connection = await asyncpg.connect(url)
        # All tests share the server, so none leaves anything.
        undone = connection.transaction()
        await undone.start()
        yield connection
        await undone.rollback()
        await connection.close()


@pytest.fixture(scope="module")
async def server(postgres_url):
    server = Server(postgres_url)
    await bootstrap(server.url, PASSWORDS, server.database)
    for service in ROW_GRANTS:
        async with server.owner(service) as owner:
            await owner.execute("CREATE TABLE thing (id bigserial PRIMARY KEY, name text)")
            await owner.execute("INSERT INTO thing (name) VALUES ('first')")
    yield server
    async with server.administrator() as administrator:
        await administrator.execute(f"DROP DATABASE {server.database} WITH (FORCE)")


@pytest.mark.parametrize("service", ROW_GRANTS)
async def test_a_service_reads_and_adds_rows_of_its_own(server, service):
    async with server.login(service) as connection:
        await connection.execute("INSERT INTO thing (name) VALUES ('second')")

        assert await connection.fetchval(f"SELECT count(*) FROM {service}.thing") == 2


@pytest.mark.parametrize("service", ["policy", "decision", "execution"])
async def test_a_service_changes_and_removes_rows_of_its_own(server, service):
    async with server.login(service) as connection:
        assert await connection.execute("UPDATE thing SET name = 'other'") == "UPDATE 1"
        assert await connection.execute("DELETE FROM thing") == "DELETE 1"


@pytest.mark.parametrize("service", ROW_GRANTS)
async def test_no_service_reads_anothers_table(server, service):
    async with server.login(service) as connection:
        for other in ROW_GRANTS.keys() - {service}:
            with pytest.raises(REFUSED):
                async with connection.transaction():
                    await connection.fetch(f"SELECT id FROM {other}.thing")


@pytest.mark.parametrize("statement", ["UPDATE thing SET name = 'x'", "DELETE FROM thing", "TRUNCATE thing"])
async def test_audit_cannot_change_what_is_recorded(server, statement):
    async with server.login("audit") as connection:
        with pytest.raises(REFUSED):
            await connection.execute(statement)


@pytest.mark.parametrize("service", ROW_GRANTS)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE other (id int)",
        "ALTER TABLE thing ADD COLUMN more int",
        "DROP TABLE thing",
        "CREATE SCHEMA other",
        "CREATE TABLE public.other (id int)",
        "CREATE TEMPORARY TABLE other (id int)",
        "CREATE ROLE other",
    ],
)
async def test_a_service_cannot_change_the_schema_or_roles(server, service, statement):
    async with server.login(service) as connection:
        with pytest.raises(REFUSED):
            await connection.execute(statement)


@pytest.mark.parametrize("service", ROW_GRANTS)
async def test_an_owner_stays_in_its_own_schema(server, service):
    async with server.owner(service) as connection:
        for other in ROW_GRANTS.keys() - {service}:
            with pytest.raises(REFUSED):
                await connection.fetch(f"SELECT id FROM {other}.thing")


async def test_another_password_is_refused(server):
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with server.login("policy", password="guessed"):
            pass


async def test_a_repeat_keeps_rows_and_rights(server):
    await bootstrap(server.url, PASSWORDS, server.database)

    async with server.login("audit") as connection:
        assert await connection.fetchval("SELECT count(*) FROM thing") == 1
        with pytest.raises(REFUSED):
            await connection.execute("DELETE FROM thing")


async def test_tables_that_were_there_before_a_repeat_are_granted(server):
    async with server.owner("policy") as owner:
        await owner.execute("REVOKE ALL ON thing FROM evenkeel_policy")

    await bootstrap(server.url, PASSWORDS, server.database)

    async with server.login("policy") as connection:
        assert await connection.fetchval("SELECT count(*) FROM thing") == 1


async def test_an_administrator_who_is_no_superuser_suffices(postgres_url):
    database, name = f"evenkeel_managed_{uuid4().hex[:8]}", f"managed_{uuid4().hex[:8]}"
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute(f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE PASSWORD 'managed'")
    for service in ROW_GRANTS:
        # As if this administrator had made the roles: they are shared with the other tests of this server.
        for each in (role(service), owner_role(service), keeper_role(service)):
            if await administrator.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", each):
                await administrator.execute(f"GRANT {each} TO {name} WITH ADMIN OPTION")

    await bootstrap(service_url(postgres_url, name, "managed", "postgres"), PASSWORDS, database)

    assert await administrator.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database) == 1
    await administrator.execute(f"DROP DATABASE {database} WITH (FORCE)")
    await administrator.close()


async def test_an_unknown_service_is_refused(postgres_url):
    with pytest.raises(ValueError, match="were accounting"):
        await bootstrap(postgres_url, {"accounting": PASSWORDS["audit"]})


def test_a_missing_setting_is_named(monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_URL", "postgresql://127.0.0.1/postgres")
    monkeypatch.delenv("EVENKEEL_POLICY_DATABASE_PASSWORD", raising=False)

    assert main(["--admin-url-env", "ADMIN_URL", "--service", "policy"]) == 2
    assert capsys.readouterr().err == "the environment variable EVENKEEL_POLICY_DATABASE_PASSWORD is not set\n"
