"""The part of the ledger with wishes to undo what was crossed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.kernel.ids import BlockId


@dataclass(frozen=True, slots=True)
class Uncross:
    """A wish to undo a cross; done once it has an `approver`, who is not the `proposer`."""

    sell_block_id: BlockId
    buy_block_id: BlockId
    proposer: str
    why: str
    propose_time: datetime
    approver: str = ""
    approve_time: datetime | None = None


class UncrossLedger(Protocol):
    """Wishes to undo crosses, one for each cross at most."""

    async def uncross(self, sell_block_id: BlockId) -> Uncross | None:
        """Return and lock the wish to undo a cross, which its selling block names."""
        ...

    async def put_uncross(self, uncross: Uncross) -> None:
        """Record a wish to undo a cross, or what became of it."""
        ...
