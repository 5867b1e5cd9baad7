"""The use cases that govern the record: how long it is kept, what may not be destroyed, and who decided."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.audit.app.ports import LogReader
from services.audit.app.sequencer import Sequencer
from services.audit.domain.closing import Destroyed
from services.audit.domain.entry import Entry, Event, parse_entry
from services.audit.domain.errors import (
    EntryDisposed,
    EntryNotFound,
    HoldNotFound,
    HoldReleased,
    HoldStands,
    LogUnknown,
    ProposalNotFound,
    ProposalState,
    RangeNotDisposable,
    RetentionRunning,
    SelfApproval,
    SubjectKeyNotFound,
)
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import EVENTS
from services.audit.domain.personal import PERSONAL_FIELDS, SubjectKey, key_name, opened_data, sealed_fields
from services.audit.domain.records import (
    DECIDED,
    DESTROYING,
    FINISHED,
    HOLD_PLACED,
    PROPOSED,
    RECORDS_KINDS,
    Action,
    Hold,
    Proposal,
    Records,
    State,
    scope_data,
)
from services.audit.domain.retention import Kept, RetentionClass
from services.audit.domain.sequencing import AUDIT_PRODUCER
from services.kernel.canonical import JsonValue, canonical_json, rfc3339
from services.kernel.clock import Clock
from services.kernel.errors import Invalid, Violations

# Name space of the ids of these entries: the same request is the same entry (RFC 9562, version 5).
_REQUESTS = uuid.UUID("0b1f7a7e-43b4-4f0e-8f0c-8a2d3f6f5a11")

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


# Held while something is decided and recorded, so that two decisions are made one after the other.
Governing = Callable[[], AbstractAsyncContextManager[None]]


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


class RecordsApp:
    """Proposes, decides and holds."""

    def __init__(
        self,
        *,
        sequencer: Sequencer,
        log: LogReader,
        readers: Mapping[str, LogReader],
        partitions: Partitions,
        keys: SubjectKeys | None,
        governing: Governing,
        clock: Clock,
        on_approved: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to govern.

        Args:
            sequencer: Writes the log that governs, of which nothing is ever destroyed.
            log: Reads that log.
            readers: Of the logs that are governed, by their names.
            partitions: What they are kept in.
            keys: Of personal data; None when this process has none.
            governing: Lets one decision be made after the other.
            clock: Tells what time is over.
            on_approved: Hears of work that is to be done.
        """
        self._sequencer = sequencer
        self._log = log
        self._readers = readers
        self._partitions = partitions
        self._keys = keys
        self.governing = governing
        self._clock = clock
        self._on_approved = on_approved
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

    async def propose_class(self, request_id: str, rule: RetentionClass, *, reason: str, actor: str) -> Proposal:
        """Propose a retention class, or a new version of one.

        Raises:
            ProposalState: A version of it waits already.
        """
        return await self._propose(
            request_id, Action.CLASS, rule.data(), reason=reason, actor=actor, alike=("class_id", rule.class_id)
        )

    async def place_hold(self, request_id: str, *, matter: str, reason: str, scope: EntryFilter, actor: str) -> Hold:
        """Place a legal hold; it is in force when this returns."""
        hold_id = _id_of(request_id)
        async with self.governing():
            records = await self.records()
            if hold_id not in records.holds:
                data: dict[str, JsonValue] = {
                    "hold_id": hold_id,
                    "matter": matter,
                    "reason": reason,
                    "scope": scope_data(scope),
                }
                await self._record(hold_id, HOLD_PLACED, data, actor, {"hold": hold_id, **_about(scope.subjects)})
                records = await self.records()
        return records.holds[hold_id]

    async def propose_release(self, request_id: str, hold_id: str, *, reason: str, actor: str) -> Proposal:
        """Propose that a hold ends.

        Raises:
            HoldNotFound: There is none.
            HoldReleased: It ended before.
            ProposalState: Its end is proposed already.
        """

        def check(records: Records) -> None:
            hold = records.holds.get(hold_id)
            if hold is None:
                raise HoldNotFound(f"no legal hold has the id {hold_id}", hold_id=hold_id)
            if hold.released_time is not None:
                raise HoldReleased(f"hold {hold_id} was released at {rfc3339(hold.released_time)}", hold_id=hold_id)

        content: dict[str, JsonValue] = {"hold_id": hold_id}
        return await self._propose(
            request_id,
            Action.HOLD_RELEASE,
            content,
            reason=reason,
            actor=actor,
            alike=("hold_id", hold_id),
            check=check,
            subjects={"hold": hold_id},
        )

    async def propose_disposal(
        self, request_id: str, log: str, start: int, stop: int, *, reason: str, actor: str
    ) -> Proposal:
        """Propose that the entries of one partition are destroyed.

        Raises:
            LogUnknown: There is no such log, or nothing of it is ever destroyed.
            RangeNotDisposable: The bounds are not those of a partition that is full and exists.
            RetentionRunning: Its last entry must still be kept. The others are looked at before anything is done.
            HoldStands: A hold covers everything.
            ProposalState: The same is proposed already.
        """
        state = {(each.start, each.stop): each for each in await self.partitions(log)}.get((start, stop))
        if state is None or state.disposed or not state.full:
            what = "is none" if state is None else "was destroyed before" if state.disposed else "is not full yet"
            raise RangeNotDisposable(
                f"entries are destroyed by whole partitions; {start} to {stop} {what}", start=start, stop=stop
            )
        body = await self.reader(log).body(stop - 1)
        last = None if body is None else parse_entry(body)

        def check(records: Records) -> None:
            if last is not None:
                self._require_over(records, last)

        content: dict[str, JsonValue] = {"range": f"{log}:{start}", "log": log, "start": start, "stop": stop}
        alike = ("range", content["range"])
        return await self._propose(
            request_id, Action.DISPOSAL, content, reason=reason, actor=actor, alike=alike, check=check
        )

    async def propose_erasure(
        self, request_id: str, kind: str, subject_id: str, *, reason: str, actor: str
    ) -> Proposal:
        """Propose that a subject's personal data becomes unreadable.

        Raises:
            SubjectKeyNotFound: There is none, or it was erased.
            HoldStands: A hold may cover it.
            RetentionRunning: Some of it must still be kept.
            ProposalState: The same is proposed already.
        """
        subject = f"{kind}:{subject_id}"
        if self._keys is None or not await self._keys.living(subject):
            raise SubjectKeyNotFound(f"the log has no personal data of {subject} that can be read", subject=subject)
        await self.require_erasable(kind, subject_id)
        return await self._propose(
            request_id,
            Action.ERASURE,
            {"subject": subject, "kind": kind, "id": subject_id},
            reason=reason,
            actor=actor,
            alike=("subject", subject),
            subjects={kind: subject_id},
        )

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
                    self._require_over(records, entry)

    async def decide(self, request_id: str, proposal_id: str, *, approve: bool, comment: str, actor: str) -> Proposal:
        """Approve or reject a proposal.

        Raises:
            ProposalNotFound: There is none.
            SelfApproval: `actor` proposed it.
            ProposalState: It was decided before.
            HoldStands: A hold was placed meanwhile that covers everything it asks for.
            Invalid: A rejection says no comment.
        """
        violations = Violations()
        if not approve and not comment.strip():
            violations.add("comment", "must say why, when a proposal is rejected")
        violations.raise_if_any(Invalid)
        event_id = _id_of(request_id)
        async with self.governing():
            records = await self.records()
            proposal = self._found(records, proposal_id)
            if await self._log.index_of(event_id) is None:
                self._require_decidable(records, proposal, actor, approve=approve)
                data: dict[str, JsonValue] = {
                    "proposal_id": proposal_id,
                    "proposer": proposal.proposer,
                    "approved": approve,
                    "comment": comment,
                }
                await self._record(event_id, DECIDED, data, actor, {"proposal": proposal_id})
                records = await self.records()
        decided = records.proposals[proposal_id]
        if decided.state is State.APPROVED:
            self._on_approved()
        return decided

    async def finish(self, proposal_id: str, *, done: bool, outcome: Mapping[str, JsonValue], actor: str) -> None:
        """Record what came of an approved proposal. Called while governing; safe to repeat."""
        event_id = str(uuid.uuid5(_REQUESTS, f"finish {proposal_id}"))
        data: dict[str, JsonValue] = {"proposal_id": proposal_id, "done": done, "outcome": dict(outcome)}
        await self._record(event_id, FINISHED, data, actor, {"proposal": proposal_id})

    async def destroying(self, proposal_id: str, outcome: Mapping[str, JsonValue], actor: str) -> None:
        """Record what a disposal or an erasure is about to destroy. Called while governing; safe to repeat."""
        event_id = str(uuid.uuid5(_REQUESTS, f"destroying {proposal_id}"))
        data: dict[str, JsonValue] = {"proposal_id": proposal_id, "outcome": dict(outcome)}
        await self._record(event_id, DESTROYING, data, actor, {"proposal": proposal_id})

    async def proposal(self, proposal_id: str) -> Proposal:
        """Return a proposal.

        Raises:
            ProposalNotFound: There is none.
        """
        return self._found(await self.records(), proposal_id)

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

    async def _propose(
        self,
        request_id: str,
        action: Action,
        content: Mapping[str, JsonValue],
        *,
        reason: str,
        actor: str,
        alike: tuple[str, object],
        check: Callable[[Records], None] = lambda _: None,
        subjects: Mapping[str, str] | None = None,
    ) -> Proposal:
        proposal_id = _id_of(request_id)
        async with self.governing():
            records = await self.records()
            if proposal_id not in records.proposals:
                check(records)
                other = records.open_about(action, *alike)
                if other is not None:
                    raise ProposalState(
                        f"proposal {other.proposal_id} about the same is {other.state}", proposal_id=other.proposal_id
                    )
                data: dict[str, JsonValue] = {
                    "proposal_id": proposal_id,
                    "action": action.value,
                    "content": dict(content),
                    "reason": reason,
                }
                about = {"proposal": proposal_id, **(subjects or {})}
                await self._record(proposal_id, PROPOSED, data, actor, about)
                records = await self.records()
        return records.proposals[proposal_id]

    def _require_over(self, records: Records, entry: Entry) -> None:
        """Refuse unless the time of `entry` is over and no hold covers it."""
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
            self._require_over(records, entry)
        except (HoldStands, RetentionRunning) as refused:
            return refused.message
        return None

    @staticmethod
    def _found(records: Records, proposal_id: str) -> Proposal:
        proposal = records.proposals.get(proposal_id)
        if proposal is None:
            raise ProposalNotFound(f"no proposal has the id {proposal_id}", proposal_id=proposal_id)
        return proposal

    @staticmethod
    def _require_decidable(records: Records, proposal: Proposal, actor: str, *, approve: bool) -> None:
        if proposal.state is not State.OPEN:
            raise ProposalState(
                f"proposal {proposal.proposal_id} is {proposal.state}", proposal_id=proposal.proposal_id
            )
        if actor == proposal.proposer:
            raise SelfApproval(f"{actor} proposed this, and so does not decide it", proposer=proposal.proposer)
        if approve and proposal.action in (Action.DISPOSAL, Action.ERASURE):
            for hold in records.standing_holds:
                if hold.scope == EntryFilter():
                    raise HoldStands(f"hold {hold.hold_id} ({hold.matter}) covers everything", hold_id=hold.hold_id)

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

    async def _record(
        self, event_id: str, kind: str, data: Mapping[str, JsonValue], actor: str, subjects: Mapping[str, str]
    ) -> None:
        """Append an entry, once for each `event_id`."""
        if await self._log.index_of(event_id) is not None:
            return
        event = Event(
            event_id=event_id,
            kind=kind,
            occurred_time=self._clock.now(),
            producer=AUDIT_PRODUCER,
            actor=actor,
            trace_parent="",
            subjects=subjects,
            data=canonical_json(dict(data)),
        )
        await self._sequencer.append([event])


def _id_of(request_id: str) -> str:
    return str(uuid.uuid5(_REQUESTS, request_id.lower()))


def _about(subjects: Mapping[str, str]) -> dict[str, str]:
    """Return the subjects of a hold that its own entry is about, so that it stands in their histories."""
    return {kind: each for kind, each in subjects.items() if kind != "hold"}
