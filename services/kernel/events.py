"""What happened: the one form in which every service tells audit of a change of state."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.kernel.canonical import JsonValue

# The kinds of things an event can be about, and so be found by.
SUBJECTS = frozenset(
    {
        "account",
        "household",
        "plan",
        "run",
        "order",
        "block",
        "instrument",
        "policy_node",
        "policy_version",
        "change",
        "snapshot",
        "price_set",
        "request",
    }
)

# The limits of `evenkeel.audit.v1.Event`: what is said here must be accepted there.
KIND_LENGTH_MAX = 128
SUBJECT_ID_LENGTH_MAX = 128
EVENT_DATA_BYTES_MAX = 61_440

_KIND = re.compile(r"[a-z_]+(\.[a-z_]+){1,5}")


@dataclass(frozen=True, slots=True)
class Event:
    """One change of state.

    `kind` names it (`decision.plan.approved`), `subjects` says whom it concerns (every id, by its kind), `data` what a
    reader needs to understand it.
    """

    kind: str
    subjects: Mapping[str, str]
    data: Mapping[str, JsonValue]

    def __post_init__(self) -> None:
        """Refuse an event that nobody could find.

        Raises:
            ValueError: `kind` is not a dotted name, or a subject is of an unknown kind, empty or too long.
        """
        if not _is_kind(self.kind):
            raise ValueError(f"kind must be a dotted name such as decision.plan.approved, was {self.kind[:120]!r}")
        for subject, subject_id in self.subjects.items():
            if subject not in SUBJECTS:
                raise ValueError(f"subject must be one of {', '.join(sorted(SUBJECTS))}, was {subject!r}")
            if not 1 <= len(subject_id) <= SUBJECT_ID_LENGTH_MAX:
                limit = f"1 to {SUBJECT_ID_LENGTH_MAX} characters"
                raise ValueError(f"id of subject {subject} must have {limit}, was {subject_id[:40]!r}")


# There are some hundred kinds, and an event of one of them for each change.
@lru_cache(maxsize=1_024)
def _is_kind(kind: str) -> bool:
    return len(kind) <= KIND_LENGTH_MAX and _KIND.fullmatch(kind) is not None
