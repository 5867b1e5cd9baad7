"""Builds the audit service from its settings, and serves."""

from evenkeel.audit.v1.audit_service_pb2 import DESCRIPTOR
from evenkeel.audit.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from services.audit.api import AuditServicer
from services.audit.app import AuditApp, Growing, Scrubber, ScrubReport, Sequencer, scrub
from services.audit.config import AuditSettings
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.signed_note import SigningKey
from services.audit.store import PostgresContents, PostgresReader, elect
from services.kernel.errors import Unreachable
from services.kernel.signing import read_private_key
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.logging import get_logger
from services.runtime.server import Servicer, serve
from services.runtime.telemetry import counter, gauge
from services.runtime.workers import Worker

log = get_logger()

# The first say where to look.
FINDINGS_LOGGED_MAX = 100


class Watch:
    """Wakes followers when the log grows, and shows operators what its writer does."""

    def __init__(self, growing: Growing) -> None:
        """Wake those who wait for `growing`."""
        self._growing = growing
        self._size: int | None = None
        self._why_not: str | None = None
        self._entries = counter("evenkeel.audit.entries", "{entry}", "Entries appended.")
        self._commits = counter("evenkeel.audit.commits", "{commit}", "Commits, each of which covers many callers.")
        self._findings = counter("evenkeel.audit.scrub.findings", "{finding}", "What is stored and must not be so.")
        gauge("evenkeel.audit.log.size", "{entry}", "Size of the log that this process holds.", lambda: self._size)

    def elected(self, checkpoint: SignedCheckpoint) -> None:
        """Say that this process holds the log."""
        self._size = checkpoint.checkpoint.size
        self._why_not = None
        log.info("log held", origin=checkpoint.checkpoint.origin, size=self._size)

    def committed(self, checkpoint: SignedCheckpoint, entries: int) -> None:
        """Count the entries, and wake followers."""
        self._size = checkpoint.checkpoint.size
        self._entries.add(entries)
        self._commits.add(1)
        self._growing.announce()

    def lost(self, reason: Unreachable) -> None:
        """Say once why this process does not hold the log."""
        self._size = None
        if reason.message != self._why_not:
            self._why_not = reason.message
            cause = None if reason.__cause__ is None else f"{type(reason.__cause__).__name__}: {reason.__cause__}"
            log.warning("log not held", why=reason.message, cause=cause)

    def scrubbed(self, report: ScrubReport) -> None:
        """Say what a scrub found; anything at all needs a person."""
        self._findings.add(report.finding_count)
        if not report.finding_count:
            log.info("log scrubbed", size=report.size, root=report.root.hex())
            return
        for finding in report.findings[:FINDINGS_LOGGED_MAX]:
            log.error("log bent", where=finding.where, what=finding.what)
        log.error("log scrubbed", size=report.size, root=report.root.hex(), findings=report.finding_count)


def signing_key(settings: AuditSettings) -> SigningKey:
    """Return the key that signs the log's checkpoints."""
    return SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))


async def check(settings: AuditSettings) -> ScrubReport:
    """Check everything that is stored, from outside the service, and record nothing."""
    database = Database(settings)
    try:
        return await scrub(PostgresContents(database), settings.log_origin, [signing_key(settings).verifier_key])
    finally:
        await database.close()


async def main(settings: AuditSettings) -> None:
    """Serve until told to stop."""
    database = Database(settings)
    key = signing_key(settings)
    growing = Growing(settings.follow_poll_s)
    watch = Watch(growing)
    sequencer = Sequencer(
        elect=lambda: elect(database, settings.log_origin),
        origin=settings.log_origin,
        keys=[key],
        clock=SystemClock(),
        observer=watch,
        queue_events_max=settings.queue_events_max,
        election_interval_s=settings.election_interval_s,
    )
    scrubber = Scrubber(
        log=PostgresContents(database),
        origin=settings.log_origin,
        keys=[key.verifier_key],
        sequencer=sequencer,
        clock=SystemClock(),
        interval_s=settings.scrub_interval_s,
        on_report=watch.scrubbed,
    )
    app = AuditApp(sequencer=sequencer, log=PostgresReader(database), growing=growing)
    await serve(
        settings,
        name="audit",
        servicers=[
            Servicer(
                DESCRIPTOR.services_by_name["AuditService"].full_name,
                add_AuditServiceServicer_to_server,
                AuditServicer(app),
            )
        ],
        database=database,
        workers=[Worker("sequencer", sequencer.run), Worker("scrubber", scrubber.run)],
    )
