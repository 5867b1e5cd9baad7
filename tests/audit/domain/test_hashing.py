"""Are hashes that compiled code makes those of `hashlib`?"""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain import merkle
from services.audit.domain.hashing import joined_parents, part_hashes
from tests.audit.domain.reference import some_leaves


@given(st.binary(max_size=3), st.lists(st.binary(max_size=300), max_size=20))
def test_each_part_is_hashed_after_the_prefix(prefix, parts):
    text = np.frombuffer(b"".join(parts), np.uint8)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    starts = np.append(0, ends)[:-1]

    hashes = part_hashes(np.frombuffer(prefix, np.uint8), text, starts, ends)

    assert hashes.tobytes() == b"".join(hashlib.sha256(prefix + part).digest() for part in parts)


def test_parents_are_those_of_the_tree():
    for count in (0, 2, 8, 256):
        leaves = some_leaves(count)
        assert joined_parents(b"".join(leaves)) == merkle.joined_parents(b"".join(leaves))
        assert merkle.joined_parents(b"".join(leaves)) == b"".join(merkle.parents(leaves))
