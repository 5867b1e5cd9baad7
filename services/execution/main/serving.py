"""Builds the execution service from its settings, and serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4  # noqa: TID251 - an attempt to send names nothing but itself

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR as AUDIT
from evenkeel.execution.v1.execution_service_pb2 import DESCRIPTOR as EXECUTION
from evenkeel.execution.v1.execution_service_pb2_grpc import add_ExecutionServiceServicer_to_server
from evenkeel.execution.v1.fix_service_pb2 import DESCRIPTOR as FIX
from evenkeel.execution.v1.fix_service_pb2_grpc import add_FixServiceServicer_to_server
from evenkeel.execution.v1.sandbox_service_pb2 import DESCRIPTOR as SANDBOX
from evenkeel.execution.v1.sandbox_service_pb2_grpc import add_SandboxServiceServicer_to_server
from evenkeel.policy.v1.policy_service_pb2 import DESCRIPTOR as POLICY
from services.execution.api import ExecutionServicer, FixServicer, SandboxServicer
from services.execution.app import ExecutionApp
from services.execution.app.bell import Bell
from services.execution.app.fix_sessions import FixSessions
from services.execution.app.ports import Policies
from services.execution.app.venue_port import VenuePort
from services.execution.clients import PolicyClient
from services.execution.config import ExecutionSettings
from services.execution.domain.exchanges import exchange
from services.execution.main.fix import build_fix
from services.execution.main.use_cases import build_app
from services.execution.main.workers import workers_of
from services.execution.store import begin_with
from services.execution.store.fix import sessions_with
from services.execution.venues.sandbox.postgres import book_with
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import Clock
from services.runtime.client import connect
from services.runtime.clock import ShiftedClock, SystemClock
from services.runtime.database import Database
from services.runtime.housekeeping import housekeeper
from services.runtime.outbox import relay
from services.runtime.server import Servicer, serve
from services.runtime.workers import Worker


async def main(settings: ExecutionSettings) -> None:
    """Serve until told to stop."""
    database = Database(settings)
    policy = POLICY.services_by_name["PolicyService"].full_name
    channel = connect(settings.policy_address, settings.peer_credentials, services=[policy])
    built = build(
        settings,
        database,
        PolicyClient(channel),
        clock=SystemClock(),
        market_clock=ShiftedClock(timedelta(seconds=settings.clock_offset_s)),
    )
    workers = [*built.workers, housekeeper(database, settings)]
    if settings.audit_address is not None:
        audit = AUDIT.services_by_name["AuditService"].full_name
        shipping = connect(settings.audit_address, settings.peer_credentials, services=[audit])
        workers = [*workers, relay(database, shipping)]
    await serve(settings, name="execution", servicers=built.servicers, database=database, workers=workers)


@dataclass(frozen=True, slots=True)
class Built:
    """The service, put together."""

    app: ExecutionApp
    venue: SandboxVenue
    servicers: Sequence[Servicer]
    workers: Sequence[Worker]


def build(
    settings: ExecutionSettings, database: Database, policies: Policies, *, clock: Clock, market_clock: Clock
) -> Built:
    """Return the service over `database`: its use cases, what is served, and what runs beside the calls."""
    venue = SandboxVenue(
        begin=book_with(database),
        clock=clock,
        latency=timedelta(seconds=settings.sandbox_latency_s),
        answers_lost_every=settings.sandbox_answers_lost_every,
        exchange=exchange(settings.exchange),
    )
    work, reported, heard = Bell(), Bell(), Bell()
    fix = build_fix(settings, database, venue, clock, work=work, heard=heard)
    trading_at: VenuePort = venue if fix.venue is None else fix.venue
    app = build_app(settings, begin_with(database), trading_at, policies, clock=clock, market_clock=market_clock)
    names = (
        EXECUTION.services_by_name["ExecutionService"],
        SANDBOX.services_by_name["SandboxService"],
        FIX.services_by_name["FixService"],
    )
    servicers = [
        Servicer(
            names[0].full_name,
            add_ExecutionServiceServicer_to_server,
            ExecutionServicer(
                app=app, work=work, reported=reported, look_s=settings.look_s, look_calm_s=settings.look_calm_s
            ),
        ),
        Servicer(
            names[1].full_name,
            add_SandboxServiceServicer_to_server,
            SandboxServicer(load_market=venue.load_market, trading=app.trading, work=work),
        ),
        Servicer(
            names[2].full_name,
            add_FixServiceServicer_to_server,
            FixServicer(FixSessions(sessions_with(database), clock, lambda: str(uuid4()))),
        ),
    ]
    return Built(app, venue, servicers, [*workers_of(app, settings, work, reported, heard), *fix.workers])
