"""Reads the whole log again and again, and records what was found as an entry of the log itself."""

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.audit.app.sequencer import Sequencer
from services.audit.domain.entry import Event
from services.audit.domain.scrub import Counts, Finding, Part, Posting, Scrub, StoredCheckpoint, StoredEntry
from services.audit.domain.sequencing import AUDIT_ACTOR, AUDIT_PRODUCER
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.tiles import TileId
from services.kernel.canonical import canonical_json
from services.kernel.clock import Clock

SCRUB_KIND = "audit.log.scrubbed"

# Commits that are looked up together.
_STEP_COMMITS = 1_000
# Findings that are kept; the first say what happened, and a bent root shows in every checkpoint after it.
FINDINGS_MAX = 1_000
# Findings that the log's own entry tells of.
_FINDINGS_RECORDED = 20

# Name space of the ids of the entries that tell of scrubs (RFC 9562, version 5).
_SCRUBS = uuid.UUID("5a0c9a52-4c6a-4b55-8a55-9d6b1f2b7c11")


class LogContents(Protocol):
    """Reads what is stored, row by row, and believes nothing of it."""

    async def checkpoints(self, after: int, limit: int) -> Sequence[StoredCheckpoint]:
        """Return at most `limit` checkpoints of sizes above `after`, by size."""
        ...

    async def rows(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Return the rows from `start` up to but not including `stop`, by index."""
        ...

    async def beside(self, keys: Collection[str], postings: Collection[Posting], tiles: Collection[TileId]) -> Part:
        """Return what is stored under these keys."""
        ...

    async def counts(self, size: int) -> Mapping[str, Counts]:
        """Return how many rows each table has for the first `size` entries, and beyond the newest checkpoint."""
        ...


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub found; `findings` are the first `FINDINGS_MAX` of `finding_count`."""

    size: int
    root: bytes
    findings: tuple[Finding, ...]
    finding_count: int


async def scrub(log: LogContents, origin: str, keys: Sequence[VerifierKey]) -> ScrubReport:
    """Check everything that is stored of the log `origin`, as far as it goes now."""
    work = Scrub(origin, keys)
    findings: list[Finding] = []
    count, after = 0, -1
    while checkpoints := await log.checkpoints(after, _STEP_COMMITS):
        for signed in checkpoints:
            size = signed.size
            wrong, expected = work.follow(await log.rows(max(after, 0), size), signed)
            stored = await log.beside(expected.keys, expected.postings, expected.tiles)
            found = [*wrong, *expected.compared(stored)]
            count += len(found)
            findings += found[: FINDINGS_MAX - len(findings)]
            after = size
    surplus = list(work.surplus(await log.counts(max(after, 0))))
    return ScrubReport(work.size, work.root(), (*findings, *surplus), count + len(surplus))


class Scrubber:
    """Scrubs the log on a schedule, in the process that holds it, and records each result."""

    def __init__(
        self,
        *,
        log: LogContents,
        origin: str,
        keys: Sequence[VerifierKey],
        sequencer: Sequencer,
        clock: Clock,
        interval_s: float,
        on_report: Callable[[ScrubReport], None],
    ) -> None:
        """Scrub every `interval_s`, and tell `on_report` the result."""
        self._log = log
        self._origin = origin
        self._keys = tuple(keys)
        self._sequencer = sequencer
        self._clock = clock
        self._interval_s = interval_s
        self._on_report = on_report

    async def run(self, stop: asyncio.Event) -> None:
        """Scrub on schedule until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await asyncio.wait([stopping], timeout=self._interval_s)
                if not stop.is_set() and self._sequencer.writing:
                    await self.scrub()
        finally:
            stopping.cancel()

    async def scrub(self) -> ScrubReport:
        """Scrub now, and record the result as an entry.

        Raises:
            Unreachable: The result could not be recorded.
        """
        report = await scrub(self._log, self._origin, self._keys)
        self._on_report(report)
        await self._sequencer.append([_scrubbed(report, self._origin, self._clock.now())])
        return report


def _scrubbed(report: ScrubReport, origin: str, now: datetime) -> Event:
    return Event(
        event_id=str(uuid.uuid5(_SCRUBS, f"{origin} {report.size} {now.isoformat()}")),
        kind=SCRUB_KIND,
        occurred_time=now,
        producer=AUDIT_PRODUCER,
        actor=AUDIT_ACTOR,
        trace_parent="",
        subjects={},
        data=canonical_json(
            {
                "finding_count": report.finding_count,
                "findings": [f"{each.where}: {each.what}"[:500] for each in report.findings[:_FINDINGS_RECORDED]],
                "root": f"sha256:{report.root.hex()}",
                "size": report.size,
            }
        ),
    )
