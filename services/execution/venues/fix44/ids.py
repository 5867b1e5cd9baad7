"""How long may the names of orders, reports and allocations be? FIX does not say; what finds them again has a bound.

PostgreSQL's index takes rows of 2,704 bytes, and a report is found by the names of its order and of itself.
"""

from typing import Final

from services.execution.fix.protocol.message import FieldInvalid, Message
from services.execution.venues.fix44.words import (
    ALLOC_ACCOUNT,
    ALLOC_ID,
    CL_ORD_ID,
    EXEC_ID,
    EXEC_REF_ID,
    LIST_ID,
    MASS_STATUS_REQ_ID,
    ORD_STATUS_REQ_ID,
    ORDER_ID,
    ORIG_CL_ORD_ID,
    REF_ALLOC_ID,
    SYMBOL,
)

# Far more than any counterparty uses.
ID_BYTES_MAX: Final = 1_000
_IDS = frozenset(
    {
        ALLOC_ACCOUNT,
        ALLOC_ID,
        CL_ORD_ID,
        EXEC_ID,
        EXEC_REF_ID,
        LIST_ID,
        MASS_STATUS_REQ_ID,
        ORD_STATUS_REQ_ID,
        ORDER_ID,
        ORIG_CL_ORD_ID,
        REF_ALLOC_ID,
        SYMBOL,
    }
)


def check_ids(message: Message) -> None:
    """Refuse a message with a name that is too long, in a group or not.

    Raises:
        FieldInvalid: There is one.
    """
    if len(message.raw) <= ID_BYTES_MAX:
        return
    for tag, value in zip(message.tags, message.values, strict=True):
        if len(value) > ID_BYTES_MAX and tag in _IDS:
            raise FieldInvalid(tag, value, f"at most {ID_BYTES_MAX} bytes long")
