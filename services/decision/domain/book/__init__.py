"""What does each account have, and how do fills change it?"""

from services.decision.domain.book.account import (
    AccountBook,
    HoldingKind,
    Position,
    SnapshotId,
    TaxWrapper,
    account_from_content,
    day_covered,
)
from services.decision.domain.book.booking import Allocation, Booking, PlannedLot, SoldLot, booked, contained
from services.decision.domain.book.check import BookInvalid, SnapshotCheck
from services.decision.domain.book.columns import BookColumns, accounts
from services.decision.domain.book.correcting import corrected
from services.decision.domain.book.reconciliation import Break, Expected, Reconciliation
from services.decision.domain.book.snapshot import Snapshot, SnapshotHeader
from services.decision.domain.book.valuation import Valuation, valued

__all__ = [
    "AccountBook",
    "Allocation",
    "BookColumns",
    "BookInvalid",
    "Booking",
    "Break",
    "Expected",
    "HoldingKind",
    "PlannedLot",
    "Position",
    "Reconciliation",
    "Snapshot",
    "SnapshotCheck",
    "SnapshotHeader",
    "SnapshotId",
    "SoldLot",
    "TaxWrapper",
    "Valuation",
    "account_from_content",
    "accounts",
    "booked",
    "contained",
    "corrected",
    "day_covered",
    "valued",
]
