"""Reads the whole log again and again, and records what was found as an entry of the log itself.

A pass over a long log takes hours, and a process may end before. So a pass goes in slices: each is recorded with how
far it came, and the next process goes on there, from a tree's edge that it reads from the tiles and believes because
its root is the recorded one.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.audit.app.close_check import CloseContents, Ranges
from services.audit.app.scrub_pass import LogContents, ScrubReport, Stretches, scrub
from services.audit.app.sequencer import Sequencer
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.entry import Event, parse_entry
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.scrub import Progress
from services.audit.domain.sequencing import AUDIT_ACTOR, AUDIT_PRODUCER
from services.audit.domain.signed_note import VerifierKey
from services.kernel.canonical import canonical_json
from services.kernel.clock import Clock

SCRUB_KIND = "audit.log.scrubbed"

# Entries of a slice; then it is recorded how far the pass came.
SLICE_ENTRIES = 1_000_000

# How often the schedule is looked at, in seconds; another process may have held the log, and scrubbed.
LOOK_S = 30.0

# Findings that the log's own entry tells of.
_FINDINGS_RECORDED = 20

# Name space of the ids of the entries that tell of scrubs (RFC 9562, version 5).
_SCRUBS = uuid.UUID("5a0c9a52-4c6a-4b55-8a55-9d6b1f2b7c11")


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
        stretches: Stretches | None = None,
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
            stretches: Checks long stretches; everything is followed entry by entry when None.
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
        self._stretches = stretches
        # Where the slice before ended, with what is in memory of it.
        self._last: Progress | None = None

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
            await self._rest()

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
            stretches=self._stretches,
        )
        self._on_report(report)
        await self._sequencer.append([_scrubbed(report, self._origin, self._clock.now())])
        if report.whole:
            await self._rest()
        else:
            self._last = report.progress
        return report

    async def _rest(self) -> None:
        if self._stretches is not None:
            await self._stretches.rest()

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
        # Taken, not kept: a slice that fails leaves it somewhere on the way.
        last, self._last = self._last, None
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
        memory = last.memory if last is not None and last.edge == edge else None
        since = Progress(edge, None if last_time is None else datetime.fromisoformat(last_time), said["counted"])
        return since if memory is None else replace(since, memory=memory)


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
