"""One contract for the store of market data: what holds over PostgreSQL holds over the fake."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from services.decision.domain.columns import Numbers
from services.decision.domain.prices import HistoryColumns, PriceColumns, checked_history, checked_price_set
from services.decision.store.prices import PostgresMarket
from services.runtime.database import Database
from tests.decision.books import CLOSE, MORNING
from tests.decision.memory import Memory


@pytest.fixture(params=["memory", "postgres"])
async def begin(request, service_database):
    if request.param == "memory":
        yield Memory().market
        return
    database = Database((await service_database("decision")).settings())

    @asynccontextmanager
    async def market():
        async with database.begin() as transaction:
            yield PostgresMarket(transaction)

    yield market
    await database.close()


COLUMNS = PriceColumns(
    "vendor-a", CLOSE, ["VTI", "BND"], Numbers([191505, 72000], 3), Numbers([19149, 7199], 2), Numbers([19152, 7201], 2)
)


def price_set(**changes):
    columns = replace(COLUMNS, **changes)
    return checked_price_set(columns, known={"VTI", "BND"}, jumps=None, now=MORNING, record_time=MORNING)


def history(**changes):
    columns = HistoryColumns("vendor-a", CLOSE, ["VTI", "BND"], range(19_000, 19_060), Numbers(range(1, 121), 4))
    return checked_history(replace(columns, **changes), now=MORNING, record_time=MORNING)


async def test_a_set_is_read_back_and_kept_once(begin):
    kept = price_set()
    async with begin() as market:
        assert await market.add_price_set(kept)
        assert not await market.add_price_set(kept)

    async with begin() as market:
        found = await market.price_set(kept.price_set_id)
        assert found == kept
        assert found.price("VTI") == Decimal("191.505")
        assert found.quotes["BND"].average_daily_volume is None
        assert await market.price_set("prices-of-nothing") is None


async def test_the_newest_set_is_the_one_true_of_the_latest_instant_and_then_the_last_to_come(begin):
    early = price_set(as_of_time=CLOSE - timedelta(days=1))
    first, second = price_set(), price_set(source="vendor-b")
    async with begin() as market:
        assert await market.price_set(None) is None
        assert await market.price_set_until(CLOSE) is None
        for each in (first, second, early):
            await market.add_price_set(each)
        assert await market.price_set(None) == second
        assert await market.price_set_until(CLOSE) == second
        assert await market.price_set_until(CLOSE - timedelta(seconds=1)) == early
        assert await market.price_set_until(CLOSE - timedelta(days=2)) is None


async def test_a_history_is_read_back_exactly_and_kept_once(begin):
    kept, newer = history(), history(as_of_time=CLOSE + timedelta(hours=1))
    async with begin() as market:
        assert await market.history(None) is None
        assert await market.add_history(kept)
        assert not await market.add_history(kept)
        found = await market.history(None)
        assert (found.instrument_ids, found.dates, found.scale) == (kept.instrument_ids, kept.dates, 4)
        assert (found.units.dtype, found.units.tolist()) == (np.int64, kept.units.tolist())
        await market.add_history(newer)
        assert (await market.history(None)).price_history_id == newer.price_history_id
        assert (await market.history(kept.price_history_id)).price_history_id == kept.price_history_id
        assert await market.history("history-of-nothing") is None
