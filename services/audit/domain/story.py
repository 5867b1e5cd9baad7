"""What belongs to the story of one order, plan, block, run or change?

Events name the things that they are about. A story begins with what is asked about and follows these names: from an
order to its plan, its block, the run, the policy version, the change that was approved, the book and the prices. Each
kind of thing is followed only into the events that tell about itself, because a run has thousands of accounts and an
order one. What names another account, plan or order than the story's own does not belong to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from services.audit.domain.entry import ACCOUNT, Entry
from services.audit.domain.filter import EntryFilter

Subject = tuple[str, str]

# What a story can be about, and of which kinds of events each thing that it meets is told; None for all.
TOLD_BY: Mapping[str, str | None] = MappingProxyType(
    {
        "order": None,
        "plan": None,
        "block": "execution.block.*",
        "run": "decision.run.*",
        "change": "policy.*",
        "policy_version": "policy.*",
        "snapshot": "decision.book.*",
        "price_set": "decision.prices.*",
    }
)
# Whatever names another of these is another's story.
_OWN = ("order", "plan", ACCOUNT)
# From where one goes on to what: a block has many orders, whose plans are not the block's story.
_LEADS_TO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "order": ("plan", "block", "run", "policy_version", "change", "snapshot", "price_set"),
        "plan": ("block", "run", "policy_version", "change", "snapshot", "price_set"),
        "block": (),
        "run": ("snapshot", "price_set"),
        "change": ("policy_version",),
        "policy_version": ("change",),
        "snapshot": (),
        "price_set": (),
    }
)
_SHARES_STATED = "execution.block.allocation_stated"


class Chapter(StrEnum):
    """Which part of a story an event tells."""

    POLICY = "POLICY"
    INPUTS = "INPUTS"
    DECISION = "DECISION"
    ORDER = "ORDER"
    VENUE = "VENUE"
    ALLOCATION = "ALLOCATION"
    BOOK = "BOOK"
    OTHER = "OTHER"


# By the longest beginning of the kind.
_CHAPTERS: tuple[tuple[str, Chapter], ...] = (
    ("policy.", Chapter.POLICY),
    ("decision.book.", Chapter.INPUTS),
    ("decision.prices.", Chapter.INPUTS),
    ("decision.account.booked", Chapter.BOOK),
    ("decision.", Chapter.DECISION),
    ("execution.order.allocated", Chapter.ALLOCATION),
    ("execution.block.allocation_stated", Chapter.ALLOCATION),
    ("execution.block.", Chapter.VENUE),
    ("execution.plan.", Chapter.ORDER),
    ("execution.order.", Chapter.ORDER),
)


def chapter_of(kind: str) -> Chapter:
    """Return which part of a story an event of this kind tells."""
    return next((chapter for start, chapter in _CHAPTERS if kind.startswith(start)), Chapter.OTHER)


class Story:
    """Collects what belongs to one story; its reader looks up what `wanted` asks for, until there is nothing more."""

    def __init__(self, kind: str, subject_id: str) -> None:
        """Begin with what is asked about.

        Raises:
            ValueError: No story is about this kind of thing.
        """
        if kind not in TOLD_BY:
            raise ValueError(f"must be one of {', '.join(TOLD_BY)}, was {kind}")
        self._kind = kind
        self._own = {kind: subject_id} if kind in _OWN else {}
        self._entries: dict[int, Entry] = {}
        self.subjects: list[Subject] = [(kind, subject_id)]
        self._asked = 0
        self._traces_asked: set[str] = set()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What belongs to it, by index."""
        kept = (entry for _, entry in sorted(self._entries.items()))
        return tuple(entry for entry in kept if self._belongs(entry))

    def wanted(self) -> Iterator[EntryFilter]:
        """Yield what is to be looked up next."""
        while self._asked < len(self.subjects):
            kind, subject_id = self.subjects[self._asked]
            self._asked += 1
            yield EntryFilter(kind=TOLD_BY[kind], subjects={kind: subject_id})
        yield from self._shares_wanted()

    def add(self, found: Iterable[Entry]) -> None:
        """Take what was found, and note where it leads."""
        for entry in found:
            if entry.index in self._entries or not self._belongs(entry):
                continue
            self._entries[entry.index] = entry
            self._learn(entry)

    def _learn(self, entry: Entry) -> None:
        for kind in _OWN:
            # A story of a run or a block is of many accounts; one of an order or a plan has one of each.
            if self._kind in ("order", "plan") and kind in entry.event.subjects:
                may = kind != "order" or self._kind == "order"
                if may and self._told_by_own(entry):
                    self._own.setdefault(kind, entry.event.subjects[kind])
        for kind, subject_id in _named(entry):
            if kind in _LEADS_TO[self._kind] and (kind, subject_id) not in self.subjects:
                self.subjects.append((kind, subject_id))

    def _told_by_own(self, entry: Entry) -> bool:
        return any(entry.event.subjects.get(kind) == self._own.get(kind) for kind in ("order", "plan"))

    def _belongs(self, entry: Entry) -> bool:
        subjects = entry.event.subjects
        if entry.event.kind == _SHARES_STATED and "order" in self._own:
            orders = {share[0] for share in entry.event.data_members.get("shares", ())}
            return self._own["order"] in orders
        return all(subjects.get(kind, own) == own for kind, own in self._own.items())

    def _shares_wanted(self) -> Iterator[EntryFilter]:
        """Yield where an order's block is said before it has a fill: in the statement of shares of its trace."""
        if self._kind != "order" or any(kind == "block" for kind, _ in self.subjects):
            return
        traces = {entry.event.trace_id for entry in self._entries.values() if entry.event.kind.startswith("execution.")}
        for trace in sorted(each for each in traces if each is not None and each not in self._traces_asked):
            self._traces_asked.add(trace)
            yield EntryFilter(kind=_SHARES_STATED, trace_id=trace)


def _named(entry: Entry) -> Iterator[Subject]:
    """Yield what an entry names: its subjects, and the inputs that a decision tells as data."""
    yield from entry.event.subjects.items()
    if entry.event.kind == "decision.plan.decided":
        said: Mapping[str, Any] = entry.event.data_members
        for version in said.get("policy_version_hashes", ()):
            yield "policy_version", str(version)
        if said.get("price_set_id"):
            yield "price_set", str(said["price_set_id"])
