"""The audit service as it is in production, in this process: its own server, interceptors, database and roles."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server
from evenkeel.audit.v1.export_service_pb2_grpc import ExportServiceStub
from evenkeel.audit.v1.query_service_pb2_grpc import (
    AuditQueryServiceStub,
    add_AuditQueryServiceServicer_to_server,
)
from evenkeel.audit.v1.records_service_pb2_grpc import RecordsServiceStub
from services.audit.api import AccessRecorder, AuditQueryServicer, AuditServicer, LogQueries
from services.audit.app import (
    AccessLog,
    AccountRecords,
    AuditApp,
    Closer,
    Growing,
    Log,
    Logs,
    Queries,
    Sequencer,
)
from services.audit.clients import Watch
from services.audit.config import AuditSettings
from services.audit.domain.logs import ACCESS, EVENTS
from services.audit.main import assemble
from services.audit.store import PostgresCloses, PostgresReader, elect
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from services.runtime.wire import instant_message
from services.runtime.workers import Worker
from tests.audit.builders import ACCESS_KEY, KEY, ORIGIN
from tools.local.issuer import ISSUER, TokenIssuer

FULL_NAME = "evenkeel.audit.v1.AuditService"
QUERY_FULL_NAME = "evenkeel.audit.v1.AuditQueryService"


class OpenLog:
    """One log of the service."""

    def __init__(self, database, name, key):
        self.key = key
        self.growing = Growing()
        self.elected = elected = asyncio.Event()

        class Telling(Watch):
            def elected(self, checkpoint):
                super().elected(checkpoint)
                elected.set()

        self.sequencer = Sequencer(
            elect=lambda: elect(database, key.name, name),
            origin=key.name,
            keys=[key],
            clock=SystemClock(),
            observer=Telling(name, self.growing),
            queue_events_max=100,
        )
        self.reader = PostgresReader(database, name)
        self.app = AuditApp(sequencer=self.sequencer, log=self.reader, growing=self.growing)
        clock = SystemClock()
        self.closer = Closer(
            origin=key.name,
            log=self.reader,
            store=PostgresCloses(database, name),
            sequencer=self.sequencer,
            clock=clock,
            interval_s=3600,
        )
        self.records = AccountRecords(app=self.app, log=self.reader, closer=self.closer, clock=clock)
        self.queries = Queries(app=self.app, log=self.reader)


class Service:
    """A running service, and how one calls it."""

    def __init__(self, server, opened, issuer):
        self.server = server
        self.opened = opened
        self.sequencer = opened[EVENTS].sequencer
        self.reader = opened[EVENTS].reader
        self.growing = opened[EVENTS].growing
        self.access = opened[ACCESS]
        self.issuer = issuer
        self._channels = []

    def stub(self, *roles, subject="someone", of=AuditServiceStub):
        """A stub whose calls carry a token with `roles`."""
        token = self.issuer.token(subject, roles, timedelta(minutes=5))
        channel = connect(f"127.0.0.1:{self.server.port}", token=lambda: token)
        self._channels.append(channel)
        return of(channel)

    @property
    def producer(self):
        return self.stub("decision_service")

    @property
    def reading(self):
        return self.stub("compliance_officer")

    @property
    def asking(self):
        return self.stub("compliance_officer", subject="carol", of=AuditQueryServiceStub)

    async def append(self, *events):
        return await self.producer.Append(pb.AppendRequest(events=map(message_of, events)))

    async def close(self):
        for channel in self._channels:
            await channel.close()


def message_of(event):
    return pb.Event(
        event_id=event.event_id,
        kind=event.kind,
        occurred_time=instant_message(event.occurred_time),
        producer=event.producer,
        actor=event.actor,
        trace_parent=event.trace_parent,
        subjects=[pb.Subject(kind=kind, id=each) for kind, each in event.subjects.items()],
        data=event.data,
    )


@pytest.fixture
def audit_settings(audit_database, tmp_path):
    """Settings of the whole service, as `main` reads them."""
    key_file = tmp_path / "log.key"
    key_file.write_bytes(
        KEY.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )

    wrapping_key = tmp_path / "subject-keys.key"
    wrapping_key.write_text(bytes(range(32)).hex())

    def made(**values):
        of_database = audit_database.settings().model_dump(exclude_unset=True)
        return AuditSettings.from_environment(
            **{
                **of_database,
                "log_origin": ORIGIN,
                "log_key_file": key_file,
                "keeper_database_url": audit_database.keeper_url,
                "subject_keys_file": wrapping_key,
                **values,
            }
        )

    return made


@pytest.fixture
async def service(audit_database, tmp_path):
    issuer = TokenIssuer.at(tmp_path)
    settings = audit_database.settings(jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER, drain_s=1.0)
    database = Database(settings)
    opened = {EVENTS: OpenLog(database, EVENTS, KEY), ACCESS: OpenLog(database, ACCESS, ACCESS_KEY)}
    logs = Logs({name: Log(name, each.key.verifier_key, each.app) for name, each in opened.items()})
    access = AccessRecorder(
        AccessLog(sequencer=opened[ACCESS].sequencer, clock=SystemClock(), new_id=lambda: str(uuid4()))
    )
    server = Server(
        settings,
        servicers=[
            Servicer(FULL_NAME, add_AuditServiceServicer_to_server, AuditServicer(logs, access)),
            Servicer(
                QUERY_FULL_NAME,
                add_AuditQueryServiceServicer_to_server,
                AuditQueryServicer(
                    logs, {name: LogQueries(each.queries, each.records) for name, each in opened.items()}, access
                ),
            ),
        ],
        database=database,
        package="services.audit",
        workers=[Worker(f"sequencer of {name}", each.sequencer.run) for name, each in opened.items()],
    )
    await server.start()
    for each in opened.values():
        await each.elected.wait()
    running = Service(server, opened, issuer)
    yield running
    await running.close()
    await server.drain()
    await database.close()


class Whole:
    """The service as `main` puts it together, and how one calls it."""

    def __init__(self, server, assembled, issuer):
        self.server = server
        self.assembled = assembled
        self.issuer = issuer
        self._channels = []

    def channel(self, *roles, subject):
        token = self.issuer.token(subject, roles, timedelta(minutes=5))
        channel = connect(f"127.0.0.1:{self.server.port}", token=lambda: token)
        self._channels.append(channel)
        return channel

    def log(self, *roles, subject="someone"):
        return AuditServiceStub(self.channel(*roles, subject=subject))

    def records(self, role="compliance_officer", subject="carl"):
        return RecordsServiceStub(self.channel(role, subject=subject))

    @property
    def exports(self):
        return ExportServiceStub(self.channel("compliance_officer", subject="carl"))

    async def append(self, *events, producer="decision"):
        return await self.log(f"{producer}_service").Append(pb.AppendRequest(events=map(message_of, events)))

    def reader(self, log=EVENTS):
        return PostgresReader(self.assembled.database, log)

    async def close(self):
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def started(audit_settings, tmp_path, *, await_held=True, **values):
    """The service as `main` puts it together, in this process, with these settings."""
    issuer = TokenIssuer.at(tmp_path)
    settings = audit_settings(jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER, drain_s=1.0, **values)
    assembled = assemble(settings)
    server = Server(
        settings,
        servicers=assembled.servicers,
        database=assembled.database,
        package="services.audit",
        workers=assembled.workers,
    )
    await server.start()
    running = Whole(server, assembled, issuer)
    try:
        for each in assembled.opened.values() if await_held else ():
            # Waits until this process holds the log.
            await each.sequencer.append([])
        yield running
    finally:
        await running.close()
        await server.drain()
        await assembled.close()


@pytest.fixture
async def whole(audit_settings, tmp_path):
    """The service as `main` puts it together, in this process."""
    async with started(audit_settings, tmp_path) as running:
        yield running
