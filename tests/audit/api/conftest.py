"""The audit service as it is in production, in this process: its own server, interceptors, database and roles."""

import asyncio
from datetime import timedelta

import pytest

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server
from services.audit.api import AuditServicer
from services.audit.app import AuditApp, Growing, Sequencer
from services.audit.main import Watch
from services.audit.store import PostgresReader, elect
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from services.runtime.wire import instant_message
from services.runtime.workers import Worker
from tests.audit.builders import KEY, ORIGIN
from tools.local.issuer import ISSUER, TokenIssuer

FULL_NAME = "evenkeel.audit.v1.AuditService"


class Service:
    """A running service, and how one calls it."""

    def __init__(self, server, sequencer, reader, growing, issuer):
        self.server = server
        self.sequencer = sequencer
        self.reader = reader
        self.growing = growing
        self.issuer = issuer
        self._channels = []

    def stub(self, *roles, subject="someone"):
        """A stub whose calls carry a token with `roles`."""
        token = self.issuer.token(subject, roles, timedelta(minutes=5))
        channel = connect(f"127.0.0.1:{self.server.port}", token=lambda: token)
        self._channels.append(channel)
        return AuditServiceStub(channel)

    @property
    def producer(self):
        return self.stub("decision_service")

    @property
    def reading(self):
        return self.stub("compliance_officer")

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
async def service(audit_database, tmp_path):
    issuer = TokenIssuer.at(tmp_path)
    settings = audit_database.settings(jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER, drain_s=1.0)
    database = Database(settings)
    growing = Growing()
    elected = asyncio.Event()

    class Telling(Watch):
        def elected(self, checkpoint):
            super().elected(checkpoint)
            elected.set()

    sequencer = Sequencer(
        elect=lambda: elect(database, ORIGIN),
        origin=ORIGIN,
        keys=[KEY],
        clock=SystemClock(),
        observer=Telling(growing),
        queue_events_max=100,
    )
    reader = PostgresReader(database)
    app = AuditApp(sequencer=sequencer, log=reader, growing=growing)
    server = Server(
        settings,
        servicers=[Servicer(FULL_NAME, add_AuditServiceServicer_to_server, AuditServicer(app))],
        database=database,
        package="services.audit",
        workers=[Worker("sequencer", sequencer.run)],
    )
    await server.start()
    await elected.wait()
    running = Service(server, sequencer, reader, growing, issuer)
    yield running
    await running.close()
    await server.drain()
    await database.close()
