"""Builds the execution service from its settings, and serves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4  # noqa: TID251 - an attempt to send names nothing but itself

from opentelemetry.metrics import CallbackOptions, Observation

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
from services.execution.app.clearing import Clearing
from services.execution.app.converting import Converting
from services.execution.app.crossing import Crossing
from services.execution.app.fills import Fills
from services.execution.app.fix_sessions import FixSessions
from services.execution.app.forming import Forming, Protecting
from services.execution.app.funding import FundingRules
from services.execution.app.instructing import Instructing
from services.execution.app.intake import Intake
from services.execution.app.policies import PoliciesInForce
from services.execution.app.ports import Begin, Policies
from services.execution.app.queries import Queries
from services.execution.app.reconciling import Reconciling
from services.execution.app.records import LifeState
from services.execution.app.routing import Routing
from services.execution.app.scheduling import ScheduleRules, Scheduling
from services.execution.app.sending import Sending
from services.execution.app.trading import Trading
from services.execution.app.venue_port import VenuePort
from services.execution.clients import PolicyClient
from services.execution.config import ExecutionSettings
from services.execution.domain.desk import Desk
from services.execution.domain.errors import VenueUnreachable
from services.execution.domain.exchanges import exchange
from services.execution.domain.limits import DayLimit, LimitKind, Limits
from services.execution.domain.protection import Protection
from services.execution.domain.trading_hours import Outside, TradingHours
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.fix.transport.tls import client_context
from services.execution.store import begin_with
from services.execution.store.fix import sessions_with
from services.execution.venues.fix44.desk import SandboxDesk
from services.execution.venues.fix44.sessions import broker_session, client_session
from services.execution.venues.fix44.venue import DropCopies, Fix44Venue
from services.execution.venues.fix44.watch import SessionWatch
from services.execution.venues.fix44.workers import SandboxPort, Tls, keep_up
from services.execution.venues.sandbox.postgres import book_with
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId, VenueId
from services.kernel.signing import PublicKey, read_public_key
from services.runtime.client import connect
from services.runtime.clock import ShiftedClock, SystemClock
from services.runtime.context import continued, trace_parent
from services.runtime.database import Database
from services.runtime.housekeeping import housekeeper
from services.runtime.outbox import relay
from services.runtime.server import Servicer, serve
from services.runtime.telemetry import meter
from services.runtime.workers import Patience, Worker, wait

# How often orders are counted by state, and expired plans are looked for, in seconds.
COUNT_S = 5.0
EXPIRE_S = 1.0


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
    return Built(app, venue, servicers, [*_workers(app, settings, work, reported, heard), *fix.workers])


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


def desk_of(settings: ExecutionSettings) -> Desk:
    """Return who trades, as the settings say."""
    return Desk(
        firm_lei=settings.firm_lei,
        firm_branch=settings.firm_branch,
        investment_firm=settings.investment_firm,
        venue_mic=settings.venue_mic,
        broker_lei=settings.broker_lei,
        execution_algorithm=settings.execution_algorithm,
        capacity=settings.trading_capacity,
    )


def build_app(
    settings: ExecutionSettings,
    begin: Begin,
    venue: VenuePort,
    policies: Policies,
    *,
    clock: Clock,
    market_clock: Clock,
) -> ExecutionApp:
    """Return the use cases over a ledger and a venue."""
    trace = RuntimeTrace()
    hours = hours_of(settings)
    routing = routing_of(settings, venue.venue_id)
    protecting = protecting_of(settings)
    funding = FundingRules(
        haircut_bps=settings.proceeds_haircut_bps,
        cost_buffer_bps=settings.cost_buffer_bps,
        part_amount_min=settings.buy_part_amount_min,
        wave_share_min=settings.buy_wave_share_min,
    )
    in_force = PoliciesInForce(
        policies,
        clock=clock,
        fresh=timedelta(seconds=settings.policy_fresh_s),
        age_max=timedelta(seconds=settings.policy_age_max_s),
    )
    limits = limits_of(settings)
    restricted = frozenset(map(InstrumentId, settings.restricted_instruments))
    own_accounts = frozenset(map(AccountId, settings.own_accounts))
    checked_for = timedelta(seconds=settings.check_again_s)
    break_grace = timedelta(seconds=settings.break_grace_s)
    return ExecutionApp(
        intake=Intake(
            begin=begin,
            policies=in_force,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            keys=read_keys(settings.plan_keys_directory),
            limits=limits,
            restricted=restricted,
            venue_id=venue.venue_id,
            hours=hours,
            break_grace=break_grace,
            trades_currencies=venue.capabilities.trades_currencies,
            desk=desk_of(settings),
        ),
        clearing=Clearing(
            begin=begin,
            policies=in_force,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            limits=limits,
            restricted=restricted,
            funding=funding,
            exchange=hours.exchange,
            checked_for=checked_for,
            break_grace=break_grace,
            orders_max=settings.block_formation_orders_max,
            trades_currencies=venue.capabilities.trades_currencies,
        ),
        forming=Forming(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            hours=hours,
            routing=routing,
            protecting=protecting,
            checked_for=checked_for,
            quiet=timedelta(seconds=settings.block_quiet_s),
            wait_max=timedelta(seconds=settings.block_wait_max_s),
            orders_max=settings.block_formation_orders_max,
            orders_per_block_max=settings.block_orders_max,
            own_accounts=own_accounts,
            crossing=Crossing(
                trace=trace,
                clock=clock,
                market_clock=market_clock,
                exchange=hours.exchange,
                routing=routing,
                funding=funding,
                offered=settings.crossing,
                price_age_max=timedelta(seconds=settings.crossing_price_age_max_s),
                restricted=restricted,
                own_accounts=own_accounts,
            ),
        ),
        scheduling=Scheduling(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            rules=ScheduleRules(
                interval=timedelta(seconds=settings.schedule_interval_s),
                horizon=timedelta(seconds=settings.schedule_horizon_s),
                bucket=timedelta(seconds=settings.volume_bucket_s),
                auction_lead=timedelta(seconds=settings.auction_lead_s),
                risk_aversion=settings.schedule_risk_aversion,
                daily_volatility=settings.schedule_daily_volatility,
                spread_bps=settings.schedule_spread_bps,
                daily_volume=settings.schedule_daily_volume,
            ),
            hours=hours,
            routing=routing,
            protecting=protecting,
            checked_for=checked_for,
            orders_max=settings.block_formation_orders_max,
            orders_per_block_max=settings.block_orders_max,
            own_accounts=own_accounts,
        ),
        sending=Sending(
            begin=begin,
            venue=venue,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            hours=hours,
            new_attempt=lambda: str(uuid4()),
            resolve_after=timedelta(seconds=settings.resolve_after_s),
        ),
        fills=Fills(
            begin=begin,
            venue=venue,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            reports_max=settings.reports_max,
            funding=funding,
            hours=hours,
            converting=Converting(clock, market_clock, hours, routing, limits.price_age_max, settings.price_collar_bps),
        ),
        instructing=Instructing(begin=begin, venue=venue, trace=trace, clock=clock, exchange=hours.exchange),
        trading=Trading(
            begin=begin,
            trace=trace,
            clock=clock,
            market_clock=market_clock,
            funding=funding,
            hours=hours,
            volume_bucket=timedelta(seconds=settings.volume_bucket_s),
        ),
        reconciling=Reconciling(begin=begin, venue=venue, clock=clock, exchange=hours.exchange),
        queries=Queries(
            begin=begin,
            venue=venue,
            clock=clock,
            exchange=hours.exchange,
            volume_bucket=timedelta(seconds=settings.volume_bucket_s),
        ),
    )


def hours_of(settings: ExecutionSettings) -> TradingHours:
    """Return when orders may leave, as the settings say."""
    at_sandbox = Outside.SEND if settings.venue == "sandbox" else Outside.CARRY
    outside = at_sandbox if settings.outside_session is None else Outside(settings.outside_session)
    return TradingHours(exchange(settings.exchange), outside, timedelta(seconds=settings.cut_off_s))


def routing_of(settings: ExecutionSettings, connected: VenueId) -> Routing:
    """Return where blocks go, and why not elsewhere, as the settings say."""
    absent = {
        VenueId("sandbox"): "orders go to a broker here, and a simulator trades with nobody",
        VenueId("fix44"): "no broker is connected here",
    }
    return Routing(
        connected=connected,
        mic=settings.venue_mic,
        others={name: why for name, why in absent.items() if name != connected},
        spread_bps=settings.schedule_spread_bps,
        daily_volume=settings.schedule_daily_volume,
        daily_volatility=settings.schedule_daily_volatility,
    )


def protecting_of(settings: ExecutionSettings) -> Protecting:
    """Return how dear market buys may be, as the settings say."""
    at_sandbox = Protection.COLLAR if settings.venue == "sandbox" else Protection.SET_ASIDE
    by = at_sandbox if settings.buy_protection is None else Protection(settings.buy_protection)
    return Protecting(by, settings.price_collar_bps, settings.fee_bps_max)


def limits_of(settings: ExecutionSettings) -> Limits:
    """Return the pre-trade limits that the settings say."""
    return Limits(
        order_quantity_max=settings.order_quantity_max,
        order_amount_max=settings.order_amount_max,
        trades_per_plan_max=settings.plan_trades_max,
        days={
            LimitKind.FIRM: DayLimit(
                settings.firm_day_orders_max, settings.firm_day_amount_max, settings.firm_day_turnover_max
            ),
            LimitKind.HOUSEHOLD: DayLimit(
                settings.household_day_orders_max,
                settings.household_day_amount_max,
                settings.household_day_turnover_max,
            ),
            LimitKind.ACCOUNT: DayLimit(
                settings.account_day_orders_max, settings.account_day_amount_max, settings.account_day_turnover_max
            ),
            LimitKind.VENUE: DayLimit(settings.venue_day_orders_max, settings.venue_day_amount_max),
            LimitKind.INSTRUMENT: DayLimit(settings.instrument_day_orders_max, settings.instrument_day_amount_max),
        },
        collar_bps=settings.price_collar_bps,
        price_age_max=timedelta(seconds=settings.price_age_max_s),
        cost_buffer_bps=settings.cost_buffer_bps,
    )


def read_keys(directory: Path) -> Mapping[str, PublicKey]:
    """Return decision's public keys by their ids.

    Raises:
        ValueError: There is none, or one is no Ed25519 key.
    """
    keys = {file.stem: read_public_key(file.read_bytes()) for file in sorted(directory.glob("*.pem"))}
    if not keys:
        raise ValueError(f"{directory} must hold decision's public keys as <key id>.pem, was empty")
    return keys


class RuntimeTrace:
    """Ties what is done to the trace in which it was ordered."""

    def continued(
        self, trace_parent: str | None, name: str, *, also: Sequence[str] = (), **attributes: str | int
    ) -> AbstractContextManager[object]:
        """Do the work within as a span of the trace `trace_parent`."""
        return continued(trace_parent, name, also=also, **attributes)

    def parent(self) -> str | None:
        """Return the present trace context."""
        return trace_parent()


def _workers(app: ExecutionApp, settings: ExecutionSettings, work: Bell, reported: Bell, heard: Bell) -> list[Worker]:
    counts: dict[LifeState, int] = {}

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(orders, {"evenkeel.order.state": state}) for state, orders in counts.items()]

    breaks: dict[str, int] = {}

    def observe_breaks(_: CallbackOptions) -> list[Observation]:
        return [Observation(count) for count in breaks.values()]

    meter().create_observable_gauge("evenkeel.breaks", [observe_breaks], "{break}", "Open breaks with venues.")
    meter().create_observable_gauge("evenkeel.orders", [observe], "{order}", "Accounts' orders by state.")

    async def apply() -> int:
        done = await app.fills.finish_blocks() + await app.fills.apply_reports() + await app.fills.convert_blocks()
        if done:
            work.ring()
            reported.ring()
        return done

    async def send() -> int:
        return await app.sending.send_blocks() + await app.sending.cancel_blocks()

    async def form() -> int:
        checked = await app.clearing.check_orders()
        formed = await app.forming.form_blocks() + await app.scheduling.form_children()
        if checked or formed:
            # Some may have been given up, others may have their money, and what was crossed is shared out already.
            reported.ring()
        if formed:
            work.ring()
        return checked + formed

    async def instruct() -> int:
        return await app.instructing.instruct_blocks() + await app.instructing.hear_answers()

    async def expire() -> int:
        expired = await app.trading.expire_plans()
        if expired:
            work.ring()
            reported.ring()
        return 0

    async def count() -> int:
        counts.update(dict.fromkeys(LifeState, 0) | await app.queries.orders_by_state())
        return 0

    async def reconcile() -> int:
        try:
            breaks["open"] = await app.reconciling.reconcile_venue()
        except VenueUnreachable:
            # It is compared when it answers again.
            return 0
        return 0

    look_s, calm_s = settings.look_s, settings.look_calm_s
    return [
        repeating("form blocks", form, look_s, calm_s, work),
        repeating("send blocks", send, look_s, calm_s, work),
        repeating("resolve sends", app.sending.resolve_blocks, max(look_s, settings.resolve_after_s / 2), calm_s),
        repeating("apply reports", apply, look_s, calm_s, work, heard),
        repeating("instruct allocations", instruct, look_s, calm_s, reported, heard),
        repeating("expire plans", expire, EXPIRE_S),
        repeating("count orders", count, COUNT_S),
        repeating("reconcile", reconcile, settings.reconcile_s),
    ]


def repeating(name: str, step: Callable[[], Awaitable[int]], look_s: float, calm_s: float = 0, *wake: Bell) -> Worker:
    """Return a worker that repeats `step` while it finds something to do, and else looks every `look_s` seconds.

    Or every `calm_s`, when that is longer and nothing happened for a while; and at once when a bell of `wake` rings.
    """

    async def run(stop: asyncio.Event) -> None:
        patience = Patience(look_s, calm_s)
        while not stop.is_set():
            rung = [each.rung for each in wake]
            if await step():
                patience.worked()
                continue
            await wait(stop, patience.next_s(), *rung)
            if any(each.is_set() for each in rung):
                patience.worked()

    return Worker(name, run)
