"""What is stored of a long stretch of the log, and what a check of it says."""

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import NoReturn

from services.audit.domain.stored import StoredCheckpoint, StoredEntry
from services.audit.domain.tiles import TILE_HEIGHT, RightEdge, Tile, TileId


class Suspicion(Exception):
    """Something in the stretch is not plainly as it must be."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """Stored rows of the log that follow one another by index.

    Attributes:
        indexes: Of each, eight bytes, big end first.
        text: The bodies, with one byte between two.
        lengths: Of each body, four bytes, big end first.
        leaves: 32 bytes of each.
    """

    indexes: bytes
    text: bytes
    lengths: bytes
    leaves: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """Stored keys of events, in any order: 16 bytes of the id, 8 of the index, 32 of the digest of each."""

    event_ids: bytes
    indexes: bytes
    digests: bytes


@dataclass(frozen=True, slots=True)
class Postings:
    """Stored postings, in any order: of each its start and its term, 8 bytes, its length, 4, and its positions."""

    starts: bytes
    terms: bytes
    lengths: bytes
    positions: bytes

    def by_commit(self) -> Mapping[int, Mapping[int, bytes]]:
        """Return by start the positions of each term.

        Raises:
            Suspicion: A commit has a term twice.
        """
        count = len(self.terms) // 8
        lengths = struct.unpack(f">{count}i", self.lengths)
        ends = accumulate(lengths)
        found: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        for start, term, length, end in zip(
            struct.unpack(f">{count}q", self.starts),
            struct.unpack(f">{count}q", self.terms),
            lengths,
            ends,
            strict=True,
        ):
            found[start][term] = self.positions[end - length : end]
        if sum(map(len, found.values())) != count:
            suspect("a commit has a term twice")
        return found


@dataclass(frozen=True, slots=True)
class Step:
    """What is stored of some commits that follow one another; nothing of it is believed.

    Attributes:
        start: The first index.
        checkpoints: Those of the commits, by size.
        cosignatures: What witnesses signed of them, by size.
        bodies: The rows, in some parts.
        keys: All that say an index of these entries.
        postings: All whose commit begins there.
        tiles: Those that became full there.
    """

    start: int
    checkpoints: Sequence[StoredCheckpoint]
    cosignatures: Mapping[int, Sequence[str]]
    bodies: Sequence[Bodies]
    keys: Keys
    postings: Postings
    tiles: Mapping[TileId, Tile]

    @property
    def stop(self) -> int:
        """The index after the last."""
        return self.checkpoints[-1].size


@dataclass(frozen=True, slots=True)
class Runs:
    """The first and the last number that each account has in a step; between them none is missing.

    Attributes:
        names: The accounts, one after the other.
        lengths: Of each name, int64 as this machine has it.
        first: The first numbers, the same.
        last: The last ones.
    """

    names: bytes
    lengths: bytes
    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class Numbers:
    """The same of a stretch."""

    accounts: Sequence[str]
    first: Sequence[int]
    last: Sequence[int]


@dataclass(frozen=True, slots=True)
class Clean:
    """A stretch that is as it must be if the tree before it is `begun`, and its accounts' numbers follow on.

    Attributes:
        begun: The tree's edge at its first entry, as the stored tiles say.
        edge: The tree's edge at its end.
        first_time: When its first checkpoint was signed.
        last_time: When its last checkpoint was signed.
        counted: Rows by table.
        numbers: Of the accounts that it is about.
        closings: Entries that close the log, as they are stored.
    """

    begun: RightEdge
    edge: RightEdge
    first_time: datetime
    last_time: datetime
    counted: Mapping[str, int]
    numbers: Numbers
    closings: Sequence[StoredEntry]


def tiles_between(start: int, stop: int) -> list[TileId]:
    """Return the tiles that become full when a tree grows from `start` to `stop` leaves."""
    found, level = [], 0
    while stop >> TILE_HEIGHT * (level + 1):
        height = TILE_HEIGHT * (level + 1)
        found += [TileId(level, index) for index in range(start >> height, stop >> height)]
        level += 1
    return found


def suspect(why: str) -> NoReturn:
    """Say that something is not plainly right.

    Raises:
        Suspicion: Always.
    """
    raise Suspicion(why)
