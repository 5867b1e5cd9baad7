"""Rows as they are stored, of which nothing is believed, and where they are not what they must be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.audit.domain.sequencing import Known
from services.audit.domain.tiles import Tile, TileId

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


def _differs(where: str, must: object, found: object) -> Iterator[Finding]:
    if found is None:
        yield Finding(where, "is missing")
    elif found != must:
        yield Finding(where, "is not what follows from the entries")
