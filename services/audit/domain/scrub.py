"""Is everything that is stored what the bodies and the signed checkpoints say it must be?

The bodies are the record; all else follows from them: leaves, tiles, event ids, postings, and with the log's keys the
checkpoints. A scrub reads the log from its first entry, computes what must be there, and says where something else is.
It finds a change of any stored bit, whoever made it, as long as one older checkpoint is kept by somebody else.

Where entries were destroyed because their time was over, their hashes are read from the tiles: that these are the right
ones shows in the next root. What stood beside such entries can no longer be derived, and is counted.

A scrub may begin where an earlier one ended, given the tree's edge there, which its root proves.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.audit.domain.checkpoint import Checkpoint, open_checkpoint
from services.audit.domain.closing import CLOSE_KIND
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.entry import Entry, EntryInvalid, parse_entry
from services.audit.domain.merkle import leaf_hash
from services.audit.domain.sequencing import Known
from services.audit.domain.signed_note import NoteInvalid, VerifierKey, parse
from services.audit.domain.stored import Counts, Expected, Finding, Posting, StoredCheckpoint, StoredEntry
from services.audit.domain.terms import postings
from services.audit.domain.tiles import RightEdge

# Tables of which a stretch that is plainly right has been read whole.
COUNTED_FROM_PLAIN = frozenset({"entry", "event_key", "posting"})

# Accounts whose last number is kept in memory, about 100 bytes each; more are looked up again.
NUMBERS_KEPT_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scrub came: the tree's edge there, the time of its last checkpoint, and what it counted.

    `memory` is what is recorded nowhere; without it, the next scrub looks it up.
    """

    edge: RightEdge = field(default_factory=RightEdge)
    last_time: datetime | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    memory: "Memory | None" = field(default=None, compare=False)


@dataclass(slots=True)
class Memory:
    """What a scrub has seen of accounts.

    Attributes:
        numbers: The last number of each account, as far as it was seen.
        whole: Whether an account that is not among them has no entry before.
        changed: The last numbers of those that have entries from `changed_since` on.
        changed_since: The last size that a closing entry covers, or where the scrub began.
        plain: Up to which size every row beside the entries was read, and found to be as it must be.
        plain_counted: What was counted by then.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    changed: dict[str, int] = field(default_factory=dict)
    changed_since: int = 0
    plain: int = 0
    plain_counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """What was read of one commit: its first index, its checkpoint, its entries, and what was wrong on the way.

    `gone` are the leaves of its entries that were destroyed, by index.
    """

    start: int
    signed: StoredCheckpoint
    entries: Sequence[tuple[int, Entry]]
    leaves: Sequence[bytes]
    gone: Mapping[int, bytes]
    whole: bool
    findings: Sequence[Finding]

    @property
    def accounts(self) -> set[str]:
        """The accounts that its entries are about."""
        return {entry.event.account for _, entry in self.entries if entry.event.account is not None}


class Scrub:
    """Follows the log commit by commit, from its first entry or from where an earlier scrub ended."""

    def __init__(
        self,
        origin: str,
        keys: Sequence[VerifierKey],
        since: Progress | None = None,
        continues: VerifierKey | None = None,
    ) -> None:
        """Begin with the empty log `origin`, whose checkpoints at least one of `keys` signs, or at `since`."""
        since = since or Progress()
        self._origin = origin
        # Signed the first checkpoints, when this log goes on after another's.
        self._continues = continues
        self._keys = tuple(keys)
        self._edge = since.edge
        self._covered = since.edge.size
        self._last_time = since.last_time
        self._memory = since.memory or Memory(whole=since.edge.size == 0, changed_since=since.edge.size)
        # Entries that close the log, as they are stored.
        self.closings: list[StoredEntry] = []
        self.counted = {"entry": 0, "event_key": 0, "posting": 0, "tile": 0, "checkpoint_note": 0, **since.counted}

    @property
    def size(self) -> int:
        """How many entries the checkpoints cover that were followed."""
        return self._covered

    @property
    def progress(self) -> Progress:
        """How far it came."""
        return Progress(self._edge, self._last_time, dict(self.counted), self._memory)

    def root(self) -> bytes:
        """Return the root over the bodies of these entries."""
        return self._edge.root()

    def read(self, rows: Sequence[StoredEntry], signed: StoredCheckpoint, gone: Mapping[int, bytes]) -> Commit:
        """Read the rows of one commit, by index.

        Args:
            rows: Those that are there.
            signed: The checkpoint that ends it.
            gone: The leaves of its entries that were destroyed, by index.
        """
        findings: list[Finding] = []
        entries: list[tuple[int, Entry]] = []
        leaves: list[bytes] = []
        index = self.size
        for row in rows:
            while index < row.index and index in gone:
                leaves.append(gone[index])
                index += 1
            if row.index != index:
                findings.append(Finding(f"entry {index}", f"is missing, the next one is {row.index}"))
                index = row.index
            leaf = leaf_hash(row.body)
            if leaf != row.leaf:
                findings.append(Finding(f"entry {index}", "its leaf is not the hash of its body"))
            # The tree is over the bodies as they are, so that what was bent shows in the first root that covers it.
            leaves.append(leaf)
            try:
                entries.append((index, parse_entry(row.body)))
            except EntryInvalid:
                findings.append(Finding(f"entry {index}", "its body is not one that the log writes"))
            else:
                if entries[-1][1].event.kind == CLOSE_KIND:
                    self.closings.append(row)
            index += 1
        while index < signed.size and index in gone:
            leaves.append(gone[index])
            index += 1
        if index != signed.size:
            findings.append(Finding(f"entry {index}", f"is missing, though a checkpoint covers {signed.size} entries"))
        whole = len(entries) + len(gone) == signed.size - self.size
        return Commit(self.size, signed, entries, leaves, gone, whole, findings)

    def unknown(self, accounts: Collection[str]) -> set[str]:
        """Return those of the `accounts` of what comes next whose last number must be looked up before."""
        memory = self._memory
        if len(memory.numbers) > NUMBERS_KEPT_MAX:
            memory.numbers.clear()
            memory.whole = False
        return set() if memory.whole else {each for each in accounts if each not in memory.numbers}

    def learn(self, numbers: Mapping[str, int], *, changed: bool = False) -> None:
        """Take the last numbers of accounts before the next commit; an account without entries has 0.

        Those of a stretch that was just checked have `changed` in it.
        """
        self._memory.numbers |= numbers
        if changed:
            self._memory.changed |= numbers

    def forget(self) -> None:
        """Say that entries before the next commit were destroyed: an account that was not seen may have had some."""
        self._memory.whole = False

    def cut(self) -> tuple[int, Mapping[str, int]]:
        """Return since when accounts have changed, with their last numbers, and begin anew."""
        memory = self._memory
        found = memory.changed_since, memory.changed
        memory.changed_since, memory.changed = self._covered, {}
        return found

    def follow(
        self, commit: Commit, numbers: Mapping[int, Mapping[str, int]] | None = None
    ) -> tuple[list[Finding], Expected]:
        """Take the next commit.

        Args:
            commit: As `read` returned it.
            numbers: Where entries were destroyed in it: by the index after them, the last numbers of accounts there.

        Returns:
            What is wrong with it, and what must be stored beside it.
        """
        findings = list(commit.findings)
        seen: set[str] = set()
        resets = numbers or {}
        for index, entry in commit.entries:
            self._memory.numbers |= resets.get(index, {})
            findings += self._contradictions(entry, index, commit.signed.sign_time, seen)
        self._edge, tiles = self._edge.extended(commit.leaves)
        self._covered = commit.signed.size
        findings += self._checkpoint_findings(commit.signed)
        expected = Expected(
            keys={entry.event.event_id: Known(entry.index, entry.event.digest) for _, entry in commit.entries},
            postings=_expected_postings(commit),
            tiles={tile.id: tile for tile in tiles},
        )
        self._count(commit, expected)
        return findings, expected

    def goes_on_with(self, begun: RightEdge, first_time: datetime) -> bool:
        """Return whether a stretch that begins at the edge `begun`, with a checkpoint of `first_time`, comes next."""
        return begun == self._edge and (self._last_time is None or first_time >= self._last_time)

    def numbers_follow(self, accounts: Sequence[str], first: Sequence[int]) -> bool:
        """Return whether each account's first number in the next stretch is its next one."""
        numbers = self._memory.numbers
        return all(numbers.get(account, 0) + 1 == number for account, number in zip(accounts, first, strict=True))

    def take(
        self, edge: RightEdge, last_time: datetime, counted: Mapping[str, int], closings: Sequence[StoredEntry]
    ) -> None:
        """Go on after a stretch that is as it must be, and whose numbers were taken."""
        plain = self._memory.plain == self._covered
        self._edge, self._covered, self._last_time = edge, edge.size, last_time
        for table, count in counted.items():
            self.counted[table] += count
        if plain:
            self._memory.plain, self._memory.plain_counted = self._covered, dict(self.counted)
        self.closings += closings

    def _contradictions(self, entry: Entry, index: int, sign_time: datetime, seen: set[str]) -> Iterator[Finding]:
        where = f"entry {index}"
        if entry.index != index:
            yield Finding(where, f"says that its index is {entry.index}")
        # One in another commit shows in the event's key, which has one index.
        if entry.event.event_id in seen:
            yield Finding(where, f"its event {entry.event.event_id} stands in the log before")
        seen.add(entry.event.event_id)
        account = entry.event.account
        number = 0 if account is None else self._memory.numbers.get(account, 0) + 1
        if entry.account_sequence != number:
            yield Finding(where, f"says that it is number {entry.account_sequence} of its account, and is {number}")
        if account is not None:
            # Its own number, so that a gap is told of once.
            self._memory.numbers[account] = self._memory.changed[account] = entry.account_sequence
        if entry.recorded_time != sign_time:
            yield Finding(where, "was not recorded when the checkpoint that first covers it was signed")

    def _checkpoint_findings(self, signed: StoredCheckpoint) -> Iterator[Finding]:
        size = signed.size
        where = f"checkpoint_note {size}"
        origin, keys = self._origin, self._keys
        if self._continues is not None and signed.origin == self._continues.name:
            origin, keys = self._continues.name, (self._continues,)
        try:
            stated = open_checkpoint(signed.note, origin=origin, keys=keys)
        except NoteInvalid as error:
            yield Finding(where, f"its note is not signed by the log: {error}")
        else:
            if (stated.origin, stated.size, stated.root) != (signed.origin, signed.size, signed.root):
                yield Finding(where, "is not what its note says")
            if stated != Checkpoint(origin, self._edge.size, self.root()):
                yield Finding(where, f"the {self._edge.size} entries before it hash to {self.root().hex()}")
        if self._last_time is not None and signed.sign_time < self._last_time:
            yield Finding(where, "was signed before the checkpoint that precedes it")
        self._last_time = signed.sign_time

    def _count(self, commit: Commit, expected: Expected) -> None:
        self.counted["entry"] += len(commit.leaves) - len(commit.gone)
        # The keys of what was destroyed stay, so that an event that comes again is known.
        self.counted["event_key"] += len(expected.keys) + len(commit.gone)
        self.counted["posting"] += len(expected.postings)
        self.counted["tile"] += len(expected.tiles)
        self.counted["checkpoint_note"] += 1

    @property
    def plain(self) -> int:
        """Up to which size no row of entries, keys and postings need be counted: all were read."""
        return self._memory.plain

    def surplus(self, counts: Mapping[str, Counts]) -> Iterator[Finding]:
        """Yield the tables that have rows too many or too few, by the counts of all.

        Of entries, keys and postings, those are counted that belong to entries from `plain` on.
        """
        for table, counted in self.counted.items():
            start = self.plain if table in COUNTED_FROM_PLAIN else 0
            must = counted - self._memory.plain_counted.get(table, 0) if start else counted
            if counts[table].within != must:
                found, since = counts[table].within, f" but {start}" if start else ""
                yield Finding(table, f"has {found} rows for the first {self._covered} entries{since}, must have {must}")
            if counts[table].beyond:
                yield Finding(table, f"has {counts[table].beyond} rows for entries that no checkpoint covers")


def witness_findings(signed: StoredCheckpoint, lines: Sequence[str], witnesses: Sequence[WitnessKey]) -> list[Finding]:
    """Return which of the signatures stored with a checkpoint are not over it.

    A log that was rewritten and signed anew has, where a witness signed before, a signature over another root.
    """
    findings = []
    text = Checkpoint(signed.origin, signed.size, signed.root).text()
    for line in lines:
        name = line.split(" ")[1] if line.count(" ") == 2 else "unknown"
        try:
            _, (signature,) = parse(f"{text}\n{line}")
            for key in witnesses:
                if (key.name, key.key_id) == (signature.name, signature.key_id):
                    key.seen_time_s(text, signature)
        except (NoteInvalid, ValueError) as error:
            findings.append(Finding(f"cosignature {signed.size} {name}", f"is not over this checkpoint: {error}"))
    return findings


def _expected_postings(commit: Commit) -> Mapping[Posting, bytes]:
    """Return the postings that must be stored of a commit.

    Positions count from its first entry, and after entries that were destroyed from the next that is left; so they are
    known only where every entry is.
    """
    if not commit.whole:
        return {}
    runs: list[tuple[int, list[Entry]]] = []
    for index, entry in commit.entries:
        if not runs or index - 1 in commit.gone:
            runs.append((index, []))
        runs[-1][1].append(entry)
    return {
        (term, first): positions
        for first, entries in runs
        for term, positions in postings(entry.event for entry in entries).items()
    }
