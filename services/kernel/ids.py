"""Names of things that two or more services speak of.

An id is text. Those that a service can derive from what they name are derived, so that doing the same work twice
names the same thing.
"""

import hashlib
from typing import NewType

AccountId = NewType("AccountId", str)
HouseholdId = NewType("HouseholdId", str)
InstrumentId = NewType("InstrumentId", str)
PlanId = NewType("PlanId", str)
RunId = NewType("RunId", str)
OrderId = NewType("OrderId", str)
BlockId = NewType("BlockId", str)
VenueId = NewType("VenueId", str)

PolicyNodeId = NewType("PolicyNodeId", str)
PolicyVersionId = NewType("PolicyVersionId", str)
ChangeId = NewType("ChangeId", str)

# Content hashes, as `canonical.content_hash` writes them.
PolicyHash = NewType("PolicyHash", str)

# 128 bits: no two things meet by chance.
_DIGITS = 32

# Lengths of most parts, as they are hashed.
_LENGTHS = [length.to_bytes(8, "big") for length in range(256)]


def derived_id(prefix: str, *parts: str) -> str:
    """Return the id that `parts` always have: `prefix`, a hyphen, 32 hexadecimal digits.

    Each part is hashed with its length before it, so `("ab", "c")` and `("a", "bc")` differ.

    Raises:
        ValueError: `prefix` or `parts` is empty.
    """
    if not prefix or not parts:
        raise ValueError("a derived id needs a prefix and at least one part")
    told: list[bytes] = []
    for part in parts:
        data = part.encode()
        told += (_LENGTHS[len(data)] if len(data) < len(_LENGTHS) else len(data).to_bytes(8, "big"), data)
    return f"{prefix}-{hashlib.sha256(b''.join(told)).hexdigest()[:_DIGITS]}"
