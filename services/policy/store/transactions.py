"""The two ways into the store: to read, and to change."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.kernel.ids import PolicyNodeId
from services.policy.domain.clients import Clients
from services.policy.domain.history import AsOf
from services.policy.store.clients import edition_and_clients
from services.policy.store.reader import StoredReader
from services.policy.store.writer import StoredWriter
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class PolicyStore:
    """What policy keeps in its database."""

    database: Database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[StoredReader]:
        """Open a read-only transaction."""
        async with self.database.read() as connection:
            yield StoredReader(connection)

    async def glance(self, node_ids: Collection[PolicyNodeId], as_of: AsOf) -> tuple[int, Clients]:
        """Return how often what governs has changed, and what holds of the clients of nodes, both of one instant."""
        return await edition_and_clients(self.database, node_ids, as_of)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[StoredWriter]:
        """Open a transaction, or join the one of the call being served."""
        async with self.database.begin() as transaction:
            yield StoredWriter(transaction)
