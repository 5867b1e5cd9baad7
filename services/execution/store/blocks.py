"""Blocks: what travels together, and how far each is.

What is asked again and again, also while there is nothing to do, is written once: writing a statement takes SQLAlchemy
longer than running it takes PostgreSQL. What differs are its parameters.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    exists,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.execution.app.records import BlockDetail, BlockRecord
from services.execution.domain.allocation import Share
from services.execution.domain.order import OrderState
from services.execution.domain.trading_hours import AUCTIONS
from services.execution.domain.trading_state import Scope, ScopeKind
from services.execution.store import break_rows, rows
from services.execution.store.allocations import Allocations
from services.execution.store.bulk import insert, insert_rows, update_rows
from services.execution.store.remembered import Remembered
from services.execution.store.venue_reports import VenueReports
from services.execution.tables import account_order, block, block_share, instruction
from services.kernel.ids import BlockId, InstrumentId, RunId, VenueId

_COLUMNS = tuple(block.c)
_AT_VENUE = (OrderState.PENDING_NEW,)
# Nothing more is filled; shared out already, or waiting for a leg or a person.
_OVER = (OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED)


# Parameters of what is written once.
_OF_VENUE = block.c.venue_id == bindparam("venue_id")
_NAMED: Any = func.any(bindparam("block_ids", type_=ARRAY(Text)))
_LIMIT: Any = bindparam("limit", type_=Integer)


def _chosen(which: ColumnElement[bool], lock: str | None = None, *, limited: bool = False) -> Select[Any]:
    """Select blocks by id, locked if so: `wait`, or `skip` those that others have locked."""
    chosen = select(*_COLUMNS).where(which).order_by(block.c.block_id)
    if limited:
        chosen = chosen.limit(_LIMIT)
    return chosen if lock is None else chosen.with_for_update(skip_locked=lock == "skip")


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
    .order_by(func.md5(block.c.block_id + bindparam("turn", type_=Text)), block.c.block_id)
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
_RESTING = (
    select(block.c.block_id)
    .where(
        *(_OF_VENUE, ~block.c.allocated, block.c.state.not_in(_OVER), block.c.cancel_reason == ""),
        *(
            block.c.participation_max.is_not(None),
            block.c.market_time < bindparam("before", type_=DateTime(timezone=True)),
        ),
        block.c.time_in_force.not_in(AUCTIONS),
    )
    .order_by(block.c.block_id)
    .limit(_LIMIT)
)
# Longer than a block is in force.
RESTING_MAX = timedelta(days=1)
_PARTICIPATED = text("""
    SELECT block.instrument_id, sum(
        CASE WHEN block.market_time >= :since THEN block.quantity ELSE
            CASE WHEN block.allocated THEN 0 ELSE block.quantity - block.filled_quantity END + coalesce((
                SELECT sum((said.content ->> 'quantity')::numeric) FROM execution.venue_report AS said
                WHERE said.block_id = block.block_id AND said.kind = 'Filled' AND said.report_time >= :since
            ), 0)
        END
    ) AS quantity
    FROM execution.block
    WHERE block.instrument_id = ANY(:instrument_ids) AND block.participation_max IS NOT NULL
        AND block.market_time >= :resting
    GROUP BY block.instrument_id
""")
_AT = _chosen(
    _OF_VENUE & (block.c.client_order_id == func.any(bindparam("client_order_ids", type_=ARRAY(Text)))), "wait"
)
_SHARES = (
    select(*block_share.c)
    .where(block_share.c.block_id == _NAMED)
    .order_by(block_share.c.block_id, block_share.c.order_id)
)


class Blocks(Allocations, VenueReports):
    """The part of the ledger with blocks, what venues say about them and who got what of them."""

    _remembered: Remembered

    async def participated(
        self, instrument_ids: Collection[InstrumentId], since: datetime
    ) -> dict[InstrumentId, Decimal]:
        """Return how much blocks of limited participation trade since then, at most, by the market's clock.

        What went into blocks since; of earlier ones what was filled since, and what is still open.
        """
        found = await self._connection.execute(
            _PARTICIPATED, {"instrument_ids": sorted(instrument_ids), "since": since, "resting": since - RESTING_MAX}
        )
        return {InstrumentId(row.instrument_id): row.quantity for row in found}

    async def resting_blocks(self, venue_id: VenueId, before: datetime, limit: int) -> list[BlockId]:
        """Return blocks of limited participation, by id, that were formed before then and may still be filled.

        But for those that wait for an auction, and those that are to be canceled.
        """
        found = await self._connection.execute(_RESTING, {"venue_id": venue_id, "before": before, "limit": limit})
        return [BlockId(each) for each in found.scalars()]

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

    async def unconverted_blocks(self, venue_id: VenueId, before: datetime, turn: str, limit: int) -> list[BlockId]:
        """Return blocks that are over, whose money is not turned, and that have no leg that is open or from later.

        In an order that `turn` draws: those that cannot be turned for long do not keep others from their turn.
        """
        values = {"venue_id": venue_id, "before": before, "turn": turn, "limit": limit}
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
        if read:
            for row in await self._connection.execute(_SHARES, {"block_ids": list(read)}):
                read[row.block_id].append(rows.share_of(row))
        for row in blocks:
            if row.block_id in read:
                self._remembered.put_shares(row.block_id, row.create_time, read[row.block_id])
        return {block_id: tuple(read[block_id]) if known is None else known for block_id, known in shares.items()}


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
