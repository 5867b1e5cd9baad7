"""What venues are told of each block's shares, and what they said to that."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, UnaryExpression, bindparam, exists, func, select

from services.execution.app.ledger_instructions import Booked
from services.execution.app.records import BlockRecord, InstructionRecord
from services.execution.app.venue_port import InstructionState
from services.execution.store import break_rows
from services.execution.store.allocations import OF_BLOCKS, replaced
from services.execution.store.blocks import Blocks
from services.execution.store.bulk import insert_rows, update_rows
from services.execution.tables import allocation, instruction
from services.kernel.ids import BlockId, VenueId
from services.runtime.questions import Question

_WITHOUT_FINAL_ANSWER = (InstructionState.SENT, InstructionState.RECEIVED)
_KEPT = instruction.c


def _chosen(state: ColumnElement[bool], order: UnaryExpression[datetime]) -> Select[Any]:
    return (
        select(*_KEPT)
        .where(_KEPT.venue_id == bindparam("venue_id"), state)
        .order_by(order, _KEPT.allocation_id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )


# Written once, as in `blocks`.
_PENDING = _chosen(_KEPT.state == InstructionState.PENDING, _KEPT.create_time.asc())
_WAITING = _chosen(_KEPT.state.in_(_WITHOUT_FINAL_ANSWER), _KEPT.create_time.desc())


_BOOKED = Question(
    select(
        *(allocation.c.block_id, allocation.c.account_id, allocation.c.trade_date, allocation.c.quantity),
        func.coalesce(allocation.c.traded_price, allocation.c.price).label("price"),
        func.coalesce(allocation.c.traded_fees, allocation.c.fees).label("fees"),
    )
    .where(
        allocation.c.block_id == OF_BLOCKS,
        allocation.c.quantity > 0,
        ~replaced(),
    )
    .order_by(allocation.c.block_id, allocation.c.order_id),
    "shares of blocks",
)


class Instructions(Blocks):
    """The part of the ledger with blocks, and what venues are told of them."""

    async def add_instructions(self, instructions: Sequence[InstructionRecord]) -> None:
        """Record that a venue is to be told who got what."""
        await insert_rows(self._connection, instruction, [break_rows.instruction_values(each) for each in instructions])

    async def save_instructions(self, instructions: Sequence[InstructionRecord]) -> None:
        """Record how instructions changed."""
        values = [break_rows.instruction_changes(each) for each in instructions]
        await update_rows(self._connection, instruction, "allocation_id", values)

    async def instructions_to_send(
        self, venue_id: VenueId, limit: int
    ) -> list[tuple[InstructionRecord, BlockRecord, tuple[Booked, ...]]]:
        """Return and lock what a venue is to be told, oldest first, with the block (without reports) and its shares."""
        found = await self._instructions(_PENDING, venue_id, limit)
        if not found:
            return []
        block_ids = sorted({each.block_id for each in found})
        blocks = {each.block_id: each for each in await self.named_blocks(block_ids)}
        given: dict[str, list[Booked]] = {}
        for block_id, *booked in await self._connection.ask(_BOOKED, {"block_ids": block_ids}):
            given.setdefault(block_id, []).append(Booked(*booked))
        return [(each, blocks[each.block_id], tuple(given.get(each.block_id, ()))) for each in found]

    async def instructions(self, block_ids: Collection[BlockId]) -> list[InstructionRecord]:
        """Return what a venue was, or is to be, told of blocks' shares, oldest first."""
        found = await self._connection.execute(
            select(*_KEPT)
            .where(_KEPT.block_id == func.any(sorted(block_ids)))
            .order_by(_KEPT.create_time, _KEPT.allocation_id)
        )
        return [break_rows.instruction_of(row) for row in found]

    async def instruction(self, allocation_id: str) -> InstructionRecord | None:
        """Return and lock an instruction."""
        found = await self._connection.execute(
            select(*_KEPT).where(_KEPT.allocation_id == allocation_id).with_for_update()
        )
        row = found.one_or_none()
        return None if row is None else break_rows.instruction_of(row)

    async def unanswered_instructions(self, venue_id: VenueId, limit: int) -> list[InstructionRecord]:
        """Return and lock what a venue was told without a final answer, newest first; what others lock is left out."""
        return await self._instructions(_WAITING, venue_id, limit)

    async def failed_instructions(self, venue_id: VenueId, before: datetime) -> list[InstructionRecord]:
        """Return what a venue rejected, or has not answered since `before`, unless another took its place."""
        other = instruction.alias()
        found = await self._connection.execute(
            select(*_KEPT)
            .where(
                _KEPT.venue_id == venue_id,
                (_KEPT.state == InstructionState.REJECTED)
                | ((_KEPT.state != InstructionState.ACCEPTED) & (_KEPT.update_time <= before)),
                ~exists().where(other.c.replaces == _KEPT.allocation_id),
            )
            .order_by(_KEPT.allocation_id)
        )
        return [break_rows.instruction_of(row) for row in found]

    async def _instructions(self, which: Select[Any], venue_id: VenueId, limit: int) -> list[InstructionRecord]:
        found = await self._connection.execute(which, {"venue_id": venue_id, "limit": limit})
        return [break_rows.instruction_of(row) for row in found]
