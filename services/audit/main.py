"""Builds the audit service from its settings, and serves."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from uuid import uuid4  # noqa: TID251 - each look at the record is one of its own

from google.protobuf.descriptor import FileDescriptor

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR as AUDIT
from evenkeel.audit.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from evenkeel.audit.v1.export_service_pb2 import DESCRIPTOR as EXPORT
from evenkeel.audit.v1.export_service_pb2_grpc import add_ExportServiceServicer_to_server
from evenkeel.audit.v1.monitor_service_pb2 import DESCRIPTOR as MONITOR
from evenkeel.audit.v1.monitor_service_pb2_grpc import add_MonitorServiceServicer_to_server
from evenkeel.audit.v1.query_service_pb2 import DESCRIPTOR as QUERY
from evenkeel.audit.v1.query_service_pb2_grpc import add_AuditQueryServiceServicer_to_server
from evenkeel.audit.v1.records_service_pb2 import DESCRIPTOR as RECORDS_CONTRACT
from evenkeel.audit.v1.records_service_pb2_grpc import add_RecordsServiceServicer_to_server
from evenkeel.audit.v1.report_service_pb2 import DESCRIPTOR as REPORTS
from evenkeel.audit.v1.report_service_pb2_grpc import add_ReportServiceServicer_to_server
from evenkeel.audit.v1.witness_service_pb2 import DESCRIPTOR as WITNESS
from evenkeel.audit.v1.witness_service_pb2_grpc import add_WitnessServiceServicer_to_server
from services.audit.api import (
    AccessRecorder,
    AuditQueryServicer,
    AuditServicer,
    ExportServicer,
    LogQueries,
    MonitorServicer,
    RecordsServicer,
    ReportServicer,
    WitnessServicer,
)
from services.audit.app import (
    AccessLog,
    AccountRecords,
    AuditApp,
    Closer,
    Exporter,
    Growing,
    Keeper,
    Log,
    Logs,
    Monitor,
    Queries,
    RecordsApp,
    Reporter,
    Scrubber,
    ScrubReport,
    Sealer,
    Sequencer,
    read_records,
    scrub,
)
from services.audit.app.closer import nothing_destroyed
from services.audit.app.monitor import ClockSource
from services.audit.app.witnesses import Witnesses
from services.audit.clients import Alarms, DatabaseClock, HttpWitness, NtpClock, Watch, WitnessWatch
from services.audit.config import AuditSettings, continued_key, last_note, signing_keys
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.errors import LogWriterElsewhere
from services.audit.domain.logs import ACCESS, EVENTS, OWN, RECORDS
from services.audit.domain.records import Records
from services.audit.domain.reports.base import GROUP, Report
from services.audit.domain.signed_note import SigningKey
from services.audit.store import (
    PostgresCloses,
    PostgresContents,
    PostgresCosignatures,
    PostgresDisposer,
    PostgresGoverning,
    PostgresPartitions,
    PostgresReader,
    PostgresStretches,
    PostgresSubjectKeys,
    StretchProcesses,
    Trusted,
    create_logs,
    elect,
    read_wrapping_key,
)
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.logging import get_logger
from services.runtime.migrations import run_migrations
from services.runtime.server import AddToServer, Servicer, serve
from services.runtime.workers import Worker

log = get_logger()


async def migrate(settings: AuditSettings) -> None:
    """Bring the schema to its newest revision, and make the tables of logs that are new in the settings."""
    await run_migrations(settings, "services.audit")
    for name in await create_logs(settings, {*OWN, *settings.logs}):
        log.info("log made", log=name)


async def check(settings: AuditSettings, processes: int = 0) -> Mapping[str, ScrubReport]:
    """Check everything that is stored of each log, from outside the service, and record nothing.

    Long stretches are checked by so many `processes`, or here when there are none.
    """
    database = Database(settings)
    try:
        records = Records()
        await read_records(PostgresReader(database, RECORDS), records)
        reports = {}
        for name, key in signing_keys(settings).items():
            trusted = _trusted(settings, name, key)
            stretches = StretchProcesses(settings, trusted, name, count=processes, niceness=0) if processes else None
            try:
                reports[name] = await scrub(
                    PostgresContents(database, name),
                    key.name,
                    trusted.keys,
                    continues=trusted.continues,
                    disposals=[(each.start, each.stop) for each in records.disposals(name)],
                    witnesses=trusted.witnesses,
                    closes=PostgresCloses(database, name),
                    stretches=stretches or PostgresStretches(database, trusted, name),
                )
            finally:
                if stretches is not None:
                    await stretches.rest()
        return reports
    finally:
        await database.close()


def _trusted(settings: AuditSettings, name: str, key: SigningKey) -> Trusted:
    """Return what a check of the log `name`, which `key` signs, believes."""
    witnesses = [WitnessKey.parse(each.key) for each in settings.witnesses]
    return Trusted(key.name, [key.verifier_key], continued_key(settings, name), witnesses)


@dataclass(frozen=True, slots=True)
class OpenLog:
    """Everything that works on one log in this process."""

    name: str
    key: SigningKey
    sequencer: Sequencer
    scrubber: Scrubber
    closer: Closer
    witnesses: Witnesses
    app: AuditApp
    queries: LogQueries

    @classmethod
    def of(
        cls,
        name: str,
        key: SigningKey,
        settings: AuditSettings,
        database: Database,
        records: RecordsApp | None = None,
        sealer: Sealer | None = None,
    ) -> "OpenLog":
        """Put together what works on the log `name`, which `records` governs and in which `sealer` seals."""
        growing = Growing(settings.follow_poll_s)
        watch = Watch(name, growing)
        continues = continued_key(settings, name)

        async def may_sign(signed: SignedCheckpoint) -> None:
            answered = await witnesses.check(signed)
            if answered < settings.witness_answers_min:
                raise LogWriterElsewhere(
                    f"{answered} witnesses answer, and {settings.witness_answers_min} must before anything is signed"
                )

        sequencer = Sequencer(
            elect=lambda: elect(database, key.name, name, None if continues is None else continues.name),
            origin=key.name,
            keys=[key],
            clock=SystemClock(),
            observer=watch,
            queue_events_max=settings.queue_events_max,
            election_interval_s=settings.election_interval_s,
            may_sign=may_sign,
            last_note=last_note(settings) if name == EVENTS else None,
        )
        trusted = _trusted(settings, name, key)
        processes = settings.scrub_processes
        scrubber = Scrubber(
            log=PostgresContents(database, name),
            origin=key.name,
            keys=trusted.keys,
            continues=continues,
            sequencer=sequencer,
            clock=SystemClock(),
            interval_s=settings.scrub_interval_s,
            on_report=watch.scrubbed,
            disposals=None if records is None else partial(records.disposals, name),
            witnesses=trusted.witnesses,
            closes=PostgresCloses(database, name),
            stretches=StretchProcesses(settings, trusted, name, count=processes) if processes else None,
        )
        reader = PostgresReader(database, name)
        app = AuditApp(
            sequencer=sequencer,
            log=reader,
            growing=growing,
            sealed=None if sealer is None else sealer.sealed,
            why_gone=None if records is None else partial(records.why_gone, name),
        )
        closer = Closer(
            origin=key.name,
            log=reader,
            store=PostgresCloses(database, name),
            sequencer=sequencer,
            clock=SystemClock(),
            interval_s=settings.close_look_s,
            destroyed=nothing_destroyed if records is None else partial(records.destroyed, name),
        )
        account_records = AccountRecords(app=app, log=reader, closer=closer, clock=SystemClock())
        queries = LogQueries(Queries(app=app, log=reader), account_records)
        witnesses = _witnesses(name, settings, database, reader, app, sequencer)

        return cls(name, key, sequencer, scrubber, closer, witnesses, app, queries)

    @property
    def workers(self) -> list[Worker]:
        """What runs beside the calls."""
        found = [
            Worker(f"sequencer of {self.name}", self.sequencer.run),
            Worker(f"scrubber of {self.name}", self.scrubber.run),
            Worker(f"closer of {self.name}", self.closer.run),
        ]
        if self.witnesses.standings:
            found.append(Worker(f"witnesses of {self.name}", self.witnesses.run))
        return found


def _witnesses(
    name: str,
    settings: AuditSettings,
    database: Database,
    reader: PostgresReader,
    app: AuditApp,
    sequencer: Sequencer,
) -> Witnesses:
    """Return those who see the log `name`."""
    witnesses = [HttpWitness(WitnessKey.parse(each.key), each.url) for each in settings.witnesses]
    return Witnesses(
        witnesses=witnesses,
        needed=settings.witness_quorum or (len(witnesses) // 2 + 1 if witnesses else 0),
        log=reader,
        proves=app,
        store=PostgresCosignatures(database, name),
        clock=SystemClock(),
        interval_s=settings.witness_interval_s,
        observer=WitnessWatch(name, settings.witness_age_s_max).observer,
        writing=lambda: sequencer.writing,
        on_behind=sequencer.stop_signing,
    )


def keeper_database(settings: AuditSettings) -> Database:
    """Return the database as the keeper's login sees it."""
    return Database(settings.model_copy(update={"database_url": settings.keeper_database_url, "database_pool_size": 2}))


@dataclass(frozen=True, slots=True)
class Assembled:
    """Everything that the process serves and does; `close` what it has open at the end."""

    database: Database
    keeper: Database
    servicers: Sequence[Servicer]
    workers: Sequence[Worker]
    opened: Mapping[str, OpenLog]

    async def close(self) -> None:
        """Close every connection."""
        await self.keeper.close()
        await self.database.close()


def assemble(settings: AuditSettings) -> Assembled:
    """Put together what `settings` say."""
    database, keeper_login = Database(settings), keeper_database(settings)
    signing = signing_keys(settings)
    readers = {name: PostgresReader(database, name) for name in signing}
    subject_keys = PostgresSubjectKeys(keeper_login, read_wrapping_key(settings.subject_keys_file))
    sealer = Sealer(subject_keys, readers[EVENTS])
    governing = OpenLog.of(RECORDS, signing[RECORDS], settings, database)
    approved = asyncio.Event()
    records = RecordsApp(
        sequencer=governing.sequencer,
        log=readers[RECORDS],
        readers={name: reader for name, reader in readers.items() if name != RECORDS},
        partitions=PostgresPartitions(database),
        keys=subject_keys,
        governing=PostgresGoverning(database),
        clock=SystemClock(),
        on_approved=approved.set,
    )
    keeper = Keeper(
        records=records,
        disposer=PostgresDisposer(database, keeper_login),
        keys=subject_keys,
        writing=lambda: governing.sequencer.writing,
        approved=approved,
    )
    opened = {RECORDS: governing} | {
        name: OpenLog.of(name, key, settings, database, records, sealer if name == EVENTS else None)
        for name, key in signing.items()
        if name != RECORDS
    }
    logs = Logs({name: Log(name, each.key.verifier_key, each.app) for name, each in opened.items()})
    access = AccessRecorder(
        AccessLog(sequencer=opened[ACCESS].sequencer, clock=SystemClock(), new_id=lambda: str(uuid4()))
    )
    exporters = {
        name: Exporter(log=readers[name], rows=PostgresContents(database, name), key=each.key)
        for name, each in opened.items()
    }
    reporter = Reporter(installed_reports(), readers)
    servicers = [
        replace(
            _servicer(AUDIT, "AuditService", add_AuditServiceServicer_to_server, AuditServicer(logs, access)),
            checked=AuditServicer.CHECKED,
        ),
        _servicer(
            QUERY,
            "AuditQueryService",
            add_AuditQueryServiceServicer_to_server,
            AuditQueryServicer(logs, {name: each.queries for name, each in opened.items()}, access),
        ),
        _servicer(
            WITNESS,
            "WitnessService",
            add_WitnessServiceServicer_to_server,
            WitnessServicer(logs, {name: each.witnesses for name, each in opened.items()}),
        ),
        _servicer(
            RECORDS_CONTRACT, "RecordsService", add_RecordsServiceServicer_to_server, RecordsServicer(records, access)
        ),
        _servicer(
            EXPORT,
            "ExportService",
            add_ExportServiceServicer_to_server,
            ExportServicer(exporters, access, SystemClock()),
        ),
    ]
    servicers.append(
        _servicer(REPORTS, "ReportService", add_ReportServiceServicer_to_server, ReportServicer(reporter, access))
    )
    sources: list[ClockSource] = [DatabaseClock(database, SystemClock())]
    if settings.ntp_server is not None:
        sources.append(NtpClock(settings.ntp_server, SystemClock()))
    monitor = Monitor(
        sequencer=opened[EVENTS].sequencer,
        sources=sources,
        clock=SystemClock(),
        expected=settings.expected_producers,
        silent_after_s=settings.silent_after_s,
        clock_interval_s=settings.clock_check_interval_s,
        observer=Alarms(),
        newest_of=PostgresContents(database, EVENTS).newest_of,
    )
    servicers.append(
        _servicer(
            MONITOR, "MonitorService", add_MonitorServiceServicer_to_server, MonitorServicer(monitor, SystemClock())
        )
    )
    workers = [worker for each in opened.values() for worker in each.workers]
    workers.append(Worker("monitor", monitor.run))
    return Assembled(database, keeper_login, servicers, [*workers, Worker("keeper", keeper.run)], opened)


def installed_reports() -> list[Report]:
    """Return the reports that this installation has, ours and those that others added as entry points."""
    return [point.load() for point in entry_points(group=GROUP)]


def _servicer(contract: FileDescriptor, name: str, add: AddToServer, implementation: object) -> Servicer:
    return Servicer(contract.services_by_name[name].full_name, add, implementation)


async def main(settings: AuditSettings) -> None:
    """Serve until told to stop."""
    assembled = assemble(settings)
    try:
        await serve(
            settings,
            name="audit",
            servicers=assembled.servicers,
            database=assembled.database,
            workers=assembled.workers,
        )
    finally:
        await assembled.close()
