"""Prepares a PostgreSQL server for the four services: one database, and for each service a schema and two roles.

The owner of a schema runs its migrations; the service itself can only read and write rows, and audit can only read and
add them. Neither sees another service's schema. What audit may destroy when two people decided it (old entries, keys of
personal data) needs a third login, its keeper, which can do nothing else. Repeating it is harmless: passwords are set
anew, nothing is dropped.

    python -m services.runtime.bootstrap --admin-url-env NAME

reads the administrator's URL from the environment variable NAME, and the passwords from
`EVENKEEL_<SERVICE>_DATABASE_PASSWORD`, `EVENKEEL_<SERVICE>_DATABASE_OWNER_PASSWORD` and
`EVENKEEL_AUDIT_KEEPER_DATABASE_PASSWORD`.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

DATABASE = "evenkeel"

# What each service may do with the rows of its own schema.
ROW_GRANTS: Mapping[str, str] = MappingProxyType(
    {
        "policy": "SELECT, INSERT, UPDATE, DELETE",
        "decision": "SELECT, INSERT, UPDATE, DELETE",
        "execution": "SELECT, INSERT, UPDATE, DELETE",
        # The record is added to; nothing in it is ever changed or removed.
        "audit": "SELECT, INSERT",
    }
)

# The service that has a keeper.
KEPT = "audit"

# RFC 7677 asks for 4096 or more, and PostgreSQL's own default is that.
SCRAM_ITERATIONS = 4096
# Held while roles and grants change: two bootstraps at once would disturb each other in the catalog.
LOCK = 0x6576656E6B65656C


@dataclass(frozen=True, slots=True, repr=False)
class Passwords:
    """The passwords of one service's two roles, and of its keeper when it has one; without one, no keeper is made."""

    service: str
    owner: str
    keeper: str = ""


def role(service: str) -> str:
    """Return the role that a service logs in with."""
    return f"evenkeel_{service}"


def owner_role(service: str) -> str:
    """Return the role that owns a service's schema and runs its migrations."""
    return f"evenkeel_{service}_owner"


def keeper_role(service: str) -> str:
    """Return the role that destroys what two people decided to destroy."""
    return f"evenkeel_{service}_keeper"


def service_url(admin_url: str, login: str, password: str, database: str = DATABASE) -> str:
    """Return where `login` connects, on the server of `admin_url`."""
    at = urlsplit(admin_url)
    host = at.netloc.rpartition("@")[2]
    return urlunsplit(at._replace(netloc=f"{quote(login)}:{quote(password, safe='')}@{host}", path=f"/{database}"))


async def bootstrap(
    admin_url: str,
    passwords: Mapping[str, Passwords],
    database: str = DATABASE,
    *,
    iterations: int = SCRAM_ITERATIONS,
) -> None:
    """Make the database, and for each service its schema and its roles; whatever is there already stays.

    Args:
        admin_url: A login that may create databases and roles.
        passwords: By service, the keys of `ROW_GRANTS`.
        database: The database's name.
        iterations: How often a password is hashed, at least once; whoever connects does that each time, too.

    Raises:
        ValueError: A service is not one of ours.
        asyncpg.PostgresError: The server refused.
    """
    unknown = passwords.keys() - ROW_GRANTS.keys()
    if unknown:
        raise ValueError(f"services must be among {', '.join(ROW_GRANTS)}, were {', '.join(sorted(unknown))}")
    server = await asyncpg.connect(admin_url)
    try:
        await server.execute("SELECT pg_advisory_lock($1)", LOCK)
        for service, password in passwords.items():
            await _make_role(server, owner_role(service), password.owner, iterations)
            await _make_role(server, role(service), password.service, iterations)
            if password.keeper:
                await _make_role(server, keeper_role(service), password.keeper, iterations)
        if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await server.execute(f"CREATE DATABASE {database} ENCODING 'UTF8' TEMPLATE template0")
        await server.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        # Into the new database, while the lock is held in the old.
        inside = await asyncpg.connect(admin_url, database=database)
        try:
            async with inside.transaction():
                await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
                for service, password in passwords.items():
                    await _make_schema(inside, service, database)
                    if password.keeper:
                        await _make_keeper_schema(inside, service, database)
        finally:
            await inside.close()
    finally:
        await server.close()


async def _make_role(server: asyncpg.Connection, name: str, password: str, iterations: int) -> None:
    # The name is ours and the verifier is base64, so neither needs quoting; the password itself never leaves here.
    proof = f"PASSWORD '{_scram_verifier(password, iterations)}'"
    exists = await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    if exists:
        await server.execute(f"ALTER ROLE {name} {proof}")
    else:
        await server.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {proof}")


async def _make_schema(inside: asyncpg.Connection, service: str, database: str) -> None:
    owner, login, rows = owner_role(service), role(service), ROW_GRANTS[service]
    if not await inside.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        # Only a member may make things in the owner's name; a superuser needs no membership.
        await inside.execute(f"GRANT {owner} TO CURRENT_USER")
    for statement in (
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {owner}",
        f"GRANT CONNECT ON DATABASE {database} TO {login}",
        f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {owner}",
        f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {service} TO {login}",
        # What migrations make later, and what they made before.
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {service} GRANT {rows} ON TABLES TO {login}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {service} GRANT USAGE, SELECT ON SEQUENCES TO {login}",
        f"GRANT {rows} ON ALL TABLES IN SCHEMA {service} TO {login}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {service} TO {login}",
        f"ALTER ROLE {owner} IN DATABASE {database} SET search_path = {service}",
        f"ALTER ROLE {login} IN DATABASE {database} SET search_path = {service}",
    ):
        await inside.execute(statement)


async def _make_keeper_schema(inside: asyncpg.Connection, service: str, database: str) -> None:
    owner, keeper, schema = owner_role(service), keeper_role(service), f"{service}_keeper"
    for statement in (
        f"GRANT CONNECT ON DATABASE {database} TO {keeper}",
        f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        # What it may do there, the migrations say.
        f"GRANT USAGE ON SCHEMA {schema} TO {keeper}",
        f"ALTER ROLE {keeper} IN DATABASE {database} SET search_path = {schema}",
    ):
        await inside.execute(statement)


def _scram_verifier(password: str, iterations: int) -> str:
    """Return what PostgreSQL stores for a password (RFC 5803), so that its log never sees the password itself."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored_text}:{server_text}"


def _passwords(environment: Mapping[str, str], services: Sequence[str]) -> dict[str, Passwords]:
    return {
        service: Passwords(
            service=environment[f"EVENKEEL_{service.upper()}_DATABASE_PASSWORD"],
            owner=environment[f"EVENKEEL_{service.upper()}_DATABASE_OWNER_PASSWORD"],
            keeper=environment[f"EVENKEEL_{service.upper()}_KEEPER_DATABASE_PASSWORD"] if service == KEPT else "",
        )
        for service in services
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the server that the environment names, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.runtime.bootstrap", description=__doc__)
    parser.add_argument("--admin-url-env", required=True, help="the environment variable with the administrator's URL")
    parser.add_argument("--service", action="append", choices=list(ROW_GRANTS), help="only these; may be repeated")
    given = parser.parse_args(arguments)
    try:
        admin_url = os.environ[given.admin_url_env]
        passwords = _passwords(os.environ, given.service or list(ROW_GRANTS))
    except KeyError as missing:
        sys.stderr.write(f"the environment variable {missing.args[0]} is not set\n")
        return 2
    asyncio.run(bootstrap(admin_url, passwords))
    return 0


if __name__ == "__main__":
    sys.exit(main())
