"""Builds the audit service from its settings, and serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4  # noqa: TID251 - each look at the record is one of its own

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR
from evenkeel.audit.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from services.audit.api import AccessRecorder, AuditServicer
from services.audit.app import AccessLog, AuditApp, Growing, Log, Logs, Scrubber, ScrubReport, Sequencer, scrub
from services.audit.config import AuditSettings
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.logs import ACCESS, EVENTS, default_origin
from services.audit.domain.signed_note import SigningKey
from services.audit.store import PostgresContents, PostgresReader, create_logs, elect
from services.kernel.errors import Unreachable
from services.kernel.signing import read_private_key
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.logging import get_logger
from services.runtime.migrations import run_migrations
from services.runtime.server import Servicer, serve
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


def signing_keys(settings: AuditSettings) -> Mapping[str, SigningKey]:
    """Return the key that signs each log's checkpoints, by the log's name; the key's name is the log's origin."""
    events = SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))
    keys = {EVENTS: events}
    for name in {ACCESS, *settings.logs} - {EVENTS}:
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
    for name in await create_logs(settings, {ACCESS, *settings.logs}):
        log.info("log made", log=name)


async def check(settings: AuditSettings) -> Mapping[str, ScrubReport]:
    """Check everything that is stored of each log, from outside the service, and record nothing."""
    database = Database(settings)
    try:
        return {
            name: await scrub(PostgresContents(database, name), key.name, [key.verifier_key])
            for name, key in signing_keys(settings).items()
        }
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class OpenLog:
    """Everything that works on one log in this process."""

    name: str
    key: SigningKey
    sequencer: Sequencer
    scrubber: Scrubber
    app: AuditApp

    @classmethod
    def of(cls, name: str, key: SigningKey, settings: AuditSettings, database: Database) -> "OpenLog":
        """Put together what works on the log `name`."""
        growing = Growing(settings.follow_poll_s)
        watch = Watch(name, growing)
        sequencer = Sequencer(
            elect=lambda: elect(database, key.name, name),
            origin=key.name,
            keys=[key],
            clock=SystemClock(),
            observer=watch,
            queue_events_max=settings.queue_events_max,
            election_interval_s=settings.election_interval_s,
        )
        scrubber = Scrubber(
            log=PostgresContents(database, name),
            origin=key.name,
            keys=[key.verifier_key],
            sequencer=sequencer,
            clock=SystemClock(),
            interval_s=settings.scrub_interval_s,
            on_report=watch.scrubbed,
        )
        app = AuditApp(sequencer=sequencer, log=PostgresReader(database, name), growing=growing)
        return cls(name, key, sequencer, scrubber, app)

    @property
    def workers(self) -> list[Worker]:
        """What runs beside the calls."""
        return [
            Worker(f"sequencer of {self.name}", self.sequencer.run),
            Worker(f"scrubber of {self.name}", self.scrubber.run),
        ]


async def main(settings: AuditSettings) -> None:
    """Serve until told to stop."""
    database = Database(settings)
    opened = {name: OpenLog.of(name, key, settings, database) for name, key in signing_keys(settings).items()}
    logs = Logs({name: Log(name, each.key.verifier_key, each.app) for name, each in opened.items()})
    access = AccessRecorder(
        AccessLog(sequencer=opened[ACCESS].sequencer, clock=SystemClock(), new_id=lambda: str(uuid4()))
    )
    await serve(
        settings,
        name="audit",
        servicers=[
            Servicer(
                DESCRIPTOR.services_by_name["AuditService"].full_name,
                add_AuditServiceServicer_to_server,
                AuditServicer(logs, access),
            )
        ],
        database=database,
        workers=[worker for each in opened.values() for worker in each.workers],
    )
