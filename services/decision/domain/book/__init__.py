"""What does each account have, and how do fills change it?"""

from services.decision.domain.book.account import (
    AccountBook,
    HoldingKind,
    Position,
    SnapshotId,
    TaxWrapper,
    account_from_content,
)
from services.decision.domain.book.booking import Allocation, Booking, PlannedLot, SoldLot, booked

__all__ = [
    "AccountBook",
    "Allocation",
    "Booking",
    "HoldingKind",
    "PlannedLot",
    "Position",
    "SnapshotId",
    "SoldLot",
    "TaxWrapper",
    "account_from_content",
    "booked",
]
