"""Where audit is measured: a durable server with the service's tables, and events as long as real ones.

`EVENKEEL_BENCH_AUDIT_ENTRIES` is how many entries the large log has. It is filled once in a run and gone at its end;
with `EVENKEEL_BENCH_AUDIT_DIRECTORY` it stays in that directory, and the next run finds it there.
"""

import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.domain.entry import Event
from services.audit.domain.signed_note import SigningKey
from services.runtime.bootstrap import Passwords, bootstrap, owner_role, role, service_url
from services.runtime.migrations import run_migrations
from services.runtime.settings import ServiceSettings
from tests.bench.servers import use
from tools.local.postgres import Postgres

ORIGIN = "audit.example/bench"
ENTRIES = int(os.environ.get("EVENKEEL_BENCH_AUDIT_ENTRIES", "10000000"))
ACCOUNTS = 100_000
SAMPLES = 400
PASSWORDS = Passwords(service="s", owner="o", keeper="k")
# A server for a log of ten million entries, as an operator would set it up: PostgreSQL's 128 MB of buffers are for a
# small machine, and with 1 GB of log between its checkpoints it would write most pages again and again.
SERVER = {"shared_buffers": "1GB", "min_wal_size": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}
# Files of write-ahead log that the server has when measuring begins, 16 MB each.
WAL_FILES = 24


@dataclass(frozen=True, slots=True)
class Lab:
    """A durable database server with audit's tables, and a key."""

    server: Postgres
    settings: ServiceSettings
    key: SigningKey
    directory: Path

    @property
    def owner_url(self) -> str:
        """Where the owner of its tables connects."""
        return self.settings.database_owner_url.get_secret_value() if self.settings.database_owner_url else ""

    @property
    def url(self) -> str:
        """Where the service connects."""
        return self.settings.database_url.get_secret_value()


@asynccontextmanager
async def lab(directory: Path | None = None) -> AsyncIterator[Lab]:
    """Start a server on `directory`, or on an empty one that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="evenkeel-bench-") as name:
        directory = directory or Path(name)
        # As root, the server runs as another user and must reach its data.
        directory.chmod(0o755)
        server = Postgres(directory / "pg", durable=True, settings=SERVER)
        server.start()
        try:
            await use(server.url, WAL_FILES)
            await bootstrap(server.url, {"audit": PASSWORDS})
            settings = ServiceSettings.from_environment(
                database_url=service_url(server.url, role("audit"), PASSWORDS.service),
                database_owner_url=service_url(server.url, owner_role("audit"), PASSWORDS.owner),
                database_schema="audit",
                jwks_url="file:/nonexistent",
                token_issuer="https://issuer.test",
            )
            await run_migrations(settings, "services.audit")
            # Nothing is kept secret here, and a log that stays goes on with its key.
            key = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
            yield Lab(server, settings, key, directory)
        finally:
            server.stop()


@cache
def large_log_directory() -> Path:
    """Return where the large log is; without a directory given, one that is gone with this process."""
    given = os.environ.get("EVENKEEL_BENCH_AUDIT_DIRECTORY")
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        return Path(given)
    _KEPT.append(tempfile.TemporaryDirectory(prefix="evenkeel-bench-log-"))
    return Path(_KEPT[0].name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


NOW = datetime(2026, 11, 28, 12, 0, 0, 1000, tzinfo=UTC)


def an_event(number: int) -> Event:
    """Return an event of about 485 bytes as JSON."""
    account = f"account-{number % ACCOUNTS:06d}"
    return Event(
        event_id=_event_id(number),
        kind="execution.order.closed" if number % 2 else "decision.plan.decided",
        occurred_time=NOW + timedelta(microseconds=number),
        producer="execution" if number % 2 else "decision",
        actor="execution_service" if number % 2 else "decision_service",
        trace_parent=f"00-{number // 50 + 1:032x}-00f067aa0ba902b7-01",
        subjects={"account": account, "plan": f"plan-{number // 2:010d}"},
        data=b'{"note":"%b","number":%d,"quantity":"12.5"}' % (b"x" * 118, number),
    )


def _event_id(number: int) -> str:
    """Return a UUID that looks random; written by hand, because `uuid` costs more than recording the event."""
    digits = f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


async def timed(ask: Callable[[], Awaitable[object]], samples: int = SAMPLES) -> list[float]:
    """Return what each of `samples` questions took, in seconds, after some that do not count."""
    taken = []
    for number in range(samples + 20):
        began = time.perf_counter()
        await ask()
        if number >= 20:
            taken.append(time.perf_counter() - began)
    return taken
