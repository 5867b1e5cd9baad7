"""Many rows come back as they were written, whether a column says one thing in all of them or one in each."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.app.ports import OrderFilter
from services.execution.domain.words import Side
from services.execution.store.bulk import ALIKE_ROWS_MIN
from services.kernel.errors import Conflict
from tests.execution.builders import NOON, a_plan, a_trade

ALL = OrderFilter(account_id="acc-many")
LATER = NOON + timedelta(seconds=1)


@pytest.fixture
async def world(make_postgres_world):
    made = await make_postgres_world()
    await made.market(VTI=100, BND=80)
    await made.submit(a_plan(a_trade("VTI", quantity=2), a_trade("BND", Side.SELL, 3, price=80)))
    return made


async def many(world, count):
    """Return so many orders that are not written, alike in all but their ids."""
    async with world.begin() as ledger:
        (order, *_) = await ledger.list_orders(OrderFilter(), "", 1)
    return [replace(order, order_id=f"many-{number:05}", account_id="acc-many") for number in range(count)]


async def written(world):
    async with world.begin() as ledger:
        return await ledger.list_orders(ALL, "", 10_000)


@pytest.mark.parametrize("count", [1, ALIKE_ROWS_MIN - 1, ALIKE_ROWS_MIN, 2 * ALIKE_ROWS_MIN])
async def test_rows_that_are_alike_come_back(world, count):
    orders = await many(world, count)
    async with world.begin() as ledger:
        await ledger.add_orders(orders)

    assert await written(world) == orders

    changed = [
        replace(each, update_time=LATER, close_reason='"CUT_OFF", {NULL}', final_price=Decimal("99.5"), check_time=None)
        for each in orders
    ]
    async with world.begin() as ledger:
        await ledger.save_orders(changed)

    assert await written(world) == changed


async def test_rows_that_differ_in_few_come_back(world):
    orders = await many(world, 2 * ALIKE_ROWS_MIN)
    orders[7] = replace(orders[7], predicted_cost=Decimal("0.25"), crossing_client="c", may_aggregate=False)
    orders[-1] = replace(orders[-1], final_price=Decimal(5), trace_parent="00-1-2-01")
    async with world.begin() as ledger:
        await ledger.add_orders(orders)

    assert await written(world) == orders


async def test_one_of_many_that_is_closed_is_not_written_over_and_neither_are_the_others(world):
    orders = await many(world, 2 * ALIKE_ROWS_MIN)
    orders[3] = replace(orders[3], close_reason="CUT_OFF")
    async with world.begin() as ledger:
        await ledger.add_orders(orders)

    with pytest.raises(Conflict):
        async with world.begin() as ledger:
            await ledger.save_orders([replace(each, update_time=LATER) for each in orders])

    assert await written(world) == orders
