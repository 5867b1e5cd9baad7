"""Rows that name others which are not there: what foreign keys would have refused.

Rows that are written together, from one value, are not looked up by the database one by one (`docs/adr/0009`). That
none names what is not there is looked at here instead, block by block.
"""

from sqlalchemy import text

from services.execution.app.ports import Dangling
from services.kernel.ids import BlockId
from services.runtime.write_behind import WriteBehind

# Blocks have ids of ASCII letters; nothing comes after this one.
_LAST = "\U0010ffff"

_DANGLING = text("""
    WITH share AS MATERIALIZED (
        SELECT block_id, order_id FROM execution.block_share
        WHERE block_id > CAST(:after AS text) AND block_id <= CAST(:until AS text)
    ), given AS MATERIALIZED (
        SELECT block_id, order_id, allocation_id FROM execution.allocation
        WHERE block_id > CAST(:after AS text) AND block_id <= CAST(:until AS text)
    )
    SELECT share.block_id, 'block' AS missing, share.block_id AS named FROM share
        WHERE NOT EXISTS (SELECT FROM execution.block WHERE block.block_id = share.block_id)
    UNION SELECT share.block_id, 'order', share.order_id FROM share
        WHERE NOT EXISTS (SELECT FROM execution.account_order AS one WHERE one.order_id = share.order_id)
    UNION SELECT share.block_id, 'plan', one.plan_id FROM share JOIN execution.account_order AS one USING (order_id)
        WHERE NOT EXISTS (SELECT FROM execution.plan WHERE plan.plan_id = one.plan_id)
    UNION SELECT given.block_id, 'share', given.order_id FROM given
        WHERE NOT EXISTS (SELECT FROM share WHERE (share.block_id, share.order_id) = (given.block_id, given.order_id))
    UNION SELECT given.block_id, 'report', given.allocation_id FROM given
        WHERE NOT EXISTS (SELECT FROM execution.plan_report AS told WHERE told.allocation_id = given.allocation_id)
    ORDER BY block_id, missing, named
""")


class DanglingRows:
    """The part of the ledger that looks for rows which name what is not there."""

    _connection: WriteBehind

    async def dangling(self, after: str, until: str | None) -> list[Dangling]:
        """Return what rows of blocks after an id and up to another name that is not there; None for all after."""
        found = await self._connection.execute(_DANGLING, {"after": after, "until": until or _LAST})
        return [Dangling(BlockId(row.block_id), row.missing, row.named) for row in found]
