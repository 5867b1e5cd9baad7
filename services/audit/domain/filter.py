"""Which entries does a reader want?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.audit.domain.entry import Entry

_BELOW = ".*"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Matches the entries that have every value that is given.

    `kind` is one kind, or with a trailing `.*` every kind below it. `start_time` is included, `end_time` is not.
    """

    kind: str | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)
    actor: str | None = None
    producer: str | None = None
    trace_id: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    def matches(self, entry: Entry) -> bool:
        """Return whether `entry` is wanted."""
        event = entry.event
        for kind, subject_id in self.subjects.items():
            if event.subjects.get(kind) != subject_id:
                return False
        return (
            (self.kind is None or self._matches_kind(self.kind, event.kind))
            and (self.actor is None or self.actor == event.actor)
            and (self.producer is None or self.producer == event.producer)
            and (self.trace_id is None or self.trace_id == event.trace_id)
            and (self.start_time is None or entry.recorded_time >= self.start_time)
            and (self.end_time is None or entry.recorded_time < self.end_time)
        )

    @staticmethod
    def _matches_kind(wanted: str, kind: str) -> bool:
        return wanted == kind or (wanted.endswith(_BELOW) and kind.startswith(wanted.removesuffix("*")))
