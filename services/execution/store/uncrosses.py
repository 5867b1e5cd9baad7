"""Wishes to undo what was crossed."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.app.ledger_uncrosses import Uncross
from services.execution.tables import uncross
from services.kernel.ids import BlockId
from services.runtime.write_behind import WriteBehind

_KEPT = uncross.c


class Uncrosses:
    """The part of the ledger with wishes to undo crosses."""

    _connection: WriteBehind

    async def uncross(self, sell_block_id: BlockId) -> Uncross | None:
        """Return and lock the wish to undo a cross, which its selling block names."""
        found = await self._connection.execute(
            select(*_KEPT).where(_KEPT.sell_block_id == sell_block_id).with_for_update()
        )
        row = found.one_or_none()
        if row is None:
            return None
        return Uncross(
            sell_block_id=BlockId(row.sell_block_id),
            buy_block_id=BlockId(row.buy_block_id),
            proposer=row.proposer,
            why=row.why,
            propose_time=row.propose_time,
            approver=row.approver,
            approve_time=row.approve_time,
        )

    async def put_uncross(self, each: Uncross) -> None:
        """Record a wish to undo a cross, or what became of it."""
        values = {
            "sell_block_id": each.sell_block_id,
            "buy_block_id": each.buy_block_id,
            "proposer": each.proposer,
            "why": each.why,
            "propose_time": each.propose_time,
            "approver": each.approver,
            "approve_time": each.approve_time,
        }
        changes = {"approver": each.approver, "approve_time": each.approve_time}
        await self._connection.execute(
            upsert(uncross).values(values).on_conflict_do_update(index_elements=["sell_block_id"], set_=changes)
        )
