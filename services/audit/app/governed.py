"""What the record says of itself: what was decided about it, until when entries are kept, and what was destroyed.

Everything here only reads. `records` decides.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.audit.app.ports import LogReader
from services.audit.domain.closing import Destroyed
from services.audit.domain.entry import Entry, parse_entry
from services.audit.domain.errors import (
    EntryDisposed,
    EntryNotFound,
    HoldStands,
    LogUnknown,
    RetentionRunning,
    SubjectKeyNotFound,
)
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import EVENTS
from services.audit.domain.personal import PERSONAL_FIELDS, SubjectKey, key_name, opened_data, sealed_fields
from services.audit.domain.records import RECORDS_KINDS, Hold, Records
from services.audit.domain.retention import Kept
from services.kernel.canonical import rfc3339
from services.kernel.clock import Clock

_STEP_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A stretch of the log that is kept, and may be destroyed, as one."""

    start: int
    stop: int
    disposed: bool
    full: bool


@dataclass(frozen=True, slots=True)
class Revealed:
    """An entry, its data in clear as canonical JSON, and which fields of it were sealed."""

    entry: Entry
    data: bytes
    fields: tuple[str, ...]


class Partitions(Protocol):
    """The partitions that entries are kept in."""

    async def partitions(self, log: str) -> Sequence[tuple[int, int]]:
        """Return the bounds of each that the log `log` has, by the first."""
        ...


class SubjectKeys(Protocol):
    """The keys of subjects' personal data, kept outside the log."""

    async def newest(self, subjects: Sequence[str]) -> Mapping[str, SubjectKey]:
        """Return by subject the key to seal with; it is made when there is none."""
        ...

    async def find(self, names: Sequence[tuple[str, int]]) -> Mapping[str, SubjectKey]:
        """Return by key id those of the keys `(subject, generation)` that were not destroyed."""
        ...

    async def living(self, subject: str) -> Sequence[int]:
        """Return the generations of a subject's keys that were not destroyed."""
        ...

    async def destroyed(self, subjects: Sequence[str]) -> frozenset[str]:
        """Return those of `subjects` of which a key was destroyed."""
        ...

    async def destroy(self, subject: str, generations: Collection[int]) -> None:
        """Destroy these keys of `subject`. Safe to repeat."""
        ...


async def read_records(log: LogReader, records: Records) -> None:
    """Bring `records` to where the log that governs is now."""
    newest = await log.checkpoint()
    size = 0 if newest is None else newest.checkpoint.size
    while records.size < size:
        wanted = EntryFilter(kind=RECORDS_KINDS)
        entries = await log.matching(wanted, start=records.size, stop=size, limit=_STEP_ENTRIES)
        records.apply(entries, [json.loads(each.event.data) for each in entries])
        if len(entries) < _STEP_ENTRIES:
            records.size = size


class GovernedLogs:
    """Reads the logs that are governed, and the log of what was decided about them."""

    def __init__(
        self,
        *,
        log: LogReader,
        readers: Mapping[str, LogReader],
        partitions: Partitions,
        keys: SubjectKeys | None,
        clock: Clock,
    ) -> None:
        """Read.

        Args:
            log: Reads the log that governs.
            readers: Of the logs that are governed, by their names.
            partitions: What they are kept in.
            keys: Of personal data; None when this process has none.
            clock: Tells what time is over.
        """
        self._log = log
        self._readers = readers
        self._partitions = partitions
        self._keys = keys
        self._clock = clock
        self._records = Records()
        self._reading = asyncio.Lock()

    async def records(self) -> Records:
        """Return the state as the log has it now."""
        async with self._reading:
            await read_records(self._log, self._records)
            return self._records

    async def disposals(self, log: str) -> Sequence[tuple[int, int]]:
        """Return the bounds of what was destroyed of a log, or is being destroyed, by the first index."""
        return [(each.start, each.stop) for each in (await self.records()).disposals(log)]

    async def destroyed(self, log: str) -> Sequence[Destroyed]:
        """Return what was destroyed of a log, or is being destroyed, and by which proposals."""
        return [Destroyed(each.start, each.stop, each.proposal_id) for each in (await self.records()).disposals(log)]

    def reader(self, log: str) -> LogReader:
        """Return what reads a governed log.

        Raises:
            LogUnknown: There is no such log, or it is not governed.
        """
        if log not in self._readers:
            raise LogUnknown(f"there is no log {log} that is governed; there are {', '.join(self._readers)}", log=log)
        return self._readers[log]

    async def partitions(self, log: str) -> list[PartitionState]:
        """Return the partitions of a log that have entries, and those that were destroyed, by their first index.

        Raises:
            LogUnknown: There is no such log, or it is not governed.
        """
        newest = await self.reader(log).checkpoint()
        size = 0 if newest is None else newest.checkpoint.size
        gone = {(each.start, each.stop) for each in (await self.records()).disposals(log)}
        present = set(await self._partitions.partitions(log))
        return [
            PartitionState(start, stop, disposed=(start, stop) in gone, full=stop <= size)
            for start, stop in sorted(present | gone)
            if start < size
        ]

    async def retention(self, log: str, index: int) -> tuple[Kept, list[Hold]]:
        """Return until when an entry is kept, and which holds cover it.

        Raises:
            EntryNotFound: The log is not that long.
            EntryDisposed: It was destroyed.
        """
        entry, records = await self.entry(log, index), await self.records()
        return records.kept(entry.event.kind, entry.recorded_time), records.holds_on(entry)

    async def reveal(self, index: int) -> "Revealed":
        """Return an entry's data in clear. Whoever shows it has that recorded first.

        Raises:
            EntryNotFound: The log is not that long.
            EntryDisposed: It was destroyed.
            SubjectKeyNotFound: A key was destroyed.
        """
        entry = await self.entry(EVENTS, index)
        sealed = list(sealed_fields(entry.event))
        names = [key_name(each) for _, each in sealed]
        keys = {} if self._keys is None else await self._keys.find(names)
        for subject, generation in names:
            if f"{subject}/{generation}" not in keys:
                raise SubjectKeyNotFound(f"the key of {subject} was destroyed", subject=subject, index=index)
        return Revealed(entry, opened_data(entry.event, keys), tuple(path for path, _ in sealed))

    async def why_gone(self, log: str, index: int) -> str | None:
        """Return the proposal by which an entry was destroyed; None when it was not."""
        disposals = (await self.records()).disposals(log)
        return next((each.proposal_id for each in disposals if each.start <= index < each.stop), None)

    async def entry(self, log: str, index: int) -> Entry:
        """Return the entry at `index`.

        Raises:
            EntryNotFound: The log is not that long.
            EntryDisposed: It was destroyed.
        """
        body = await self.reader(log).body(index)
        if body is not None:
            return parse_entry(body)
        proposal_id = await self.why_gone(log, index)
        if proposal_id is not None:
            raise EntryDisposed(
                f"entry {index} was destroyed by proposal {proposal_id}", index=index, proposal_id=proposal_id
            )
        raise EntryNotFound(f"the log has no entry {index}", index=index)

    async def require_erasable(self, kind: str, subject_id: str) -> None:
        """Check that nothing forbids to erase what is personal about a subject.

        Raises:
            HoldStands: A hold may cover it.
            RetentionRunning: Some of it must still be kept.
        """
        records = await self.records()
        for hold in records.standing_holds:
            if hold.covers_subject(kind, subject_id):
                raise HoldStands(
                    f"hold {hold.hold_id} ({hold.matter}) may cover {kind} {subject_id}", hold_id=hold.hold_id
                )
        for personal in PERSONAL_FIELDS:
            wanted = EntryFilter(kind=personal, subjects={kind: subject_id})
            async for entry in self._entries(wanted):
                if next(sealed_fields(entry.event), None) is not None:
                    self.require_over(records, entry)

    def require_over(self, records: Records, entry: Entry) -> None:
        """Refuse unless the time of `entry` is over and no hold covers it.

        Raises:
            HoldStands: One does.
            RetentionRunning: It must still be kept.
        """
        holds = records.holds_on(entry)
        if holds:
            raise HoldStands(
                f"hold {holds[0].hold_id} ({holds[0].matter}) covers entry {entry.index}", hold_id=holds[0].hold_id
            )
        found = records.kept(entry.event.kind, entry.recorded_time)
        if found.until is None:
            raise RetentionRunning(
                f"entry {entry.index} of kind {entry.event.kind} is in no retention class, and so kept for ever",
                index=entry.index,
            )
        if found.until > self._clock.now():
            name = "" if found.rule is None else found.rule.class_id
            raise RetentionRunning(
                f"entry {entry.index} is kept until {rfc3339(found.until)} by class {name}", index=entry.index
            )

    def why_kept(self, records: Records, entry: Entry) -> str | None:
        """Return why `entry` may not be destroyed; None when it may."""
        try:
            self.require_over(records, entry)
        except (HoldStands, RetentionRunning) as refused:
            return refused.message
        return None

    async def _entries(self, wanted: EntryFilter) -> AsyncIterator[Entry]:
        log = self.reader(EVENTS)
        newest = await log.checkpoint()
        start, stop = 0, 0 if newest is None else newest.checkpoint.size
        while start < stop:
            found = await log.matching(wanted, start=start, stop=stop, limit=_STEP_ENTRIES)
            for entry in found:
                start = entry.index + 1
                yield entry
            if len(found) < _STEP_ENTRIES:
                return
