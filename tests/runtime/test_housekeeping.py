"""What nobody needs any more goes, the rest stays."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from services.runtime import housekeeping
from services.runtime.housekeeping import housekeeper
from tests.runtime.counter.running import add, until
from tests.runtime.counter.tables import outbox, request_answer

DAY = timedelta(days=1)


async def count(running, table, *where):
    async with running.database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(table).where(*where))).scalar_one()


async def aged(running, table, column, how_many, by):
    """Make some rows, those that were first, as old as `by`."""
    key = next(iter(table.primary_key))
    some = select(key).order_by(key).limit(how_many)
    async with running.database.begin() as transaction:
        aged = update(table).where(key.in_(some)).values({column: func.now() - by})
        await transaction.connection.execute(aged)


@pytest.fixture
async def full(start):
    """A counter service that has done five things."""
    running = await start()
    stub = running.stub()
    for _ in range(5):
        await stub.Add(add())
    return running


async def test_old_answers_and_shipped_events_are_removed_and_others_stay(full, start, monkeypatch):
    monkeypatch.setattr(housekeeping, "ROWS_MAX", 2)
    await aged(full, request_answer, "recorded_time", 3, 31 * DAY)
    await aged(full, outbox, "shipped_time", 3, 31 * DAY)

    await start(workers=[lambda database: housekeeper(database, full.settings)])

    async def gone():
        return await count(full, request_answer) == 2 and await count(full, outbox) == 2

    await until(gone)
    assert await count(full, outbox, outbox.c.shipped_time.is_not(None)) == 0


async def test_what_audit_does_not_have_is_kept_however_old_it_is(full, start):
    await aged(full, outbox, "occurred_time", 5, 900 * DAY)
    await aged(full, request_answer, "recorded_time", 5, 900 * DAY)

    await start(workers=[lambda database: housekeeper(database, full.settings)])

    async def answers_gone():
        return await count(full, request_answer) == 0

    await until(answers_gone)
    assert await count(full, outbox) == 5


async def test_a_repeat_of_a_forgotten_request_is_a_new_request(full, start):
    request = add(amount=5)
    await full.stub().Add(request)
    await aged(full, request_answer, "recorded_time", 6, 31 * DAY)
    await start(workers=[lambda database: housekeeper(database, full.settings)])

    async def answers_gone():
        return await count(full, request_answer) == 0

    await until(answers_gone)
    assert (await full.stub().Add(request)).total == 15
