"""Reference prices with the rates that turn them into the currencies of those who ask."""

from collections.abc import Collection

from services.execution.app.ports import Ledger
from services.execution.domain.currencies import pairs_of
from services.execution.domain.words import ReferencePrice
from services.kernel.ids import InstrumentId


async def references(
    ledger: Ledger, wanted: Collection[tuple[InstrumentId, str]]
) -> dict[InstrumentId, ReferencePrice]:
    """Return the reference prices of instruments, and of the pairs that turn them into the currencies they are for."""
    prices = await ledger.prices({name for name, _ in wanted})
    pairs = pairs_of(wanted, prices)
    return prices | await ledger.prices(pairs) if pairs else prices
