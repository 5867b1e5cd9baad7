"""Blocks: what travels together, what venues say about it, and how far each is.

What is asked again and again, also while there is nothing to do, is written once: writing a statement takes SQLAlchemy
longer than running it takes PostgreSQL. What differs are its parameters.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    exists,
    func,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.app.records import AllocationId, AllocationRecord, BlockDetail, BlockRecord
from services.execution.app.report_text import report_text
from services.execution.app.venue_port import VenueReport
from services.execution.domain.allocation import Share
from services.execution.domain.order import OrderState, Report
from services.execution.domain.trading_state import Scope, ScopeKind
from services.execution.store import break_rows, rows
from services.execution.store.bulk import insert, insert_rows, update_rows
from services.execution.store.remembered import Remembered
from services.execution.tables import (
    account_order,
    allocation,
    block,
    block_share,
    carry,
    instruction,
    venue_cursor,
    venue_report,
)
from services.kernel.ids import AccountId, BlockId, InstrumentId, RunId, VenueId
from services.runtime.write_behind import WriteBehind

AnyColumn: TypeAlias = Column[Any]

_COLUMNS = tuple(block.c)
# What an allocation has of its block.
TERMS = (
    *(block.c.instrument_id, block.c.side, block.c.venue_id, block.c.order_type, block.c.limit_price),
    *(block.c.time_in_force, block.c.currency, block.c.custodian, block.c.increment),
    *(block.c.algorithm, block.c.participation_max, block.c.account_currency),
)
_AT_VENUE = (OrderState.PENDING_NEW,)
# Nothing more is filled; shared out already, or waiting for a leg or a person.
_OVER = (OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED)


# Parameters of what is written once.
_OF_VENUE = block.c.venue_id == bindparam("venue_id")
_NAMED: Any = func.any(bindparam("block_ids", type_=ARRAY(Text)))
_LIMIT: Any = bindparam("limit", type_=Integer)


def replaced() -> ColumnElement[bool]:
    """Return whether an allocation was replaced by a later one."""
    later = allocation.alias()
    return exists().where(later.c.replaces == allocation.c.allocation_id)


def _chosen(which: ColumnElement[bool], lock: str | None = None, *, limited: bool = False) -> Select[Any]:
    """Select blocks by id, locked if so: `wait`, or `skip` those that others have locked."""
    chosen = select(*_COLUMNS).where(which).order_by(block.c.block_id)
    if limited:
        chosen = chosen.limit(_LIMIT)
    return chosen if lock is None else chosen.with_for_update(skip_locked=lock == "skip")


def _details(columns: Iterable[AnyColumn], key: AnyColumn, order: AnyColumn) -> Select[Any]:
    return select(*columns).where(key == _NAMED).order_by(key, order)


_ALLOCATIONS = (
    select(*allocation.c, *TERMS)
    .join(block, block.c.block_id == allocation.c.block_id)
    .where(allocation.c.block_id == _NAMED, ~replaced())
    .order_by(allocation.c.block_id, allocation.c.order_id, allocation.c.trade_date)
)
_UNSENT = (
    select(block.c.block_id)
    .where(~block.c.allocated, _OF_VENUE, block.c.ours == OrderState.PENDING, block.c.cancel_reason == "")
    .order_by(block.c.side.desc(), block.c.create_time, block.c.block_id)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(block)
    .where(block.c.block_id == _NAMED)
    .values(
        ours=OrderState.SENDING,
        state=OrderState.SENDING,
        attempt=bindparam("by"),
        update_time=bindparam("now", type_=DateTime(timezone=True)),
    )
)
_BY_ID = _chosen(block.c.block_id == _NAMED)
_BY_ID_LOCKED = _chosen(block.c.block_id == _NAMED, "wait")
_LEGS = _chosen(block.c.leg_of == _NAMED)
_LEG = block.alias()
_UNCONVERTED = (
    select(block.c.block_id)
    .where(
        block.c.unconverted,
        _OF_VENUE,
        ~exists().where(
            _LEG.c.leg_of == block.c.block_id, ~_LEG.c.allocated | (_LEG.c.update_time > bindparam("before"))
        ),
    )
    .order_by(block.c.update_time, block.c.block_id)
    .limit(_LIMIT)
)
_CLAIMED = _chosen(
    (block.c.block_id == _NAMED) & (block.c.ours == OrderState.SENDING) & (block.c.attempt == bindparam("by")), "wait"
)
_UNRESOLVED = _chosen(
    _OF_VENUE
    & ~block.c.allocated
    & block.c.ours.in_((OrderState.SENDING, OrderState.UNKNOWN))
    & (block.c.update_time <= bindparam("before")),
    "skip",
    limited=True,
)
_TO_FINISH = _chosen(
    _OF_VENUE
    & ~block.c.allocated
    & ((block.c.ours == OrderState.REJECTED) | ((block.c.ours == OrderState.PENDING) & (block.c.cancel_reason != ""))),
    "wait",
    limited=True,
)
_TO_CANCEL = _chosen(
    _OF_VENUE & ~block.c.allocated & block.c.ours.in_(_AT_VENUE) & (block.c.cancel_reason != "") & ~block.c.cancel_sent,
    "skip",
    limited=True,
)
_AT = _chosen(
    _OF_VENUE & (block.c.client_order_id == func.any(bindparam("client_order_ids", type_=ARRAY(Text)))), "wait"
)
_CURSOR = select(venue_cursor.c.position).where(venue_cursor.c.venue_id == bindparam("venue_id"))
_MOVE_CURSOR = upsert(venue_cursor)
_MOVE_CURSOR = _MOVE_CURSOR.on_conflict_do_update(
    index_elements=[venue_cursor.c.venue_id], set_={"position": _MOVE_CURSOR.excluded.position}
)
_SHARES = _details(block_share.c, block_share.c.block_id, block_share.c.order_id)
_REPORTS = _details(
    (
        *(venue_report.c.block_id, venue_report.c.kind, venue_report.c.content),
        *(venue_report.c.report_id, venue_report.c.report_time),
    ),
    venue_report.c.block_id,
    venue_report.c.seq,
)


class Blocks:
    """The part of the ledger with blocks."""

    _connection: WriteBehind
    _remembered: Remembered

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

    async def participated(
        self, instrument_ids: Collection[InstrumentId], since: datetime
    ) -> dict[InstrumentId, Decimal]:
        """Return how much went into blocks of limited participation since then, by the market's clock."""
        found = await self._connection.execute(
            select(block.c.instrument_id, func.sum(block.c.quantity).label("quantity"))
            .where(
                block.c.instrument_id == func.any(sorted(instrument_ids)),
                block.c.participation_max.is_not(None),
                block.c.market_time >= since,
            )
            .group_by(block.c.instrument_id)
        )
        return {InstrumentId(row.instrument_id): row.quantity for row in found}

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

    async def add_blocks(self, blocks: Sequence[BlockRecord]) -> None:
        """Record new blocks, before anything is sent."""
        if not blocks:
            return
        await insert_rows(self._connection, block, [rows.block_values(each) for each in blocks])
        shares = [(each.block_id, share) for each in blocks for share in each.statement.shares]
        await insert(self._connection, block_share, shares, rows.share_columns)
        for each in blocks:
            self._remembered.put_shares(each.block_id, each.create_time, each.statement.shares)

    async def save_blocks(self, blocks: Sequence[BlockRecord]) -> None:
        """Record how blocks changed, apart from their reports."""
        values = [{"block_id": each.block_id, **rows.block_changes(each)} for each in blocks]
        await update_rows(self._connection, block, "block_id", values)

    async def claim_blocks(self, venue_id: VenueId, attempt: str, now: datetime, limit: int) -> list[BlockId]:
        """Mark unsent blocks as being sent by `attempt`, sells first, and return their ids in that order."""
        unsent = await self._connection.execute(_UNSENT, {"venue_id": venue_id, "limit": limit})
        found = [BlockId(each) for each in unsent.scalars()]
        if found:
            await self._connection.execute(_CLAIM, {"block_ids": found, "by": attempt, "now": now})
        return found

    async def claimed_blocks(self, attempt: str, block_ids: Collection[BlockId]) -> list[BlockRecord]:
        """Return and lock those blocks that `attempt` still holds, in the order of `block_ids`."""
        found = await self._blocks(_CLAIMED, {"block_ids": list(block_ids), "by": attempt})
        place = {block_id: index for index, block_id in enumerate(block_ids)}
        return sorted(found, key=lambda record: place[record.block_id])

    async def unresolved_blocks(self, venue_id: VenueId, before: datetime, limit: int) -> list[BlockRecord]:
        """Return and lock blocks whose send has had no answer since `before`; those locked by others are left out."""
        return await self._blocks(_UNRESOLVED, {"venue_id": venue_id, "before": before, "limit": limit})

    async def blocks_to_finish(self, venue_id: VenueId, limit: int) -> list[BlockRecord]:
        """Return and lock blocks that never reached the venue and never will: refused, or canceled before sending."""
        return await self._blocks(_TO_FINISH, {"venue_id": venue_id, "limit": limit})

    async def blocks_to_cancel(self, venue_id: VenueId, limit: int) -> list[BlockRecord]:
        """Return and lock blocks at the venue that we want canceled and have not asked to."""
        return await self._blocks(_TO_CANCEL, {"venue_id": venue_id, "limit": limit})

    async def open_blocks(self, scope: Scope | None, expired_at: datetime | None) -> list[BlockRecord]:
        """Return and lock unfinished blocks: within a scope, or of plans that expired by then."""
        which: ColumnElement[bool] = ~block.c.allocated & block.c.state.not_in(_OVER)
        if scope is not None:
            which &= _within(scope)
        if expired_at is not None:
            which &= block.c.expire_time <= expired_at
        return await self._blocks(_chosen(which, "wait"))

    async def blocks_at(self, venue_id: VenueId, client_order_ids: Collection[str]) -> dict[str, BlockRecord]:
        """Return and lock blocks with all their reports, by the id the venue knows."""
        found = await self._blocks(_AT, {"venue_id": venue_id, "client_order_ids": sorted(client_order_ids)})
        return {record.block.client_order_id: record for record in found}

    async def block(self, block_id: BlockId) -> BlockDetail | None:
        """Return a block with its reports, its allocations, and what the venue was told of them."""
        found = await self._blocks(_BY_ID, {"block_ids": [block_id]})
        if not found:
            return None
        given = (await self.allocations([block_id])).get(block_id, [])
        given.sort(key=lambda each: (each.account_id, each.order_id, each.trade_date))
        told = await self._connection.execute(
            select(*instruction.c)
            .where(instruction.c.block_id == block_id)
            .order_by(instruction.c.create_time, instruction.c.allocation_id)
        )
        return BlockDetail(found[0], tuple(given), tuple(break_rows.instruction_of(row) for row in told))

    async def blocks(self, block_ids: Collection[BlockId]) -> list[BlockRecord]:
        """Return and lock blocks with all their reports, by id."""
        return await self._blocks(_BY_ID_LOCKED, {"block_ids": sorted(block_ids)})

    async def legs(self, block_ids: Collection[BlockId]) -> dict[BlockId, list[BlockRecord]]:
        """Return the blocks that turn the money of others, with all their reports, by what they are for."""
        found: dict[BlockId, list[BlockRecord]] = {}
        for record in await self._blocks(_LEGS, {"block_ids": sorted(block_ids)}):
            if record.leg_of is not None:
                found.setdefault(record.leg_of, []).append(record)
        return found

    async def unconverted_blocks(self, venue_id: VenueId, before: datetime, limit: int) -> list[BlockId]:
        """Return blocks that are over, whose money is not turned, and that have no leg that is open or from later."""
        values = {"venue_id": venue_id, "before": before, "limit": limit}
        return [BlockId(each) for each in (await self._connection.execute(_UNCONVERTED, values)).scalars()]

    async def list_blocks(self, run_id: RunId | None, after: str, limit: int) -> list[BlockRecord]:
        """Return blocks after an id, by id, without their reports."""
        which: ColumnElement[bool] = block.c.block_id > after
        if run_id is not None:
            of_run = select(account_order.c.order_id).where(account_order.c.run_id == run_id)
            which &= exists().where(block_share.c.block_id == block.c.block_id, block_share.c.order_id.in_(of_run))
        return await self._blocks(_chosen(which, limited=True), {"limit": limit}, reports=False)

    async def sent_blocks(self, venue_id: VenueId, after: str, limit: int) -> list[BlockRecord]:
        """Return blocks that may have reached the venue after a block id, by id, with their reports."""
        sent = (block.c.venue_id == venue_id) & (block.c.ours != OrderState.PENDING)
        return await self._blocks(_chosen(sent & (block.c.block_id > after), limited=True), {"limit": limit})

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

    async def named_blocks(self, block_ids: Sequence[str]) -> list[BlockRecord]:
        """Return blocks by id, without their reports."""
        return await self._blocks(_BY_ID, {"block_ids": block_ids}, reports=False)

    async def _blocks(
        self, which: Select[Any], values: Mapping[str, object] | None = None, *, reports: bool = True
    ) -> list[BlockRecord]:
        found = (await self._connection.execute(which, values)).all()
        ids = [row.block_id for row in found]
        shares = await self._shares(found)
        said, times = await self._reports(ids) if reports else ({}, {})
        return [
            rows.block_of(row, shares[row.block_id], said.get(row.block_id, ()), times.get(row.block_id, {}))
            for row in found
        ]

    async def _shares(self, blocks: Sequence[rows.AnyRow]) -> dict[str, tuple[Share, ...]]:
        shares = {row.block_id: self._remembered.shares(row.block_id, row.create_time) for row in blocks}
        read: dict[str, list[Share]] = {block_id: [] for block_id, known in shares.items() if known is None}
        for row in await self._told_of(_SHARES, list(read)):
            read[row.block_id].append(rows.share_of(row))
        for row in blocks:
            if row.block_id in read:
                self._remembered.put_shares(row.block_id, row.create_time, read[row.block_id])
        return {block_id: tuple(read[block_id]) if known is None else known for block_id, known in shares.items()}

    async def _reports(
        self, block_ids: Sequence[str]
    ) -> tuple[dict[str, list[Report]], dict[str, dict[str, datetime]]]:
        said: dict[str, list[Report]] = {}
        times: dict[str, dict[str, datetime]] = {}
        for row in await self._told_of(_REPORTS, block_ids):
            said.setdefault(row.block_id, []).append(rows.report_of_row(row))
            times.setdefault(row.block_id, {})[row.report_id] = row.report_time
        return said, times

    async def _told_of(self, details: Select[Any], block_ids: Sequence[str]) -> Sequence[rows.AnyRow]:
        if not block_ids:
            return ()
        return (await self._connection.execute(details, {"block_ids": block_ids})).all()


def _within(scope: Scope) -> ColumnElement[bool]:
    match scope.kind:
        case ScopeKind.ALL:
            return true()
        case ScopeKind.VENUE:
            return block.c.venue_id == scope.subject_id
        case ScopeKind.INSTRUMENT:
            return block.c.instrument_id == scope.subject_id
        case ScopeKind.ACCOUNT:
            return exists().where(
                block_share.c.block_id == block.c.block_id, block_share.c.account_id == scope.subject_id
            )
