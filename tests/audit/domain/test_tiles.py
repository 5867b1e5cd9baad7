import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain.merkle import Span, Subtree, consistency_spans, inclusion_spans, span_root
from services.audit.domain.tiles import (
    RightEdge,
    TileId,
    TileNodes,
    TileRange,
    entries_path,
    entry_bundle,
    parse_path,
    split_hashes,
    tile_path,
    tile_range,
    tiles_for,
    tiles_of,
)
from tests.audit.domain.reference import audit_path, consistency_proof, some_leaves, tree_hash

LEAVES = some_leaves(66_000)


def tiles_from(edge, full):
    """Every tile of the tree: the full ones as they were written, the partial ones from the edge."""
    tiles = {tile.id: tile.data for tile in full}
    for level, row in enumerate(edge.partials):
        if row:
            tiles[TileId(level, edge.size >> 8 * (level + 1))] = b"".join(row)
    return tiles


def test_the_tiles_of_70000_leaves_are_those_of_the_specification():
    widths = {}
    for tile in tiles_of(70_000):
        widths.setdefault(tile.id.level, []).append(tile.width)

    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}


def test_256_leaves_are_one_full_tile_and_one_of_width_one_above():
    assert tiles_of(256) == (TileRange(TileId(0, 0), 256), TileRange(TileId(1, 0), 1))


def test_an_empty_tree_has_no_tiles():
    assert tiles_of(0) == ()
    with pytest.raises(ValueError, match="has no tile"):
        tile_range(TileId(0, 0), 0)


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", TileRange(TileId(0, 0), 256)),
        ("tile/0/000.p/1", TileRange(TileId(0, 0), 1)),
        ("tile/3/999.p/255", TileRange(TileId(3, 999), 255)),
        ("tile/1/x001/000", TileRange(TileId(1, 1000), 256)),
        ("tile/0/x001/x234/067", TileRange(TileId(0, 1234067), 256)),
        ("tile/0/x001/x234/067.p/8", TileRange(TileId(0, 1234067), 8)),
    ],
)
def test_paths_are_those_of_the_specification(path, tile):
    assert tile_path(tile) == path
    assert parse_path(path) == (tile, False)


def test_entries_have_a_path_of_their_own():
    bundle = TileRange(TileId(0, 1234067), 8)

    assert entries_path(bundle) == "tile/entries/x001/x234/067.p/8"
    assert parse_path("tile/entries/x001/x234/067.p/8") == (bundle, True)
    with pytest.raises(ValueError, match="level 0"):
        entries_path(TileRange(TileId(1, 0), 8))


@pytest.mark.parametrize(
    "path",
    [
        "", "checkpoint", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/x000/001",
        "tile/0/001/000", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/", "tile/0/000/",
        "/tile/0/000", "tile/0/000\n", "tile/0/../000", "tile/0/٠٠٠", "tile/entries/x000/000",
    ],
)  # fmt: skip
def test_any_other_spelling_of_a_path_is_refused(path):
    with pytest.raises(ValueError, match="not a tile path"):
        parse_path(path)


@given(st.integers(0, 8), st.integers(0, 2**40), st.integers(1, 256), st.booleans())
def test_a_path_names_one_tile(level, index, width, entries):
    tile = TileRange(TileId(0 if entries else level, index), width)

    assert parse_path(entries_path(tile) if entries else tile_path(tile)) == (tile, entries)


def test_an_entry_bundle_gives_each_length_in_two_bytes():
    assert entry_bundle([b"", b"ab", b"c" * 65_535]) == b"\0\0" + b"\0\2ab" + b"\xff\xff" + b"c" * 65_535


def test_the_edge_has_the_same_root_and_partial_tiles_however_the_leaves_come():
    rnd = random.Random(1)
    edge, full, at = RightEdge(), [], 0
    while at < len(LEAVES):
        count = rnd.choice([1, 2, 100, 255, 256, 257, 1000, 5000])
        edge, tiles = edge.extended(LEAVES[at : at + count])
        full += tiles
        at += count
    whole, whole_full = RightEdge().extended(LEAVES)

    assert edge == whole
    assert edge.root() == tree_hash(LEAVES)
    assert full == list(whole_full)
    assert [tile.id for tile in full if tile.id.level == 1] == [TileId(1, 0)]
    assert all(tile.root == tree_hash(split_hashes(tile.data)) for tile in full)


def test_the_edge_is_rebuilt_from_its_partial_tiles():
    for size in (*range(600), 65_535, 65_536, 65_537):
        edge, _ = RightEdge().extended(LEAVES[:size])

        assert RightEdge.of(size, edge.partials) == edge, size
        with pytest.raises(ValueError, match="not the partial tiles"):
            RightEdge.of(size + 1, edge.partials)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 65_537, 66_000])
def test_proofs_follow_from_the_tiles_that_are_named_and_no_others(size):
    rnd = random.Random(size)
    edge, full = RightEdge().extended(LEAVES[:size])
    tiles = tiles_from(edge, full)
    for _ in range(8 if size < 1000 else 1):
        index, first = rnd.randrange(size), rnd.randint(1, size)
        for spans, expected in (
            (inclusion_spans(index, size), audit_path(index, LEAVES[:size])),
            (consistency_spans(first, size), consistency_proof(first, LEAVES[:size])),
        ):
            needed = tiles_for(spans, size)
            nodes = TileNodes({tile.id: tiles[tile.id] for tile in needed})

            assert [span_root(nodes, span) for span in spans] == expected
            assert all(len(tiles[tile.id]) == 32 * tile.width for tile in needed)
            assert len(needed) <= 6


def test_a_subtree_that_the_tiles_do_not_hold_is_not_invented():
    nodes = TileNodes({TileId(0, 0): b"".join(LEAVES[:3])})

    assert span_root(nodes, Span(0, 3)) == tree_hash(LEAVES[:3])
    for subtree in (Subtree(0, 3), Subtree(1, 1), Subtree(2, 0), Subtree(8, 0), Subtree(0, 256)):
        with pytest.raises(KeyError):
            nodes.node(subtree)


def test_half_a_hash_is_refused():
    with pytest.raises(ValueError, match="whole number of hashes"):
        split_hashes(b"x" * 33)
