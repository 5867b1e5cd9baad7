"""What is remembered of orders and shares is never older than what the database has."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from services.execution.app.ports import OrderFilter
from services.execution.domain.allocation import Share
from services.execution.store.remembered import Remembered
from tests.execution.builders import NOON, a_plan, a_trade

LATER = NOON + timedelta(microseconds=1)


@pytest.fixture
async def taken(make_postgres_world):
    world = await make_postgres_world()
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(quantity=2)))
    return world


async def the_order(world):
    async with world.begin() as ledger:
        (order,) = await ledger.ready_orders(NOON, 10)
    return order


async def test_an_order_is_known_by_who_wrote_it_and_when(taken):
    order = await the_order(taken)
    remembered = Remembered()
    remembered.put_orders(7, [order])

    assert remembered.order(order.order_id, 7, order.update_time) is order
    assert remembered.order(order.order_id, 8, order.update_time) is None
    assert remembered.order(order.order_id, 7, LATER) is None


async def test_the_orders_used_last_are_kept(taken):
    order = await the_order(taken)
    remembered = Remembered(orders_max=2)
    for name in ("a", "b"):
        remembered.put_orders(1, [replace(order, order_id=name)])
    remembered.order("a", 1, order.update_time)
    remembered.put_orders(1, [replace(order, order_id="c")])

    kept = [name for name in ("a", "b", "c") if remembered.order(name, 1, order.update_time) is not None]
    assert kept == ["a", "c"]


def test_the_shares_of_blocks_used_last_are_kept():
    remembered = Remembered(shares_max=3)
    for name, count in (("a", 1), ("b", 2), ("b", 2), ("c", 1)):
        remembered.put_shares(name, NOON, [Share(f"order-{n}", f"acc-{n}", 1) for n in range(count)])

    assert remembered.shares("a", NOON) is None
    assert remembered.shares("b", LATER) is None
    assert [len(remembered.shares(name, NOON) or ()) for name in ("b", "c")] == [2, 1]


async def test_what_another_process_wrote_is_read_anew(taken, execution_database):
    order = await the_order(taken)
    connection = await asyncpg.connect(execution_database.url)
    await connection.execute("UPDATE execution.account_order SET unit_cost_max = 7")
    await connection.close()

    assert await the_order(taken) == replace(order, unit_cost_max=Decimal(7))


async def test_what_was_rolled_back_is_not_remembered(taken):
    order = await the_order(taken)

    async def fail():
        async with taken.begin() as ledger:
            await ledger.save_orders([replace(order, unit_cost_max=Decimal(7))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await the_order(taken) == order


async def test_what_is_remembered_is_what_is_stored(make_postgres_world):
    world = await make_postgres_world()
    await world.market(VTI=100, BND=80, share=Decimal("0.5"), fee_bps=1)
    trades = {n: (a_trade("VTI", quantity=n), a_trade("BND", quantity=2 * n, price=80)) for n in (1, 2, 3)}
    await world.submit(*(a_plan(*of, plan=f"plan-{n}", account=f"acc-{n}") for n, of in trades.items()))
    while await world.app.step():
        async with world.begin() as ledger:
            listed = await ledger.list_orders(OrderFilter(), "", 100)
            known = await ledger.orders({each.order_id for each in listed})
        assert [known[each.order_id] for each in listed] == listed
        world.clock.advance(timedelta(milliseconds=10))
