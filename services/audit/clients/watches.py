"""Tells operators, by metrics and log lines, what the writer, the scrub, the witnesses and the clocks do."""

from collections.abc import Sequence

from services.audit.app import Growing, ScrubReport
from services.audit.app.witnesses import WitnessObserver
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.monitoring import ALARM_US, Measurement
from services.kernel.errors import Unreachable
from services.runtime.logging import get_logger
from services.runtime.telemetry import counter, level

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
        self._apart: set[str] = set()

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
        """Show the offset; half of what is allowed needs a person, who is told once, and once that it is well again.

        On a busy machine an answer takes long, and its offset says as little as it is uncertain.
        """
        source = measurement.source
        self._offset.set(measurement.offset_us, {"source": source})
        said = {"source": source, "offset_us": measurement.offset_us, "uncertainty_us": measurement.uncertainty_us}
        if measurement.beyond(ALARM_US) and source not in self._apart:
            self._apart.add(source)
            log.error("clocks apart", **said)
        if measurement.within(ALARM_US) and source in self._apart:
            self._apart.remove(source)
            log.info("clocks together again", **said)

    def clock_lost(self, reason: Unreachable) -> None:
        """Say that a clock does not answer."""
        log.warning("clock not checked", why=reason.message)
