import pytest

from services.audit.domain.export import TileExport
from services.audit.domain.merkle import leaf_hash
from services.audit.domain.tiles import entries_path, parse_path, split_hashes, tile_path, tiles_of
from tests.audit.domain.reference import tree_hash


def exported(bodies, note="the note\n"):
    files = {}
    export = TileExport()
    for body in bodies:
        for path, content in export.add(body):
            assert path not in files
            files[path] = content
    for path, content in export.finish(note):
        assert path not in files
        files[path] = content
    assert (export.size, export.root()) == (len(bodies), tree_hash(list(map(leaf_hash, bodies))))
    return files


def bodies_of(bundle):
    bodies = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        bodies.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return bodies


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 700, 65_536, 65_537])
def test_the_files_are_exactly_the_tiles_and_entries_of_the_tree_and_its_checkpoint(size):
    bodies = [f"body {number}".encode() for number in range(size)]

    files = exported(bodies)

    tiles = tiles_of(size)
    assert files.keys() == {
        "checkpoint",
        *map(tile_path, tiles),
        *(entries_path(tile) for tile in tiles if tile.id.level == 0),
    }
    assert files.pop("checkpoint") == b"the note\n"
    for path, content in files.items():
        tile, entries = parse_path(path)
        if entries:
            first = tile.id.index * 256
            assert bodies_of(content) == bodies[first : first + tile.width]
        else:
            width = 256**tile.id.level
            first = tile.id.index * 256
            assert len(content) == 32 * tile.width
            for number in (0, tile.width - 1):
                span = bodies[(first + number) * width : (first + number + 1) * width]
                assert split_hashes(content)[number] == tree_hash(list(map(leaf_hash, span)))


def test_the_checkpoint_is_the_last_file_so_that_it_never_promises_what_is_not_there_yet():
    assert list(exported([b"a", b"b"]))[-1] == "checkpoint"
