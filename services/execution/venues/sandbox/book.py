"""Where the sandbox keeps its own record: apart from execution's, with transactions of its own.

So "the venue did it and the answer was lost" is real: killing execution undoes nothing here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from services.execution.app.venue_port import (
    AllocationInstruction,
    InstructionView,
    MarketSetting,
    Quote,
    Sizes,
    VenueReport,
)
from services.execution.domain.order import Report
from services.execution.venues.sandbox.market import RestingOrder
from services.kernel.ids import InstrumentId


class Book(Protocol):
    """The sandbox's record within one transaction."""

    async def lock(self) -> None:
        """Wait for other transactions of the venue, and keep others waiting until this one ends."""
        ...

    async def market(self) -> MarketSetting | None:
        """Return the market; None before one was loaded."""
        ...

    async def put_market(
        self, market: MarketSetting, prices: Mapping[InstrumentId, Decimal], sizes: Mapping[InstrumentId, Sizes]
    ) -> int:
        """Load a market; instruments that are not named keep price, currency and sizes. Returns how many have one."""
        ...

    async def leave(self, sizes: Mapping[InstrumentId, Sizes]) -> None:
        """Record what is left at quotes."""
        ...

    async def currencies(self, instrument_ids: Collection[InstrumentId]) -> dict[InstrumentId, str]:
        """Return in which currency instruments have a price; empty where that is the market's."""
        ...

    async def quotes(self, instrument_ids: Collection[InstrumentId]) -> dict[InstrumentId, Quote]:
        """Return quotes, with what is left at them."""
        ...

    async def order(self, client_order_id: str) -> RestingOrder | None:
        """Return an order."""
        ...

    async def orders_named(self, client_order_ids: Collection[str]) -> dict[str, RestingOrder]:
        """Return orders by their names; those that are not known are missing."""
        ...

    async def orders(self) -> list[RestingOrder]:
        """Return all orders, by client order id."""
        ...

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Return those of the names that orders have."""
        ...

    async def add(self, orders: Sequence[RestingOrder]) -> None:
        """Take new orders; those whose names are taken stay as they are. Needs no turn: a name is taken once."""
        ...

    async def new_orders(self) -> list[RestingOrder]:
        """Return the orders that nobody was told of yet, by client order id."""
        ...

    async def open_orders(self, due: datetime | None) -> list[RestingOrder]:
        """Return the open orders, by client order id: those due by then, or all."""
        ...

    async def save(self, orders: Sequence[RestingOrder]) -> None:
        """Record how orders changed."""
        ...

    async def say(self, reports: Sequence[tuple[str, Report, datetime]]) -> None:
        """Append reports about orders to the venue's stream, without a gap."""
        ...

    async def said(self, after: int, limit: int) -> list[VenueReport]:
        """Return the venue's stream after a position."""
        ...

    async def said_as(self, report_id: str) -> VenueReport | None:
        """Return a report of the venue's stream by its id."""
        ...

    async def voided(self, report_id: str) -> bool:
        """Return whether a fill was busted or corrected."""
        ...

    async def said_about(self, client_order_id: str) -> list[VenueReport]:
        """Return everything that was said about an order."""
        ...

    async def renamed(self, request_ids: Collection[str]) -> dict[str, str]:
        """Return which orders were replaced by these requests, by request."""
        ...

    async def present_names(self) -> dict[str, str]:
        """Return the last request that replaced each order; orders never replaced are missing."""
        ...

    async def last_position(self) -> int:
        """Return where the venue's stream ends; 0 when nothing was said."""
        ...

    async def instruct(self, told: Sequence[tuple[AllocationInstruction, InstructionView]]) -> None:
        """Record allocation instructions; those that are known stay as they are."""
        ...

    async def instructions(self, allocation_ids: Collection[str]) -> dict[str, InstructionView]:
        """Return what became of allocation instructions."""
        ...


BeginBook = Callable[[], AbstractAsyncContextManager[Book]]
