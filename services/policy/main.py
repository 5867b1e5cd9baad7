"""Builds the policy service from its settings, and serves."""

import asyncio
from datetime import timedelta

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR as AUDIT
from evenkeel.policy.v1.policy_service_pb2 import DESCRIPTOR as POLICY
from evenkeel.policy.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server
from services.kernel.clock import Clock
from services.policy.api import PolicyServicer
from services.policy.app import ChangeApp, PolicyApp, TreeApp
from services.policy.app.changing import ANNOUNCED_AT_ONCE_MAX
from services.policy.config import PolicySettings
from services.policy.store import PolicyStore
from services.runtime.client import connect
from services.runtime.clock import ShiftedClock, SystemClock
from services.runtime.database import Database
from services.runtime.outbox import relay
from services.runtime.server import Servicer, serve
from services.runtime.workers import Worker, wait


async def main(settings: PolicySettings) -> None:
    """Serve until told to stop."""
    database = Database(settings)
    market_clock = ShiftedClock(timedelta(seconds=settings.clock_offset_s))
    changes, servicer = build(database, SystemClock(), market_clock, watch_period_s=settings.watch_period_s)
    workers = [announcer(changes, settings.announce_period_s)]
    if settings.audit_address is not None:
        audit = AUDIT.services_by_name["AuditService"].full_name
        channel = connect(settings.audit_address, settings.peer_credentials, services=[audit])
        workers.append(relay(database, channel))
    await serve(settings, name="policy", servicers=[servicer], database=database, workers=workers)


def build(
    database: Database, clock: Clock, market_clock: Clock, *, watch_period_s: float
) -> tuple[ChangeApp, Servicer]:
    """Return the use cases by which rules change, and what is served, over `database`."""
    store = PolicyStore(database)
    changes = ChangeApp(store.read, store.begin, clock, market_clock)
    servicer = PolicyServicer(
        tree=TreeApp(store.read, store.begin, clock),
        changes=changes,
        policies=PolicyApp(store.read, market_clock),
        market_clock=market_clock,
        watch_period_s=watch_period_s,
    )
    name = POLICY.services_by_name["PolicyService"].full_name
    return changes, Servicer(name, add_PolicyServiceServicer_to_server, servicer)


def announcer(changes: ChangeApp, period_s: float) -> Worker:
    """Return the worker that tells of versions as they take effect, looking every `period_s` seconds."""

    async def announce(stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await changes.announce_due() < ANNOUNCED_AT_ONCE_MAX:
                await wait(stop, period_s)

    return Worker("announcer", announce)
