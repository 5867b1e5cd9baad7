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
from services.audit.app.witnesses import Witnesses, WitnessObserver
from services.audit.clients import DatabaseClock, HttpWitness, NtpClock
from services.audit.config import AuditSettings
from services.audit.domain.checkpoint import SignedCheckpoint, open_checkpoint
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.errors import LogWriterElsewhere
from services.audit.domain.logs import ACCESS, EVENTS, OWN, RECORDS, default_origin
from services.audit.domain.monitoring import ALARM_US, Measurement
from services.audit.domain.records import Records
from services.audit.domain.reports.base import GROUP, Report
from services.audit.domain.signed_note import SigningKey, VerifierKey
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
from services.kernel.errors import Unreachable
from services.kernel.signing import read_private_key
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.logging import get_logger
from services.runtime.migrations import run_migrations
from services.runtime.server import AddToServer, Servicer, serve
from services.runtime.telemetry import counter, level
from services.runtime.workers import Worker

log = get_logger()

# The first say where to look.
FINDINGS_LOGGED_MAX = 100


class Watch:
    """Wakes followers when the log grows, and shows operators what its writer does."""

    def __init__(self, name: str, growing: Growing) -> None:
        """Wake those who wait for `growing`, and speak of the log `name`."""
        self._labels = {"log": name}
        self._growing = growing
        self._why_not: str | None = None
        self._entries = counter("evenkeel.audit.entries", "{entry}", "Entries appended.")
        self._commits = counter("evenkeel.audit.commits", "{commit}", "Commits, each of which covers many callers.")
        self._findings = counter("evenkeel.audit.scrub.findings", "{finding}", "What is stored and must not be so.")
        self._size = level("evenkeel.audit.log.size", "{entry}", "Size of the log that this process last held.")

    def elected(self, checkpoint: SignedCheckpoint) -> None:
        """Say that this process holds the log."""
        self._size.set(checkpoint.checkpoint.size, self._labels)
        self._why_not = None
        log.info("log held", origin=checkpoint.checkpoint.origin, size=checkpoint.checkpoint.size)

    def committed(self, checkpoint: SignedCheckpoint, entries: int) -> None:
        """Count the entries, and wake followers."""
        self._size.set(checkpoint.checkpoint.size, self._labels)
        self._entries.add(entries, self._labels)
        self._commits.add(1, self._labels)
        self._growing.announce()

    def lost(self, reason: Unreachable) -> None:
        """Say once why this process does not hold the log."""
        if reason.message != self._why_not:
            self._why_not = reason.message
            cause = None if reason.__cause__ is None else f"{type(reason.__cause__).__name__}: {reason.__cause__}"
            log.warning("log not held", **self._labels, why=reason.message, cause=cause)

    def scrubbed(self, report: ScrubReport) -> None:
        """Say what a scrub found; anything at all needs a person."""
        self._findings.add(report.finding_count, self._labels)
        if not report.finding_count:
            log.info("log scrubbed", **self._labels, size=report.size, root=report.root.hex())
            return
        for finding in report.findings[:FINDINGS_LOGGED_MAX]:
            log.error("log bent", **self._labels, where=finding.where, what=finding.what)
        log.error(
            "log scrubbed", **self._labels, size=report.size, root=report.root.hex(), findings=report.finding_count
        )


class WitnessWatch:
    """Shows operators how old the newest witnessed checkpoint is, and says what is wrong with a witness."""

    def __init__(self, name: str, age_s_max: float) -> None:
        """Speak of the log `name`; from `age_s_max` on there is an alarm."""
        self._labels = {"log": name}
        self._age_s_max = age_s_max
        self._age = level("evenkeel.audit.witness.age", "s", "Age of the newest checkpoint that enough witnesses saw.")
        self._late = level("evenkeel.audit.witness.late", "1", "1 when that age is above its limit, else 0.")
        self._alarmed = False
        self.observer = WitnessObserver(self.aged, self.troubled)

    def aged(self, age_s: float) -> None:
        """Note the age; say once that it became too old, and once that it is well again."""
        late = age_s > self._age_s_max
        self._age.set(age_s, self._labels)
        self._late.set(int(late), self._labels)
        if late and not self._alarmed:
            log.error("witnesses late", **self._labels, age_s=round(age_s, 1), limit_s=self._age_s_max)
        if self._alarmed and not late:
            log.info("witnesses well again", **self._labels, age_s=round(age_s, 1))
        self._alarmed = late

    def troubled(self, witness: str, why: str) -> None:
        """Say what is wrong with a witness."""
        log.warning("witness troubled", **self._labels, witness=witness, why=why)


class Alarms:
    """Shows operators which producers are silent, and which clocks are off."""

    def __init__(self) -> None:
        """Measure."""
        self._silent = level("evenkeel.audit.producers.silent", "{producer}", "Producers that do not speak.")
        self._offset = level("evenkeel.audit.clock.offset", "us", "How far audit's clock is ahead of another.")
        self._known: frozenset[str] = frozenset()

    def silent(self, producers: Sequence[str]) -> None:
        """Say once of each producer that it is silent, and that it speaks again."""
        self._silent.set(len(producers))
        now = frozenset(producers)
        for name in sorted(now - self._known):
            log.error("producer silent", producer=name)
        for name in sorted(self._known - now):
            log.info("producer speaks again", producer=name)
        self._known = now

    def clock(self, measurement: Measurement) -> None:
        """Show the offset; half of what is allowed needs a person."""
        self._offset.set(measurement.offset_us, {"source": measurement.source})
        if abs(measurement.offset_us) >= ALARM_US:
            log.error(
                "clocks apart",
                source=measurement.source,
                offset_us=measurement.offset_us,
                uncertainty_us=measurement.uncertainty_us,
            )

    def clock_lost(self, reason: Unreachable) -> None:
        """Say that a clock does not answer."""
        log.warning("clock not checked", why=reason.message)


def continued_key(settings: AuditSettings, name: str = EVENTS) -> VerifierKey | None:
    """Return the key of the origin that the log `name` continues; None when it continues none.

    A log whose origin follows that of `events` continues with it, and its old key is derived as the new one is.
    """
    if settings.log_continues is None:
        return None
    continued = VerifierKey.parse(settings.log_continues)
    said = settings.logs.get(name)
    if name == EVENTS:
        return continued
    if said is not None and said.origin is not None:
        return None
    events = SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))
    return events.derived(default_origin(continued.name, name)).verifier_key


def last_note(settings: AuditSettings) -> str | None:
    """Return the last checkpoint that the continued origin is known to have published.

    Raises:
        NoteInvalid: It is not signed by that origin.
    """
    key, file = continued_key(settings), settings.log_continues_checkpoint_file
    if key is None or file is None:
        return None
    note = file.read_text()
    open_checkpoint(note, origin=key.name, keys=[key])
    return note


def signing_keys(settings: AuditSettings) -> Mapping[str, SigningKey]:
    """Return the key that signs each log's checkpoints, by the log's name; the key's name is the log's origin."""
    events = SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))
    keys = {EVENTS: events}
    for name in {*OWN, *settings.logs} - {EVENTS}:
        said = settings.logs.get(name)
        origin = (said and said.origin) or default_origin(settings.log_origin, name)
        if said is not None and said.key_file is not None:
            keys[name] = SigningKey(origin, read_private_key(said.key_file.read_bytes()))
        else:
            keys[name] = events.derived(origin)
    return dict(sorted(keys.items()))


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
