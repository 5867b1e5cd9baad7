"""Builds the decision service from its settings, and serves."""

import argparse
import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import grpc.aio
from google.longrunning.operations_pb2 import DESCRIPTOR as OPERATIONS
from google.longrunning.operations_pb2_grpc import add_OperationsServicer_to_server

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR as AUDIT
from evenkeel.decision.v1.book_service_pb2 import DESCRIPTOR as BOOK
from evenkeel.decision.v1.book_service_pb2_grpc import add_BookServiceServicer_to_server
from evenkeel.decision.v1.plan_service_pb2 import DESCRIPTOR as PLAN
from evenkeel.decision.v1.plan_service_pb2_grpc import add_PlanServiceServicer_to_server
from evenkeel.decision.v1.price_service_pb2 import DESCRIPTOR as PRICE
from evenkeel.decision.v1.price_service_pb2_grpc import add_PriceServiceServicer_to_server
from evenkeel.decision.v1.run_service_pb2 import DESCRIPTOR as RUN
from evenkeel.decision.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from evenkeel.decision.v1.tax_service_pb2 import DESCRIPTOR as TAX
from evenkeel.decision.v1.tax_service_pb2_grpc import add_TaxServiceServicer_to_server
from evenkeel.decision.v1.year_end_service_pb2 import DESCRIPTOR as YEAR_END
from evenkeel.decision.v1.year_end_service_pb2_grpc import add_YearEndServiceServicer_to_server
from evenkeel.execution.v1.execution_service_pb2 import DESCRIPTOR as EXECUTION
from evenkeel.policy.v1.policy_service_pb2 import DESCRIPTOR as POLICY
from evenkeel.policy.v1.profile_service_pb2 import DESCRIPTOR as PROFILE
from evenkeel.policy.v1.rollout_service_pb2 import DESCRIPTOR as ROLLOUT
from services.decision.api.batches import NAME as BATCHES
from services.decision.api.batches import BatchServicer, add_batch_servicer
from services.decision.api.book import BookServicer
from services.decision.api.operations import PERMISSIONS, RunOperations
from services.decision.api.plans import PlanServicer
from services.decision.api.prices import PriceServicer
from services.decision.api.runs import RunServicer
from services.decision.api.taxes import TaxServicer
from services.decision.api.year_ends import YearEndServicer
from services.decision.app.batches import BatchApp
from services.decision.app.book import BookApp
from services.decision.app.changes import Changes
from services.decision.app.comparing import ComparisonApp, Reporting
from services.decision.app.deciding import Deciding
from services.decision.app.explaining import ExplainApp
from services.decision.app.following import Following
from services.decision.app.impact import ImpactApp
from services.decision.app.keeping import Keeping
from services.decision.app.pinning import Pinning
from services.decision.app.plans import PlanApp
from services.decision.app.ports.tracing import Spanned
from services.decision.app.preview_errors import PreviewErrors
from services.decision.app.previewing import PreviewApp
from services.decision.app.prices import PriceApp
from services.decision.app.runs import RunApp
from services.decision.app.submitting import Submitting
from services.decision.app.tax_laws import TaxLawApp
from services.decision.app.tax_standing import StandingApp
from services.decision.app.taxes import TaxApp
from services.decision.app.valuing import Valuing
from services.decision.app.year_ends import YearEndApp
from services.decision.clients.compiling import keep_compiled
from services.decision.clients.execution import GrpcExecution
from services.decision.clients.policy import GrpcPolicy
from services.decision.clients.rollouts import GrpcRollouts
from services.decision.clients.solvers import SolverProcesses
from services.decision.clients.solving import (
    compile_everything,
    compiled_optimiser,
    optimiser_of_many,
    reference_optimiser,
)
from services.decision.clients.values import GrpcValues
from services.decision.config import DecisionSettings
from services.decision.domain.problem import DecideOptions
from services.decision.store.book_sessions import BookSessions
from services.decision.store.previews import PreviewSessions
from services.decision.store.sessions import DecisionStore, PlansOfBooks
from services.decision.store.tax_laws import TaxLawSessions
from services.decision.store.taxes import TaxSessions
from services.decision.store.values import ValueSessions
from services.kernel.clock import Clock
from services.kernel.errors import Conflict, Unreachable
from services.kernel.signing import read_private_key
from services.runtime.client import connect
from services.runtime.clock import ShiftedClock, SystemClock
from services.runtime.context import continued
from services.runtime.database import Database
from services.runtime.housekeeping import housekeeper
from services.runtime.logging import get_logger
from services.runtime.migrations import run_migrations
from services.runtime.outbox import relay
from services.runtime.server import Servicer, run, serve
from services.runtime.telemetry import level, span
from services.runtime.workers import Backoff, Patience, Worker, wait

log = get_logger()

# Where a developer's machine keeps compiled code.
BUILD = Path(__file__).parents[2] / "build" / "compiled"

# How long before the end of the reviewed law the log says so, at each look.
LAW_WARNING_DAYS = 45
LAW_LOOK_S = 6 * 3600.0

# What computes a plan; its version is part of what the plan is a function of.
ENGINE_PACKAGES = ("evenkeel", "cvxpy", "clarabel", "numba", "numpy")

# Of what a plan is a function of.
ENGINE_SOURCE = ("services.decision.domain", "services.kernel")

# Waits between attempts to follow execution, in seconds.
FOLLOW_AGAIN_S_MIN = 0.1
FOLLOW_AGAIN_S_MAX = 3.0


class RuntimeTracing:
    """Spans of the runtime, for use cases."""

    def continued(
        self, trace_parent: str | None, name: str, **attributes: str | float
    ) -> AbstractContextManager[Spanned]:
        """Open a span called `name` in the trace that ordered the work."""
        return continued(trace_parent, name, also=(), **attributes)

    def span(self, name: str, **attributes: str | float) -> AbstractContextManager[Spanned]:
        """Open a span called `name` inside the present one."""
        return span(name, **attributes)


@dataclass(frozen=True, slots=True)
class Built:
    """The service, put together."""

    servicers: Sequence[Servicer]
    workers: Sequence[Worker]
    solver: SolverProcesses


async def main(settings: DecisionSettings) -> None:
    """Serve until told to stop."""
    database = Database(settings)
    built = build(
        settings,
        database,
        clock=SystemClock(),
        market_clock=ShiftedClock(timedelta(seconds=settings.clock_offset_s)),
        policy=_channel(
            settings,
            settings.policy_address,
            POLICY.services_by_name["PolicyService"].full_name,
            PROFILE.services_by_name["ProfileService"].full_name,
            ROLLOUT.services_by_name["RolloutService"].full_name,
        ),
        execution=_channel(
            settings, settings.execution_address, EXECUTION.services_by_name["ExecutionService"].full_name
        ),
    )
    workers = [*built.workers, housekeeper(database, settings)]
    if settings.audit_address is not None:
        audit = AUDIT.services_by_name["AuditService"].full_name
        workers.append(relay(database, _channel(settings, settings.audit_address, audit)))
    built.solver.start()
    try:
        await serve(settings, name="decision", servicers=built.servicers, database=database, workers=workers)
    finally:
        built.solver.stop()


def build(
    settings: DecisionSettings,
    database: Database,
    *,
    clock: Clock,
    market_clock: Clock,
    policy: grpc.aio.Channel,
    execution: grpc.aio.Channel,
) -> Built:
    """Return what is served, and what runs beside it, over `database` and the channels to the peers."""
    store = DecisionStore(database)
    changes = Changes()
    engine = engine_name(settings.engine)
    processes = settings.solver_processes or os.cpu_count() or 1
    load = reference_optimiser if settings.engine == "reference" else compiled_optimiser
    load_many = optimiser_of_many if settings.engine == "columns" else None
    solver = SolverProcesses(processes, settings.solve_s_max, load, load_many)
    asks_policy = GrpcPolicy(policy)
    key = read_private_key(settings.plan_key_file.read_bytes())
    asks_execution = GrpcExecution(execution, key, settings.plan_key_id)
    runs = RunApp(
        begin=store.begin,
        read=store.read,
        clock=clock,
        market_clock=market_clock,
        changes=changes,
        engine=engine,
        currency=settings.currency,
        shard_size=settings.shard_size,
    )
    plans = PlanApp(
        begin=store.begin,
        read=store.read,
        clock=clock,
        market_clock=market_clock,
        changes=changes,
        solver=solver,
        policy=asks_policy,
        engine=engine,
    )
    taxes = TaxSessions(database)
    standing = StandingApp(taxes.read, taxes.begin, asks_policy)
    previews = PreviewApp(store.read, market_clock, solver, asks_policy, engine, settings.currency, standing)
    kept = PreviewSessions(database)
    explanations = ExplainApp(store.read, solver, asks_policy)
    sessions = BookSessions(database, PlansOfBooks)
    books = BookApp(
        read=sessions.view, begin=sessions.ledger, execution=asks_execution, clock=clock, market_clock=market_clock
    )
    prices = PriceApp(read=sessions.prices, begin=sessions.market, clock=clock, market_clock=market_clock)
    laws = TaxLawApp(clock, TaxLawSessions(database).begin)
    servicers = (
        Servicer(
            RUN.services_by_name["RunService"].full_name,
            add_RunServiceServicer_to_server,
            RunServicer(runs, ComparisonApp(store.read), ImpactApp(store.read, asks_policy, solver)),
        ),
        Servicer(
            PLAN.services_by_name["PlanService"].full_name,
            add_PlanServiceServicer_to_server,
            PlanServicer(plans, previews, explanations, PreviewErrors(kept.read, kept.begin, clock)),
        ),
        Servicer(BATCHES, add_batch_servicer, BatchServicer(BatchApp(solver, engine_name("columns")))),
        Servicer(
            BOOK.services_by_name["BookService"].full_name,
            add_BookServiceServicer_to_server,
            BookServicer(books, database),
        ),
        Servicer(
            PRICE.services_by_name["PriceService"].full_name, add_PriceServiceServicer_to_server, PriceServicer(prices)
        ),
        Servicer(
            TAX.services_by_name["TaxService"].full_name,
            add_TaxServiceServicer_to_server,
            TaxServicer(
                TaxApp(clock, market_clock, taxes.read, taxes.begin, asks_policy),
                laws,
            ),
        ),
        Servicer(
            YEAR_END.services_by_name["YearEndService"].full_name,
            add_YearEndServiceServicer_to_server,
            YearEndServicer(YearEndApp(clock, market_clock, taxes.read, asks_policy, solver)),
        ),
        Servicer(
            OPERATIONS.services_by_name["Operations"].full_name,
            add_OperationsServicer_to_server,
            RunOperations(runs),
            PERMISSIONS,
        ),
    )
    tracing = RuntimeTracing()
    lease = timedelta(seconds=settings.lease_s)
    pinning = Pinning(store.begin, store.read, clock, asks_policy, solver, tracing, changes, lease, standing)
    deciding = Deciding(store.begin, store.read, clock, asks_policy, solver, tracing, changes, lease)
    submitting = Submitting(store.begin, clock, market_clock, asks_execution, tracing, changes, lease)
    following = Following(store.begin, store.read, clock, asks_execution, tracing, changes)
    reporting = Reporting(store.read, store.begin, clock, GrpcRollouts(policy))
    values = ValueSessions(database)
    valuing = Valuing(values.read, values.begin, clock, GrpcValues(policy))
    keeping = Keeping(store.begin, clock, market_clock, tracing, changes)
    workers = (
        _stepping("pin", pinning.step, changes, settings),
        *(_stepping(f"decide-{number}", deciding.step, changes, settings) for number in range(processes)),
        _stepping("submit", submitting.step, changes, settings),
        _stepping("keep", keeping.step, changes, settings),
        _stepping("report", reporting.step, changes, settings),
        _stepping("value", valuing.step, changes, settings),
        _following(following),
        watching(laws),
    )
    return Built(servicers, workers, solver)


def engine_name(kind: str) -> str:
    """Return the name of what computes plans: its kind, the versions of its packages, its source, and its options.

    Two builds of one version whose source differs have different names, and so have the plans that they decide.
    """
    packages = [f"{package}/{version(package)}" for package in ENGINE_PACKAGES]
    options = DecideOptions()
    return " ".join((kind, *packages, f"source/{source_digest(ENGINE_SOURCE)}", f"iterations/{options.iterations_max}"))


def source_digest(packages: Sequence[str]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 over the Python source of packages, by path."""
    digest = hashlib.sha256()
    for package in packages:
        root = Path(str(files(package)))
        for source in sorted(root.rglob("*.py")):
            digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def command_line() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m services.decision", description="The decision service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the schema to the newest revision")
    commands.add_parser("compile", help="compile what `serve` would compile, and keep it")
    given = parser.parse_args()
    if given.command == "compile":
        keep_compiled(BUILD)
        compile_everything()
        return
    settings = DecisionSettings.from_environment()
    if given.command == "serve":
        keep_compiled(BUILD)
        run(main(settings))
    else:
        asyncio.run(run_migrations(settings, "services.decision"))


def _channel(settings: DecisionSettings, address: str, *services: str) -> grpc.aio.Channel:
    return connect(address, settings.peer_credentials, services=services)


def _stepping(name: str, step: Callable[[], Awaitable[bool]], changes: Changes, settings: DecisionSettings) -> Worker:
    """Return the worker that takes one step after another, and waits when there is nothing to do."""

    async def run_steps(stop: asyncio.Event) -> None:
        patience = Patience(settings.poll_s, settings.poll_calm_s)
        while not stop.is_set():
            if await step() or await changes.wait_for_work(patience.next_s()):
                patience.worked()

    return Worker(name, run_steps)


def watching(laws: TaxLawApp) -> Worker:
    """Return the worker that says for how many days more accounts are planned by reviewed law."""
    left = level("evenkeel.tax.law.days", "{day}", "Days for which accounts of a country are planned yet.")

    async def watch(stop: asyncio.Event) -> None:
        while not stop.is_set():
            horizons, today = await laws.horizons()
            for each in horizons:
                days = each.days_left(today)
                left.set(days, {"jurisdiction": each.jurisdiction})
                if days <= LAW_WARNING_DAYS:
                    said = "the law of the next tax year was not reviewed"
                    log.warning(said, jurisdiction=each.jurisdiction, tax_year=each.tax_year, days_left=days)
            await wait(stop, LAW_LOOK_S)

    return Worker("tax-law", watch)


def _following(following: Following) -> Worker:
    """Return the worker that follows execution's reports, again and again, as execution comes and goes."""

    async def follow(stop: asyncio.Event) -> None:
        backoff = Backoff(FOLLOW_AGAIN_S_MIN, FOLLOW_AGAIN_S_MAX)
        ending = asyncio.create_task(stop.wait())
        while not stop.is_set():
            reading = asyncio.create_task(following.follow())
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                return
            try:
                reading.result()
                backoff.reset()
            except Conflict:
                # Another replica booked the same reports; go on from where it is.
                log.info("reports were booked elsewhere")
            except Unreachable as unreachable:
                log.info("execution does not answer", error=unreachable.message)
            await wait(stop, backoff.next_s())

    return Worker("follow", follow)
