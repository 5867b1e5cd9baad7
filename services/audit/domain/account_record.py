"""Everything about one account in a period, with the proof that nothing is left out.

Entries of an account are numbered without a gap, inside the bytes that the tree hashes, and the log's times do not go
back. So the numbers a to b are the whole period when

- each of them is in the tree, with its number, and was recorded in the period;
- number a - 1 was recorded before the period, or a is 1;
- number b + 1 was recorded after it; or, where there is none, the log has closed: an entry commits to b as the
  account's last number among the first n entries, and entry n was recorded when the period was over.

Numbers may also be missing because their entries were destroyed, by disposals that two people decided. The closing
entry then commits to which numbers those are, and names the disposals.

All of it is under one signed root, and needs nothing but this record and the log's public key to be checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.closing import Closing, ProvenLeaf, read_closing, verify_leaf
from services.audit.domain.entry import Entry, EntryInvalid, parse_entry
from services.audit.domain.merkle import Unproven, leaf_hash, verify_inclusion


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """A body of the log, and the path from its leaf to the root."""

    index: int
    body: bytes
    path: tuple[bytes, ...]

    def opened(self, checkpoint: Checkpoint) -> Entry:
        """Return the entry, shown to be in the tree of `checkpoint`.

        Raises:
            Unproven: It is not.
        """
        verify_inclusion(
            index=self.index,
            size=checkpoint.size,
            leaf=leaf_hash(self.body),
            proof=self.path,
            root=checkpoint.root,
        )
        try:
            entry = parse_entry(self.body)
        except EntryInvalid as error:
            raise Unproven(f"entry {self.index} is not one that a log writes") from error
        if entry.index != self.index:
            raise Unproven(f"entry {self.index} says that it is entry {entry.index}")
        return entry


@dataclass(frozen=True, slots=True)
class CloseProof:
    """That an account has no further entry among those that a closing entry covers.

    Attributes:
        close: The closing entry.
        next: The first entry that it does not cover; may be the closing entry itself.
        leaves: The account's leaf, or those on both sides of where it would stand.
    """

    close: ProvenEntry
    next: ProvenEntry
    leaves: tuple[ProvenLeaf, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What shows that an account's record is whole; see the module.

    Attributes:
        account: Whose record.
        start_time: The period's first instant; None for the beginning of the log.
        complete_until: The instant after the period's last.
        before: The account's entry before the period; None when it has none.
        after: The account's entry after the period; None when it has none.
        close: That it has none.
    """

    account: str
    start_time: datetime | None
    complete_until: datetime
    before: ProvenEntry | None
    after: ProvenEntry | None
    close: CloseProof | None


class RecordVerifier:
    """Checks a record entry by entry, against a checkpoint whose signature was verified before."""

    def __init__(self, bounds: Bounds, checkpoint: Checkpoint) -> None:
        """Expect the entries of the period, by their numbers.

        Raises:
            Unproven: `bounds` do not hold under `checkpoint`.
        """
        self._bounds = bounds
        self._checkpoint = checkpoint
        self._last = 0
        self._closing = None if bounds.close is None else self._closed(bounds.close)
        self._leaf = None
        if bounds.close is not None and self._closing is not None:
            self._leaf = verify_leaf(bounds.account, bounds.close.leaves, self._closing)
        self.destroyed: list[tuple[int, int]] = []
        if bounds.before is not None:
            before = self._own(bounds.before)
            if bounds.start_time is None or before.recorded_time >= bounds.start_time:
                raise Unproven(f"entry {before.index} is said to be before the period, and is in it")
            self._last = before.account_sequence
        self.count = 0

    def add(self, proven: ProvenEntry) -> Entry:
        """Check the next entry, and return it.

        Raises:
            Unproven: It is not the account's next, or not of the period.
        """
        entry = self._own(proven)
        self._reach(entry.account_sequence, f"entry {entry.index} is number {entry.account_sequence} of its account; ")
        start = self._bounds.start_time
        if (start is not None and entry.recorded_time < start) or entry.recorded_time >= self._bounds.complete_until:
            raise Unproven(f"entry {entry.index} was not recorded in the period")
        self._last = entry.account_sequence
        self.count += 1
        return entry

    def finish(self) -> int:
        """Return how many entries the period has, after the last was added.

        Raises:
            Unproven: There are more.
        """
        bounds = self._bounds
        if bounds.after is not None:
            after = self._own(bounds.after)
            self._reach(after.account_sequence, f"of account {bounds.account}, ")
            if after.recorded_time < bounds.complete_until:
                raise Unproven(f"entry {after.index} is said to be after the period, and is in it")
        elif bounds.close is not None and self._leaf is not None:
            if bounds.close.next.opened(self._checkpoint).recorded_time < bounds.complete_until:
                raise Unproven("the log was closed before the period was over")
            if self._leaf.last > self._last:
                self._reach(self._leaf.last + 1, f"account {bounds.account} has {self._leaf.last} entries, and ")
            elif self._leaf.last != self._last:
                raise Unproven(f"account {bounds.account} has {self._leaf.last} entries, {self._last} are shown")
        else:
            raise Unproven(f"nothing shows that account {bounds.account} has no entry after number {self._last}")
        return self.count

    def _closed(self, proof: CloseProof) -> Closing:
        closing = read_closing(proof.close.opened(self._checkpoint))
        following = proof.next.opened(self._checkpoint)
        if following.index != closing.covered_size:
            raise Unproven(f"entry {following.index} is not the first that the closing entry does not cover")
        return closing

    def _reach(self, number: int, where: str) -> None:
        """Go on to `number`, which must be the next that is not destroyed."""
        for first, last in () if self._leaf is None else self._leaf.gone:
            if first == self._last + 1 and last < number:
                self.destroyed.append((first, last))
                self._last = last
        if number != self._last + 1:
            raise Unproven(f"{where}number {self._last + 1} is left out")

    def _own(self, proven: ProvenEntry) -> Entry:
        entry = proven.opened(self._checkpoint)
        if entry.event.account != self._bounds.account:
            raise Unproven(f"entry {entry.index} is not about account {self._bounds.account}")
        return entry


def verify_record(bounds: Bounds, entries: Sequence[ProvenEntry], checkpoint: Checkpoint) -> tuple[Entry, ...]:
    """Return the entries of a whole record.

    Raises:
        Unproven: Something is missing, or is not in the log.
    """
    verifier = RecordVerifier(bounds, checkpoint)
    opened = tuple(verifier.add(each) for each in entries)
    verifier.finish()
    return opened
