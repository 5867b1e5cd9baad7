"""Breaks with venues and custodians, and our trades that they are compared with."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.app.records import AllocationRecord, Break, Party
from services.execution.store import break_rows, rows
from services.execution.store.allocations import TERMS, replaced
from services.execution.tables import allocation, block, block_share, reconciliation_break
from services.kernel.ids import AccountId, InstrumentId
from services.runtime.write_behind import WriteBehind

_KEPT = reconciliation_break.c


class Breaks:
    """The part of the ledger with breaks."""

    _connection: WriteBehind

    async def see_breaks(self, breaks: Sequence[Break]) -> list[Break]:
        """Record breaks that are there now, and return those that are news.

        One that a person resolved stays resolved while both sides say the same.
        """
        if not breaks:
            return []
        known = await self._connection.execute(
            select(_KEPT.break_id).where(
                _KEPT.break_id == func.any([each.break_id for each in breaks]), _KEPT.resolve_time.is_(None)
            )
        )
        open_before = set(known.scalars())
        statement = upsert(reconciliation_break)
        said = statement.excluded
        settled = (_KEPT.resolver != "") & (_KEPT.ours == said.ours) & (_KEPT.theirs == said.theirs)
        stays = settled | _KEPT.resolve_time.is_(None)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[_KEPT.break_id],
                set_={
                    "ours": said.ours,
                    "theirs": said.theirs,
                    "see_time": said.see_time,
                    "find_time": case((stays, _KEPT.find_time), else_=said.find_time),
                    "resolve_time": case((settled, _KEPT.resolve_time), else_=None),
                    "resolver": case((settled, _KEPT.resolver), else_=""),
                    "note": case((settled, _KEPT.note), else_=""),
                },
            ),
            [break_rows.break_values(each) for each in breaks],
        )
        found = await self._connection.execute(
            select(*_KEPT).where(
                _KEPT.break_id == func.any([each.break_id for each in breaks]), _KEPT.resolve_time.is_(None)
            )
        )
        return [break_rows.break_of(row) for row in found if row.break_id not in open_before]

    async def unseen_breaks(
        self, party: Party, source: str, before: datetime, account_ids: Collection[AccountId] | None
    ) -> list[Break]:
        """Resolve what was not seen since `before` and is of the accounts, or of any; return what that was."""
        which = (
            (_KEPT.party == party) & (_KEPT.source == source) & _KEPT.resolve_time.is_(None) & (_KEPT.see_time < before)
        )
        if account_ids is not None:
            which &= _KEPT.account_id == func.any(sorted(account_ids))
        gone = await self._connection.execute(
            update(reconciliation_break).where(which).values(resolve_time=before, note="agrees again").returning(*_KEPT)
        )
        return [break_rows.break_of(row) for row in gone]

    async def breaks(self, *, resolved: bool, owner: str, after: str, limit: int) -> list[Break]:
        """Return breaks after an id, by id: open ones, or all; of an owner, or of anybody when empty."""
        which = _KEPT.break_id > after
        if not resolved:
            which &= _KEPT.resolve_time.is_(None)
        if owner:
            which &= _KEPT.owner == owner
        found = await self._connection.execute(select(*_KEPT).where(which).order_by(_KEPT.break_id).limit(limit))
        return [break_rows.break_of(row) for row in found]

    async def open_breaks(self, party: Party, source: str, account_ids: Collection[AccountId]) -> list[Break]:
        """Return the open breaks of some accounts with a venue or custodian, by id."""
        found = await self._connection.execute(
            select(*_KEPT)
            .where(
                *(_KEPT.party == party, _KEPT.source == source, _KEPT.resolve_time.is_(None)),
                _KEPT.account_id == func.any(sorted(account_ids)),
            )
            .order_by(_KEPT.break_id)
        )
        return [break_rows.break_of(row) for row in found]

    async def settled_holdings(
        self, custodian: str, account_ids: Collection[AccountId]
    ) -> dict[AccountId, dict[InstrumentId | None, date]]:
        """Return of which days persons took what a custodian has, by account, and instrument or None for cash."""
        found = await self._connection.execute(
            select(_KEPT.account_id, _KEPT.instrument_id, _KEPT.settle_day).where(
                *(_KEPT.party == Party.CUSTODIAN, _KEPT.source == custodian, _KEPT.settle_day.is_not(None)),
                _KEPT.account_id == func.any(sorted(account_ids)),
            )
        )
        settled: dict[AccountId, dict[InstrumentId | None, date]] = {}
        for row in found:
            name = None if row.instrument_id is None else InstrumentId(row.instrument_id)
            settled.setdefault(AccountId(row.account_id), {})[name] = row.settle_day
        return settled

    async def break_(self, break_id: str) -> Break | None:
        """Return and lock a break."""
        found = await self._connection.execute(select(*_KEPT).where(_KEPT.break_id == break_id).with_for_update())
        row = found.one_or_none()
        return None if row is None else break_rows.break_of(row)

    async def save_break(self, each: Break) -> None:
        """Record who owns a break and how it was resolved."""
        await self._connection.execute(
            update(reconciliation_break)
            .where(_KEPT.break_id == each.break_id)
            .values(
                owner=each.owner,
                resolve_time=each.resolve_time,
                resolver=each.resolver,
                note=each.note,
                settle_day=each.settle_day,
            )
        )

    async def broken(
        self, account_ids: Collection[AccountId], grace: timedelta
    ) -> frozenset[tuple[AccountId, InstrumentId | None]]:
        """Return in what the accounts have open breaks; None for their cash.

        A break with a venue counts when it was still there `grace` after it was found.
        """
        if not account_ids:
            return frozenset()
        names = sorted(account_ids)
        lasting = or_(_KEPT.party == Party.CUSTODIAN, _KEPT.see_time - _KEPT.find_time >= grace)
        still = (_KEPT.resolve_time.is_(None)) & lasting
        own = select(_KEPT.account_id, _KEPT.instrument_id).where(still, _KEPT.account_id == func.any(names))
        through = (
            select(block_share.c.account_id, block.c.instrument_id)
            .join(block, block.c.block_id == block_share.c.block_id)
            .join(reconciliation_break, _KEPT.block_id == block.c.block_id)
            .where(still, block_share.c.account_id == func.any(names))
        )
        found: set[tuple[AccountId, InstrumentId | None]] = set()
        for statement in (own, through):
            for row in await self._connection.execute(statement):
                name = None if row.instrument_id is None else InstrumentId(row.instrument_id)
                found.add((AccountId(row.account_id), name))
        return frozenset(found)

    async def traded(
        self, custodian: str, account_ids: Collection[AccountId], after: date, until: date
    ) -> list[AllocationRecord]:
        """Return what accounts at a custodian were allocated with a trade date after one day and up to another.

        As it counts now; where all of it was busted, both the last that was not and that nothing is left.
        """
        found = await self._connection.execute(
            select(*allocation.c, *TERMS)
            .join(block, block.c.block_id == allocation.c.block_id)
            .where(
                allocation.c.account_id == func.any(sorted(account_ids)),
                allocation.c.trade_date > after,
                allocation.c.trade_date <= until,
                block.c.custodian == custodian,
                ~replaced() | (allocation.c.quantity > 0),
            )
            .order_by(allocation.c.allocation_id)
        )
        given = [rows.allocation_of(row, rows.terms_of(row)) for row in found]
        taken_back = {each.replaces for each in given if each.quantity == 0}
        superseded = {each.replaces for each in given if each.quantity > 0 and each.replaces is not None}
        replacing = {each.replaces for each in given if each.replaces is not None}
        return [
            each
            for each in given
            if each.allocation_id not in superseded
            and (each.allocation_id not in replacing or each.allocation_id in taken_back)
        ]
