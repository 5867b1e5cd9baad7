"""One database transaction: everything done through its ports happens together, or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from services.decision.app.comparing import Comparisons
from services.decision.app.ports.books import Books, Ledger
from services.decision.app.ports.plans import Contents, Plans
from services.decision.app.ports.runs import Runs
from services.decision.app.prices import Prices
from services.decision.app.tax_laws import TaxLaws
from services.kernel.events import Event


@dataclass(frozen=True, slots=True)
class Session:
    """One database transaction, to read in."""

    runs: Runs
    plans: Plans
    contents: Contents
    books: Books
    prices: Prices
    comparisons: Comparisons
    laws: TaxLaws


@dataclass(frozen=True, slots=True)
class WriteSession(Session):
    """One database transaction, to write in. `emit` tells audit of changes, if it commits."""

    ledger: Ledger
    emit: Callable[[Sequence[Event]], Awaitable[None]]


# Opens a transaction in which nothing is changed.
Read = Callable[[], AbstractAsyncContextManager[Session]]
# Opens a transaction that commits when the block ends and rolls back when it raises.
Begin = Callable[[], AbstractAsyncContextManager[WriteSession]]
