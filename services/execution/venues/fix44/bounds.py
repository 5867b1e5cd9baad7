"""How long may names be, and how large amounts? FIX does not say; what finds and reckons with them has bounds.

They are far beyond what anybody trades: a counterparty that says more is not believed.
"""

from decimal import Decimal
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

# PostgreSQL's index takes rows of 2,704 bytes, and a report is found by the names of its order and of itself.
ID_BYTES_MAX: Final = 1_000
# What amounts stay below: so what is paid, and sums of it, are exact to the cent in Decimal's 28 digits.
QUANTITY_MAX: Final = Decimal("1e14")
PRICE_MAX: Final = Decimal("1e11")
FEE_MAX: Final = Decimal("1e14")
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


def below(message: Message, tag: int, bound: Decimal) -> Decimal | None:
    """Return a field as a decimal, by its size less than `bound`; None without it.

    Raises:
        FieldInvalid: It is none, or larger.
    """
    value = message.decimal(tag)
    if value is not None and not -bound < value < bound:
        raise FieldInvalid(tag, message.get(tag), f"below {bound:f}")
    return value
