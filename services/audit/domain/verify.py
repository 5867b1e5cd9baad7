"""Is this log, read from its first entry to its last, what its checkpoints say?

Needs the bodies alone: the tree, the numbers and the ids are computed anew and compared. Reads each entry once and
keeps no body, so a log of any length can be streamed through it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.entry import Entry, EntryInvalid, parse_entry
from services.audit.domain.merkle import Frontier, Unproven


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a verified log contains.

    `account_entries` counts the entries of each account. Times are None when the log is empty.
    """

    size: int
    root: bytes
    first_time: datetime | None
    last_time: datetime | None
    account_entries: Mapping[str, int]
    checkpoints_verified: int


class LogVerifier:
    """Checks a log entry by entry, against checkpoints whose signatures were verified before."""

    def __init__(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Expect the log to match each of `checkpoints`.

        Raises:
            Unproven: Two of them contradict each other, or are of different logs.
        """
        self._roots: dict[int, bytes] = {}
        for checkpoint in checkpoints:
            if checkpoint.origin != checkpoints[0].origin:
                raise Unproven(f"checkpoints of two logs: {checkpoints[0].origin} and {checkpoint.origin}")
            if self._roots.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                raise Unproven(f"two checkpoints of size {checkpoint.size} have different roots: the log has forked")
        self._frontier = Frontier()
        self._event_ids: set[str] = set()
        self._sequences: dict[str, int] = {}
        self._first_time: datetime | None = None
        self._last_time: datetime | None = None
        self._verified = 0
        self._compare_root()

    @property
    def size(self) -> int:
        """How many entries were checked."""
        return self._frontier.size

    def add(self, body: bytes) -> Entry:
        """Check the next entry, and return it.

        Raises:
            Unproven: It is not the entry that belongs here, or the log up to it is not what a checkpoint says.
        """
        index = self._frontier.size
        try:
            entry = parse_entry(body)
        except EntryInvalid as error:
            raise Unproven(f"entry {index}: {error}") from error
        if entry.index != index:
            raise Unproven(f"entry {index} says that its index is {entry.index}")
        if entry.event.event_id in self._event_ids:
            raise Unproven(f"entry {index}: event {entry.event.event_id} stands in the log twice")
        if self._last_time is not None and entry.recorded_time < self._last_time:
            raise Unproven(f"entry {index} was recorded before the entry that precedes it")
        account = entry.event.account
        expected = 0 if account is None else self._sequences.get(account, 0) + 1
        if entry.account_sequence != expected:
            raise Unproven(f"entry {index} is number {entry.account_sequence} of its account, expected {expected}")
        self._event_ids.add(entry.event.event_id)
        if account is not None:
            self._sequences[account] = expected
        self._first_time = self._first_time or entry.recorded_time
        self._last_time = entry.recorded_time
        self._frontier = self._frontier.extended([entry.leaf])
        self._compare_root()
        return entry

    def report(self) -> LogReport:
        """Return what was found, when every checkpoint was reached.

        Raises:
            Unproven: The log ends before a checkpoint.
        """
        beyond = [size for size in self._roots if size > self.size]
        if beyond:
            raise Unproven(f"the log has {self.size} entries, but a checkpoint covers {max(beyond)}")
        return LogReport(
            size=self.size,
            root=self._frontier.root(),
            first_time=self._first_time,
            last_time=self._last_time,
            account_entries=dict(self._sequences),
            checkpoints_verified=self._verified,
        )

    def _compare_root(self) -> None:
        expected = self._roots.get(self.size)
        if expected is None:
            return
        if self._frontier.root() != expected:
            raise Unproven(f"the first {self.size} entries do not hash to the root of their checkpoint")
        self._verified += 1


def verify_log(bodies: Iterable[bytes], checkpoints: Sequence[Checkpoint]) -> LogReport:
    """Check a whole log against `checkpoints`, whose signatures were verified before.

    Raises:
        Unproven: An entry is not what belongs at its place, or the log is not what a checkpoint says.
    """
    verifier = LogVerifier(checkpoints)
    for body in bodies:
        verifier.add(body)
    return verifier.report()
