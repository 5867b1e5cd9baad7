"""Transactions join the call they are in, and errors say what to do."""

import asyncio

import grpc
import pytest
from asyncpg.exceptions import PostgresError
from opentelemetry.trace import StatusCode
from sqlalchemy import bindparam, func, literal, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.runtime.context import Call, Method, serving
from services.runtime.database import ASKING_MAX, Database, driver_of
from services.runtime.database_errors import DatabaseUnreachable, TransactionConflict
from services.runtime.deadlines import DeadlinePassed
from services.runtime.questions import Question
from services.runtime.telemetry import span
from tests.runtime.counter.running import add, refused
from tests.runtime.counter.stubs import pb
from tests.runtime.counter.tables import counter
from tests.support.telemetry import record


@pytest.fixture
async def database(counter_settings):
    database = Database(counter_settings)
    yield database
    await database.close()


NAMES = f"select name from {counter.schema}.{counter.name}"


def insert(name, total=1):
    return counter.insert().values(name=name, total=total)


async def names(database):
    async with database.read() as connection:
        return sorted((await connection.execute(select(counter.c.name))).scalars())


async def test_a_transaction_of_a_worker_commits_by_itself(database):
    async with database.begin() as transaction:
        await transaction.connection.execute(insert("a"))

    assert await names(database) == ["a"]


async def test_each_statement_of_a_glance_sees_what_was_committed_before_it(database):
    async with database.glance() as connection:
        before = list((await connection.execute(select(counter.c.name))).scalars())
        async with database.begin() as transaction:
            await transaction.connection.execute(insert("a"))
        after = list((await connection.execute(select(counter.c.name))).scalars())

    assert (before, after) == ([], ["a"])


async def test_who_reads_sees_what_was_committed_before_each_statement_and_changes_nothing(database):
    async with database.reading() as driver:
        before = await driver.fetch(NAMES)
        async with database.begin() as transaction:
            await transaction.connection.execute(insert("a"))
        after = await driver.fetchval(NAMES)
        with pytest.raises(PostgresError, match="read-only transaction"):
            await driver.execute(f"delete from {counter.schema}.{counter.name}")

    assert (before, after) == ([], "a")


async def test_a_transaction_within_a_call_joins_the_calls(database):
    call = Call(Method("/a.B/C", None, pb.AddRequest, pb.AddResponse), None, None)

    class Stopped(Exception):
        pass

    async def handle():
        async with database.begin() as outer:
            call.transaction = outer
            with serving(call):
                async with database.begin() as inner:
                    await inner.connection.execute(insert("a"))
                assert await names(database) == ["a"]
                async with database.glance() as connection:
                    assert list((await connection.execute(select(counter.c.name))).scalars()) == ["a"]
                async with database.reading() as driver:
                    assert await driver.fetchval(NAMES) == "a"
                assert inner is outer
            call.transaction = None
            raise Stopped

    with pytest.raises(Stopped):
        await handle()

    assert await names(database) == []


TOTALS = Question(select(counter.c.name, counter.c.total).where(counter.c.total >= bindparam("least", 1)), counter.name)


async def test_a_question_is_answered_by_what_was_committed_before_it(database):
    assert await database.ask(TOTALS, {}) == []
    async with database.begin() as transaction:
        await transaction.connection.execute(insert("a", total=2))

    (row,) = await database.ask(TOTALS, {})
    assert (row["name"], row["total"]) == ("a", 2)
    assert await database.ask(TOTALS, {"least": 3}) == []


async def test_a_question_within_a_call_sees_what_the_call_wrote(database):
    call = Call(Method("/a.B/C", None, pb.AddRequest, pb.AddResponse), None, None)
    async with database.begin() as transaction:
        call.transaction = transaction
        await transaction.connection.execute(insert("a"))
        with serving(call):
            (row,) = await database.ask(TOTALS, {})
        call.transaction = None
    assert row["name"] == "a"


async def test_questions_wait_for_each_other_and_change_nothing(database):
    sleeping = Question(select(func.pg_sleep(0.01).label("nothing")), "sleep")
    assert len(await asyncio.gather(*(database.ask(sleeping, {}) for _ in range(20)))) == 20
    with pytest.raises(PostgresError, match="read-only transaction"):
        await database.ask(Question(select(counter.c.name).with_for_update(), counter.name), {})


async def test_a_question_is_in_the_trace_of_whoever_asks(database):
    recorded = record()
    with span("asking"):
        await database.ask(TOTALS, {})
        with pytest.raises(PostgresError):
            await database.ask(Question(select(1 / literal(0)), "nothing"), {})

    (outer,) = recorded.named("asking")
    (asked,) = recorded.named(f"SELECT {counter.name}")
    (failed,) = recorded.named("SELECT nothing")
    assert asked.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "DivisionByZeroError"
    assert {each.parent.span_id for each in (asked, failed)} == {outer.context.span_id}


@pytest.mark.parametrize("kind", ["glance", "read", "apart", "reading"])
async def test_a_connection_that_ended_while_the_driver_spoke_is_replaced(database, kind):
    async def asked(*, killed=False):
        async with getattr(database, kind)() as connection:
            driver = connection if kind in ("apart", "reading") else await driver_of(connection)
            if killed:
                await driver.execute("select pg_terminate_backend(pg_backend_pid())")
            return await driver.fetchval("select 1")

    assert await asked() == 1
    with pytest.raises(DatabaseUnreachable):
        await asked(killed=True)
    assert await asked() == 1


async def test_a_connection_that_ended_while_it_waited_is_replaced(database, counter_database):
    async with database.glance() as connection:
        driver = await driver_of(connection)
    driver.terminate()

    async with database.glance() as connection:
        assert await (await driver_of(connection)).fetchval("select 1") == 1


async def test_a_read_changes_nothing(database):
    async with database.read() as connection:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await connection.execute(insert("a"))
    async with database.begin() as transaction:
        await transaction.connection.execute(insert("b"))

    assert await names(database) == ["b"]


async def test_a_broken_rule_of_the_schema_is_a_fault_and_rolls_back(database):

    async def change():
        async with database.begin() as transaction:
            await transaction.connection.execute(insert("a"))
            await transaction.connection.execute(insert("b", total=-1))

    with pytest.raises(IntegrityError):
        await change()

    assert await names(database) == []


async def test_of_two_that_wait_for_each_other_one_is_told_to_do_it_again(database):
    async with database.begin() as transaction:
        await transaction.connection.execute(insert("a"))
        await transaction.connection.execute(insert("b"))
    first_has, second_has = asyncio.Event(), asyncio.Event()

    async def change(mine, other, have, wait_for):
        async with database.begin() as transaction:
            await transaction.connection.execute(counter.update().where(counter.c.name == mine).values(total=2))
            have.set()
            await wait_for.wait()
            await transaction.connection.execute(counter.update().where(counter.c.name == other).values(total=3))

    done = await asyncio.gather(
        change("a", "b", first_has, second_has), change("b", "a", second_has, first_has), return_exceptions=True
    )

    assert sorted(type(each) for each in done if each is not None) == [TransactionConflict]


async def test_a_statement_that_runs_too_long_is_ended(counter_settings):
    database = Database(counter_settings.model_copy(update={"database_statement_s_max": 0.1}))

    async def sleep():
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(DeadlinePassed):
        await sleep()
    await database.close()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "name.invalid:5432"])
async def test_a_database_that_is_not_there_is_unreachable(counter_settings, address):
    secret = type(counter_settings.database_url)
    database = Database(counter_settings.model_copy(update={"database_url": secret(f"postgresql://a:b@{address}/c")}))

    for open_one in (database.begin, database.read, database.reading, database.dedicated):
        with pytest.raises(DatabaseUnreachable):
            async with open_one():
                pass
    with pytest.raises(DatabaseUnreachable):
        await database.ask(TOTALS, {})
    await database.close()


async def test_a_login_that_is_refused_is_unreachable_and_tells_no_password(counter_settings):
    secret = type(counter_settings.database_url)
    url = counter_settings.database_url.get_secret_value().replace("policy-test", "wrong-secret")
    database = Database(counter_settings.model_copy(update={"database_url": secret(url)}))

    with pytest.raises(DatabaseUnreachable) as caught:
        async with database.read():
            pass
    assert "wrong-secret" not in str(caught.value)
    await database.close()


async def test_with_a_pooler_nothing_is_prepared_by_name(counter_settings):
    database = Database(counter_settings.model_copy(update={"database_pooler": "pgbouncer"}))
    for name in ("a", "b"):
        async with database.begin() as transaction:
            await transaction.connection.execute(insert(name))
    for _ in range(2):
        assert len(await database.ask(TOTALS, {})) == 2
    async with database.read() as connection:
        kept = (await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar_one()

    assert kept <= 1
    assert await names(database) == ["a", "b"]
    await database.close()


async def test_a_text_with_a_nul_character_is_the_caller_s_fault(counter):
    answer = await refused(counter.stub().Add(add(name="app\0les")))

    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.reason == "FIELD_INVALID"
    assert "NUL" in answer.message


async def test_a_question_that_was_given_up_spoils_none_of_the_next(database):
    sleeping = Question(select(func.pg_sleep(5).label("nothing")), "sleep")
    given_up = [asyncio.create_task(database.ask(sleeping, {})) for _ in range(ASKING_MAX)]
    await asyncio.sleep(0.2)
    for each in given_up:
        each.cancel()
    assert {type(each) for each in await asyncio.gather(*given_up, return_exceptions=True)} == {asyncio.CancelledError}

    assert await database.ask(TOTALS, {}) == []


async def test_a_question_whose_connection_ended_is_unanswered_and_the_next_gets_another(database):
    ending = Question(select(func.pg_terminate_backend(func.pg_backend_pid()).label("nothing")), "end")
    with pytest.raises(DatabaseUnreachable):
        await database.ask(ending, {})
    assert await database.ask(TOTALS, {}) == []
