"""What policy was told that accounts are worth, in PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.valuing import ToldValue, ValueSession
from services.decision.domain.book import SnapshotId
from services.decision.domain.prices import PriceSetId
from services.decision.store.books import PostgresBooks
from services.decision.store.prices import PostgresPrices
from services.decision.tables.book import account, snapshot
from services.decision.tables.prices import price_set
from services.decision.tables.values import told_value
from services.kernel.ids import AccountId
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class ValueStore:
    """The values that were told, within one transaction."""

    connection: AsyncConnection

    async def newest(self) -> tuple[SnapshotId, PriceSetId] | None:
        """Return the newest snapshot of the book and the newest prices; None while one of them is missing."""
        newest_snapshot = select(snapshot.c.snapshot_id).order_by(snapshot.c.sequence.desc()).limit(1)
        newest_prices = (
            select(price_set.c.price_set_id)
            .order_by(price_set.c.as_of_time.desc(), price_set.c.sequence.desc())
            .limit(1)
        )
        query = select(newest_snapshot.scalar_subquery(), newest_prices.scalar_subquery())
        snapshot_id, price_set_id = (await self.connection.execute(query)).one()
        if snapshot_id is None or price_set_id is None:
            return None
        return SnapshotId(snapshot_id), PriceSetId(price_set_id)

    async def untold(self, after: AccountId | None, before: datetime, limit: int) -> Sequence[AccountId]:
        """Return up to `limit` accounts after `after`, by id, that are to be told."""
        said = told_value.c
        query = (
            select(account.c.account_id)
            .outerjoin(told_value, said.account_id == account.c.account_id)
            .where(or_(said.snapshot_id.is_distinct_from(account.c.snapshot_id), said.as_of_time <= before))
            .order_by(account.c.account_id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(account.c.account_id > after)
        return [AccountId(found) for found in (await self.connection.execute(query)).scalars()]

    async def keep(self, told: Sequence[ToldValue], at: datetime) -> None:
        """Keep that policy knows of values."""
        if not told:
            return
        put = postgresql.insert(told_value)
        names = ("snapshot_id", "amount", "as_of_time", "told_time")
        rows = [
            {
                "account_id": each.account_id,
                "snapshot_id": each.snapshot_id,
                "amount": each.value.amount,
                "as_of_time": each.as_of_time,
                "told_time": at,
            }
            for each in told
        ]
        kept = put.on_conflict_do_update(
            index_elements=["account_id"], set_={name: put.excluded[name] for name in names}
        )
        await self.connection.execute(kept, rows)


@dataclass(frozen=True, slots=True)
class ValueSessions:
    """The ways into what was told."""

    database: Database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ValueSession]:
        """Open a transaction in which nothing is changed."""
        async with self.database.read() as connection:
            yield _session(connection)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[ValueSession]:
        """Open a transaction."""
        async with self.database.begin() as transaction:
            yield _session(transaction.connection)


def _session(connection: AsyncConnection) -> ValueSession:
    return ValueSession(PostgresBooks(connection), PostgresPrices(connection), ValueStore(connection))
