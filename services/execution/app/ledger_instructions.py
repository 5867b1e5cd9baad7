"""The part of the ledger with what venues are told of blocks' shares."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from services.execution.app.records import AllocationRecord, BlockRecord, InstructionRecord
from services.kernel.ids import BlockId, VenueId


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
    ) -> list[tuple[InstructionRecord, BlockRecord, tuple[AllocationRecord, ...]]]:
        """Return and lock what a venue is to be told, oldest first, with the block (without reports) and its shares."""
        ...

    async def unanswered_instructions(self, venue_id: VenueId, limit: int) -> list[InstructionRecord]:
        """Return and lock what a venue was told without a final answer, newest first; what others lock is left out."""
        ...

    async def failed_instructions(self, venue_id: VenueId, before: datetime) -> list[InstructionRecord]:
        """Return what a venue rejected, or has not answered since `before`, unless another took its place."""
        ...
