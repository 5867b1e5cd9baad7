"""The policy service as it is in production, in this process: its own server, interceptors, database and roles."""

import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from evenkeel.policy.v1.profile_service_pb2_grpc import ProfileServiceStub
from evenkeel.policy.v1.rollout_service_pb2_grpc import RolloutServiceStub
from evenkeel.policy.v1.stop_service_pb2_grpc import StopServiceStub
from services.kernel.clock import FixedClock
from services.policy.api.documents import document_message
from services.policy.main import build
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.server import Server
from services.runtime.wire import instant_message
from tests.policy.builders import NOON
from tools.local.issuer import ISSUER, TokenIssuer


class Service:
    """A running service, and how one calls it."""

    def __init__(self, server, database, changes, market_clock, issuer, clients):
        self.server = server
        self.database = database
        self.changes = changes
        self.market_clock = market_clock
        self.clients = clients
        self._issuer = issuer
        self._channels = {}

    def channel(self, subject, *roles, nodes=None):
        """Return a channel as a subject, who may be bound to some nodes."""
        who = subject, roles, nodes
        if who not in self._channels:
            token = self._issuer.token(subject, roles, timedelta(minutes=5), nodes=nodes)
            self._channels[who] = connect(f"127.0.0.1:{self.server.port}", token=lambda: token)
        return self._channels[who]

    def stub(self, subject, *roles, kind=PolicyServiceStub, nodes=None):
        return kind(self.channel(subject, *roles, nodes=nodes))

    def stops(self, subject="tess", role="trader"):
        return self.stub(subject, role, kind=StopServiceStub)

    def rollouts(self, subject="bob", role="policy_approver"):
        return self.stub(subject, role, kind=RolloutServiceStub)

    @property
    def engineer(self):
        return self.stub("eve", "platform_engineer")

    def author(self, name="ann"):
        return self.stub(name, "policy_author")

    def approver(self, name="bob"):
        return self.stub(name, "policy_approver")

    @property
    def advisor(self):
        return self.stub("ada", "advisor", kind=ProfileServiceStub)

    @property
    def reading(self):
        return self.stub("cora", "compliance_officer")

    async def plant(self, **kinds):
        """Create a firm and what is under it: `plant(growth=("model", "firm"), acc=("account", "growth"))`."""
        nodes = [pb.PolicyNode(node_id="firm", kind=pb.PolicyNode.KIND_FIRM)]
        for node_id, (kind, parent_id) in kinds.items():
            number = pb.PolicyNode.Kind.Value(f"KIND_{kind.upper()}")
            nodes.append(pb.PolicyNode(node_id=node_id.replace("_", "-"), kind=number, parent_id=parent_id))
        await self.engineer.CreateNodes(pb.CreateNodesRequest(request_id=a_request_id(), nodes=nodes))

    async def draft(self, document, node_id="firm", *, author="ann", effective_time=None, rollout=None):
        request = pb.CreateChangeRequest(
            request_id=a_request_id(), node_id=node_id, document=document_message(document), reason="because"
        )
        if effective_time is not None:
            request.effective_time.CopyFrom(instant_message(effective_time))
        if rollout is not None:
            request.rollout.CopyFrom(rollout)
        return (await self.author(author).CreateChange(request)).change

    async def submit(self, change, author="ann"):
        request = pb.SubmitChangeRequest(request_id=a_request_id(), change_id=change.change_id, etag=change.etag)
        return (await self.author(author).SubmitChange(request)).change

    async def approve(self, change, by="bob", *, read=None, role="policy_approver"):
        request = pb.ApproveChangeRequest(
            request_id=a_request_id(), change_id=change.change_id, version_hash=read or change.version_hash
        )
        return (await self.stub(by, role).ApproveChange(request)).change

    async def enact(self, document, node_id="firm", **how):
        """Have `document` written by one person and approved by another."""
        self.market_clock.advance(timedelta(seconds=1))
        return await self.approve(await self.submit(await self.draft(document, node_id, **how)))

    async def get(self, change):
        return (await self.reading.GetChange(pb.GetChangeRequest(change_id=change.change_id))).change

    async def effective(self, node_id, effective_time=None, known_time=None):
        request = pb.GetEffectivePolicyRequest(node_id=node_id)
        if effective_time is not None:
            request.effective_time.CopyFrom(instant_message(effective_time))
        if known_time is not None:
            request.known_time.CopyFrom(instant_message(known_time))
        return await self.reading.GetEffectivePolicy(request)

    async def close(self):
        for channel in self._channels.values():
            await channel.close()


def a_request_id():
    return str(uuid4())


@asynccontextmanager
async def refused(code, reason):
    """The call within is refused so; gives its field violations, by field."""
    fields = {}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield fields
    status = rpc_status.from_call(caught.value)
    assert status is not None, caught.value
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for known in (info, bad):
            detail.Unpack(known)
    assert (caught.value.code(), info.reason) == (code, reason), caught.value
    fields.update({each.field: each.description for each in bad.field_violations})
    fields[""] = caught.value.details()


@asynccontextmanager
async def running(in_database, directory, market_time=NOON):
    """The service over `in_database`; its keys are in `directory`."""
    issuer = TokenIssuer.at(directory / "issuer")
    settings = in_database.settings(jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER)
    database = Database(settings)
    market_clock = FixedClock(market_time)
    built = build(database, SystemClock(), market_clock, watch_period_s=0.01, policy_cache_bytes=1 << 20)
    server = Server(settings, servicers=built.servicers, database=database, package="services.policy")
    await server.start()
    service = Service(server, database, built.changes, market_clock, issuer, built.clients)
    try:
        yield service
    finally:
        await service.close()
        await server.drain()
        await database.close()


@pytest.fixture
async def service(policy_database, tmp_path):
    async with running(policy_database, tmp_path) as service:
        yield service


class Past:
    """What happens to a service before many tests begin; it happens once a session, and they have copies."""

    def __init__(self, happens):
        self._happens = happens
        self.left = None
        self.market_time = None

    async def __call__(self, database):
        with tempfile.TemporaryDirectory() as directory:
            async with running(database, Path(directory)) as service:
                self.left = await self._happens(service)
                self.market_time = service.market_clock.now()


@pytest.fixture
async def service_after(service_database, tmp_path):
    """Start the service after a past: `await service_after(past)`; what that returned is in `past.left`."""
    async with AsyncExitStack() as started:

        async def start(past):
            database = await service_database("policy", past=past)
            return await started.enter_async_context(running(database, tmp_path, past.market_time))

        yield start
