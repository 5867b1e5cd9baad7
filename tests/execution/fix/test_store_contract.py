"""What a session relies on in its store: one contract, over memory and over PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from asyncpg import UniqueViolationError

from services.execution.fix.memory import MemoryStore
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.postgres_unit import Part
from services.execution.fix.protocol.store import Direction, Entry, Journaled, Numbers, NumbersMoved, SessionId
from services.runtime.database import Database
from tests.execution.builders import NOON

US = SessionId("FIX.4.4", "EVENKEEL", "BROKER")
COPIES = SessionId("FIX.4.4", "EVENKEEL", "COPIES")
START = Numbers(0, 1, 1, NOON)


@pytest.fixture
def memory_store():
    return MemoryStore()


@pytest.fixture
async def postgres_store(execution_database):
    database = Database(execution_database.settings())
    yield PostgresStore(database)
    await database.close()


@pytest.fixture(params=["memory_store", "postgres_store"])
def store(request):
    return request.getfixturevalue(request.param)


def an_entry(number, msg_type="D", data=b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01"):
    return Entry(number, msg_type, data, NOON + timedelta(seconds=number))


def sent(*entries, generation=0):
    return [Journaled(generation, Direction.OUT, entry) for entry in entries]


async def numbers(store, which=US):
    return await store.load(which, NOON + timedelta(days=9))


async def test_a_session_never_seen_begins_at_one_and_one(store):
    assert await store.load(US, NOON) == START
    assert await numbers(store) == START
    assert list(await store.sessions()) == [(US, START)]


async def test_what_a_unit_writes_is_there_after_it(store):
    await store.load(US, NOON)
    async with store.begin() as unit:
        written = [
            *sent(an_entry(1), an_entry(2, "F", bytes(range(256)))),
            Journaled(0, Direction.IN, an_entry(1, "8")),
        ]
        await unit.advance(US, START, replace(START, next_out=3, next_in=2), written)

    assert await numbers(store) == replace(START, next_out=3, next_in=2)
    assert await store.journal(US, 0, Direction.OUT, 1, 9, 10) == [an_entry(1), an_entry(2, "F", bytes(range(256)))]
    assert await store.journal(US, 0, Direction.IN, 1, 9, 10) == [an_entry(1, "8")]


async def test_what_is_sent_and_what_was_received_do_not_wait_for_each_other(store):
    await store.load(US, NOON)
    async with asyncio.timeout(10), store.begin() as leaving:
        await leaving.advance(US, START, replace(START, next_out=3), sent(an_entry(1), an_entry(2)))
        await leaving.claim(US, ["written while the transaction is open"])
        async with store.begin() as coming:
            await coming.advance(US, START, replace(START, next_in=2), [Journaled(0, Direction.IN, an_entry(1))])

    assert await numbers(store) == replace(START, next_out=3, next_in=2)


async def test_what_another_moved_is_not_moved_again(store):
    await store.load(US, NOON)
    async with store.begin() as unit:
        await unit.advance(US, START, replace(START, next_out=3, next_in=2), sent(an_entry(1), an_entry(2)))

    for becomes in (replace(START, next_out=4), replace(START, next_in=4), replace(START, generation=1)):
        with pytest.raises(NumbersMoved):
            async with store.begin() as unit:
                await unit.advance(US, START, becomes)
    assert await numbers(store) == replace(START, next_out=3, next_in=2)


async def test_a_unit_that_fails_leaves_nothing(store):
    await store.load(US, NOON)

    async def write():
        async with store.begin() as unit:
            await unit.advance(US, START, replace(START, next_out=2), sent(an_entry(1)))
            await unit.claim(US, ["e-1"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()

    assert await numbers(store) == START
    assert await store.journal(US, 0, Direction.OUT, 1, 9, 10) == []
    async with store.begin() as unit:
        assert await unit.claim(US, ["e-1"]) == {"e-1"}


async def test_two_who_move_the_same_numbers_cannot_both(store):
    await store.load(US, NOON)

    async def move(*entries):
        async with store.begin() as unit:
            await unit.advance(US, START, replace(START, next_out=2), sent(*entries))

    await move()
    with pytest.raises(NumbersMoved):
        await move(an_entry(1))

    assert await store.journal(US, 0, Direction.OUT, 1, 9, 10) == []


async def test_numbers_move_twice_in_a_unit(store):
    await store.load(US, NOON)
    async with store.begin() as unit:
        await unit.advance(US, START, replace(START, next_out=2))
        await unit.advance(US, replace(START, next_out=2), replace(START, next_out=5))

    assert (await numbers(store)).next_out == 5


async def test_a_new_generation_begins_its_journal_anew_and_keeps_the_old(store):
    await store.load(US, NOON)
    async with store.begin() as unit:
        written = [*sent(an_entry(1)), *sent(an_entry(1, "F"), generation=1)]
        await unit.advance(US, START, Numbers(1, 1, 1, NOON + timedelta(days=1)), written)

    assert await store.journal(US, 0, Direction.OUT, 1, 1, 10) == [an_entry(1)]
    assert await store.journal(US, 1, Direction.OUT, 1, 1, 10) == [an_entry(1, "F")]
    assert (await numbers(store)).since == NOON + timedelta(days=1)


async def test_a_number_is_used_once(store):
    await store.load(US, NOON)

    async def send(entry):
        async with store.begin() as unit:
            await unit.advance(US, START, START, sent(entry))

    await send(an_entry(1))
    with pytest.raises((ValueError, UniqueViolationError)):
        await send(an_entry(1, "F"))

    assert await store.journal(US, 0, Direction.OUT, 1, 9, 10) == [an_entry(1)]


async def test_the_journal_is_read_by_range_and_limit(store):
    await store.load(US, NOON)
    async with store.begin() as unit:
        await unit.advance(US, START, START, sent(*map(an_entry, (1, 2, 4, 5, 9))))

    async def read(first, last, limit=10):
        return [each.number for each in await store.journal(US, 0, Direction.OUT, first, last, limit)]

    assert await read(2, 5) == [2, 4, 5]
    assert await read(1, 10**15, limit=3) == [1, 2, 4]
    assert await read(6, 8) == []


async def test_sessions_do_not_mix(store):
    await store.load(US, NOON)
    await store.load(COPIES, NOON)
    async with store.begin() as unit:
        await unit.advance(US, START, replace(START, next_in=7), sent(an_entry(1)))
        assert await unit.claim(US, ["e-1"]) == {"e-1"}
        assert await unit.claim(COPIES, ["e-1"]) == {"e-1"}

    assert await store.journal(COPIES, 0, Direction.OUT, 1, 9, 10) == []
    assert [session for session, _ in await store.sessions()] == [US, COPIES]
    assert await numbers(store, COPIES) == START


async def test_a_key_is_claimed_once_for_ever(store):
    await store.load(US, NOON)
    async with store.begin() as unit:
        assert await unit.claim(US, ["e-1", "e-2", "e-1"]) == {"e-1", "e-2"}
        assert await unit.claim(US, ["e-2", "e-3"]) == {"e-3"}
    async with store.begin() as unit:
        assert await unit.claim(US, ["e-1", "e-4"]) == {"e-4"}
        assert await unit.claim(US, []) == frozenset()


async def test_a_part_of_a_unit_that_fails_is_undone_by_itself(store):
    await store.load(US, NOON)

    async def part(unit):
        async with unit.savepoint():
            await unit.advance(US, START, START, sent(an_entry(2)))
            await unit.claim(US, ["e-2"])
            raise ZeroDivisionError

    async with store.begin() as unit:
        await unit.advance(US, START, START, sent(an_entry(1)))
        with pytest.raises(ZeroDivisionError):
            await part(unit)
        async with unit.savepoint():
            assert await unit.claim(US, ["e-1", "e-2"]) == {"e-1", "e-2"}

    assert await store.journal(US, 0, Direction.OUT, 1, 9, 10) == [an_entry(1)]


CLAIMED = Part("claimed AS (INSERT INTO execution.fix_claim (session, key) VALUES ($1, $2))")


async def test_what_is_written_beside_the_numbers_is_written_with_them_or_not_at_all(postgres_store):
    async def move(key):
        async with postgres_store.begin() as unit:
            await unit.beside(CLAIMED, str(US), key)
            await unit.advance(US, START, replace(START, next_out=2), sent(an_entry(1)))

    await postgres_store.load(US, NOON)
    await move("k-1")
    with pytest.raises(NumbersMoved):
        await move("k-2")

    async with postgres_store.begin() as unit:
        assert await unit.claim(US, ["k-1", "k-2"]) == {"k-2"}


async def test_what_waits_to_be_written_is_seen_by_what_comes_after_it(postgres_store):
    await postgres_store.load(US, NOON)
    async with postgres_store.begin() as unit:
        await unit.beside(CLAIMED, str(US), "k-1")
        await unit.beside(CLAIMED, str(US), "k-2")
        assert await unit.claim(US, ["k-1", "k-2", "k-3"]) == {"k-3"}


async def test_what_waits_is_undone_with_its_part_of_the_unit(postgres_store):
    async def fail(unit):
        async with unit.savepoint():
            await unit.beside(CLAIMED, str(US), "k-2")
            raise ZeroDivisionError

    await postgres_store.load(US, NOON)
    async with postgres_store.begin() as unit:
        await unit.beside(CLAIMED, str(US), "k-1")
        with pytest.raises(ZeroDivisionError):
            await fail(unit)

    async with postgres_store.begin() as unit:
        assert await unit.claim(US, ["k-1", "k-2"]) == {"k-2"}


async def test_what_an_earlier_release_counted_is_taken_over(postgres_store, execution_database):
    async def earlier(change):
        async with Database(execution_database.settings()).apart() as driver:
            await driver.execute(f"UPDATE execution.fix_session SET {change}")

    await postgres_store.load(US, NOON)
    await earlier("next_in = 5")
    assert await numbers(postgres_store) == replace(START, next_in=5)
    async with postgres_store.begin() as unit:
        await unit.advance(US, replace(START, next_in=5), replace(START, next_in=9))
    assert await numbers(postgres_store) == replace(START, next_in=9)
    await earlier("generation = 1, next_out = 3, next_in = 2")
    assert await numbers(postgres_store) == replace(START, generation=1, next_out=3, next_in=2)
