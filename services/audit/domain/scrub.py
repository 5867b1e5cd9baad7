"""Is everything that is stored what the bodies and the signed checkpoints say it must be?

The bodies are the record; all else follows from them: leaves, tiles, event ids, postings, and with the log's keys the
checkpoints. A scrub reads the log from its first entry, computes what must be there, and says where something else is.
It finds a change of any stored bit, whoever made it, as long as one older checkpoint is kept by somebody else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.audit.domain.checkpoint import Checkpoint, open_checkpoint
from services.audit.domain.entry import Entry, EntryInvalid, parse_entry
from services.audit.domain.merkle import leaf_hash
from services.audit.domain.sequencing import Known
from services.audit.domain.signed_note import NoteInvalid, VerifierKey
from services.audit.domain.terms import postings
from services.audit.domain.tiles import RightEdge, Tile, TileId

Posting = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is stored at `where` is not what it must be."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of the log, of which nothing is believed."""

    index: int
    leaf: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A row of the checkpoints, of which nothing is believed."""

    origin: str
    size: int
    root: bytes
    note: str
    sign_time: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the log that ends with a checkpoint, as it is stored; what is missing is absent.

    Keys, postings and tiles are those that were asked for by `Expected`.
    """

    keys: Mapping[str, Known]
    postings: Mapping[Posting, bytes]
    tiles: Mapping[TileId, Tile]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a table: `within` belong to entries that were followed, `beyond` to ones that no checkpoint covers."""

    within: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be stored beside the entries of a stretch of the log, by the key under which it is stored."""

    keys: Mapping[str, Known]
    postings: Mapping[Posting, bytes]
    tiles: Mapping[TileId, Tile]

    def compared(self, stored: Part) -> Iterator[Finding]:
        """Yield where `stored` is something else."""
        for event_id, key in self.keys.items():
            yield from _differs(f"event_key {event_id}", key, stored.keys.get(event_id))
        for (term, start), positions in self.postings.items():
            yield from _differs(f"posting {term} {start}", positions, stored.postings.get((term, start)))
        for tile_id, tile in self.tiles.items():
            yield from _differs(f"tile {tile_id.level} {tile_id.index}", tile, stored.tiles.get(tile_id))


class Scrub:
    """Follows the log from its first entry, commit by commit."""

    def __init__(self, origin: str, keys: Sequence[VerifierKey]) -> None:
        """Begin with the empty log `origin`, whose checkpoints at least one of `keys` signs."""
        self._origin = origin
        self._keys = tuple(keys)
        self._edge = RightEdge()
        self._covered = 0
        self._event_ids: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._last_time: datetime | None = None
        self.counted = {"entry": 0, "event_key": 0, "posting": 0, "tile": 0, "checkpoint_note": 0}

    @property
    def size(self) -> int:
        """How many entries the checkpoints cover that were followed."""
        return self._covered

    def root(self) -> bytes:
        """Return the root over the bodies of these entries."""
        return self._edge.root()

    def follow(self, rows: Sequence[StoredEntry], signed: StoredCheckpoint) -> tuple[list[Finding], Expected]:
        """Take the rows of one commit, by index, and the checkpoint that ends it.

        Returns:
            What is wrong with them, and what must be stored beside them.
        """
        start, size = self.size, signed.size
        findings: list[Finding] = []
        entries: list[Entry] = []
        index = start
        for row in rows:
            if row.index != index:
                findings.append(Finding(f"entry {index}", f"is missing, the next one is {row.index}"))
                index = row.index
            if leaf_hash(row.body) != row.leaf:
                findings.append(Finding(f"entry {index}", "its leaf is not the hash of its body"))
            try:
                entry = parse_entry(row.body)
            except EntryInvalid:
                findings.append(Finding(f"entry {index}", "its body is not one that the log writes"))
            else:
                findings += self._contradictions(entry, index, signed.sign_time)
                entries.append(entry)
            index += 1
        if index != size:
            findings.append(Finding(f"entry {index}", f"is missing, though a checkpoint covers {size} entries"))
        # The tree is over the bodies as they are, so that what was bent shows in the first root that covers it.
        self._edge, tiles = self._edge.extended(leaf_hash(row.body) for row in rows)
        self._covered = size
        findings += self._checkpoint_findings(signed)
        # Positions count from the first entry, so they are known only where every entry is.
        found = postings(entry.event for entry in entries) if len(entries) == size - start else {}
        expected = Expected(
            keys={entry.event.event_id: Known(entry.index, entry.event.digest) for entry in entries},
            postings={(term, start): positions for term, positions in found.items()},
            tiles={tile.id: tile for tile in tiles},
        )
        self._count(rows, expected)
        return findings, expected

    def _contradictions(self, entry: Entry, index: int, sign_time: datetime) -> Iterator[Finding]:
        where = f"entry {index}"
        if entry.index != index:
            yield Finding(where, f"says that its index is {entry.index}")
        if entry.event.event_id in self._event_ids:
            yield Finding(where, f"its event {entry.event.event_id} stands in the log before")
        self._event_ids.add(entry.event.event_id)
        account = entry.event.account
        number = 0 if account is None else self._numbers.get(account, 0) + 1
        if entry.account_sequence != number:
            yield Finding(where, f"says that it is number {entry.account_sequence} of its account, and is {number}")
        if account is not None:
            # Its own number, so that a gap is told of once.
            self._numbers[account] = entry.account_sequence
        if entry.recorded_time != sign_time:
            yield Finding(where, "was not recorded when the checkpoint that first covers it was signed")

    def _checkpoint_findings(self, signed: StoredCheckpoint) -> Iterator[Finding]:
        size = signed.size
        where = f"checkpoint_note {size}"
        try:
            stated = open_checkpoint(signed.note, origin=self._origin, keys=self._keys)
        except NoteInvalid as error:
            yield Finding(where, f"its note is not signed by the log: {error}")
        else:
            if (stated.origin, stated.size, stated.root) != (signed.origin, signed.size, signed.root):
                yield Finding(where, "is not what its note says")
            if stated != Checkpoint(self._origin, self._edge.size, self.root()):
                yield Finding(where, f"the {self._edge.size} entries before it hash to {self.root().hex()}")
        if self._last_time is not None and signed.sign_time < self._last_time:
            yield Finding(where, "was signed before the checkpoint that precedes it")
        self._last_time = signed.sign_time

    def _count(self, rows: Sequence[StoredEntry], expected: Expected) -> None:
        self.counted["entry"] += len(rows)
        self.counted["event_key"] += len(expected.keys)
        self.counted["posting"] += len(expected.postings)
        self.counted["tile"] += len(expected.tiles)
        self.counted["checkpoint_note"] += 1

    def surplus(self, counts: Mapping[str, Counts]) -> Iterator[Finding]:
        """Yield the tables that have rows too many or too few, by the counts of all."""
        for table, must in self.counted.items():
            if counts[table].within != must:
                found = counts[table].within
                yield Finding(table, f"has {found} rows for the first {self._covered} entries, must have {must}")
            if counts[table].beyond:
                yield Finding(table, f"has {counts[table].beyond} rows for entries that no checkpoint covers")


def _differs(where: str, must: object, found: object) -> Iterator[Finding]:
    if found is None:
        yield Finding(where, "is missing")
    elif found != must:
        yield Finding(where, "is not what follows from the entries")
