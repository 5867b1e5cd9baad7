"""The part of the ledger with what venues are told of blocks' shares."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from services.execution.app.records import BlockRecord, InstructionRecord
from services.kernel.ids import AccountId, BlockId, VenueId


@dataclass(frozen=True, slots=True)
class Booked:
    """What a venue books of an allocation: an account's units of a day, above 0.

    `price` of one unit and `fees` are in the currency in which it was traded.
    """

    account_id: AccountId
    trade_date: date
    quantity: Decimal
    price: Decimal
    fees: Decimal


class InstructionLedger(Protocol):
    """Allocation instructions."""

    async def instructions(self, block_ids: Collection[BlockId]) -> list[InstructionRecord]:
        """Return what a venue was, or is to be, told of blocks' shares, oldest first."""
        ...

    async def instruction(self, allocation_id: str) -> InstructionRecord | None:
        """Return and lock an instruction."""
        ...

    async def add_instructions(self, instructions: Sequence[InstructionRecord]) -> None:
        """Record that a venue is to be told who got what."""
        ...

    async def save_instructions(self, instructions: Sequence[InstructionRecord]) -> None:
        """Record how instructions changed."""
        ...

    async def instructions_to_send(
        self, venue_id: VenueId, limit: int
    ) -> list[tuple[InstructionRecord, BlockRecord, tuple[Booked, ...]]]:
        """Return and lock what a venue is to be told, oldest first, with the block (without reports) and its shares.

        Of the shares those that nothing replaced, without what was busted.
        """
        ...

    async def unanswered_instructions(self, venue_id: VenueId, limit: int) -> list[InstructionRecord]:
        """Return and lock what a venue was told without a final answer, newest first; what others lock is left out."""
        ...

    async def failed_instructions(self, venue_id: VenueId, before: datetime) -> list[InstructionRecord]:
        """Return what a venue rejected, or has not answered since `before`, unless another took its place."""
        ...
