"""The ledger: all of execution's record, in one transaction."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.execution.app.ports import Ledger
from services.execution.store.breaks import Breaks
from services.execution.store.bulk import parts
from services.execution.store.checks import Checks
from services.execution.store.custodians import Custodians
from services.execution.store.dangling import DanglingRows
from services.execution.store.instructions import Instructions
from services.execution.store.orders import Orders
from services.execution.store.remembered import Remembered
from services.execution.store.stream import Stream
from services.execution.store.uncrosses import Uncrosses
from services.kernel.events import Event
from services.runtime.database import Database, Transaction
from services.runtime.write_behind import WriteBehind


class PostgresLedger(Checks, Orders, Instructions, Stream, Breaks, Custodians, DanglingRows, Uncrosses):
    """Execution's record within one transaction."""

    def __init__(self, transaction: Transaction, remembered: Remembered) -> None:
        """Read and write through `transaction`; `remembered` is of its database."""
        super().__init__()
        self._remembered = remembered
        self._transaction = transaction
        self._connection = WriteBehind(transaction.connection)

    async def emit(self, *events: Event) -> None:
        """Tell audit, if the transaction commits."""
        for part in parts(events):
            await self._connection.send(self._transaction.database.append_events, self._transaction.told(part))

    async def hand_over(self) -> None:
        """Let what was written go on its way."""
        await self._connection.hand_over()

    async def settled(self) -> None:
        """Wait until all is written. Raises what a write raised."""
        await self._connection.settled()

    async def abandoned(self) -> None:
        """Wait until nothing is being written; the transaction will be rolled back."""
        await self._connection.abandoned()


def begin_with(database: Database) -> Callable[[], AbstractAsyncContextManager[Ledger]]:
    """Return what opens the ledger in a transaction of `database`, or joins that of the call being served."""
    remembered = Remembered()

    @asynccontextmanager
    async def begin() -> AsyncIterator[Ledger]:
        async with database.begin() as transaction:
            ledger = PostgresLedger(transaction, remembered)
            try:
                yield ledger
                await ledger.settled()
            finally:
                await ledger.abandoned()

    return begin
