"""Keeps market data: takes prices in after checking them, and shows them."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from services.decision.domain.prices import (
    HistoryColumns,
    JumpRule,
    PriceColumns,
    PriceHistory,
    PriceHistoryId,
    PriceSet,
    PriceSetId,
    checked_history,
    checked_price_set,
)
from services.kernel.clock import Clock
from services.kernel.errors import NotFound
from services.kernel.events import Event
from services.kernel.ids import InstrumentId


class PriceSetNotFound(NotFound):
    """No price set has this id, or there is none yet."""

    reason = "PRICE_SET_NOT_FOUND"


class Prices(Protocol):
    """What may be read of market data. Newest is by the instant the prices were true, then by when they came."""

    async def price_set(self, price_set_id: PriceSetId | None) -> PriceSet | None:
        """Return the set with that id, or the newest for None; None when there is none."""
        ...

    async def history(self, price_history_id: PriceHistoryId | None) -> PriceHistory | None:
        """Return the history with that id, or the newest for None; None when there is none."""
        ...


class Market(Prices, Protocol):
    """What may be added to market data, all of it in one transaction."""

    async def price_set_until(self, as_of_time: datetime) -> PriceSet | None:
        """Return the newest set that was true at `as_of_time` or before; None when there is none."""
        ...

    async def known_instruments(self, instrument_ids: Collection[InstrumentId]) -> Collection[InstrumentId]:
        """Return those that the book knows."""
        ...

    async def add_price_set(self, price_set: PriceSet) -> bool:
        """Keep a set, and return whether it is new."""
        ...

    async def add_history(self, history: PriceHistory) -> bool:
        """Keep a history, and return whether it is new."""
        ...

    async def emit(self, events: Sequence[Event]) -> None:
        """Tell audit of changes, in this transaction."""
        ...


@dataclass(frozen=True, slots=True)
class PriceApp:
    """The use cases of market data."""

    read: Callable[[], AbstractAsyncContextManager[Prices]]
    begin: Callable[[], AbstractAsyncContextManager[Market]]
    clock: Clock
    market_clock: Clock

    async def ingest_prices(
        self, columns: PriceColumns, jump_limit: Decimal | None, confirmed: Collection[str]
    ) -> PriceSetId:
        """Record a price set and return its id. The same content is the same set.

        Args:
            columns: As they came.
            jump_limit: A larger move since the set before is refused; None checks no moves.
            confirmed: Instruments whose jump is real.

        Raises:
            PricesInvalid: A price is missing, not positive, crossed or out of line.
            InstrumentUnknown: The book does not know an instrument.
        """
        now, record_time = self.market_clock.now(), self.clock.now()
        async with self.begin() as market:
            known = await market.known_instruments([InstrumentId(each) for each in columns.instrument_ids])
            jumps: JumpRule | None = None
            if jump_limit is not None:
                earlier = await market.price_set_until(columns.as_of_time)
                quotes = earlier.quotes if earlier is not None else {}
                jumps = JumpRule({each: quote.price for each, quote in quotes.items()}, jump_limit, confirmed)
            price_set = await asyncio.to_thread(
                checked_price_set, columns, known=known, jumps=jumps, now=now, record_time=record_time
            )
            if await market.add_price_set(price_set):
                await market.emit([_prices_ingested(price_set, confirmed)])
        return price_set.price_set_id

    async def ingest_history(self, columns: HistoryColumns) -> PriceHistoryId:
        """Record a price history and return its id. The same content is the same history.

        Raises:
            PricesInvalid: A close is missing or not positive, or the days are not ascending.
        """
        now, record_time = self.market_clock.now(), self.clock.now()
        history = await asyncio.to_thread(checked_history, columns, now=now, record_time=record_time)
        async with self.begin() as market:
            if await market.add_history(history):
                await market.emit([_history_ingested(history)])
        return history.price_history_id

    async def get_price_set(self, price_set_id: PriceSetId | None) -> PriceSet:
        """Return a price set, or the newest.

        Raises:
            PriceSetNotFound: There is none.
        """
        async with self.read() as prices:
            found = await prices.price_set(price_set_id)
        if found is None:
            what = "there is no price set yet" if price_set_id is None else f"price set {price_set_id} does not exist"
            raise PriceSetNotFound(what, price_set_id=price_set_id or "")
        return found


def _prices_ingested(price_set: PriceSet, confirmed: Collection[str]) -> Event:
    return Event(
        kind="decision.prices.ingested",
        subjects={"price_set": str(price_set.price_set_id)},
        data={
            "price_set_id": price_set.price_set_id,
            "source": price_set.source,
            "as_of_time": price_set.as_of_time,
            "content_hash": price_set.content_hash,
            "instrument_count": len(price_set.quotes),
            "confirmed_instrument_ids": sorted(confirmed),
        },
    )


def _history_ingested(history: PriceHistory) -> Event:
    return Event(
        kind="decision.prices.history_ingested",
        subjects={},
        data={
            "price_history_id": history.price_history_id,
            "source": history.source,
            "as_of_time": history.as_of_time,
            "content_hash": history.content_hash,
            "instrument_count": len(history.instrument_ids),
            "day_count": len(history.dates),
            "first_date": history.dates[0],
            "last_date": history.dates[-1],
        },
    )
