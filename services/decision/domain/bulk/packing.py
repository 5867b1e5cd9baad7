"""Columns of integers as the bytes that protobuf makes of a packed repeated field.

Source: protobuf.dev, "Encoding": base 128 varints, and ZigZag for `sint64`. A message writes sixty nanoseconds a number
from Python; this writes two.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.bulk.columns import Integers
from services.decision.domain.compiling import compiled

# Of a varint of 64 bits.
BYTES_MAX = 10
# What may be read when numbers are signed, and when they are not.
ZIGZAG, PLAIN = cast(bool, np.bool_(True)), cast(bool, np.bool_(False))


def packed(values: Integers, *, signed: bool) -> bytes:
    """Return values as the content of a packed field.

    Args:
        values: Shape (rows,).
        signed: For `sint64`; else for `uint32`, `int32` and enumerations, of which none is below 0.
    """
    room = np.empty(BYTES_MAX * len(values), dtype=np.uint8)
    count = write(np.ascontiguousarray(values, dtype=np.int64), ZIGZAG if signed else PLAIN, room)
    return room[:count].tobytes()


@compiled
def write(values: Integers, signed: bool, into: NDArray[np.uint8]) -> int:
    """Write values and return the number of bytes."""
    at = 0
    for value in values:
        left = np.uint64((value << 1) ^ (value >> 63)) if signed else np.uint64(value)
        while left >= np.uint64(128):
            into[at] = np.uint8((left & np.uint64(127)) | np.uint64(128))
            left >>= np.uint64(7)
            at += 1
        into[at] = np.uint8(left)
        at += 1
    return at
