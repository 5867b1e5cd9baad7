"""The use cases that govern the record: how long it is kept, what may not be destroyed, and who decided."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from services.audit.app.governed import GovernedLogs, Partitions, SubjectKeys
from services.audit.app.ports import LogReader
from services.audit.app.sequencer import Sequencer
from services.audit.domain.entry import Event, parse_entry
from services.audit.domain.errors import (
    HoldNotFound,
    HoldReleased,
    HoldStands,
    ProposalNotFound,
    ProposalState,
    RangeNotDisposable,
    SelfApproval,
    SubjectKeyNotFound,
)
from services.audit.domain.filter import EntryFilter
from services.audit.domain.records import (
    DECIDED,
    DESTROYING,
    FINISHED,
    HOLD_PLACED,
    PROPOSED,
    Action,
    Hold,
    Proposal,
    Records,
    State,
    scope_data,
)
from services.audit.domain.retention import RetentionClass
from services.audit.domain.sequencing import AUDIT_PRODUCER
from services.kernel.canonical import JsonValue, canonical_json, rfc3339
from services.kernel.clock import Clock
from services.kernel.errors import Invalid, Violations

# Name space of the ids of these entries: the same request is the same entry (RFC 9562, version 5).
_REQUESTS = uuid.UUID("0b1f7a7e-43b4-4f0e-8f0c-8a2d3f6f5a11")

# Held while something is decided and recorded, so that two decisions are made one after the other.
Governing = Callable[[], AbstractAsyncContextManager[None]]


class RecordsApp(GovernedLogs):
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
        super().__init__(log=log, readers=readers, partitions=partitions, keys=keys, clock=clock)
        self._sequencer = sequencer
        self.governing = governing
        self._on_approved = on_approved

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
                self.require_over(records, last)

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
