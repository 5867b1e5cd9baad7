"""Builds the policy service from its settings, and serves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.descriptor import FileDescriptor

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR as AUDIT
from evenkeel.policy.v1.policy_service_pb2 import DESCRIPTOR as POLICY
from evenkeel.policy.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server
from evenkeel.policy.v1.profile_service_pb2 import DESCRIPTOR as PROFILE
from evenkeel.policy.v1.profile_service_pb2_grpc import add_ProfileServiceServicer_to_server
from evenkeel.policy.v1.rollout_service_pb2 import DESCRIPTOR as ROLLOUT
from evenkeel.policy.v1.rollout_service_pb2_grpc import add_RolloutServiceServicer_to_server
from evenkeel.policy.v1.stop_service_pb2 import DESCRIPTOR as STOP
from evenkeel.policy.v1.stop_service_pb2_grpc import add_StopServiceServicer_to_server
from services.kernel.clock import Clock
from services.policy.api import PolicyServicer, ProfileServicer, RolloutServicer, StopServicer
from services.policy.api.resolving import PolicyMessages
from services.policy.api.scope import NodeScope
from services.policy.app import ChangeApp, ClientApp, Editions, PolicyApp, RolloutApp, ScopeApp, StopApp, TreeApp
from services.policy.app.changing import ANNOUNCED_AT_ONCE_MAX
from services.policy.app.clients import LOOKED_AT_ONCE_MAX
from services.policy.config import PolicySettings
from services.policy.store import PolicyStore
from services.runtime.auth.roles import roles_with
from services.runtime.client import connect
from services.runtime.clock import ShiftedClock, SystemClock
from services.runtime.database import Database
from services.runtime.housekeeping import housekeeper
from services.runtime.outbox import relay
from services.runtime.server import Servicer, serve
from services.runtime.workers import Worker, wait

# The permission that the contract declares for `ApproveChange`.
APPROVE = "policy.approve"


async def main(settings: PolicySettings) -> None:
    """Serve until told to stop."""
    database = Database(settings)
    market_clock = ShiftedClock(timedelta(seconds=settings.clock_offset_s))
    built = build(
        database,
        SystemClock(),
        market_clock,
        watch_period_s=settings.watch_period_s,
        policy_cache_bytes=settings.policy_cache_bytes,
    )
    workers = [
        announcer(built.changes, settings.announce_period_s),
        birthdays(built.clients, settings.announce_period_s),
        warmer(built.editions),
        housekeeper(database, settings),
    ]
    if settings.audit_address is not None:
        audit = AUDIT.services_by_name["AuditService"].full_name
        channel = connect(settings.audit_address, settings.peer_credentials, services=[audit])
        workers.append(relay(database, channel))
    await serve(settings, name="policy", servicers=built.servicers, database=database, workers=workers)


@dataclass(frozen=True, slots=True)
class Built:
    """The service, put together."""

    changes: ChangeApp
    clients: ClientApp
    editions: Editions
    servicers: Sequence[Servicer]


def build(
    database: Database, clock: Clock, market_clock: Clock, *, watch_period_s: float, policy_cache_bytes: int
) -> Built:
    """Return the use cases that run by themselves, and what is served, over `database`."""
    store = PolicyStore(database)
    approvers = roles_with(APPROVE)
    changes = ChangeApp(store.read, store.begin, clock, market_clock, approvers)
    editions = Editions(store.read, store.glance)
    servicer = PolicyServicer(
        tree=TreeApp(store.read, store.begin, clock),
        changes=changes,
        policies=PolicyApp(store.read, editions, market_clock, approvers),
        market_clock=market_clock,
        watch_period_s=watch_period_s,
        messages=PolicyMessages(policy_cache_bytes),
    )
    clients = ClientApp(store.read, store.begin, editions, clock, market_clock)
    rollouts = RolloutServicer(RolloutApp(store.read, store.begin, clock, market_clock))
    stops = StopServicer(StopApp(store.read, store.begin, clock, market_clock))
    scope = NodeScope(ScopeApp(store.read))
    return Built(
        changes,
        clients,
        editions,
        (
            Servicer(_name(POLICY, "PolicyService"), add_PolicyServiceServicer_to_server, servicer, scope=scope),
            Servicer(
                _name(PROFILE, "ProfileService"),
                add_ProfileServiceServicer_to_server,
                ProfileServicer(clients, market_clock),
                scope=scope,
            ),
            Servicer(_name(ROLLOUT, "RolloutService"), add_RolloutServiceServicer_to_server, rollouts, scope=scope),
            Servicer(_name(STOP, "StopService"), add_StopServiceServicer_to_server, stops, scope=scope),
        ),
    )


def warmer(editions: Editions) -> Worker:
    """Return the worker that reads what governs once at the start, so that the first caller need not wait for it."""

    async def warm(stop: asyncio.Event) -> None:
        await editions.warm()
        await stop.wait()

    return Worker("warmer", warm)


def _name(file: FileDescriptor, service: str) -> str:
    return file.services_by_name[service].full_name


def birthdays(clients: ClientApp, period_s: float) -> Worker:
    """Return the worker that tells of clients whose age or horizon moved on, looking every `period_s` seconds."""

    async def look(stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await clients.look_at_due() < LOOKED_AT_ONCE_MAX:
                await wait(stop, period_s)

    return Worker("birthdays", look)


def announcer(changes: ChangeApp, period_s: float) -> Worker:
    """Return the worker that tells of versions as they take effect, looking every `period_s` seconds."""

    async def announce(stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await changes.announce_due() < ANNOUNCED_AT_ONCE_MAX:
                await wait(stop, period_s)

    return Worker("announcer", announce)
