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
        return (
            self._matches_kind(event.kind)
            and all(event.subjects.get(kind) == subject_id for kind, subject_id in self.subjects.items())
            and self.actor in (None, event.actor)
            and self.producer in (None, event.producer)
            and self.trace_id in (None, event.trace_id)
            and (self.start_time is None or entry.recorded_time >= self.start_time)
            and (self.end_time is None or entry.recorded_time < self.end_time)
        )

    def _matches_kind(self, kind: str) -> bool:
        if self.kind is None or self.kind == kind:
            return True
        return self.kind.endswith(_BELOW) and kind.startswith(self.kind.removesuffix("*"))
