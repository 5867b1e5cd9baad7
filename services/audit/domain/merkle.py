"""A log whose past cannot change unseen: the Merkle tree of RFC 6962.

A single hash, the *root*, commits to every leaf and to their order. Two short lists of hashes prove the rest: an
*inclusion proof* that a leaf is in a tree, a *consistency proof* that a tree is the beginning of a larger one.

The tree over leaves `[start, stop)` splits at the largest power of two below its width, so each of its left parts is
*perfect*: complete, never to change again. Proofs are therefore named here as spans of leaves, which is geometry and
needs no hashes; the hashes are then read from wherever perfect subtrees are kept (`Nodes`).

Sources: RFC 6962 section 2.1 (hashing), RFC 9162 sections 2.1.3 and 2.1.4 (proofs and how to verify them).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

HASH_BYTES = 32

# RFC 6962 section 2.1: a leaf and a node of the same bytes must not collide, so each begins with a byte of its own. A
# hash that has read it is copied in half the time that a new one takes to be made.
LEAF_BEGUN = hashlib.sha256(b"\x00")
_NODE_BEGUN = hashlib.sha256(b"\x01")

# The root of the tree without leaves is the hash of nothing.
EMPTY_ROOT = hashlib.sha256().digest()


class Unproven(ValueError):
    """The evidence does not show what it is said to show."""


class Span(NamedTuple):
    """The leaves from `start` up to but not including `stop`."""

    start: int
    stop: int


class Subtree(NamedTuple):
    """A perfect subtree: the leaves from `index * 2**height` on, `2**height` of them."""

    height: int
    index: int  # type: ignore[assignment] # a tuple's method, too, which nobody calls here


class Nodes(Protocol):
    """Where the roots of perfect subtrees are read."""

    def node(self, subtree: Subtree) -> bytes:
        """Return the root of `subtree`, 32 bytes."""
        ...


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf with the content `data`."""
    begun = LEAF_BEGUN.copy()
    begun.update(data)
    return begun.digest()


def leaf_hashes(contents: Iterable[bytes]) -> list[bytes]:
    """Return `leaf_hash` of each of `contents`."""
    copy, hashes = LEAF_BEGUN.copy, []
    for data in contents:
        begun = copy()
        begun.update(data)
        hashes.append(begun.digest())
    return hashes


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above `left` and `right`."""
    begun = _NODE_BEGUN.copy()
    begun.update(left + right)
    return begun.digest()


def parents(nodes: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of the nodes above `nodes`, taken two by two; one that is left over has none."""
    pairs = iter(nodes)
    copy, hashes = _NODE_BEGUN.copy, []
    for left, right in zip(pairs, pairs, strict=False):
        begun = copy()
        begun.update(left + right)
        hashes.append(begun.digest())
    return hashes


def joined_parents(below: bytes) -> bytes:
    """Return the hashes of the nodes above those whose hashes stand one after the other in `below`, an even number."""
    copy, hashes = _NODE_BEGUN.copy, []
    for at in range(0, len(below), 2 * HASH_BYTES):
        begun = copy()
        begun.update(below[at : at + 2 * HASH_BYTES])
        hashes.append(begun.digest())
    return b"".join(hashes)


def perfect_root(hashes: bytes) -> bytes:
    """Return the root over `hashes`, 32 bytes each, of which there is a power of two."""
    while len(hashes) > HASH_BYTES:
        hashes = joined_parents(hashes)
    return hashes


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees of falling height, left to right; of the empty tree if there are none."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


@dataclass(frozen=True, slots=True)
class Frontier:
    """All of a tree that its next root depends on: the roots of its perfect subtrees, one per set bit of the size."""

    size: int = 0
    peaks: tuple[bytes, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} leaves cannot have {len(self.peaks)} perfect subtrees")

    def extended(self, leaves: Iterable[bytes]) -> "Frontier":
        """Return the frontier after the leaf hashes `leaves`."""
        return self.climbed(leaves)[0]

    def climbed(self, leaves: Iterable[bytes]) -> tuple["Frontier", list[list[bytes]]]:
        """Return the frontier after `leaves`, and of each height the roots of the perfect subtrees that they complete.

        Height by height, which costs half of what one leaf after the other does.
        """
        nodes = list(leaves)
        size, peaks = self.size + len(nodes), list(self.peaks)
        low: list[bytes] = []
        rows: list[list[bytes]] = []
        while nodes:
            rows.append(nodes)
            if self.size >> len(rows) - 1 & 1:
                nodes = [peaks.pop(), *nodes]
            if len(nodes) & 1:
                low.append(nodes[-1])
            nodes = parents(nodes)
        return Frontier(size, (*peaks, *reversed(low))), rows

    def root(self) -> bytes:
        """Return the root of the tree."""
        return root_of_peaks(self.peaks)


def peaks_of(span: Span) -> tuple[Subtree, ...]:
    """Return the perfect subtrees that make up `span`, left to right.

    Raises:
        ValueError: `span` is no part of any tree: it does not start where a subtree of its width can.
    """
    start, stop = span
    width = stop - start
    if start < 0 or width < 0 or (width and start % (1 << (width - 1).bit_length())):
        raise ValueError(f"leaves {start} to {stop} are not a subtree")
    if width and not width & (width - 1):
        height = width.bit_length() - 1
        return (Subtree(height, start >> height),)
    peaks = []
    for height in range(width.bit_length() - 1, -1, -1):
        if width >> height & 1:
            peaks.append(Subtree(height, start >> height))
            start += 1 << height
    return tuple(peaks)


def span_root(nodes: Nodes, span: Span) -> bytes:
    """Return the root of the tree over `span`."""
    return root_over(nodes, peaks_of(span))


def root_over(nodes: Nodes, peaks: Sequence[Subtree]) -> bytes:
    """Return the root of the tree over perfect subtrees of falling height, left to right."""
    return nodes.node(peaks[0]) if len(peaks) == 1 else root_of_peaks([nodes.node(subtree) for subtree in peaks])


def inclusion_spans(index: int, size: int) -> tuple[Span, ...]:
    """Return the spans whose roots prove that leaf `index` is in the tree of `size` leaves, the leaf's sibling first.

    Raises:
        ValueError: `index` is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    spans, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            spans.append(Span(middle, stop))
            stop = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return tuple(reversed(spans))


def consistency_spans(first: int, second: int) -> tuple[Span, ...]:
    """Return the spans whose roots prove that the tree of `first` leaves is the beginning of that of `second`.

    None when the sizes are equal.

    Raises:
        ValueError: `first` is 0, of which every tree is the continuation, or above `second`.
    """
    if not 0 < first <= second:
        raise ValueError(f"a tree of {first} leaves cannot be proven the beginning of one of {second}")
    spans, start, stop = [], 0, second
    while first != stop:
        middle = start + _split(stop - start)
        if first <= middle:
            spans.append(Span(middle, stop))
            stop = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    if start:
        spans.append(Span(start, stop))
    return tuple(reversed(spans))


def verify_inclusion(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` is the hash at `index` in the tree of `size` leaves with this `root` (RFC 9162, 2.1.3.2).

    Raises:
        Unproven: It is not, or `proof` does not show it.
    """
    if not 0 <= index < size:
        raise Unproven(f"index {index} is not in a tree of size {size}")
    _require_hashes(leaf, root, *proof)
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise Unproven("the inclusion proof has hashes left over")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise Unproven("the inclusion proof has too few hashes")
    if computed != root:
        raise Unproven(f"entry {index} does not hash to the root of size {size}")


def verify_consistency(
    *, first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `first` leaves is the beginning of that of `second` (RFC 9162, 2.1.4.2).

    Raises:
        Unproven: It is not, `proof` does not show it, or `first` is 0, which says nothing.
    """
    if not 0 < first <= second:
        raise Unproven(f"size {first} cannot be the beginning of size {second}")
    _require_hashes(first_root, second_root, *proof)
    if first == second:
        if proof:
            raise Unproven("trees of equal size need an empty consistency proof")
        if first_root != second_root:
            raise Unproven(f"two roots for one size {first}")
        return
    # The root of a perfect first tree is its own first hash, which the proof leaves out.
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        raise Unproven("the consistency proof has too few hashes")
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first_computed = second_computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise Unproven("the consistency proof has hashes left over")
        if position & 1 or position == last:
            first_computed = node_hash(sibling, first_computed)
            second_computed = node_hash(sibling, second_computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second_computed = node_hash(second_computed, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise Unproven("the consistency proof has too few hashes")
    if first_computed != first_root:
        raise Unproven(f"the consistency proof does not lead to the root of size {first}")
    if second_computed != second_root:
        raise Unproven(f"the consistency proof does not lead to the root of size {second}")


def _split(width: int) -> int:
    """Return the largest power of two below `width`, which is 2 or more."""
    return 1 << ((width - 1).bit_length() - 1)


def _require_hashes(*hashes: bytes) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise Unproven(f"a hash must be {HASH_BYTES} bytes, one has {len(value)}")
