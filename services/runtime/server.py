"""A service, running: from its settings to the last flushed span.

    await serve(settings, name="policy", servicers=[...], database=database, workers=[...])

It starts even when its database is down, says so through its health, and recovers by itself. On SIGTERM it first says
that it goes, then lets the calls in flight finish, then ends its workers, then sends what it measured.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.kernel.clock import Clock
from services.runtime.auth.keys import Keys
from services.runtime.auth.tokens import Tokens
from services.runtime.clock import SystemClock
from services.runtime.context import Method, Scope
from services.runtime.credentials import WatchedFile
from services.runtime.database import Database
from services.runtime.health import Health
from services.runtime.interceptors.access import Access
from services.runtime.interceptors.admission import Admission
from services.runtime.interceptors.deadline import Deadline
from services.runtime.interceptors.draining import Draining
from services.runtime.interceptors.errors import Errors, answer_unknown
from services.runtime.interceptors.parsing import Parsing
from services.runtime.interceptors.request_id import RequestIds
from services.runtime.interceptors.scoping import Scoping
from services.runtime.interceptors.stages import Stage, Staged, methods_of
from services.runtime.interceptors.telemetry import Telemetry as MeasureCalls
from services.runtime.interceptors.validation import Validation
from services.runtime.logging import configure_logging, get_logger
from services.runtime.settings import ServiceSettings
from services.runtime.telemetry import Telemetry, gauge
from services.runtime.workers import Worker, Workers

log = get_logger()

# Both sides notice within half a minute that the other is gone.
KEEPALIVE_MS = 30_000
KEEPALIVE_ANSWER_MS = 10_000
# Connections are closed now and then, so that clients look up the address again and find new replicas.
CONNECTION_AGE_MS_MAX = 300_000
# A stream that is longer than this is cut with its old connection; its reader resumes.
CONNECTION_AGE_GRACE_MS = 300_000

# New objects before garbage in cycles is looked for. One large request makes tens of thousands that end by themselves;
# Python's 700 would look dozens of times while it is served.
GARBAGE_OBJECTS = 20_000

# How long streams go on after the drain began; one that ends by itself mostly does so within this.
STREAM_GRACE_S = 1.0

AddToServer = Callable[[Any, grpc.aio.Server], None]


@dataclass(frozen=True, slots=True)
class Servicer:
    """One service of a server.

    `permissions` gives the permission of each method, by name, for a contract that is not ours and declares none
    (`google.longrunning.Operations`). `checked` names the methods whose implementation checks requests against their
    contract itself. `scope` refuses what a caller who is bound to some policy nodes may not change; without it, such a
    caller may only read.
    """

    service_full_name: str
    add_to_server: AddToServer
    implementation: object
    permissions: Mapping[str, str] = field(default_factory=dict)
    checked: Collection[str] = ()
    scope: Scope | None = None


class _ByName:
    """A server to which handlers are added that it finds by the name of the method.

    Generated code also registers each method. Then gRPC (1.85) keeps a task for each, and waits for all of them anew
    after every call: with 45 methods that costs more than all our stages.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        """Add to `server`."""
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, object]) -> None:
        """Leave them to the generic handlers, which have the same."""


class Server:
    """A gRPC server with everything around the handlers; `start` it, then `drain` it."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        servicers: Sequence[Servicer],
        database: Database,
        package: str,
        workers: Sequence[Worker] = (),
        ready: Callable[[], Awaitable[bool]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Put everything together; nothing listens yet.

        Args:
            settings: Of the service.
            servicers: What it serves.
            database: Where it keeps its state.
            package: Whose migrations must be in, for instance `services.policy`.
            workers: What runs beside the calls.
            ready: What else must be true for it to serve.
            clock: Judges tokens; the computer's when None.
        """
        self._settings = settings
        names = [each.service_full_name for each in servicers]
        self.health = Health(database, package, names, ready, settings.health_period_s)
        self._workers = Workers((Worker("health", self.health.watch), *workers))
        tokens = Tokens(
            Keys(settings.jwks_url),
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            clock=clock or SystemClock(),
        )
        self.admission = Admission(settings.concurrent_calls_max)
        self._draining = Draining()
        stages: list[Stage] = [
            MeasureCalls(),
            Errors(),
            self._draining,
            self.admission,
            Deadline(settings.call_s_max, settings.stream_s_max),
            Access(tokens),
            Parsing(),
            Scoping(),
            Validation(),
            RequestIds(database),
        ]
        self._server = grpc.aio.server(
            interceptors=[Staged(_methods(servicers), stages, answer_unknown)], options=_options(settings)
        )
        by_name = cast(grpc.aio.Server, _ByName(self._server))
        for each in servicers:
            each.add_to_server(each.implementation, by_name)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, by_name)  # type: ignore[no-untyped-call] # published without types
        if settings.reflection:
            health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
            reflected = (*names, health, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(reflected, by_name)  # type: ignore[no-untyped-call] # published without types
        self._probes: grpc.aio.Server | None = None
        self.port = 0
        self.health_port = 0

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            RuntimeError: The address is taken or not ours.
        """
        address = self._settings.listen_address
        if self._settings.tls:
            self.port = self._server.add_secure_port(address, _server_credentials(self._settings))
        else:
            self.port = self._server.add_insecure_port(address)
        await self.health.start()
        await self._serve_probes()
        await self._server.start()
        self._workers.start()
        log.info("listening", address=address, port=self.port, tls=self._settings.tls)
        return self.port

    async def drain(self) -> None:
        """Stop serving without losing a call."""
        log.info("draining", calls=self.admission.admitted)
        await self.health.drain()
        await asyncio.sleep(self._settings.drain_notice_s)
        stopping = asyncio.ensure_future(self._server.stop(self._settings.drain_s))
        await asyncio.wait([stopping], timeout=STREAM_GRACE_S)
        self._draining.end_streams()
        await stopping
        await self._workers.stop(self._settings.drain_s)
        if self._probes is not None:
            await self._probes.stop(None)

    async def _serve_probes(self) -> None:
        if self._settings.health_address is None:
            return
        self._probes = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        probes = cast(grpc.aio.Server, _ByName(self._probes))
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, probes)  # type: ignore[no-untyped-call] # published without types
        self.health_port = self._probes.add_insecure_port(self._settings.health_address)
        await self._probes.start()


async def serve(
    settings: ServiceSettings,
    *,
    name: str,
    servicers: Sequence[Servicer],
    database: Database,
    workers: Sequence[Worker] = (),
    ready: Callable[[], Awaitable[bool]] | None = None,
    package: str | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: Of the service.
        name: Of the service, for instance `policy`.
        servicers: What it serves.
        database: Where it keeps its state; closed at the end.
        workers: What runs beside the calls.
        ready: What else must be true for it to serve.
        package: Whose migrations must be in; `services.<name>` when None.
    """
    configure_logging(name, settings.log_level)
    telemetry = Telemetry(name)
    gauge(
        "evenkeel.database.connections.used",
        "{connection}",
        "Connections of the pool that are taken.",
        lambda: database.connections_in_use,
    )
    server = Server(
        settings,
        servicers=servicers,
        database=database,
        package=package or f"services.{name}",
        workers=workers,
        ready=ready,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        port = await server.start()
        settle()
        _write_port(settings, port)
        await stop.wait()
        await server.drain()
    finally:
        await database.close()
        await asyncio.to_thread(telemetry.close)
        log.info("ended")


def settle() -> None:
    """Let the collector of garbage not look again at what is there by now: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a service's `main` to its end, on the fastest event loop there is."""
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop  # noqa: PLC0415 - not published for Windows

        uvloop.run(main)


def _methods(servicers: Sequence[Servicer]) -> dict[str, Method]:
    pool = descriptor_pool.Default()
    methods: dict[str, Method] = {}
    for each in servicers:
        methods |= methods_of(
            pool.FindServiceByName(each.service_full_name), each.permissions, each.checked, each.scope
        )
    return methods


def _options(settings: ServiceSettings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients ping as often as we do.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
        ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_MS),
        # Two services on one port would share its calls by chance.
        ("grpc.so_reuseport", 0),
    ]


def _server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials:
    paths = (settings.tls_private_key_file, settings.tls_certificate_file, settings.tls_client_ca_file)
    key, certificate, authority = (WatchedFile(path) for path in paths if path is not None)

    def configuration() -> grpc.ServerCertificateConfiguration:
        pair = [(key.read(), certificate.read())]
        return grpc.ssl_server_certificate_configuration(pair, root_certificates=authority.read())

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # gRPC asks at each handshake. A pair that is just being replaced is read again at the next one.
        try:
            moved = [each.changed() for each in (key, certificate, authority)]
            return configuration() if any(moved) else None
        except OSError:
            log.exception("certificates not read")
            return None

    # The published type forgets that None means: as before.
    fetch = cast(Callable[[], grpc.ServerCertificateConfiguration], changed)
    return grpc.dynamic_ssl_server_credentials(configuration(), fetch, require_client_authentication=True)


def _write_port(settings: ServiceSettings, port: int) -> None:
    if settings.port_file is None:
        return
    # Whoever waits for the file must never see half a number.
    beside = settings.port_file.with_name(f"{settings.port_file.name}.{os.getpid()}")
    beside.write_text(f"{port}\n")
    beside.replace(settings.port_file)
