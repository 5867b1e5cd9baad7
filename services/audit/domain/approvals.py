"""Who approved what, and was it somebody else than who wrote it?

Each kind of event that says so names the approver as its actor, and the one who wrote, proposed or did what was
approved in its data or its actor's counterpart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from services.audit.domain.entry import Entry

# The kinds that say that somebody approved, and the member of their data that names the other one; None when what was
# approved was made by a service.
APPROVAL_KINDS: Mapping[str, str | None] = MappingProxyType(
    {
        "policy.change.approved": "author",
        "decision.plan.approved": None,
        "execution.trading.resumed": "halted_by",
        "execution.block.uncrossed": "proposer",
        "execution.fix.reset_approved": "proposer",
        # In the log `records`: classes, disposals, erasures, the ends of holds.
        "audit.records.decided": "proposer",
    }
)


@dataclass(frozen=True, slots=True)
class Approval:
    """That `approver` approved what `author` wrote; `author` is empty when no person did.

    Attributes:
        also: Who else stood on the author's side: of a trading halt, all others who had halted.
    """

    entry: Entry
    approver: str
    author: str
    also: frozenset[str] = frozenset()

    @property
    def independent(self) -> bool:
        """Whether both are known, and are two; whoever else wrote is none of them."""
        return bool(self.approver and self.author) and self.approver not in {self.author, *self.also}


def approval_of(entry: Entry) -> Approval:
    """Return what an entry of one of `APPROVAL_KINDS` says."""
    member, data = APPROVAL_KINDS[entry.event.kind], entry.event.data_members
    author = "" if member is None else str(data.get(member) or "")
    said = data.get("approver")
    return Approval(entry, said if isinstance(said, str) and said else entry.event.actor, author, also_halted(data))


def also_halted(resumed: Mapping[str, Any]) -> frozenset[str]:
    """Return who else halted what was resumed, by its facts; an older event, or one of another kind, has none."""
    others = resumed.get("also_halted_by")
    return frozenset(map(str, others)) if isinstance(others, list) else frozenset()


def approves(entry: Entry) -> bool:
    """Return whether an entry of one of `APPROVAL_KINDS` says yes: of what is decided, some is rejected."""
    return entry.event.kind != "audit.records.decided" or bool(entry.event.data_members.get("approved"))
