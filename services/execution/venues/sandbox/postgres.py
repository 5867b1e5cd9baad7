"""Keeps the sandbox venue's record in PostgreSQL, in transactions of its own.

What is asked again and again is written once, as in execution's own store; what differs are its parameters.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import Integer, Row, Text, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.execution.app.report_text import report_of, report_text
from services.execution.app.venue_port import (
    AllocationInstruction,
    InstructionState,
    InstructionView,
    Intent,
    MarketSetting,
    Quote,
    Sizes,
    VenueReport,
)
from services.execution.domain.order import Replaced, Report
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.sandbox import tables
from services.execution.venues.sandbox.book import BeginBook, Book
from services.execution.venues.sandbox.market import RestingOrder
from services.kernel.ids import InstrumentId
from services.runtime.database import Database

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

VENUE_LOCK = 0x6578_6563_0003
REPLACED = Replaced.__name__
_ORDER = tables.order.c
_SAID = tables.report.c

_LOCK = text(f"SELECT pg_advisory_xact_lock({VENUE_LOCK})")
_MARKET = select(
    *(tables.market.c.currency, tables.market.c.spread_bps, tables.market.c.fee_bps, tables.market.c.seed),
    *(tables.market.c.fill_share_max, tables.market.c.market_time),
)
_QUOTES = select(tables.price).where(
    tables.price.c.instrument_id == func.any(bindparam("instrument_ids", type_=ARRAY(Text)))
)
_LEAVE = (
    update(tables.price)
    .where(tables.price.c.instrument_id == bindparam("named"))
    .values(bid_size=bindparam("bid"), ask_size=bindparam("ask"))
)
_ORDERS = select(*_ORDER).order_by(_ORDER.client_order_id)
_ORDER_NAMED = select(*_ORDER).where(_ORDER.client_order_id == bindparam("client_order_id"))
_OF_NAMES = _ORDER.client_order_id == func.any(bindparam("client_order_ids", type_=ARRAY(Text)))
_ORDERS_NAMED = select(*_ORDER).where(_OF_NAMES)
_KNOWN = select(_ORDER.client_order_id).where(_OF_NAMES)
_NEW = _ORDERS.where(~_ORDER.acknowledged)
_OPEN = _ORDERS.where(_ORDER.open)
_OPEN_DUE = _OPEN.where(_ORDER.due_time <= bindparam("due"))
_TAKE = upsert(tables.order).on_conflict_do_nothing()
_CHANGE = upsert(tables.order)
_CHANGE = _CHANGE.on_conflict_do_update(
    index_elements=["client_order_id"],
    set_={
        name: _CHANGE.excluded[name]
        for name in (
            *("quantity", "limit_price", "filled_quantity", "gross_amount", "fees"),
            *("executions", "open", "acknowledged", "suspended", "arrival_time"),
        )
    },
)
_REPORTS = select(_SAID.position, _SAID.client_order_id, _SAID.kind, _SAID.content, _SAID.report_time)
_REPORTS_AFTER = (
    _REPORTS.where(_SAID.position > bindparam("after"))
    .order_by(_SAID.position)
    .limit(bindparam("limit", type_=Integer))
)
_REPORT_NAMED = _REPORTS.where(_SAID.report_id == bindparam("report_id"))
_REPORTS_ABOUT = _REPORTS.where(_SAID.client_order_id == bindparam("client_order_id")).order_by(_SAID.position)
_INSTRUCT = upsert(tables.instruction).on_conflict_do_nothing()
_LAST = select(func.max(_SAID.position))


class PostgresBook:
    """The sandbox's record within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Read and write through `connection`, which has begun."""
        self._connection = connection

    async def lock(self) -> None:
        """Wait for other transactions of the venue."""
        await self._connection.execute(_LOCK)

    async def market(self) -> MarketSetting | None:
        """Return the market; None before one was loaded."""
        row = (await self._connection.execute(_MARKET)).one_or_none()
        if row is None:
            return None
        return MarketSetting(
            row.currency, row.spread_bps, row.fee_bps, int(row.seed), row.fill_share_max, row.market_time
        )

    async def put_market(
        self, market: MarketSetting, prices: Mapping[InstrumentId, Decimal], sizes: Mapping[InstrumentId, Sizes]
    ) -> int:
        """Load a market; instruments that are not named keep price, currency and sizes."""
        values = {
            "one": True,
            "currency": market.currency,
            "spread_bps": market.spread_bps,
            "fee_bps": market.fee_bps,
            "seed": Decimal(market.seed),
            "fill_share_max": market.fill_share_max,
            "market_time": market.market_time,
        }
        await self._connection.execute(
            upsert(tables.market).values(values).on_conflict_do_update(index_elements=["one"], set_=values)
        )
        if prices:
            statement = upsert(tables.price)
            await self._connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["instrument_id"],
                    set_={name: statement.excluded[name] for name in ("price", "currency", "bid_size", "ask_size")},
                ),
                [
                    {
                        "instrument_id": name,
                        "price": price,
                        "currency": market.currency,
                        "bid_size": sizes[name].bid if name in sizes else None,
                        "ask_size": sizes[name].ask if name in sizes else None,
                    }
                    for name, price in sorted(prices.items())
                ],
            )
        count = await self._connection.execute(select(func.count()).select_from(tables.price))
        return int(count.scalar_one())

    async def currencies(self, instrument_ids: Collection[InstrumentId]) -> dict[InstrumentId, str]:
        """Return in which currency instruments have a price; empty where that is the market's."""
        found = await self._connection.execute(
            select(tables.price.c.instrument_id, tables.price.c.currency).where(
                tables.price.c.instrument_id == func.any(sorted(instrument_ids))
            )
        )
        return {InstrumentId(row.instrument_id): row.currency or "" for row in found}

    async def quotes(self, instrument_ids: Collection[InstrumentId]) -> dict[InstrumentId, Quote]:
        """Return quotes, with what is left at them."""
        found = await self._connection.execute(_QUOTES, {"instrument_ids": sorted(instrument_ids)})
        return {
            InstrumentId(row.instrument_id): Quote(
                row.price, None if row.bid_size is None else Sizes(row.bid_size, row.ask_size)
            )
            for row in found
        }

    async def leave(self, sizes: Mapping[InstrumentId, Sizes]) -> None:
        """Record what is left at quotes."""
        if sizes:
            values = [{"named": name, "bid": size.bid, "ask": size.ask} for name, size in sorted(sizes.items())]
            await self._connection.execute(_LEAVE, values)

    async def order(self, client_order_id: str) -> RestingOrder | None:
        """Return an order."""
        found = (await self._connection.execute(_ORDER_NAMED, {"client_order_id": client_order_id})).one_or_none()
        return None if found is None else _order_of(found)

    async def orders_named(self, client_order_ids: Collection[str]) -> dict[str, RestingOrder]:
        """Return orders by their names; those that are not known are missing."""
        found = await self._connection.execute(_ORDERS_NAMED, {"client_order_ids": sorted(client_order_ids)})
        return {row.client_order_id: _order_of(row) for row in found}

    async def orders(self) -> list[RestingOrder]:
        """Return all orders, by client order id."""
        found = await self._connection.execute(_ORDERS)
        return [_order_of(row) for row in found]

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Return those of the names that orders have."""
        found = await self._connection.execute(_KNOWN, {"client_order_ids": sorted(client_order_ids)})
        return frozenset(found.scalars())

    async def add(self, orders: Sequence[RestingOrder]) -> None:
        """Take new orders; those whose names are taken stay as they are."""
        if orders:
            await self._connection.execute(_TAKE, [_order_values(order) for order in orders])

    async def new_orders(self) -> list[RestingOrder]:
        """Return the orders that nobody was told of yet, by client order id."""
        found = await self._connection.execute(_NEW)
        return [_order_of(row) for row in found]

    async def open_orders(self, due: datetime | None) -> list[RestingOrder]:
        """Return the open orders, by client order id: those due by then, or all."""
        which, values = (_OPEN, {}) if due is None else (_OPEN_DUE, {"due": due})
        found = await self._connection.execute(which, values)
        return [_order_of(row) for row in found]

    async def save(self, orders: Sequence[RestingOrder]) -> None:
        """Record how orders changed."""
        if orders:
            await self._connection.execute(_CHANGE, [_order_values(order) for order in orders])

    async def say(self, reports: Sequence[tuple[str, Report, datetime]]) -> None:
        """Append reports about orders to the venue's stream, without a gap."""
        if not reports:
            return
        last = (await self._connection.execute(_LAST)).scalar() or 0
        values = []
        for position, (client_order_id, report, time) in enumerate(reports, last + 1):
            kind, content = report_text(report)
            values.append(
                {
                    "position": position,
                    "report_id": report.report_id,
                    "client_order_id": client_order_id,
                    "kind": kind,
                    "content": content,
                    "report_time": time,
                }
            )
        await self._connection.execute(insert(tables.report), values)

    async def said(self, after: int, limit: int) -> list[VenueReport]:
        """Return the venue's stream after a position."""
        found = await self._connection.execute(_REPORTS_AFTER, {"after": after, "limit": limit})
        return [_report_of(row) for row in found]

    async def said_as(self, report_id: str) -> VenueReport | None:
        """Return a report of the venue's stream by its id."""
        found = (await self._connection.execute(_REPORT_NAMED, {"report_id": report_id})).one_or_none()
        return None if found is None else _report_of(found)

    async def voided(self, report_id: str) -> bool:
        """Return whether a fill was busted or corrected."""
        named = tables.report.c.report_id.in_([f"{report_id}:bust", f"{report_id}:corrected"])
        return (await self._connection.execute(select(tables.report.c.report_id).where(named))).first() is not None

    async def said_about(self, client_order_id: str) -> list[VenueReport]:
        """Return everything that was said about an order."""
        found = await self._connection.execute(_REPORTS_ABOUT, {"client_order_id": client_order_id})
        return [_report_of(row) for row in found]

    async def renamed(self, request_ids: Collection[str]) -> dict[str, str]:
        """Return which orders were replaced by these requests, by request."""
        request = tables.report.c.content["request_id"].astext
        found = await self._connection.execute(
            select(request, tables.report.c.client_order_id).where(
                tables.report.c.kind == REPLACED, request == func.any(sorted(request_ids))
            )
        )
        return {row[0]: row[1] for row in found}

    async def present_names(self) -> dict[str, str]:
        """Return the last request that replaced each order; orders never replaced are missing."""
        found = await self._connection.execute(
            select(tables.report.c.client_order_id, tables.report.c.content["request_id"].astext)
            .where(tables.report.c.kind == REPLACED)
            .order_by(tables.report.c.position)
        )
        return {row[0]: row[1] for row in found}

    async def last_position(self) -> int:
        """Return where the venue's stream ends; 0 when nothing was said."""
        return (await self._connection.execute(_LAST)).scalar() or 0

    async def instruct(self, told: Sequence[tuple[AllocationInstruction, InstructionView]]) -> None:
        """Record allocation instructions; those that are known stay as they are."""
        if not told:
            return
        values = [
            {
                "allocation_id": instruction.allocation_id,
                "replaces": instruction.replaces,
                "client_order_id": instruction.client_order_id,
                "quantity": instruction.quantity,
                "average_price": instruction.average_price,
                "shares": [[each.account_id, f"{each.quantity:f}"] for each in instruction.shares],
                "state": view.state,
                "why": view.why,
            }
            for instruction, view in told
        ]
        await self._connection.execute(_INSTRUCT, values)

    async def instructions(self, allocation_ids: Collection[str]) -> dict[str, InstructionView]:
        """Return what became of allocation instructions."""
        kept = tables.instruction.c
        found = await self._connection.execute(
            select(kept.allocation_id, kept.state, kept.why).where(
                kept.allocation_id == func.any(sorted(allocation_ids))
            )
        )
        return {row.allocation_id: InstructionView(InstructionState(row.state), row.why) for row in found}


def book_with(database: Database) -> BeginBook:
    """Return what opens the sandbox's record in a transaction of `database`."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Book]:
        async with database.begin() as transaction:
            yield PostgresBook(transaction.connection)

    return begin


def _report_of(row: AnyRow) -> VenueReport:
    return VenueReport(row.position, row.client_order_id, report_of(row.kind, row.content), row.report_time)


def _order_of(row: AnyRow) -> RestingOrder:
    intent = Intent(
        client_order_id=row.client_order_id,
        instrument_id=InstrumentId(row.instrument_id),
        side=Side(row.side),
        quantity=row.quantity,
        increment=row.increment,
        order_type=OrderType(row.order_type),
        limit_price=row.limit_price,
        time_in_force=TimeInForce(row.time_in_force),
        currency=row.currency,
    )
    return RestingOrder(
        intent=intent,
        arrival_time=row.arrival_time,
        due_time=row.due_time,
        filled_quantity=row.filled_quantity,
        gross_amount=row.gross_amount,
        fees=row.fees,
        executions=row.executions,
        open=row.open,
        acknowledged=row.acknowledged,
        suspended=row.suspended,
    )


def _order_values(order: RestingOrder) -> dict[str, object]:
    intent = order.intent
    return {
        "client_order_id": intent.client_order_id,
        "instrument_id": intent.instrument_id,
        "side": intent.side,
        "quantity": intent.quantity,
        "increment": intent.increment,
        "order_type": intent.order_type,
        "limit_price": intent.limit_price,
        "time_in_force": intent.time_in_force,
        "currency": intent.currency,
        "arrival_time": order.arrival_time,
        "due_time": order.due_time,
        "filled_quantity": order.filled_quantity,
        "gross_amount": order.gross_amount,
        "fees": order.fees,
        "executions": order.executions,
        "open": order.open,
        "acknowledged": order.acknowledged,
        "suspended": order.suspended,
    }
