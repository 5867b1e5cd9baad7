"""Kept previews, in PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.domain.preview_error import (
    Came,
    Input,
    KeptPreview,
    PreviewFigures,
    figures_of,
    named_inputs,
)
from services.decision.store.plans import PlanStore
from services.decision.tables.previews import preview
from services.kernel.ids import AccountId
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class PreviewStore:
    """The previews, within one transaction."""

    connection: AsyncConnection

    async def keep(self, previews: Sequence[KeptPreview]) -> None:
        """Keep previews; one that is there already stays as it is."""
        rows = [
            {
                "preview_id": each.preview_id,
                "account_id": each.account_id,
                "name": each.name,
                "currency": each.currency,
                "create_time": each.create_time,
                "inputs": {name.value: said for name, said in each.inputs.items()},
                **asdict(each.figures),
            }
            for each in previews
        ]
        if rows:
            await self.connection.execute(insert(preview).on_conflict_do_nothing(), rows)

    async def newest(self, account_id: AccountId, before: int | None, limit: int) -> Sequence[tuple[int, KeptPreview]]:
        """Return up to `limit` previews of an account with their numbers, newest first, those below `before`."""
        query = (
            select(*preview.c).where(preview.c.account_id == account_id).order_by(preview.c.number.desc()).limit(limit)
        )
        if before is not None:
            query = query.where(preview.c.number < before)
        return [(row.number, _kept(row)) for row in await self.connection.execute(query)]

    async def came_after(self, previewed: KeptPreview) -> Came | None:
        """Return the account's first plan with a decision that was made after a preview."""
        plan = await PlanStore(self.connection).first_after(previewed.account_id, previewed.create_time)
        if plan is None or plan.content is None or plan.content.decision is None:
            return None
        return Came(plan.plan_id, figures_of(plan.content.decision), named_inputs(plan.inputs))


@dataclass(frozen=True, slots=True)
class PreviewSessions:
    """The ways into the previews."""

    database: Database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[PreviewStore]:
        """Open a transaction in which nothing is changed."""
        async with self.database.read() as connection:
            yield PreviewStore(connection)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PreviewStore]:
        """Open a transaction."""
        async with self.database.begin() as transaction:
            yield PreviewStore(transaction.connection)


def _kept(row: Row[Any]) -> KeptPreview:
    return KeptPreview(
        preview_id=row.preview_id,
        account_id=AccountId(row.account_id),
        name=row.name,
        currency=row.currency,
        create_time=row.create_time,
        figures=PreviewFigures(row.turnover, row.trading_cost, row.tax, row.drift_after, row.tracking_error_after),
        inputs={name: row.inputs.get(name.value, "") for name in Input},
    )
