"""Market data in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import RowMapping, Text, any_, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.domain.prices import PriceHistory, PriceHistoryId, PriceSet, PriceSetId, Quote
from services.decision.tables import book, prices
from services.kernel.events import Event
from services.kernel.ids import InstrumentId
from services.runtime.database import Transaction

# How closes lie in their column: signed, 64 bits, little-endian.
_CLOSES = np.dtype("<i8")

_SET = [column for column in prices.price_set.columns if column.name != "sequence"]
_HISTORY = [column for column in prices.price_history.columns if column.name != "sequence"]


class PostgresPrices:
    """Reads market data through one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Read through `connection`, which has begun."""
        self._connection = connection

    async def price_set(self, price_set_id: PriceSetId | None) -> PriceSet | None:
        """Return the set with that id, or the newest for None; None when there is none."""
        table = prices.price_set
        query = select(*_SET)
        if price_set_id is None:
            query = query.order_by(table.c.as_of_time.desc(), table.c.sequence.desc()).limit(1)
        else:
            query = query.where(table.c.price_set_id == price_set_id)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return None if row is None else _price_set(row)

    async def history(self, price_history_id: PriceHistoryId | None) -> PriceHistory | None:
        """Return the history with that id, or the newest for None; None when there is none."""
        table = prices.price_history
        query = select(*_HISTORY)
        if price_history_id is None:
            query = query.order_by(table.c.as_of_time.desc(), table.c.sequence.desc()).limit(1)
        else:
            query = query.where(table.c.price_history_id == price_history_id)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return None if row is None else _history(row)


class PostgresMarket(PostgresPrices):
    """Adds market data in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        """Write in `transaction`."""
        super().__init__(transaction.connection)
        self._transaction = transaction

    async def price_set_until(self, as_of_time: datetime) -> PriceSet | None:
        """Return the newest set that was true at `as_of_time` or before; None when there is none."""
        table = prices.price_set
        query = (
            select(*_SET)
            .where(table.c.as_of_time <= as_of_time)
            .order_by(table.c.as_of_time.desc(), table.c.sequence.desc())
            .limit(1)
        )
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return None if row is None else _price_set(row)

    async def known_instruments(self, instrument_ids: Collection[InstrumentId]) -> Collection[InstrumentId]:
        """Return those that the book knows."""
        column = book.instrument.c.instrument_id
        query = select(column).where(column == any_(literal(sorted(instrument_ids), ARRAY(Text))))
        return {InstrumentId(each) for each in (await self._connection.execute(query)).scalars()}

    async def add_price_set(self, price_set: PriceSet) -> bool:
        """Keep a set, and return whether it is new."""
        quotes = price_set.quotes.values()
        values = {
            "price_set_id": price_set.price_set_id,
            "source": price_set.source,
            "as_of_time": price_set.as_of_time,
            "content_hash": price_set.content_hash,
            "record_time": price_set.record_time,
            "instrument_ids": list(price_set.quotes),
            "prices": [quote.price for quote in quotes],
            "bids": _column([quote.bid for quote in quotes]),
            "asks": _column([quote.ask for quote in quotes]),
            "average_daily_volumes": _column([quote.average_daily_volume for quote in quotes]),
        }
        put = postgresql.insert(prices.price_set).values(values).on_conflict_do_nothing()
        return (await self._connection.execute(put)).rowcount == 1

    async def add_history(self, history: PriceHistory) -> bool:
        """Keep a history, and return whether it is new."""
        values = {
            "price_history_id": history.price_history_id,
            "source": history.source,
            "as_of_time": history.as_of_time,
            "content_hash": history.content_hash,
            "record_time": history.record_time,
            "instrument_ids": list(history.instrument_ids),
            "dates": list(history.dates),
            "scale": history.scale,
            "closes": history.units.astype(_CLOSES).tobytes(),
        }
        put = postgresql.insert(prices.price_history).values(values).on_conflict_do_nothing()
        return (await self._connection.execute(put)).rowcount == 1

    async def emit(self, events: Sequence[Event]) -> None:
        """Tell audit of changes, in this transaction."""
        await self._transaction.emit(*events)


def _column(values: list[Decimal | None]) -> list[Decimal | None] | None:
    """Return the column, or None when it was not given."""
    return None if None in values else values


def _price_set(row: RowMapping) -> PriceSet:
    instrument_ids: list[str] = row["instrument_ids"]
    absent: list[Any] = [None] * len(instrument_ids)
    columns = zip(
        row["prices"],
        row["bids"] or absent,
        row["asks"] or absent,
        row["average_daily_volumes"] or absent,
        strict=True,
    )
    return PriceSet(
        price_set_id=PriceSetId(row["price_set_id"]),
        content_hash=row["content_hash"],
        source=row["source"],
        as_of_time=row["as_of_time"],
        record_time=row["record_time"],
        quotes={InstrumentId(each): Quote(*quote) for each, quote in zip(instrument_ids, columns, strict=True)},
    )


def _history(row: RowMapping) -> PriceHistory:
    instrument_ids = tuple(InstrumentId(each) for each in row["instrument_ids"])
    dates = tuple(row["dates"])
    closes = np.frombuffer(row["closes"], dtype=_CLOSES).astype(np.int64)
    return PriceHistory(
        price_history_id=PriceHistoryId(row["price_history_id"]),
        content_hash=row["content_hash"],
        instrument_ids=instrument_ids,
        dates=dates,
        units=closes.reshape(len(instrument_ids), len(dates)),
        scale=row["scale"],
        source=row["source"],
        as_of_time=row["as_of_time"],
        record_time=row["record_time"],
    )
