"""The migrations make what the code believes is there."""

import asyncpg
import pytest

from services.execution import tables
from services.execution.domain.trading_state import EVERYTHING, Halt, Scope, ScopeKind, TradingState
from services.execution.fix import tables as fix
from services.execution.venues.fix44 import tables as fix44
from services.execution.venues.sandbox import tables as sandbox
from tests.execution.builders import NOON, a_plan


async def test_who_halted_is_kept_when_a_release_before_0029_halts_again(execution_database, make_postgres_world):
    world = await make_postgres_world()
    scope = Scope(ScopeKind.INSTRUMENT, "VTI")
    async with world.begin() as ledger:
        await ledger.put_halt(Halt(scope, TradingState.HALTED, "ruth", NOON, "storm", ("tess",)))
    connection = await asyncpg.connect(execution_database.url)
    await connection.execute(
        "INSERT INTO execution.halt (kind, subject_id, state, halted_by, halt_time, why)"
        " VALUES ('INSTRUMENT', 'VTI', 'HALTED', 'omar', now(), 'storm'), ('ALL', '', 'HALTED', 'omar', now(), 'storm')"
        " ON CONFLICT (kind, subject_id) DO UPDATE SET state = excluded.state, halted_by = excluded.halted_by,"
        " halt_time = excluded.halt_time, why = excluded.why"
    )
    await connection.close()

    async with world.begin() as ledger:
        halts = await ledger.halts()

    assert (halts[scope].halted_by, halts[scope].also_halted_by) == ("omar", ("ruth", "tess"))
    assert (halts[EVERYTHING].halted_by, halts[EVERYTHING].also_halted_by) == ("omar", ())


@pytest.fixture
async def columns(execution_database):
    connection = await asyncpg.connect(execution_database.url)
    found = await connection.fetch(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns WHERE table_schema = 'execution'"
    )
    await connection.close()
    return {(row["table_name"], row["column_name"]): row["is_nullable"] == "YES" for row in found}


async def test_every_column_exists_and_no_other(columns):
    declared = {
        (table.name, column.name): bool(column.nullable)
        for metadata in (tables.metadata, sandbox.metadata, fix.metadata, fix44.metadata)
        for table in metadata.tables.values()
        for column in table.columns
    }

    assert {name: null for name, null in columns.items() if name[0] != "alembic_version"} == declared


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE execution.account_order SET filled = quantity + 1",
        "UPDATE execution.account_order SET placed = released + 1",
    ],
)
async def test_the_database_itself_refuses_more_than_was_ordered(make_postgres_world, execution_database, statement):
    world = await make_postgres_world()
    await world.market(VTI=100)
    await world.submit(a_plan())
    connection = await asyncpg.connect(execution_database.url)

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        # Told twice.
        """INSERT INTO execution.plan_report (position, plan_id, account_id, order_id, allocation_id)
        SELECT position + 100, plan_id, account_id, order_id, allocation_id FROM execution.plan_report
        WHERE allocation_id IS NOT NULL""",
        """INSERT INTO execution.plan_report (position, plan_id, account_id, order_id)
        SELECT position + 100, plan_id, account_id, order_id FROM execution.plan_report WHERE allocation_id IS NULL""",
        # Replaced twice.
        """INSERT INTO execution.allocation (allocation_id, block_id, order_id, account_id, plan_id, quantity, price,
            amount, fees, trade_date, settlement_date, create_time, revision, replaces)
        SELECT allocation_id || n, block_id, order_id, account_id, plan_id, quantity, price,
            amount, fees, trade_date, settlement_date, create_time, n, allocation_id
        FROM execution.allocation CROSS JOIN generate_series(1, 2) AS n""",
    ],
)
async def test_the_database_itself_refuses_what_is_told_or_replaced_twice(
    make_postgres_world, execution_database, statement
):
    world = await make_postgres_world()
    await world.market(VTI=100)
    await world.submit(a_plan())
    await world.run()
    connection = await asyncpg.connect(execution_database.url)

    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(statement)
    await connection.close()
