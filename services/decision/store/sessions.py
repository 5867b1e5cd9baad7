"""The ways into the store: to read, and to write."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.ports.sessions import Session, WriteSession
from services.decision.store.books import PostgresBooks
from services.decision.store.comparisons import ComparisonStore
from services.decision.store.contents import ContentStore
from services.decision.store.ledger import PostgresLedger
from services.decision.store.plans import PlanStore
from services.decision.store.prices import PostgresPrices
from services.decision.store.runs import RunStore
from services.decision.store.tax_laws import TaxLawStore
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId, RunId
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
                comparisons=ComparisonStore(connection),
                laws=TaxLawStore(connection),
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
                comparisons=ComparisonStore(transaction.connection),
                laws=TaxLawStore(transaction.connection),
                ledger=ledger,
                emit=emit,
            )


@dataclass(frozen=True, slots=True)
class PlansOfBooks:
    """What the book asks of runs and plans, through one connection."""

    connection: AsyncConnection

    async def target_weights(
        self, account_ids: Collection[AccountId]
    ) -> Mapping[AccountId, Mapping[InstrumentId, Decimal]]:
        """Return target weights by the policy of each account's newest plan; absent without a plan."""
        return await PlanStore(self.connection).target_weights(account_ids)

    async def run_account_ids(self, run_id: RunId) -> Sequence[AccountId] | None:
        """Return the run's accounts, ascending; None when there is no such run."""
        # Every run has accounts.
        return await RunStore(self.connection).account_ids(run_id) or None
