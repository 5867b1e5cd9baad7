"""The states of an order, and which of several that apply is the one to report."""

from collections.abc import Mapping
from enum import StrEnum


class OrderState(StrEnum):
    """Where an order is in its life: FIX's states, and three of our own before the venue has spoken."""

    PENDING = "PENDING"  # Durable here, not sent.
    SENDING = "SENDING"  # May be on its way.
    UNKNOWN = "UNKNOWN"  # Sent, the answer was lost: ask the venue, never send again before.
    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    STOPPED = "STOPPED"
    SUSPENDED = "SUSPENDED"
    CALCULATED = "CALCULATED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


# FIX 4.4, volume 7, appendix D: the highest of all states that apply is the one to report.
PRECEDENCE: Mapping[OrderState, int] = {
    OrderState.PENDING_CANCEL: 12,
    OrderState.PENDING_REPLACE: 11,
    OrderState.DONE_FOR_DAY: 10,
    OrderState.CALCULATED: 9,
    OrderState.FILLED: 8,
    OrderState.STOPPED: 7,
    OrderState.SUSPENDED: 6,
    OrderState.CANCELED: 5,
    OrderState.EXPIRED: 5,
    OrderState.PARTIALLY_FILLED: 4,
    OrderState.NEW: 2,
    OrderState.REJECTED: 2,
    OrderState.PENDING_NEW: 2,
    # Ours: what we know only until the venue has said anything at all.
    OrderState.UNKNOWN: 1,
    OrderState.SENDING: 1,
    OrderState.PENDING: 0,
}

# In these, nothing more of the order can be filled.
NOTHING_LEAVES = frozenset(
    {
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.DONE_FOR_DAY,
        OrderState.SUSPENDED,
    }
)
