"""What venues said about blocks, each report once, and how far each venue's reports are recorded."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.app.report_text import report_text
from services.execution.app.venue_port import VenueReport
from services.execution.domain.order import Report
from services.execution.store import rows
from services.execution.store.bulk import insert_rows
from services.execution.tables import venue_cursor, venue_report
from services.kernel.ids import BlockId, VenueId
from services.runtime.write_behind import WriteBehind

_CURSOR = select(venue_cursor.c.position).where(venue_cursor.c.venue_id == bindparam("venue_id"))
_MOVE_CURSOR = upsert(venue_cursor)
_MOVE_CURSOR = _MOVE_CURSOR.on_conflict_do_update(
    index_elements=[venue_cursor.c.venue_id], set_={"position": _MOVE_CURSOR.excluded.position}
)
_REPORTS = (
    select(
        *(venue_report.c.block_id, venue_report.c.kind, venue_report.c.content),
        *(venue_report.c.report_id, venue_report.c.report_time),
    )
    .where(venue_report.c.block_id == func.any(bindparam("block_ids", type_=ARRAY(Text))))
    .order_by(venue_report.c.block_id, venue_report.c.seq)
)


class VenueReports:
    """The part of the ledger with what venues said."""

    _connection: WriteBehind

    async def cursor(self, venue_id: VenueId) -> int:
        """Return up to which position a venue's reports are recorded."""
        return (await self._connection.execute(_CURSOR, {"venue_id": venue_id})).scalar() or 0

    async def move_cursor(self, venue_id: VenueId, position: int) -> None:
        """Record up to which position a venue's reports are recorded."""
        await self._connection.execute(_MOVE_CURSOR, {"venue_id": venue_id, "position": position})

    async def add_reports(self, venue_id: VenueId, reports: Sequence[tuple[BlockId | None, VenueReport]]) -> None:
        """Record what a venue said; None for orders that are not ours. What was said before is kept as it was."""
        values = []
        for block_id, said in reports:
            kind, content = report_text(said.report)
            values.append(
                {
                    "venue_id": venue_id,
                    "report_id": said.report.report_id,
                    "position": said.position,
                    "client_order_id": said.client_order_id,
                    "block_id": block_id,
                    "kind": kind,
                    "content": content,
                    "report_time": said.time,
                }
            )
        await insert_rows(self._connection, venue_report, values, "DO NOTHING")

    async def _reports(
        self, block_ids: Sequence[str]
    ) -> tuple[dict[str, list[Report]], dict[str, dict[str, datetime]]]:
        """Return what was said about blocks, in its order, and when each report was made; by block."""
        said: dict[str, list[Report]] = {}
        times: dict[str, dict[str, datetime]] = {}
        if not block_ids:
            return said, times
        for row in await self._connection.execute(_REPORTS, {"block_ids": block_ids}):
            said.setdefault(row.block_id, []).append(rows.report_of_row(row))
            times.setdefault(row.block_id, {})[row.report_id] = row.report_time
        return said, times
