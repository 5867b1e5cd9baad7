"""Writes are done in their order, what follows sees them, and none of their errors is lost."""

import pytest
from sqlalchemy import Integer, Text, bindparam, cast, column, func, select, table, text
from sqlalchemy.exc import IntegrityError

from services.runtime.database import Database
from services.runtime.questions import Question
from services.runtime.write_behind import WAITING_MAX, WriteBehind

TABLE = text("CREATE TEMP TABLE said (place serial, word text PRIMARY KEY) ON COMMIT DROP")
SAY = text("INSERT INTO said (word) VALUES (:word)")
SAID = text("SELECT word FROM said ORDER BY place")
_SAID = table("said", column("word", Text), column("place", Integer))
LONG_WORDS = Question(
    select(_SAID.c.word, _SAID.c.place)
    .where(func.length(_SAID.c.word) >= bindparam("letters"))
    .order_by(_SAID.c.place),
    "words",
)
THIS_TRANSACTION_TOO = select(cast(func.pg_current_xact_id(), Text))
THIS_TRANSACTION = Question(THIS_TRANSACTION_TOO, "transaction")


@pytest.fixture
async def database(counter_database):
    opened = Database(counter_database.settings())
    yield opened
    await opened.close()


@pytest.fixture
async def behind(database):
    async with database.begin() as transaction:
        await transaction.connection.execute(TABLE)
        yield WriteBehind(transaction.connection)


async def test_a_read_sees_all_writes_before_it_in_their_order(behind):
    for word in ("one", "two", "three"):
        await behind.send(SAY, {"word": word})

    assert list((await behind.execute(SAID)).scalars()) == ["one", "two", "three"]


async def test_a_question_sees_all_writes_before_it(behind):
    for word in ("one", "two", "three"):
        await behind.send(SAY, {"word": word})

    asked = await behind.ask(LONG_WORDS, {"letters": 3})

    assert [(word, place) for word, place in asked] == [("one", 1), ("two", 2), ("three", 3)]


async def test_a_question_that_comes_first_is_in_the_transaction(database):
    async with database.begin() as transaction:
        behind = WriteBehind(transaction.connection)

        ((asked,),) = await behind.ask(THIS_TRANSACTION, {})

        assert asked == (await behind.execute(THIS_TRANSACTION_TOO)).scalar_one()


async def test_an_error_is_raised_by_what_follows_and_once(database):
    async with database.begin() as transaction:
        behind = WriteBehind(transaction.connection)
        await behind.execute(TABLE)
        await behind.send(SAY, {"word": "one"})
        async with transaction.connection.begin_nested():
            await behind.send(SAY, {"word": "one"})
            with pytest.raises(IntegrityError):
                await behind.settled()
            await transaction.connection.get_nested_transaction().rollback()
        await behind.settled()

        assert list((await behind.execute(SAID)).scalars()) == ["one"]


async def test_an_answer_that_is_not_as_it_must_be_is_an_error(behind):
    def refuse(answer):
        raise LookupError(f"{answer.rowcount} row is not what was wanted")

    await behind.send(SAY, {"word": "one"}, refuse)

    with pytest.raises(LookupError, match="1 row is not what was wanted"):
        await behind.execute(SAID)


async def test_what_is_abandoned_is_over_and_raises_nothing(behind):
    await behind.send(SAY, {"word": "one"})
    await behind.send(SAY, {"word": "one"})

    await behind.abandoned()
    await behind.settled()


async def test_many_more_than_may_wait_are_all_written_in_their_order(behind):
    words = [f"{number:03}" for number in range(4 * WAITING_MAX)]
    for word in words:
        await behind.send(SAY, {"word": word})

    assert list((await behind.execute(SAID)).scalars()) == words


@pytest.mark.parametrize("behind_it", [0, 1, WAITING_MAX, 3 * WAITING_MAX])
async def test_nothing_behind_an_error_is_written(database, behind_it):
    async with database.begin() as transaction:
        behind = WriteBehind(transaction.connection)
        await behind.execute(TABLE)
        await behind.send(SAY, {"word": "one"})
        await behind.settled()
        async with transaction.connection.begin_nested() as savepoint:
            with pytest.raises(IntegrityError):
                await say(behind, "one", *(f"{number}" for number in range(behind_it)))
            await savepoint.rollback()
        await say(behind, "two")

        assert list((await behind.execute(SAID)).scalars()) == ["one", "two"]


async def say(behind, *words):
    for word in words:
        await behind.send(SAY, {"word": word})
    await behind.settled()
