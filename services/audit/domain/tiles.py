"""How the tree is kept: tiles of 256 hashes (C2SP tlog-tiles).

A tile at level 0 holds 256 leaf hashes; at each level above, the roots of 256 full tiles of the level below. A full
tile never changes, so it is written once; what is right of the last full tile of a level is its *partial* tile, at most
255 hashes, and follows from the leaves and the full tiles. A proof needs about five tiles at any size that fits a disk.

Source: C2SP tlog-tiles.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.audit.domain.merkle import (
    HASH_BYTES,
    Frontier,
    Span,
    Subtree,
    joined_parents,
    peaks_of,
    root_of_peaks,
)

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

# C2SP tlog-tiles: `<L>` is between 0 and 63.
_LEVEL_MAX = 63

_TILE_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class TileId(NamedTuple):
    """Which tile: the `index`-th of its `level`, both from 0."""

    level: int
    index: int  # type: ignore[assignment] # a tuple's method, too, which nobody calls here


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: 256 hashes, one after the other, and the root of the subtree they span."""

    id: TileId
    root: bytes
    data: bytes


class TileRange(NamedTuple):
    """A tile as a tree of some size has it: its first `width` hashes, 1 to 256."""

    id: TileId
    width: int


def tile_path(tile: TileRange) -> str:
    """Return the path under which `tile` is served, for instance `tile/0/x001/x234/067.p/8`."""
    return f"tile/{tile.id.level}/{_index_path(tile)}"


def entries_path(bundle: TileRange) -> str:
    """Return the path under which the entries of a level 0 tile are served.

    Raises:
        ValueError: `bundle` is of another level.
    """
    if bundle.id.level != 0:
        raise ValueError(f"entries belong to level 0, not to level {bundle.id.level}")
    return f"tile/entries/{_index_path(bundle)}"


def parse_path(path: str) -> tuple[TileRange, bool]:
    """Return the tile that `path` names, and whether its entries are meant instead of its hashes.

    Raises:
        ValueError: `path` is not the one spelling of a tile's path.
    """
    match = _TILE_PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"not a tile path: {path!r}")
    level, groups, width = match.groups()
    entries = level == "entries"
    tile = TileRange(
        TileId(0 if entries else int(level), int(groups.replace("x", "").replace("/", ""))),
        int(width) if width else TILE_WIDTH,
    )
    if (entries_path(tile) if entries else tile_path(tile)) != path or tile.id.level > _LEVEL_MAX:
        raise ValueError(f"not a tile path: {path!r}")
    return tile, entries


def entry_bundle(bodies: Iterable[bytes]) -> bytes:
    """Return the bodies, each after its length as two bytes, big end first."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def tile_of(subtree: Subtree) -> TileId:
    """Return the tile in which the root of `subtree` is found."""
    level, height = divmod(subtree.height, TILE_HEIGHT)
    return TileId(level, subtree.index >> (TILE_HEIGHT - height))


def tile_range(tile: TileId, size: int) -> TileRange:
    """Return how much of `tile` a tree of `size` leaves has.

    Raises:
        ValueError: The tree has nothing of it.
    """
    width = min((size >> (TILE_HEIGHT * tile.level)) - tile.index * TILE_WIDTH, TILE_WIDTH)
    if width <= 0:
        raise ValueError(f"a tree of {size} leaves has no tile {tile.index} at level {tile.level}")
    return TileRange(tile, width)


def tiles_of(size: int) -> tuple[TileRange, ...]:
    """Return every tile of the tree of `size` leaves, by level and index."""
    tiles, level = [], 0
    while count := size >> (TILE_HEIGHT * level):
        tiles += [tile_range(TileId(level, index), size) for index in range(-(-count // TILE_WIDTH))]
        level += 1
    return tuple(tiles)


def tiles_for(spans: Iterable[Span], size: int) -> tuple[TileRange, ...]:
    """Return the tiles of the tree of `size` leaves from which the roots of `spans` follow, by level and index."""
    return tiles_with([subtree for span in spans for subtree in peaks_of(span)], size)


def tiles_with(subtrees: Iterable[Subtree], size: int) -> tuple[TileRange, ...]:
    """Return the tiles of the tree of `size` leaves that have the roots of `subtrees`, by level and index."""
    return tuple(tile_range(tile, size) for tile in sorted(set(map(tile_of, subtrees))))


class TileCache:
    """Keeps tiles that most proofs need, with the nodes inside: those above the leaves, and the partial ones.

    The first hashes of a tile never change, so what is kept of one width is right for ever. 16 kB a tile. What a
    proof made of them proves is checked against a signed root all the same.
    """

    def __init__(self, most: int = 256) -> None:
        """Keep at most `most` tiles, those that were used last."""
        self._most = most
        self._rows: OrderedDict[TileRange, list[bytes]] = OrderedDict()

    def known(self, wanted: Iterable[TileRange]) -> dict[TileId, list[bytes]]:
        """Return those of the tiles `wanted` that are kept."""
        found = {}
        for each in wanted:
            rows = self._rows.get(each)
            if rows is not None:
                self._rows.move_to_end(each)
                found[each.id] = rows
        return found

    def keep(self, tile: TileId, rows: list[bytes]) -> None:
        """Keep the nodes of a tile, if it is one of those that are kept."""
        width = len(rows[0]) // HASH_BYTES
        if tile.level or width < TILE_WIDTH:
            self._rows[TileRange(tile, width)] = rows
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)

    def forget(self) -> None:
        """Keep nothing of what was read so far: some of it was wrong."""
        self._rows.clear()


class TileNodes:
    """Reads the roots of perfect subtrees from tiles."""

    def __init__(
        self,
        tiles: Mapping[TileId, bytes],
        known: Mapping[TileId, list[bytes]] | None = None,
        cache: TileCache | None = None,
    ) -> None:
        """Keep `tiles`: the hashes of each, full or partial, one after the other.

        Those that are `known` already need not be among them; `cache` keeps the others that it wants.
        """
        self._tiles = tiles
        self._rows: dict[TileId, list[bytes]] = dict(known or {})
        self._cache = cache

    def node(self, subtree: Subtree) -> bytes:
        """Return the root of `subtree`.

        Raises:
            KeyError: No tile holds it.
        """
        tile = tile_of(subtree)
        rows = self._rows.get(tile)
        if rows is None:
            rows = self._rows[tile] = _rows(self._tiles[tile])
            if self._cache is not None:
                self._cache.keep(tile, rows)
        height = subtree.height % TILE_HEIGHT
        at = (subtree.index - (tile.index << (TILE_HEIGHT - height))) * HASH_BYTES
        if height >= len(rows) or at >= len(rows[height]):
            raise KeyError(subtree)
        return rows[height][at : at + HASH_BYTES]


@dataclass(frozen=True, slots=True)
class RightEdge:
    """What appending needs of a tree: its frontier, and of each level the hashes of the partial tile."""

    size: int = 0
    peaks: tuple[bytes, ...] = field(default=())
    partials: tuple[tuple[bytes, ...], ...] = field(default=())

    @classmethod
    def of(cls, size: int, partials: Sequence[Sequence[bytes]]) -> "RightEdge":
        """Return the edge of the tree of `size` leaves from the hashes of its partial tiles, level 0 first.

        Raises:
            ValueError: The partial tiles are not those of a tree of this size.
        """
        rows = tuple(tuple(row) for row in partials)
        levels = -(-size.bit_length() // TILE_HEIGHT)
        if [len(row) for row in rows] != [size >> TILE_HEIGHT * level & TILE_WIDTH - 1 for level in range(levels)]:
            raise ValueError(f"these are not the partial tiles of a tree of {size} leaves")
        peaks: list[bytes] = []
        for row in reversed(rows):
            peaks += Frontier().extended(row).peaks
        return cls(size, tuple(peaks), rows)

    def extended(self, leaves: Iterable[bytes]) -> tuple["RightEdge", tuple[Tile, ...]]:
        """Return the edge after the leaf hashes `leaves`, and the tiles that became full, by level and index."""
        frontier, rows = Frontier(self.size, self.peaks).climbed(leaves)
        # A tile's hashes are the nodes at the lowest height of its level; its root is one at that of the next level.
        of_levels = rows[::TILE_HEIGHT]
        partials = list(self.partials)
        full: list[Tile] = []
        for level, nodes in enumerate(of_levels):
            roots = of_levels[level + 1] if level + 1 < len(of_levels) else []
            hashes = [*partials[level], *nodes] if level < len(partials) else nodes
            first = self.size >> TILE_HEIGHT * (level + 1)
            for number, root in enumerate(roots):
                data = b"".join(hashes[number * TILE_WIDTH : (number + 1) * TILE_WIDTH])
                full.append(Tile(TileId(level, first + number), root, data))
            partials[level : level + 1] = [tuple(hashes[len(roots) * TILE_WIDTH :])]
        return RightEdge(frontier.size, frontier.peaks, tuple(partials)), tuple(full)

    def root(self) -> bytes:
        """Return the root of the tree."""
        return root_of_peaks(self.peaks)


def split_hashes(data: bytes) -> list[bytes]:
    """Return the hashes that stand one after the other in `data`.

    Raises:
        ValueError: `data` ends inside a hash.
    """
    if len(data) % HASH_BYTES:
        raise ValueError(f"{len(data)} bytes are not a whole number of hashes")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _index_path(tile: TileRange) -> str:
    if not 1 <= tile.width <= TILE_WIDTH:
        raise ValueError(f"a tile is 1 to {TILE_WIDTH} hashes wide, not {tile.width}")
    index = tile.id.index
    groups: list[str] = []
    while True:
        index, group = divmod(index, 1000)
        groups.append(f"{group:03d}" if not groups else f"x{group:03d}")
        if not index:
            break
    return "/".join(reversed(groups)) + (f".p/{tile.width}" if tile.width < TILE_WIDTH else "")


def _rows(data: bytes) -> list[bytes]:
    """Return the perfect subtrees' roots inside a tile, one after the other: its hashes first, then each height above.

    Raises:
        ValueError: `data` ends inside a hash.
    """
    if len(data) % HASH_BYTES:
        raise ValueError(f"{len(data)} bytes are not a whole number of hashes")
    rows = [data]
    while len(rows[-1]) >= 2 * HASH_BYTES:
        below = rows[-1]
        rows.append(joined_parents(below[: len(below) // (2 * HASH_BYTES) * (2 * HASH_BYTES)]))
    return rows
