"""Rows that name what is not there are found, and stop the accounts that they touch."""

from datetime import timedelta

import asyncpg
import pytest

from tests.execution.builders import a_plan, a_trade


@pytest.fixture
async def carried_out(make_postgres_world):
    world = await make_postgres_world()
    await world.market(VTI=100)
    await world.submit(*(a_plan(a_trade(quantity=2), plan=f"plan-{n}", account=f"acc-{n}") for n in (1, 2)))
    await world.run()
    return world


async def found(world):
    return {each.ours.split()[0] for each in await world.app.queries.list_breaks() if each.kind == "MISSING_ROW"}


async def test_nothing_dangles_in_what_was_carried_out(carried_out):
    assert await found(carried_out) == set()


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DELETE FROM execution.plan WHERE plan_id = 'plan-1'", {"plan"}),
        ("DELETE FROM execution.account_order WHERE plan_id = 'plan-1'", {"order"}),
        ("DELETE FROM execution.block_share WHERE account_id = 'acc-1'", {"share"}),
        ("UPDATE execution.block_share SET block_id = 'block-x' WHERE account_id = 'acc-1'", {"block", "share"}),
        ("DELETE FROM execution.plan_report WHERE account_id = 'acc-1'", {"report"}),
    ],
)
async def test_a_row_that_is_not_there_is_a_break(carried_out, execution_database, statement, missing):
    connection = await asyncpg.connect(execution_database.url)
    await connection.execute(statement)
    await connection.close()

    assert await found(carried_out) == missing


async def test_it_stops_the_accounts_of_the_block(carried_out, execution_database):
    connection = await asyncpg.connect(execution_database.url)
    await connection.execute("DELETE FROM execution.plan_report WHERE account_id = 'acc-1'")
    await connection.close()

    await carried_out.app.reconciling.reconcile_venue()
    carried_out.clock.advance(timedelta(hours=1))
    await carried_out.app.reconciling.reconcile_venue()
    async with carried_out.begin() as ledger:
        assert await ledger.broken({"acc-1"}, timedelta(minutes=1)) == {("acc-1", "VTI")}
