"""The two ways into the store: to read, and to change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

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

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[StoredReader]:
        """Open what reads each statement by itself."""
        async with self.database.glance() as connection:
            yield StoredReader(connection)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[StoredWriter]:
        """Open a transaction, or join the one of the call being served."""
        async with self.database.begin() as transaction:
            yield StoredWriter(transaction)
