"""The tree as RFC 6962 writes it down: slow, recursive, and easy to compare with the text."""

from collections.abc import Sequence

from services.audit.domain.merkle import EMPTY_ROOT, leaf_hash, node_hash


def some_leaves(count):
    return [leaf_hash(f"leaf {index}".encode()) for index in range(count)]


def split(width):
    power = 1
    while power * 2 < width:
        power *= 2
    return power


def tree_hash(leaves: Sequence[bytes]):
    """MTH of section 2.1, over leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def audit_path(m, leaves):
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*audit_path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def consistency_proof(m, leaves):
    """PROOF of section 2.1.2."""
    return _sub_proof(m, leaves, whole=True)


def _sub_proof(m, leaves, *, whole):
    n = len(leaves)
    if m == n:
        return [] if whole else [tree_hash(leaves)]
    k = split(n)
    if m <= k:
        return [*_sub_proof(m, leaves[:k], whole=whole), tree_hash(leaves[k:])]
    return [*_sub_proof(m - k, leaves[k:], whole=False), tree_hash(leaves[:k])]
