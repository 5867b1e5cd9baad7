"""The four services as processes of one machine, with everything they need made beside them.

    async with LocalStack(Path(".state/up")) as stack:
        async with Evenkeel(stack.profile, "advisor") as services: ...

The directory keeps the database, certificates, keys, tokens and logs; a later stack on it goes on where this one ended.
"""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.bootstrap import KEPT, Passwords, bootstrap, keeper_role, owner_role, role, service_url
from tools.client.profile import SERVICES, Profile
from tools.local import children, files, keys
from tools.local.certificates import Authority
from tools.local.issuer import AUDIENCE, ISSUER, TokenIssuer
from tools.local.postgres import admin_url

ROOT = Path(__file__).resolve().parents[2]

# Who calls: one person for each role that people have, so that nobody holds two.
PEOPLE: Mapping[str, str] = {
    "policy_author": "ada.author",
    "policy_approver": "pavel.approver",
    "platform_engineer": "petra.platform",
    "advisor": "alba.advisor",
    "trader": "tomas.trader",
    "risk_officer": "rosa.risk",
    "compliance_officer": "carl.compliance",
    "records_officer": "rita.records",
}
PERSON_TOKEN_LIFETIME = timedelta(hours=12)
SERVICE_TOKEN_LIFETIME = timedelta(hours=1)

MIGRATE_S_MAX = 120.0
# Generous: a machine that runs other tests beside it has little time for each.
START_S_MAX = 180.0
STOP_S_MAX = 20.0
# How often a starting service is asked whether it serves.
ASK_EACH_S = 0.05
LOG_TAIL_BYTES = 3000

# Starts a module as a program: its name, the words after it, its whole environment, and where its output goes.
Launch: TypeAlias = Callable[[str, Sequence[str], Mapping[str, str], Path], children.Child]


def python(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> children.Child:
    """Start `python -m module arguments…`."""
    command = [sys.executable, "-m", module, *arguments]
    return children.start(command, log=log, environment=environment, directory=ROOT)


class StackFailed(Exception):
    """A service did not start or ended by itself; the message has the end of its log."""


@dataclass(slots=True)
class LocalStack:
    """The four services and their PostgreSQL on this machine; `async with`, from the main thread (see `children`)."""

    # Everything of this stack.
    directory: Path
    # Whether the database survives a crash of the machine.
    durable: bool = True
    # What time the market has now; None: the computer's.
    market_time: datetime | None = None
    # Where spans and metrics go; None: where the caller's OTEL_* variables say.
    otlp_endpoint: str | None = None
    # Ports to listen on, by service; a free one for those not named.
    ports: Mapping[str, int] = field(default_factory=dict)
    # More environment variables, for all services; they win.
    environment: Mapping[str, str] = field(default_factory=dict)
    # How its programs are started.
    launch: Launch = python
    profile: Profile = field(init=False)
    issuer: TokenIssuer = field(init=False)
    # Where to administer the database server.
    database_url: str = field(default="", init=False)
    _processes: dict[str, children.Child] = field(default_factory=dict, init=False)
    _environments: dict[str, dict[str, str]] = field(default_factory=dict, init=False)
    _closing: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    async def __aenter__(self) -> Self:
        """Prepare everything, start all services, and return when all serve.

        Raises:
            StackFailed: A migration failed, or a service does not serve in time.
            PostgresFailed: PostgreSQL is not there or does not start.
        """
        self.directory = self.directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as closing:
            self.database_url = closing.enter_context(admin_url(self.directory / "pg", durable=self.durable))
            self._prepare()
            await bootstrap(self.database_url, self._passwords())
            refreshing = asyncio.create_task(self._refresh_tokens(), name="tokens")
            closing.push_async_callback(_cancel, refreshing)
            closing.push_async_callback(self._stop_all)
            await self._migrate()
            for service in SERVICES:
                self.start(service)
            await asyncio.gather(*(self.serving(service) for service in SERVICES))
            self._closing = closing.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the services, then the database."""
        await self._closing.aclose()

    def start(self, service: str) -> None:
        """Start a service that does not run, on the port it always has; `serving` waits for it."""
        if self.running(service):
            raise ValueError(f"{service} runs already")
        self._processes[service] = self.launch(
            f"services.{service}", ["serve"], self._environments[service], self.log_file(service)
        )

    def kill(self, service: str) -> None:
        """End a service as a crash of its container would: at once, its solver processes with it, nothing written."""
        process = self._processes[service]
        if process.poll() is None:
            # Each service leads a process group of its own.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    async def stop(self, service: str) -> None:
        """Ask a service to end: it finishes its calls first."""
        await asyncio.to_thread(children.stop, self._processes[service], how=signal.SIGTERM, within_s=STOP_S_MAX)

    def running(self, service: str) -> bool:
        """Return whether a service's process runs; whether it serves is for its health to say."""
        process = self._processes.get(service)
        return process is not None and process.poll() is None

    async def ended(self, service: str) -> int:
        """Return when a service's process has ended, with its exit code."""
        return await asyncio.to_thread(self._processes[service].wait)

    async def serving(self, service: str, within_s: float = START_S_MAX) -> None:
        """Return when a service's health says that it serves.

        Raises:
            StackFailed: It ended, or does not say so in time.
        """
        async with self._channel(service) as channel:
            health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]  # published without types
            deadline = asyncio.get_running_loop().time() + within_s
            while asyncio.get_running_loop().time() < deadline:
                if not self.running(service):
                    raise StackFailed(self._failure(service, "ended by itself"))
                with suppress(grpc.aio.AioRpcError):
                    # Not yet listening is an error, and the reason to ask again.
                    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                await asyncio.sleep(ASK_EACH_S)
        raise StackFailed(self._failure(service, f"does not serve after {within_s:.0f} s"))

    def log_file(self, service: str) -> Path:
        """Return what a service has said, one JSON object a line; `migrate` has one too."""
        return self.directory / "logs" / f"{service}.log"

    def process_id(self, service: str) -> int:
        """Return the number of a service's process."""
        return self._processes[service].pid

    def _prepare(self) -> None:
        ports = {**_free_ports([name for name in SERVICES if name not in self.ports]), **self.ports}
        self.issuer = TokenIssuer.at(self.directory / "tokens")
        authority = Authority.at(self.directory / "certificates")
        client = authority.issue("client")
        signing = keys.prepare(self.directory / "keys")
        self._write_tokens()
        self.profile = Profile(
            addresses={name: f"127.0.0.1:{ports[name]}" for name in SERVICES},
            ca_file=authority.certificate_file,
            certificate_file=client.certificate_file,
            private_key_file=client.private_key_file,
            token_files={person: self.directory / "tokens" / person for person in PEOPLE},
            verifier_key=signing.log_verifier_key,
        )
        now = datetime.now(UTC)
        offset_s = ((self.market_time or now) - now).total_seconds()
        passwords = self._passwords()
        for service in SERVICES:
            own = authority.issue(service)
            values = {
                "DATABASE_URL": service_url(self.database_url, role(service), passwords[service].service),
                "DATABASE_OWNER_URL": service_url(self.database_url, owner_role(service), passwords[service].owner),
                "DATABASE_SCHEMA": service,
                "LISTEN_ADDRESS": self.profile.addresses[service],
                "TLS_CERTIFICATE_FILE": str(own.certificate_file),
                "TLS_PRIVATE_KEY_FILE": str(own.private_key_file),
                "TLS_CLIENT_CA_FILE": str(authority.certificate_file),
                "JWKS_URL": f"file:{self.issuer.jwks_file}",
                "TOKEN_ISSUER": ISSUER,
                "TOKEN_AUDIENCE": AUDIENCE,
                "SERVICE_TOKEN_FILE": str(self._service_token_file(service)),
                "CLOCK_OFFSET_S": f"{offset_s:.3f}",
                **self._keeper(service, passwords[service]),
                **{f"{peer.upper()}_ADDRESS": address for peer, address in self.profile.addresses.items()},
                **signing.settings.get(service, {}),
            }
            prefixed = {f"EVENKEEL_{service.upper()}_{name}": value for name, value in values.items()}
            self._environments[service] = {**self._inherited(), **prefixed, **self.environment}

    def _keeper(self, service: str, passwords: Passwords) -> dict[str, str]:
        """Return how the service that has a keeper reaches the database as it."""
        if service != KEPT:
            return {}
        return {"KEEPER_DATABASE_URL": service_url(self.database_url, keeper_role(service), passwords.keeper)}

    def _inherited(self) -> dict[str, str]:
        """Return what a service takes from the caller's environment: all but the settings of other services' stacks."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVENKEEL_")}
        inherited["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "gen")])
        if self.otlp_endpoint is not None:
            inherited |= {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp_endpoint,
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
                # Somebody is watching: a run's spans should be there when the run ends.
                "OTEL_BSP_SCHEDULE_DELAY": "250",
                "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
                "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            }
        return inherited

    async def _migrate(self) -> None:
        """Bring every service's tables up to date."""
        everything = {name: value for each in self._environments.values() for name, value in each.items()}
        process = self.launch("tools.local.migrate", [], everything, self.log_file("migrate"))
        try:
            code = await asyncio.to_thread(process.wait, MIGRATE_S_MAX)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            await asyncio.to_thread(children.stop, process, how=signal.SIGTERM, within_s=STOP_S_MAX)
        if code != 0:
            raise StackFailed(self._failure("migrate", "could not bring the tables up to date"))

    def _passwords(self) -> dict[str, Passwords]:
        """Return the passwords of the database roles: those of the last time, or new ones."""
        file = self.directory / "keys" / "passwords.json"
        kept: dict[str, str] = json.loads(file.read_bytes()) if file.exists() else {}
        logins = [f"{service}.{login}" for service in SERVICES for login in ("service", "owner")] + [f"{KEPT}.keeper"]
        made = {login: secrets.token_urlsafe(24) for login in logins if login not in kept}
        if made:
            kept |= made
            files.write(file, json.dumps(kept).encode())
        return {
            service: Passwords(
                service=kept[f"{service}.service"],
                owner=kept[f"{service}.owner"],
                keeper=kept.get(f"{service}.keeper", ""),
            )
            for service in SERVICES
        }

    def _service_token_file(self, service: str) -> Path:
        return self.directory / "tokens" / f"{service}_service"

    def _write_tokens(self) -> None:
        for service in SERVICES:
            workload = f"{service}_service"
            self.issuer.write_token(self._service_token_file(service), workload, [workload], SERVICE_TOKEN_LIFETIME)
        for person, subject in PEOPLE.items():
            self.issuer.write_token(self.directory / "tokens" / person, subject, [person], PERSON_TOKEN_LIFETIME)

    async def _refresh_tokens(self) -> None:
        """Replace the tokens when half of the shorter life has passed, for as long as the stack runs."""
        while True:
            await asyncio.sleep(SERVICE_TOKEN_LIFETIME.total_seconds() / 2)
            self._write_tokens()

    def _channel(self, service: str) -> grpc.aio.Channel:
        """Return a channel for health alone: as anybody on this machine with a certificate."""
        paths = (self.profile.ca_file, self.profile.private_key_file, self.profile.certificate_file)
        authority, key, certificate = (path.read_bytes() if path else None for path in paths)
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        # A service that is just starting refuses connections; ask again soon, not after gRPC's usual second.
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        return grpc.aio.secure_channel(self.profile.addresses[service], credentials, options=options)

    async def _stop_all(self) -> None:
        await asyncio.gather(*(self.stop(service) for service in self._processes))

    def _failure(self, service: str, what: str) -> str:
        log = self.log_file(service)
        tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if log.exists() else ""
        return f"{service} {what}; its log {log} ends:\n{tail}"


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _free_ports(names: list[str]) -> dict[str, int]:
    """Return a free port for each name, all different."""
    with ExitStack() as opened:
        sockets = {name: opened.enter_context(socket.socket()) for name in names}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in sockets.items()}
