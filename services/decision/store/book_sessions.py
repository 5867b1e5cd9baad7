"""Opens the book and market data: ports that are bound to one transaction, for the use cases."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.book import View
from services.decision.app.ports.books import Ledger, RunAccounts, Targets
from services.decision.app.prices import Market, Prices
from services.decision.store.books import PostgresBooks
from services.decision.store.ledger import PostgresLedger
from services.decision.store.prices import PostgresMarket, PostgresPrices
from services.runtime.database import Database


class PlansOfBook(Targets, RunAccounts, Protocol):
    """What the book asks of runs and plans."""


@dataclass(frozen=True, slots=True)
class BookSessions:
    """The book and market data in `database`; `plans` reads runs and plans through a connection."""

    database: Database
    plans: Callable[[AsyncConnection], PlansOfBook]

    @asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        """Read in one transaction."""
        async with self.database.read() as connection:
            plans = self.plans(connection)
            yield View(PostgresBooks(connection), PostgresPrices(connection), plans, plans)

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Ledger]:
        """Change the book in one transaction."""
        async with self.database.begin() as transaction:
            yield PostgresLedger(transaction)

    @asynccontextmanager
    async def prices(self) -> AsyncIterator[Prices]:
        """Read market data in one transaction."""
        async with self.database.read() as connection:
            yield PostgresPrices(connection)

    @asynccontextmanager
    async def market(self) -> AsyncIterator[Market]:
        """Add market data in one transaction."""
        async with self.database.begin() as transaction:
            yield PostgresMarket(transaction)
