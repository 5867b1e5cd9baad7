"""The log as files that any reader of C2SP tlog-tiles understands, served by any web server or kept on any disk.

`checkpoint`, the tiles below `tile/<level>/`, and the entries below `tile/entries/`. Made from the bodies alone, one
after the other; a full tile is written when its last entry comes, the partial ones at the end.
"""

from collections.abc import Iterator

from services.audit.domain.merkle import leaf_hash
from services.audit.domain.tiles import (
    TILE_WIDTH,
    RightEdge,
    TileId,
    TileRange,
    entries_path,
    entry_bundle,
    tile_path,
    tile_range,
)

CHECKPOINT_PATH = "checkpoint"


class TileExport:
    """Turns bodies, given in order from the first, into files: pairs of a path and its content."""

    def __init__(self) -> None:
        """Start with the empty log."""
        self._edge = RightEdge()
        self._bundle: list[bytes] = []

    @property
    def size(self) -> int:
        """How many bodies were given."""
        return self._edge.size

    def root(self) -> bytes:
        """Return the root of the tree over the bodies given."""
        return self._edge.root()

    def add(self, body: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the files that are complete with the next body."""
        self._edge, tiles = self._edge.extended([leaf_hash(body)])
        self._bundle.append(body)
        for tile in tiles:
            if tile.id.level == 0:
                yield entries_path(TileRange(tile.id, TILE_WIDTH)), entry_bundle(self._bundle)
                self._bundle = []
            yield tile_path(TileRange(tile.id, TILE_WIDTH)), tile.data

    def finish(self, note: str) -> Iterator[tuple[str, bytes]]:
        """Yield the partial tiles and, last of all, the checkpoint `note` that covers everything given."""
        for level, hashes in enumerate(self._edge.partials):
            if hashes:
                index = self._edge.size // TILE_WIDTH ** (level + 1)
                tile = tile_range(TileId(level, index), self._edge.size)
                if level == 0:
                    yield entries_path(tile), entry_bundle(self._bundle)
                yield tile_path(tile), b"".join(hashes)
        yield CHECKPOINT_PATH, note.encode()
