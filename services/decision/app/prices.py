"""Keeps market data: takes prices in after checking them, and shows them."""

from typing import Protocol

from services.decision.domain.prices import PriceHistory, PriceHistoryId, PriceSet, PriceSetId


class Prices(Protocol):
    """What may be read of market data. Newest is by the instant the prices were true, then by when they came."""

    async def price_set(self, price_set_id: PriceSetId | None) -> PriceSet | None:
        """Return the set with that id, or the newest for None; None when there is none."""
        ...

    async def history(self, price_history_id: PriceHistoryId | None) -> PriceHistory | None:
        """Return the history with that id, or the newest for None; None when there is none."""
        ...
