import json
import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.audit.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    Span,
    Unproven,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    peaks_of,
    span_root,
    verify_consistency,
    verify_inclusion,
)
from tests.audit.domain.reference import audit_path, consistency_proof, some_leaves, tree_hash

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/audit/rfc6962_roots.json").read_text())
LEAVES = some_leaves(600)


@cache
def root_of(size):
    return tree_hash(LEAVES[:size])


class LeafNodes:
    """Reads perfect subtrees by hashing all their leaves."""

    def __init__(self, leaves):
        self.leaves = leaves

    def node(self, subtree):
        start = subtree.index << subtree.height
        return tree_hash(self.leaves[start : start + (1 << subtree.height)])


def proof_of(spans, leaves):
    return [span_root(LeafNodes(leaves), span) for span in spans]


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots_come_out(size):
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves_hex"]]

    assert Frontier().extended(leaves[:size]).root().hex() == VECTORS["roots_hex"][size]


def test_the_root_is_that_of_the_recursive_definition_at_every_size():
    frontier = Frontier()
    for size, leaf in enumerate(LEAVES):
        assert frontier.root() == root_of(size)
        frontier = frontier.extended([leaf])

    assert frontier.root() == root_of(600)
    assert frontier == Frontier().extended(LEAVES)


def test_a_frontier_with_too_many_peaks_cannot_be():
    with pytest.raises(ValueError, match="perfect subtrees"):
        Frontier(4, (EMPTY_ROOT, EMPTY_ROOT))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 255, 256, 257, 511, 513, 600])
def test_every_inclusion_proof_is_that_of_the_recursive_definition_and_verifies(size):
    rnd = random.Random(size)
    for index in range(size) if size < 40 else rnd.sample(range(size), 12):
        proof = proof_of(inclusion_spans(index, size), LEAVES)

        assert proof == audit_path(index, LEAVES[:size])
        verify_inclusion(index=index, size=size, leaf=LEAVES[index], proof=proof, root=root_of(size))


@pytest.mark.parametrize("second", [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 255, 256, 257, 513, 600])
def test_every_consistency_proof_is_that_of_the_recursive_definition_and_verifies(second):
    rnd = random.Random(second)
    for first in range(1, second + 1) if second < 40 else rnd.sample(range(1, second + 1), 12):
        proof = proof_of(consistency_spans(first, second), LEAVES)

        assert proof == consistency_proof(first, LEAVES[:second])
        verify_consistency(
            first=first, second=second, first_root=root_of(first), second_root=root_of(second), proof=proof
        )


@given(st.integers(1, 600), st.data())
@settings(max_examples=60, deadline=None)
def test_any_proof_verifies_only_for_its_own_place_and_sizes(size, data):
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda drawn: drawn != index) if size > 1 else st.just(1))
    proof = proof_of(inclusion_spans(index, size), LEAVES)

    with pytest.raises(Unproven):
        verify_inclusion(index=other, size=size, leaf=LEAVES[index], proof=proof, root=root_of(size))


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (2, 3), (3, 7), (6, 7), (5, 8)])
def test_every_single_changed_bit_of_an_inclusion_proof_is_refused(index, size):
    proof, leaf, root = audit_path(index, LEAVES[:size]), LEAVES[index], root_of(size)
    verify_inclusion(index=index, size=size, leaf=leaf, proof=proof, root=root)

    for bit in range(256):
        with pytest.raises(Unproven):
            verify_inclusion(index=index, size=size, leaf=flipped(leaf, bit), proof=proof, root=root)
        with pytest.raises(Unproven):
            verify_inclusion(index=index, size=size, leaf=leaf, proof=proof, root=flipped(root, bit))
        for at in range(len(proof)):
            changed = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
            with pytest.raises(Unproven):
                verify_inclusion(index=index, size=size, leaf=leaf, proof=changed, root=root)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 3), (3, 7), (4, 7), (6, 8), (7, 8), (5, 5)])
def test_every_single_changed_bit_of_a_consistency_proof_is_refused(first, second):
    given_ = {
        "first": first,
        "second": second,
        "first_root": root_of(first),
        "second_root": root_of(second),
        "proof": consistency_proof(first, LEAVES[:second]),
    }
    verify_consistency(**given_)

    for bit in range(256):
        for name in ("first_root", "second_root"):
            with pytest.raises(Unproven):
                verify_consistency(**given_ | {name: flipped(given_[name], bit)})
        for at, value in enumerate(given_["proof"]):
            changed = [*given_["proof"][:at], flipped(value, bit), *given_["proof"][at + 1 :]]
            with pytest.raises(Unproven):
                verify_consistency(**given_ | {"proof": changed})


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (2, 3), (6, 7), (5, 8), (300, 600)])
def test_an_inclusion_proof_with_a_hash_too_many_or_too_few_is_refused(index, size):
    proof, leaf, root = audit_path(index, LEAVES[:size]), LEAVES[index], root_of(size)
    others = [
        [*proof, root],
        [*proof, leaf],
        [leaf, *proof],
        [root, *proof],
        *([proof[:-1], proof[1:]] if proof else []),
    ]
    others += [[*proof[:-1], proof[-1][:-1]], [*proof[:-1], proof[-1] + b"\0"]] if proof else []

    for other in others:
        with pytest.raises(Unproven):
            verify_inclusion(index=index, size=size, leaf=leaf, proof=other, root=root)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 3), (3, 7), (4, 8), (4, 7), (255, 256), (256, 600)])
def test_a_consistency_proof_with_a_hash_too_many_or_too_few_is_refused(first, second):
    proof = consistency_proof(first, LEAVES[:second])
    roots = {"first_root": root_of(first), "second_root": root_of(second)}
    others = [[], [*proof, root_of(first)], [*proof, root_of(second)], [root_of(first), *proof], proof[:-1], proof[1:]]

    for other in others:
        with pytest.raises(Unproven):
            verify_consistency(first=first, second=second, **roots, proof=other)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (6, 5), (-1, 5)])
def test_sizes_that_say_nothing_or_fall_are_refused(first, second):
    with pytest.raises(Unproven):
        verify_consistency(first=first, second=second, first_root=EMPTY_ROOT, second_root=root_of(5), proof=[])
    with pytest.raises(ValueError, match="beginning"):
        consistency_spans(first, second)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_an_index_outside_the_tree_is_refused(index, size):
    with pytest.raises(Unproven):
        verify_inclusion(index=index, size=size, leaf=LEAVES[0], proof=[], root=LEAVES[0])
    with pytest.raises(ValueError, match="is not in a tree"):
        inclusion_spans(index, size)


def test_two_roots_for_one_size_are_a_fork():
    with pytest.raises(Unproven, match="two roots"):
        verify_consistency(first=5, second=5, first_root=root_of(5), second_root=root_of(6), proof=[])


def test_leaves_that_are_no_subtree_have_no_root():
    with pytest.raises(ValueError, match="not a subtree"):
        peaks_of(Span(1, 3))
