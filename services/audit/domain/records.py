"""What governs the record: retention classes, legal holds, and what two people decided about them.

The log itself is where this is kept. Each act is an entry of a kind below `audit.records.`, and the state is what those
entries add up to, read in order: so who may destroy what, and who said so, is as tamper-evident as everything else.

Whatever takes something away needs two people: one proposes, another decides. A hold is placed by one alone, at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.audit.domain.entry import Entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.retention import ClassVersion, Kept, RetentionClass, kept
from services.kernel.canonical import JsonValue, rfc3339

RECORDS_KINDS = "audit.records.*"
PROPOSED = "audit.records.proposed"
DECIDED = "audit.records.decided"
# A disposal or an erasure was checked, and what it asks for is about to be destroyed. Durable before anything is.
DESTROYING = "audit.records.destroying"
FINISHED = "audit.records.finished"
HOLD_PLACED = "audit.records.hold_placed"


class Action(StrEnum):
    """What is proposed."""

    # A new retention class, or a new version of one.
    CLASS = "CLASS"
    # The end of a legal hold.
    HOLD_RELEASE = "HOLD_RELEASE"
    # The destruction of entries whose time is over.
    DISPOSAL = "DISPOSAL"
    # The destruction of the key of a person's data.
    ERASURE = "ERASURE"


class State(StrEnum):
    """Where a proposal is in its life."""

    OPEN = "OPEN"
    REJECTED = "REJECTED"
    # Decided; what it asks for is still to be done.
    APPROVED = "APPROVED"
    DONE = "DONE"
    # Approved, and then found to be forbidden; `outcome` says by what.
    BLOCKED = "BLOCKED"


# What takes effect by being approved; the others are work that is done afterwards.
IMMEDIATE = frozenset({Action.CLASS, Action.HOLD_RELEASE})


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something that one person asked for and another decides.

    `content` is what the action is about, as the log has it. `decider` and `decided_time` are None while it is open.
    """

    proposal_id: str
    action: Action
    content: Mapping[str, Any]
    reason: str
    proposer: str
    proposed_time: datetime
    index: int
    state: State = State.OPEN
    decider: str | None = None
    decided_time: datetime | None = None
    comment: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    finished_time: datetime | None = None
    # The entry that says that its destruction begins; None before it does.
    destroying_index: int | None = None

    @property
    def destroying(self) -> bool:
        """Whether its destruction has begun, and was not given up."""
        return self.destroying_index is not None and self.state is not State.BLOCKED


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: nothing that its scope covers is destroyed while it stands.

    An empty scope covers everything. `released_time` is None while it stands.
    """

    hold_id: str
    matter: str
    reason: str
    scope: EntryFilter
    placed_by: str
    placed_time: datetime
    index: int
    released_time: datetime | None = None

    @property
    def stands(self) -> bool:
        """Whether it is in force."""
        return self.released_time is None

    def covers_subject(self, kind: str, subject_id: str) -> bool:
        """Return whether it may cover something about this subject: unless it is about another of the same kind."""
        return self.scope.subjects.get(kind, subject_id) == subject_id


@dataclass(frozen=True, slots=True)
class Disposal:
    """Entries of a log that are no more: those from `start` up to but not including `stop`."""

    proposal_id: str
    log: str
    start: int
    stop: int


class Records:
    """The state that the entries of the kinds `audit.records.*` add up to."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.classes: dict[str, list[ClassVersion]] = {}
        self.holds: dict[str, Hold] = {}
        self.proposals: dict[str, Proposal] = {}
        self.size = 0

    @property
    def standing_holds(self) -> list[Hold]:
        """The holds in force, oldest first."""
        return [hold for hold in self.holds.values() if hold.stands]

    def disposals(self, log: str) -> list[Disposal]:
        """Return what was destroyed of a log, or is being destroyed, by the first index."""
        done = [
            Disposal(each.proposal_id, log, each.content["start"], each.content["stop"])
            for each in self.proposals.values()
            if each.action is Action.DISPOSAL and each.destroying and each.content["log"] == log
        ]
        return sorted(done, key=lambda each: each.start)

    def kept(self, kind: str, recorded_time: datetime) -> Kept:
        """Return until when an entry is kept, holds aside."""
        return kept(kind, recorded_time, self.classes.values())

    def holds_on(self, entry: Entry) -> list[Hold]:
        """Return the holds in force that cover `entry`."""
        return [hold for hold in self.standing_holds if hold.scope.matches(entry)]

    def open_about(self, action: Action, key: str, value: object) -> Proposal | None:
        """Return a proposal that waits to be decided or done, of this action and about this."""
        return next(
            (
                each
                for each in self.proposals.values()
                if each.action is action
                and each.state in (State.OPEN, State.APPROVED)
                and each.content.get(key) == value
            ),
            None,
        )

    def apply(self, entries: Iterable[Entry], data: Iterable[Mapping[str, Any]]) -> None:
        """Take `entries` in the order of the log, each with the object in its `data`."""
        for entry, said in zip(entries, data, strict=True):
            match entry.event.kind:
                case kind if kind == PROPOSED:
                    self._proposed(entry, said)
                case kind if kind == DECIDED:
                    self._decided(entry, said)
                case kind if kind == FINISHED:
                    self._finished(entry, said)
                case kind if kind == DESTROYING:
                    proposal = self.proposals[said["proposal_id"]]
                    self.proposals[proposal.proposal_id] = replace(
                        proposal, outcome=said["outcome"], destroying_index=entry.index
                    )
                case kind if kind == HOLD_PLACED:
                    self.holds[said["hold_id"]] = Hold(
                        hold_id=said["hold_id"],
                        matter=said["matter"],
                        reason=said["reason"],
                        scope=scope_of(said["scope"]),
                        placed_by=entry.event.actor,
                        placed_time=entry.event.occurred_time,
                        index=entry.index,
                    )
                case _:
                    pass
            self.size = entry.index + 1

    def _proposed(self, entry: Entry, said: Mapping[str, Any]) -> None:
        self.proposals[said["proposal_id"]] = Proposal(
            proposal_id=said["proposal_id"],
            action=Action(said["action"]),
            content=said["content"],
            reason=said["reason"],
            proposer=entry.event.actor,
            proposed_time=entry.event.occurred_time,
            index=entry.index,
        )

    def _decided(self, entry: Entry, said: Mapping[str, Any]) -> None:
        proposal = self.proposals[said["proposal_id"]]
        approved = said["approved"]
        at = entry.event.occurred_time
        state = State.REJECTED
        if approved:
            state = State.DONE if proposal.action in IMMEDIATE else State.APPROVED
        self.proposals[proposal.proposal_id] = replace(
            proposal, state=state, decider=entry.event.actor, decided_time=at, comment=said["comment"]
        )
        if approved and proposal.action is Action.CLASS:
            rule = RetentionClass.of(proposal.content)
            self.classes.setdefault(rule.class_id, []).append(ClassVersion(rule, at, entry.index))
        if approved and proposal.action is Action.HOLD_RELEASE:
            hold = self.holds[proposal.content["hold_id"]]
            self.holds[hold.hold_id] = replace(hold, released_time=at)

    def _finished(self, entry: Entry, said: Mapping[str, Any]) -> None:
        proposal = self.proposals[said["proposal_id"]]
        self.proposals[proposal.proposal_id] = replace(
            proposal,
            state=State.DONE if said["done"] else State.BLOCKED,
            outcome=said["outcome"],
            finished_time=entry.event.occurred_time,
        )


def scope_data(scope: EntryFilter) -> dict[str, JsonValue]:
    """Return a hold's scope as the log records it; what it does not say is left out."""
    said: dict[str, JsonValue] = {}
    for name in ("kind", "actor", "producer", "trace_id"):
        value = getattr(scope, name)
        if value is not None:
            said[name] = value
    if scope.subjects:
        said["subjects"] = dict(scope.subjects)
    if scope.start_time is not None:
        said["start_time"] = rfc3339(scope.start_time)
    if scope.end_time is not None:
        said["end_time"] = rfc3339(scope.end_time)
    return said


def scope_of(said: Mapping[str, Any]) -> EntryFilter:
    """Return the scope that `scope_data` wrote."""
    return EntryFilter(
        kind=said.get("kind"),
        subjects=said.get("subjects", {}),
        actor=said.get("actor"),
        producer=said.get("producer"),
        trace_id=said.get("trace_id"),
        start_time=datetime.fromisoformat(said["start_time"]) if "start_time" in said else None,
        end_time=datetime.fromisoformat(said["end_time"]) if "end_time" in said else None,
    )
