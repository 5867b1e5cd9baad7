"""Reads the whole log again and again, and records what was found as an entry of the log itself.

A pass over a long log takes hours, and a process may end before. So a pass goes in slices: each is recorded with how
far it came, and the next process goes on there, from a tree's edge that it reads from the tiles and believes because
its root is the recorded one.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.audit.app.close_check import CloseContents, Ranges, close_findings
from services.audit.app.sequencer import Sequencer
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.entry import Event, parse_entry
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.scrub import (
    Counts,
    Finding,
    Part,
    Posting,
    Progress,
    Scrub,
    StoredCheckpoint,
    StoredEntry,
    witness_findings,
)
from services.audit.domain.sequencing import AUDIT_ACTOR, AUDIT_PRODUCER
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.tiles import RightEdge, TileId
from services.kernel.canonical import canonical_json
from services.kernel.clock import Clock

SCRUB_KIND = "audit.log.scrubbed"

# Entries of a slice; then it is recorded how far the pass came.
SLICE_ENTRIES = 1_000_000

# How often the schedule is looked at, in seconds; another process may have held the log, and scrubbed.
LOOK_S = 30.0

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

    async def numbers(self, accounts: Collection[str], before: int) -> Mapping[str, int]:
        """Return the last number of each of `accounts` in commits that begin before an index; 0 without entries."""
        ...

    async def leaves(self, start: int, stop: int) -> Mapping[int, bytes]:
        """Return leaves by their index, from the full tiles; those that no tile has are absent."""
        ...

    async def edge(self, size: int) -> RightEdge:
        """Return the edge of the tree of `size` leaves, as the tiles say.

        Raises:
            LogRootMismatch: Hashes are missing.
        """
        ...

    async def cosignatures(self, size: int) -> Sequence[str]:
        """Return the lines that witnesses signed of the checkpoint of `size`."""
        ...

    async def newest_of(self, kind: str) -> bytes | None:
        """Return the body of the newest entry of `kind`."""
        ...

    async def counts(self, size: int) -> Mapping[str, Counts]:
        """Return how many rows each table has for the first `size` entries, and beyond the newest checkpoint."""
        ...


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub found in the entries from `start` to `size`; `findings` are the first `FINDINGS_MAX` of its count.

    `whole` says that the pass came to the end of the log, so that its tables were counted too.
    """

    start: int
    size: int
    root: bytes
    findings: tuple[Finding, ...]
    finding_count: int
    whole: bool
    progress: Progress


async def scrub(
    log: LogContents,
    origin: str,
    keys: Sequence[VerifierKey],
    *,
    disposals: Ranges = (),
    witnesses: Sequence[WitnessKey] = (),
    since: Progress | None = None,
    slice_entries: int | None = None,
    continues: VerifierKey | None = None,
    closes: CloseContents | None = None,
) -> ScrubReport:
    """Check what is stored of the log `origin`, as far as it goes now.

    Args:
        log: Reads it.
        origin: What its checkpoints must say.
        keys: Of which one at least must have signed each.
        disposals: The bounds of what was destroyed.
        witnesses: Whose signatures must be over the checkpoints that they are stored with.
        since: Where an earlier scrub ended; from the first entry when None.
        slice_entries: End after about so many entries; at the end of the log when None.
        continues: The key of the origin that this one continues.
        closes: Reads what is stored of closings; they are not looked at when None.
    """
    work = Scrub(origin, keys, since, continues)
    start = work.size
    findings: list[Finding] = []
    count, after = 0, work.size if since is not None else -1
    whole = False
    while slice_entries is None or work.size - start < slice_entries:
        checkpoints = await log.checkpoints(after, _STEP_COMMITS)
        if not checkpoints:
            whole = True
            break
        for signed in checkpoints:
            found = await _commit(work, log, signed, disposals)
            if witnesses:
                found += witness_findings(signed, await log.cosignatures(signed.size), witnesses)
            count += len(found)
            findings += found[: FINDINGS_MAX - len(findings)]
            after = signed.size
            if slice_entries is not None and work.size - start >= slice_entries:
                break
    rest = list(work.surplus(await log.counts(max(after, 0)))) if whole else []
    if closes is not None:
        rest += await close_findings(
            closes, work.closings, start, work.size if whole else None, disposals, bent=count > 0
        )
    kept = (*findings, *rest[:FINDINGS_MAX])
    return ScrubReport(start, work.size, work.root(), kept, count + len(rest), whole, work.progress)


async def _commit(work: Scrub, log: LogContents, signed: StoredCheckpoint, disposals: Ranges) -> list[Finding]:
    """Follow one commit, and return what is wrong with it and beside it."""
    start, stop = work.size, signed.size
    gone: dict[int, bytes] = {}
    ends: list[int] = []
    for first, after_last in disposals:
        if first < stop and start < after_last:
            gone |= await log.leaves(max(first, start), min(after_last, stop))
            ends.append(after_last)
            work.forget()
    commit = work.read(await log.rows(start, stop), signed, gone)
    unknown = work.unknown(commit)
    if unknown:
        work.learn(await log.numbers(unknown, start))
    # What an account's number was where its entries are gone is told by what was kept when they went.
    numbers = {end: await log.numbers(commit.accounts, end) for end in ends if end < stop}
    wrong, expected = work.follow(commit, numbers)
    stored = await log.beside(expected.keys, expected.postings, expected.tiles)
    return [*wrong, *expected.compared(stored)]


class Scrubber:
    """Scrubs the log on a schedule, in the process that holds it, and records each result."""

    def __init__(
        self,
        *,
        log: LogContents,
        origin: str,
        keys: Sequence[VerifierKey],
        continues: VerifierKey | None = None,
        sequencer: Sequencer,
        clock: Clock,
        interval_s: float,
        on_report: Callable[[ScrubReport], None],
        disposals: Callable[[], Awaitable[Ranges]] | None = None,
        witnesses: Sequence[WitnessKey] = (),
        slice_entries: int = SLICE_ENTRIES,
        closes: CloseContents | None = None,
    ) -> None:
        """Prepare to scrub.

        Args:
            log: Reads what is stored.
            origin: What its checkpoints must say.
            keys: Of which one at least must have signed each.
            continues: The key of the origin that this one continues.
            sequencer: Records the results.
            clock: Tells when a pass is due.
            interval_s: From the end of a pass to the begin of the next.
            on_report: Is told each result.
            disposals: Tells the bounds of what was destroyed; nothing ever is when None.
            witnesses: Whose signatures must be over the checkpoints that they are stored with.
            slice_entries: How many entries are checked before it is recorded how far the pass came.
            closes: Reads what is stored of closings.
        """
        self._log = log
        self._origin = origin
        self._keys = tuple(keys)
        self._continues = continues
        self._sequencer = sequencer
        self._clock = clock
        self._interval = timedelta(seconds=interval_s)
        self._on_report = on_report
        self._disposals = disposals
        self._witnesses = tuple(witnesses)
        self._slice_entries = slice_entries
        self._closes = closes

    async def run(self, stop: asyncio.Event) -> None:
        """Scrub on schedule until `stop` is set; a pass that another process began is gone on with."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                due_s = await self._due_s() if self._sequencer.writing else LOOK_S
                if due_s <= 0:
                    await self.scrub()
                else:
                    await asyncio.wait([stopping], timeout=min(due_s, LOOK_S))
        finally:
            stopping.cancel()

    async def scrub(self) -> ScrubReport:
        """Scrub the next slice now, and record the result as an entry.

        Raises:
            Unreachable: The result could not be recorded.
        """
        since = await self._since()
        disposals = () if self._disposals is None else await self._disposals()
        report = await scrub(
            self._log,
            self._origin,
            self._keys,
            disposals=disposals,
            continues=self._continues,
            witnesses=self._witnesses,
            since=since,
            slice_entries=self._slice_entries,
            closes=self._closes,
        )
        self._on_report(report)
        await self._sequencer.append([_scrubbed(report, self._origin, self._clock.now())])
        return report

    async def _due_s(self) -> float:
        """Return in how many seconds the next slice is due; none or less when it is now."""
        body = await self._log.newest_of(SCRUB_KIND)
        if body is not None:
            entry = parse_entry(body)
            if not _progress_said(entry.event.data)["whole"]:
                return 0.0
            since = entry.recorded_time
        else:
            # The first pass is due an interval after the log began.
            begun = await self._log.checkpoints(-1, 1)
            since = begun[0].sign_time if begun else self._clock.now()
        return (since + self._interval - self._clock.now()).total_seconds()

    async def _since(self) -> Progress | None:
        """Return where the pass that is under way came to; None when the next one begins."""
        body = await self._log.newest_of(SCRUB_KIND)
        if body is None:
            return None
        said = _progress_said(parse_entry(body).event.data)
        if said["whole"]:
            return None
        try:
            edge = await self._log.edge(said["size"])
        except LogRootMismatch:
            return None
        if f"sha256:{edge.root().hex()}" != said["root"]:
            # Bent since: the pass begins again, and says where.
            return None
        last_time = said["last_time"]
        return Progress(edge, None if last_time is None else datetime.fromisoformat(last_time), said["counted"])


def _progress_said(data: bytes) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(data)
    # Entries of an earlier version tell of whole passes.
    return {"whole": True, **said}


def _scrubbed(report: ScrubReport, origin: str, now: datetime) -> Event:
    last_time = report.progress.last_time
    return Event(
        event_id=str(uuid.uuid5(_SCRUBS, f"{origin} {report.start} {report.size} {now.isoformat()}")),
        kind=SCRUB_KIND,
        occurred_time=now,
        producer=AUDIT_PRODUCER,
        actor=AUDIT_ACTOR,
        trace_parent="",
        subjects={},
        data=canonical_json(
            {
                "counted": dict(report.progress.counted),
                "finding_count": report.finding_count,
                "findings": [f"{each.where}: {each.what}"[:500] for each in report.findings[:_FINDINGS_RECORDED]],
                "last_time": last_time,
                "root": f"sha256:{report.root.hex()}",
                "size": report.size,
                "start": report.start,
                "whole": report.whole,
            }
        ),
    )
