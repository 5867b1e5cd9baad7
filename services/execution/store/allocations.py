"""Who got what of blocks as it counts now, and what that left accounts short by."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from services.execution.app.records import AllocationId, AllocationRecord
from services.execution.store import rows
from services.execution.store.bulk import insert_rows
from services.execution.tables import allocation, block, carry
from services.kernel.ids import AccountId, BlockId
from services.runtime.write_behind import WriteBehind

# What an allocation has of its block.
TERMS = (
    *(block.c.instrument_id, block.c.side, block.c.venue_id, block.c.order_type, block.c.limit_price),
    *(block.c.time_in_force, block.c.currency, block.c.custodian, block.c.increment),
    *(block.c.algorithm, block.c.participation_max, block.c.account_currency),
)
# Of what is written once, as in `blocks`.
OF_BLOCKS: Any = func.any(bindparam("block_ids", type_=ARRAY(Text)))


def replaced() -> ColumnElement[bool]:
    """Return whether an allocation was replaced by a later one."""
    later = allocation.alias()
    return exists().where(later.c.replaces == allocation.c.allocation_id)


_ALLOCATIONS = (
    select(*allocation.c, *TERMS)
    .join(block, block.c.block_id == allocation.c.block_id)
    .where(allocation.c.block_id == OF_BLOCKS, ~replaced())
    .order_by(allocation.c.block_id, allocation.c.order_id, allocation.c.trade_date)
)


class Allocations:
    """The part of the ledger with blocks' allocations and accounts' carries."""

    _connection: WriteBehind

    async def allocations(self, block_ids: Collection[BlockId]) -> dict[BlockId, list[AllocationRecord]]:
        """Return the blocks' allocations that nothing replaced, by order and day; blocks without any are missing."""
        given: dict[BlockId, list[AllocationRecord]] = {}
        if not block_ids:
            return given
        found = await self._connection.execute(_ALLOCATIONS, {"block_ids": sorted(block_ids)})
        for row in found:
            given.setdefault(BlockId(row.block_id), []).append(rows.allocation_of(row, rows.terms_of(row)))
        return given

    async def allocation_history(self, allocation_id: AllocationId) -> list[AllocationRecord]:
        """Return an allocation with all that it replaces and that replaced it, first to last; empty when unknown."""
        one = allocation.alias()
        same = (
            (one.c.allocation_id == allocation_id)
            & (one.c.block_id == allocation.c.block_id)
            & (one.c.order_id == allocation.c.order_id)
            & (one.c.trade_date == allocation.c.trade_date)
        )
        found = await self._connection.execute(
            select(*allocation.c, *TERMS)
            .join(block, block.c.block_id == allocation.c.block_id)
            .join(one, same)
            .order_by(allocation.c.revision)
        )
        return [rows.allocation_of(row, rows.terms_of(row)) for row in found]

    async def carries(self, account_ids: Collection[AccountId]) -> dict[AccountId, int]:
        """Return what earlier blocks left accounts short by; absent means 0."""
        if not account_ids:
            return {}
        found = await self._connection.execute(
            select(carry.c.account_id, carry.c.carry).where(carry.c.account_id == func.any(sorted(account_ids)))
        )
        return {AccountId(row.account_id): row.carry for row in found}

    async def add_carries(self, changes: Mapping[AccountId, int]) -> None:
        """Add to accounts' carries."""
        values = [{"account_id": name, "carry": change} for name, change in sorted(changes.items()) if change]
        await insert_rows(
            self._connection, carry, values, "(account_id) DO UPDATE SET carry = was.carry + excluded.carry"
        )
