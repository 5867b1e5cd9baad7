"""A tree that grows by many commits at once, its hashes one after the other.

`RightEdge.extended` grows a tree commit by commit, with an object for each hash: where a hundred thousand entries are
checked, that costs more than hashing. Here the nodes of each height are made together, and from them follow the root
that the tree had at each size on the way, and the tiles that became full.
"""

from collections.abc import Callable, Iterator

from services.audit.domain.merkle import HASH_BYTES, joined_parents, root_of_peaks
from services.audit.domain.tiles import TILE_HEIGHT, TILE_WIDTH, RightEdge, Tile, TileId, split_hashes

_PAIR_BYTES = 2 * HASH_BYTES
_TILE_BYTES = TILE_WIDTH * HASH_BYTES


class GrownTree:
    """A tree after some more leaves, and what it was before each of them."""

    def __init__(self, begun: RightEdge, leaves: bytes, above: Callable[[bytes], bytes] = joined_parents) -> None:
        """Let the tree with the edge `begun` grow by `leaves`, 32 bytes each; `above` does what `joined_parents` does.

        Raises:
            ValueError: `leaves` ends inside a hash.
        """
        if len(leaves) % HASH_BYTES:
            raise ValueError(f"{len(leaves)} bytes are not a whole number of hashes")
        self._begun = begun
        self.size = begun.size + len(leaves) // HASH_BYTES
        heights = [height for height in reversed(range(begun.size.bit_length())) if begun.size >> height & 1]
        self._left = dict(zip(heights, begun.peaks, strict=True))
        # Of each height the nodes that were completed, of which the first is the one after those of `begun`.
        self._rows: list[bytes] = []
        nodes = leaves
        while nodes:
            height = len(self._rows)
            self._rows.append(nodes)
            below = self._left.get(height, b"") + nodes
            nodes = above(below[: len(below) // _PAIR_BYTES * _PAIR_BYTES])

    def peaks(self, size: int) -> tuple[bytes, ...]:
        """Return the roots of the perfect subtrees of the tree as it was with `size` leaves, left to right.

        Raises:
            ValueError: It was never of this size here.
        """
        if not self._begun.size <= size <= self.size:
            raise ValueError(f"the tree grew from {self._begun.size} to {self.size} leaves, not over {size}")
        peaks = []
        for height in reversed(range(size.bit_length())):
            if size >> height & 1:
                at = ((size >> height) - 1 - (self._begun.size >> height)) * HASH_BYTES
                peaks.append(self._left[height] if at < 0 else self._rows[height][at : at + HASH_BYTES])
        return tuple(peaks)

    def root(self, size: int) -> bytes:
        """Return the root that the tree had with `size` leaves.

        Raises:
            ValueError: It was never of this size here.
        """
        return root_of_peaks(self.peaks(size))

    def tiles(self) -> Iterator[Tile]:
        """Yield the tiles that became full, by level and index."""
        for level, hashes, roots in self._levels():
            first = self._begun.size >> TILE_HEIGHT * (level + 1)
            for number in range(len(roots) // HASH_BYTES):
                root = roots[number * HASH_BYTES : (number + 1) * HASH_BYTES]
                data = hashes[number * _TILE_BYTES : (number + 1) * _TILE_BYTES]
                yield Tile(TileId(level, first + number), root, data)

    def edge(self) -> RightEdge:
        """Return the edge of the tree with all of the leaves."""
        partials = list(self._begun.partials)
        for level, hashes, roots in self._levels():
            full = len(roots) // HASH_BYTES * _TILE_BYTES
            partials[level : level + 1] = [tuple(split_hashes(hashes[full:]))]
        return RightEdge(self.size, self.peaks(self.size), tuple(partials))

    def _levels(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield of each level that grew its hashes from the partial tile on, and the roots of the tiles they fill."""
        # A tile's hashes are the nodes at the lowest height of its level; its root is one at that of the next level.
        rows, partials = self._rows[::TILE_HEIGHT], self._begun.partials
        for level, nodes in enumerate(rows):
            before = b"".join(partials[level]) if level < len(partials) else b""
            yield level, before + nodes, rows[level + 1] if level + 1 < len(rows) else b""
