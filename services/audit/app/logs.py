"""The logs that this process serves, by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.audit.app.audit import AuditApp
from services.audit.domain.errors import LogUnknown
from services.audit.domain.logs import EVENTS
from services.audit.domain.signed_note import VerifierKey


@dataclass(frozen=True, slots=True)
class Log:
    """One log: its name, the key that checks it (whose name is its origin), and what can be asked of it."""

    name: str
    key: VerifierKey
    app: AuditApp

    @property
    def origin(self) -> str:
        """What its checkpoints call it."""
        return self.key.name


class Logs:
    """Every log that this process serves."""

    def __init__(self, logs: Mapping[str, Log]) -> None:
        """Serve `logs`, by their names."""
        self._logs = dict(sorted(logs.items()))

    def __iter__(self) -> Iterator[Log]:
        """Yield them by name."""
        return iter(self._logs.values())

    def named(self, name: str) -> Log:
        """Return the log `name`; `events` when it is empty.

        Raises:
            LogUnknown: There is no such log.
        """
        found = self._logs.get(name or EVENTS)
        if found is None:
            raise LogUnknown(f"there is no log {name}; there are {', '.join(self._logs)}", log=name)
        return found
