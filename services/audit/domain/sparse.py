"""Some entries of a log, and the proof of all of them at once.

Whoever gets a part of the log gets, for everything between, the roots of the perfect subtrees that it consists of. From
the entries' hashes and these the root of the whole tree follows, in one pass from left to right and with a memory of
one hash a level; so a part of any size is proven by one signature. The proof of a whole log is no hash at all.

A proof is text, one line each: `leaf <index> <hash>` for an entry that was given, `node <start> <width> <hash>` for
leaves that were not, both in the order of the log and without a gap; hashes as hexadecimal digits. That an entry's own
hash stands there too says which one was changed, when one was.
"""

from collections.abc import Iterator, Sequence

from services.audit.domain.merkle import HASH_BYTES, Span, Unproven, node_hash, perfect_root, root_of_peaks


def gap_spans(start: int, stop: int) -> Iterator[Span]:
    """Yield the perfect subtrees that the leaves from `start` up to but not including `stop` consist of, in order.

    About twice the logarithm of their number, and each is a node of every tree that has all of these leaves.
    """
    while start < stop:
        width = 1 << ((stop - start).bit_length() - 1)
        if start:
            width = min(width, start & -start)
        yield Span(start, start + width)
        start += width


def proof_spans(start: int, indexes: Sequence[int]) -> list[Span]:
    """Return the subtrees between entries at ascending `indexes`, the first of them not before `start`."""
    spans: list[Span] = []
    for index in indexes:
        spans += gap_spans(start, index)
        start = index + 1
    return spans


def leaf_line(index: int, leaf: bytes) -> bytes:
    """Return the line of an entry that is given."""
    return b"leaf %d %b\n" % (index, leaf.hex().encode())


def leaf_lines(start: int, leaves: bytes) -> bytes:
    """Return the lines of entries that are given, from `start` on without a gap; `leaves` has 32 bytes of each."""
    digits, width = leaves.hex(), 2 * HASH_BYTES
    places = enumerate(range(0, len(digits), width), start)
    return "".join([f"leaf {index} {digits[at : at + width]}\n" for index, at in places]).encode()


def node_line(span: Span, root: bytes) -> bytes:
    """Return the line of leaves that are not given."""
    return b"node %d %d %b\n" % (span.start, span.stop - span.start, root.hex().encode())


class SparseTree:
    """Computes the root of a tree from perfect subtrees, given from left to right."""

    def __init__(self) -> None:
        """Start before the first leaf."""
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, start: int, width: int, root: bytes) -> None:
        """Take the perfect subtree of `width` leaves from `start`; a leaf is one of width 1.

        Raises:
            Unproven: It does not follow, is no subtree, or `root` is no hash.
        """
        if start != self.size:
            raise Unproven(f"leaves from {self.size} on are expected, {start} comes")
        if width < 1 or width & (width - 1) or start % width or len(root) != HASH_BYTES:
            raise Unproven(f"{width} leaves from {start} are no perfect subtree")
        self.size += width
        while self._peaks and self._peaks[-1][0] == width:
            root = node_hash(self._peaks.pop()[1], root)
            width *= 2
        self._peaks.append((width, root))

    def add_leaves(self, leaves: bytes) -> None:
        """Take leaves that follow one another, 32 bytes of each."""
        at, count = 0, len(leaves) // HASH_BYTES
        while at < count:
            width = 1 << ((count - at).bit_length() - 1)
            if self.size:
                width = min(width, self.size & -self.size)
            root = perfect_root(leaves[at * HASH_BYTES : (at + width) * HASH_BYTES])
            self.add(self.size, width, root)
            at += width

    def root(self) -> bytes:
        """Return the root over everything taken."""
        return root_of_peaks([root for _, root in self._peaks])
