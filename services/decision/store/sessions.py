"""The ways into the store: to read, and to write."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.decision.app.book import View
from services.decision.app.ports import Session, WriteSession
from services.decision.store.book import PostgresBooks, PostgresLedger
from services.decision.store.contents import ContentStore
from services.decision.store.plans import PlanStore
from services.decision.store.prices import PostgresMarket, PostgresPrices
from services.decision.store.runs import RunStore
from services.kernel.events import Event
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class DecisionStore:
    """What decision keeps in its database."""

    database: Database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Session]:
        """Open a transaction in which nothing is changed."""
        async with self.database.read() as connection:
            yield Session(
                runs=RunStore(connection),
                plans=PlanStore(connection),
                contents=ContentStore(connection),
                books=PostgresBooks(connection),
                prices=PostgresPrices(connection),
            )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[WriteSession]:
        """Open a transaction, or join the one of the call being served."""
        async with self.database.begin() as transaction:

            async def emit(events: Sequence[Event]) -> None:
                await transaction.emit(*events)

            ledger = PostgresLedger(transaction)
            yield WriteSession(
                runs=RunStore(transaction.connection),
                plans=PlanStore(transaction.connection),
                contents=ContentStore(transaction.connection),
                books=ledger,
                prices=PostgresPrices(transaction.connection),
                ledger=ledger,
                emit=emit,
            )

    @asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        """Open a transaction in which the book is shown."""
        async with self.database.read() as connection:
            yield View(
                books=PostgresBooks(connection),
                prices=PostgresPrices(connection),
                targets=PlanStore(connection),
                runs=RunStore(connection),
            )

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[PostgresLedger]:
        """Open a transaction, or join the one of the call being served, in which the book is changed."""
        async with self.database.begin() as transaction:
            yield PostgresLedger(transaction)

    @asynccontextmanager
    async def prices(self) -> AsyncIterator[PostgresPrices]:
        """Open a transaction in which market data is shown."""
        async with self.database.read() as connection:
            yield PostgresPrices(connection)

    @asynccontextmanager
    async def market(self) -> AsyncIterator[PostgresMarket]:
        """Open a transaction, or join the one of the call being served, in which market data is added."""
        async with self.database.begin() as transaction:
            yield PostgresMarket(transaction)
