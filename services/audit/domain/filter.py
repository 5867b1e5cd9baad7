"""Which entries does a reader want?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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

    @property
    def kind_prefix(self) -> str | None:
        """What the wanted kinds begin with, when more than one is wanted."""
        return self.kind[: -len("*")] if self.kind is not None and self.kind.endswith(_BELOW) else None
