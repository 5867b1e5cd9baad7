"""Builds what speaks FIX: the broker as a venue, the sandbox's own port, and what keeps sessions up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.execution.app.bell import Bell
from services.execution.config import ExecutionSettings
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.fix.transport.tls import client_context
from services.execution.venues.fix44.desk import SandboxDesk
from services.execution.venues.fix44.drop_copies import DropCopies
from services.execution.venues.fix44.sessions import broker_session, client_session
from services.execution.venues.fix44.venue import Fix44Venue
from services.execution.venues.fix44.watch import SessionWatch
from services.execution.venues.fix44.workers import SandboxPort, Tls, keep_up
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import Clock
from services.kernel.ids import VenueId
from services.runtime.database import Database
from services.runtime.workers import Worker


@dataclass(frozen=True, slots=True)
class BuiltFix:
    """What speaks FIX: the broker as a venue, when orders go there, and what keeps sessions up."""

    venue: Fix44Venue | None
    workers: Sequence[Worker]


def build_fix(
    settings: ExecutionSettings, database: Database, sandbox: SandboxVenue, clock: Clock, *, work: Bell, heard: Bell
) -> BuiltFix:
    """Return the sessions that the settings ask for: with a broker, and on the sandbox's own port.

    `heard` rings when the broker said something, `work` when orders may leave that waited for its session.
    """
    store = PostgresStore(database)
    watch = SessionWatch(database, store, clock)
    venue: Fix44Venue | None = None
    workers = [watch.worker()]
    if settings.sandbox_fix_port:
        workers.append(_sandbox_port(settings, database, sandbox, store, clock, watch))
    if settings.venue == "fix44":
        venue = Fix44Venue(
            VenueId("fix44"),
            database,
            store,
            clock,
            account=settings.fix_account,
            answer_s=settings.fix_answer_s,
            list_min=settings.fix_list_min,
            trades_currencies=settings.fix_trades_currencies,
            heard=heard.ring,
            came_up=work.ring,
        )
        orders = Initiator(
            _broker_session(settings, settings.fix_sender_comp_id), _broker(settings), store, venue, clock
        )
        venue.sender = orders
        workers.append(keep_up(orders, database, watch))
        if settings.fix_drop_copy_comp_id:
            address = replace(_broker(settings), port=settings.fix_drop_copy_port or settings.fix_port)
            config = _broker_session(settings, settings.fix_drop_copy_comp_id)
            copies = Initiator(config, address, store, DropCopies(venue), clock)
            workers.append(keep_up(copies, database, watch))
    return BuiltFix(venue, workers)


def _broker_session(settings: ExecutionSettings, us: str) -> SessionConfig:
    return broker_session(
        us, settings.fix_target_comp_id, heartbeat_s=settings.fix_heartbeat_s, schedule=settings.fix_schedule()
    )


def _broker(settings: ExecutionSettings) -> Address:
    folder = settings.fix_tls_directory
    tls = None if folder is None else client_context(folder / "client.pem", folder / "client.key", folder / "ca.pem")
    return Address(settings.fix_host, settings.fix_port, tls, settings.fix_server_name or None)


def _sandbox_port(
    settings: ExecutionSettings,
    database: Database,
    sandbox: SandboxVenue,
    store: PostgresStore,
    clock: Clock,
    watch: SessionWatch,
) -> Worker:
    us, copies = settings.sandbox_fix_comp_id, settings.sandbox_fix_drop_copies_to
    configs = [
        client_session(us, each) for each in sorted(settings.sandbox_fix_clients | ({copies} if copies else set()))
    ]
    to = next((each.session_id for each in configs if copies and each.target == copies), None)
    desk = SandboxDesk(sandbox, database, clock, drop_copies=to)
    folder = settings.sandbox_fix_tls_directory
    tls = None if folder is None else Tls(folder / "sandbox.pem", folder / "sandbox.key", folder / "ca.pem")
    port = SandboxPort(configs, store, desk, clock, tls)
    return port.worker(settings.sandbox_fix_host, settings.sandbox_fix_port, database, watch)
