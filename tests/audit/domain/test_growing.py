"""Is a tree that grew at once what it would be commit by commit?"""

import random

import pytest

from services.audit.domain import hashing, merkle
from services.audit.domain.growing import GrownTree
from services.audit.domain.tiles import RightEdge
from tests.audit.domain.reference import some_leaves, tree_hash

LEAVES = some_leaves(1_700)


def edge_of(size):
    return RightEdge().extended(LEAVES[:size])[0]


@pytest.mark.parametrize("above", [merkle.joined_parents, hashing.joined_parents])
def test_it_has_every_root_on_the_way_and_the_tiles_and_the_edge_of_the_end(above):
    rnd = random.Random(4)
    bounds = [(0, 0), (0, 1), (0, 256), (255, 257), (256, 1024), (700, 700), (1023, 1700)]
    for begun, end in [*bounds, *(sorted(rnd.choices(range(1_701), k=2)) for _ in range(12))]:
        tree = GrownTree(edge_of(begun), b"".join(LEAVES[begun:end]), above)
        edge, tiles = edge_of(begun).extended(LEAVES[begun:end])

        assert (tree.size, tree.edge(), tuple(tree.tiles())) == (end, edge, tiles)
        for size in {begun, end, *rnd.choices(range(begun, end + 1), k=20)}:
            assert tree.root(size) == tree_hash(LEAVES[:size])


def test_sizes_that_it_never_had_are_refused_and_so_are_parts_of_hashes():
    tree = GrownTree(edge_of(10), b"".join(LEAVES[10:20]))
    for size in (9, 21):
        with pytest.raises(ValueError, match="grew from 10 to 20"):
            tree.root(size)
    with pytest.raises(ValueError, match="whole number"):
        GrownTree(RightEdge(), bytes(31))
