"""What PostgreSQL must do beyond the contract: refuse every change, and survive its own end."""

import asyncio
import re
from datetime import timedelta

import asyncpg
import pytest

from services.audit.app import Sequencer
from services.audit.app.preparing import signed
from services.audit.app.sequencer import BATCH_EVENTS_MAX
from services.audit.domain.closing import CLOSE_KIND
from services.audit.domain.entry import parse_entry
from services.audit.domain.errors import LogRootMismatch, LogWriterElsewhere
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import ACCESS, RECORDS
from services.audit.domain.sequencing import grow
from services.audit.domain.terms import subject_term, term_number
from services.audit.store import PostgresCloses, PostgresReader, elect, writer
from services.audit.tables import NAMES, log_tables, metadata
from services.kernel.clock import FixedClock
from services.kernel.errors import Unreachable
from services.runtime.database import driver_of
from tests.audit.app.test_sequencer import Seen
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, some_events
from tests.audit.check_log import check_log, check_tables


@pytest.fixture
async def owner(audit_database):
    connection = await asyncpg.connect(audit_database.owner_url)
    yield connection
    await connection.close()


class Running:
    """A sequencer on PostgreSQL that runs until the end of the block."""

    def __init__(self, database, clock=None):
        self.seen = Seen()
        self.sequencer = Sequencer(
            elect=lambda: elect(database, ORIGIN),
            origin=ORIGIN,
            keys=[KEY],
            clock=clock or FixedClock(NOON),
            observer=self.seen,
            election_interval_s=0.01,
        )
        self.stop = asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self.sequencer.run(self.stop))
        await self.seen.until(lambda: self.seen.elections)
        return self

    async def __aexit__(self, *error):
        self.stop.set()
        await self.task


async def test_the_service_has_no_right_to_change_what_is_written(audit_database):
    connection = await asyncpg.connect(audit_database.url)
    try:
        tables = await connection.fetch(
            "select distinct on (table_name) table_name, column_name from information_schema.columns "
            "where table_schema = 'audit' and table_name <> 'alembic_version' order by table_name"
        )
        # Those of both logs, each partition of entries and postings, and the list of logs.
        assert len(tables) >= 2 * (len(NAMES) + 2 * 8) + 1
        for table, column in tables:
            for statement in (
                f"update audit.{table} set {column} = {column}",
                f"delete from audit.{table}",
                f"truncate audit.{table}",
                f"drop table audit.{table}",
                f"alter table audit.{table} add column x int",
                f"create trigger t before insert on audit.{table} for each row execute function f()",
                f"create rule r as on insert to audit.{table} do instead nothing",
                f"select * from audit.{table} for update",
            ):
                with pytest.raises(asyncpg.PostgresError) as refused:
                    await connection.execute(statement)
                assert refused.value.sqlstate == "42501", statement
    finally:
        await connection.close()


async def test_the_tables_are_those_that_the_store_knows(owner):
    for table in [*metadata.sorted_tables, *log_tables("access").all]:
        rows = await owner.fetch(
            "select column_name, is_nullable from information_schema.columns "
            "where table_schema = 'audit' and table_name = $1 order by ordinal_position",
            table.name,
        )
        assert [tuple(row) for row in rows] == [
            (column.name, "YES" if column.nullable else "NO") for column in table.columns
        ]


async def test_every_row_follows_from_the_bodies(database, owner):
    async with Running(database) as running:
        for size in (1, 5, 40, 300):
            await running.sequencer.append(some_events(size, f"batch of {size}"))
        await running.sequencer.append([an_event("odd", account=None, trace_parent="", subjects={"plan": '"{}\\,'})])

    assert len(await check_log(PostgresReader(database))) == 347
    await check_tables(owner)


async def test_where_entries_with_a_term_stand_is_read_from_the_index_alone_and_a_full_commit_fits(database, owner):
    async with Running(database) as running:
        await running.sequencer.append(some_events(BATCH_EVENTS_MAX))
    await owner.execute("vacuum analyze audit.posting")
    await owner.execute("set enable_seqscan = off; set enable_bitmapscan = off")

    plan = await owner.fetch(
        "explain select start, positions from audit.posting where term = 1 and start > 0 and start < 9 order by start"
    )

    assert {each for (row,) in plan for each in re.findall(r"Index (?:Only )?Scan|Seq Scan", row)} == {
        "Index Only Scan"
    }
    assert await owner.fetchval("select max(octet_length(positions)) from audit.posting") == 2 * BATCH_EVENTS_MAX


async def test_where_entries_are_said_to_be_is_never_believed(database, superuser):
    """Two terms may have one number, and a superuser may bend the index: what an entry says is in its body alone."""
    async with Running(database) as running:
        await running.sequencer.append([an_event(1, account="a"), an_event(2, account="a")])
        await running.sequencer.append([an_event(3, account="b"), an_event(4, account="b")])
        term = term_number(subject_term("account", "a"))
        await superuser.execute("insert into audit.posting values ($1, 2, $2)", term, bytes([0, 0, 0, 1]))
    async with elect(database, ORIGIN) as held:
        sequences = await held.sequences(["a", "b", "c"])

    bodies = await PostgresReader(database).bodies(EntryFilter(subjects={"account": "a"}), start=0, stop=4, limit=9)
    assert [parse_entry(body).index for body in bodies] == [0, 1]
    assert sequences == {"a": 2, "b": 2}


async def test_a_log_that_was_bent_is_not_written_to_and_says_so(database, superuser):
    async with Running(database) as running:
        await running.sequencer.append(some_events(3))
    await superuser.execute("update audit.entry set leaf = sha256('another') where idx = 1")

    bent = Running(database)
    with pytest.raises(LogRootMismatch):
        await bent.sequencer.run(bent.stop)
    with pytest.raises(LogRootMismatch):
        await bent.sequencer.append(some_events(1, "more"))


async def test_bytes_that_are_no_entry_fail_every_question_that_they_may_answer_but_the_scrubs(database, superuser):
    async with Running(database) as running:
        await running.sequencer.append([an_event("one", kind=CLOSE_KIND), an_event("two", account="acc-2")])
    await superuser.execute("update audit.entry set body = convert_to('{}', 'utf8') where idx = 0")
    reader, about = PostgresReader(database), EntryFilter(subjects={"account": "acc-1"})

    with pytest.raises(LogRootMismatch):
        await reader.bodies(about, start=0, stop=2, limit=9)
    with pytest.raises(LogRootMismatch):
        await reader.matching(about, start=0, stop=2, limit=9)
    with pytest.raises(LogRootMismatch):
        await reader.sized_matching(about, start=0, limit=9)
    with pytest.raises(LogRootMismatch):
        await reader.matching_each([about], stop=2, limit=9)
    assert len(await reader.bodies(EntryFilter(subjects={"account": "acc-2"}), start=0, stop=2, limit=9)) == 1
    assert await PostgresCloses(database).closings(0, None) == [b"{}"]


async def test_what_is_asked_of_any_log_is_asked_of_its_own_tables(database):
    async with Running(database) as running:
        await running.sequencer.append([an_event("one")])
    for log in (ACCESS, RECORDS):
        reader = PostgresReader(database, log)
        for wanted in (EntryFilter(), EntryFilter(actor="alice"), EntryFilter(actor="alice", subjects={"plan": "p"})):
            for descending in (False, True):
                assert await reader.sized_matching(wanted, start=0, limit=9, descending=descending) == (None, [])
                assert await reader.matching(wanted, start=0, stop=9, limit=9, descending=descending) == []
            assert await reader.matching_each([wanted], stop=9, limit=9) == [[]]


async def test_a_writer_whose_session_is_ended_loses_nothing_and_becomes_writer_again(database, owner, superuser):
    async with Running(database) as running:
        events = [some_events(7, f"batch {number}") for number in range(12)]
        answers = []
        for number, batch in enumerate(events):
            if number % 3 == 0:
                ended = await superuser.fetch(
                    "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted "
                    "and database = (select oid from pg_database where datname = current_database())"
                )
                assert len(ended) == 1
            answers.append(await running.sequencer.append(batch))

    assert len(running.seen.losses) == 4
    entries = await check_log(PostgresReader(database))
    await check_tables(owner)
    assert [entry.event for entry in entries] == [event for batch in events for event in batch]
    assert [result.index for answer in answers for result in answer.results] == list(range(84))


async def test_a_database_that_does_not_answer_is_given_up_and_the_batch_done_again(
    database, owner, superuser, monkeypatch
):
    monkeypatch.setattr(writer, "ANSWER_S_MAX", 0.3)
    async with Running(database) as running:
        async with superuser.transaction():
            # No commit can end while this lock is held.
            await superuser.execute("lock table audit.event_key in share mode")
            stuck = asyncio.create_task(running.sequencer.append(some_events(40)))
            await running.seen.until(lambda: running.seen.losses)
        answer = await stuck

    assert [result.index for result in answer.results] == list(range(40))
    assert len(await check_log(PostgresReader(database))) == 40
    await check_tables(owner)


async def test_two_writers_at_once_write_one_log(database, owner):
    async with Running(database) as first:
        second = Running(database)
        task = asyncio.create_task(second.sequencer.run(second.stop))
        await second.seen.until(lambda: second.seen.losses)
        await first.sequencer.append(some_events(50))
        with pytest.raises(Unreachable):
            await second.sequencer.append(some_events(60))
    await second.seen.until(lambda: second.seen.elections)
    answer = await second.sequencer.append(some_events(60))
    second.stop.set()
    await task

    assert [result.index for result in answer.results] == list(range(60))
    assert len(await check_log(PostgresReader(database))) == 60
    await check_tables(owner)


async def test_a_writer_without_the_lock_is_stopped_by_the_primary_key(database, owner):
    """The election is the first line of defence. This takes it away, and lets two believe that they hold the log."""
    async with elect(database, ORIGIN) as first, elect(database, "another name, so another lock") as other:
        rival = writer.PostgresWriter(other._driver, other._beside, ORIGIN)
        rivals = [
            Sequencer(elect=_given(each), origin=ORIGIN, keys=[KEY], clock=FixedClock(NOON), observer=Seen())
            for each in (first, rival)
        ]
        stop = asyncio.Event()
        tasks = [asyncio.create_task(each.run(stop)) for each in rivals]
        while not all(each.writing for each in rivals):
            await asyncio.wait(tasks, timeout=0.01)
        outcomes = await asyncio.gather(
            *(each.append(some_events(40, f"rival {number}")) for number, each in enumerate(rivals) for _ in range(3)),
        )
        stop.set()
        await asyncio.gather(*tasks)

    assert len({outcome.checkpoint.checkpoint for outcome in outcomes}) == len(
        {outcome.checkpoint.checkpoint.size for outcome in outcomes}
    )
    assert len(await check_log(PostgresReader(database))) == 80
    await check_tables(owner)


async def test_a_session_that_looks_up_and_sees_less_than_was_stored_is_not_believed(database):
    """As one would that reached another server than the session that writes: the last numbers would be given twice."""
    async with elect(database, ORIGIN) as first, database.dedicated() as connection:
        stale = await driver_of(connection)
        async with stale.transaction(isolation="repeatable_read", readonly=True):
            await stale.fetch("select from audit.entry")
            head, _ = await first.head()
            growth = grow(head, some_events(3), {}, {}, NOON)
            await first.commit(growth, signed(growth.head, ORIGIN, [KEY]))
            behind = writer.PostgresWriter(first._driver, stale, ORIGIN)
            await behind.head()
            with pytest.raises(LogWriterElsewhere, match="behind"):
                await behind.sequences(["acc-1"])
        assert await first.sequences(["acc-1", "acc-9"]) == {"acc-1": 1}


async def test_what_the_next_commit_needs_is_looked_up_while_one_is_stored(database, superuser):
    async with elect(database, ORIGIN) as hold:
        head, _ = await hold.head()
        growth = grow(head, some_events(3), {}, {}, NOON)
        # The commit waits for this lock, as it may for a disk.
        async with superuser.transaction():
            await superuser.execute("lock table audit.checkpoint_note in share row exclusive mode")
            storing = asyncio.create_task(hold.commit(growth, signed(growth.head, ORIGIN, [KEY])))
            assert await hold.sequences(["acc-1"]) == {}
            assert await hold.known([each.event_id for each in some_events(3)]) == {}
            assert not storing.done()
        await storing
        assert await hold.sequences(["acc-1"]) == {"acc-1": 1}


async def test_the_log_goes_on_when_the_session_that_looks_up_ends(database, owner, superuser):
    async with Running(database) as running:
        await running.sequencer.append(some_events(3))
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid() and usename = 'evenkeel_audit' "
            "and pid not in (select pid from pg_locks where locktype = 'advisory')"
        )
        answer = await running.sequencer.append([*some_events(3), an_event("more", account="acc-9")])

    assert [result.index for result in answer.results] == [0, 1, 2, 3]
    assert len(running.seen.losses) == 1
    await check_tables(owner)


def _given(writer):
    class Hold:
        async def __aenter__(self):
            return writer

        async def __aexit__(self, *error):
            return None

    return Hold


async def test_a_full_disk_refuses_events_and_loses_none_when_there_is_room_again(database, owner, superuser):
    async with Running(database) as running:
        await running.sequencer.append(some_events(40, "before"))
        # What PostgreSQL says when a file cannot grow: SQLSTATE 53100.
        await superuser.execute(
            "create function audit.full() returns trigger language plpgsql as $$ begin "
            "raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;"
            "create trigger full_disk before insert on audit.entry for each row execute function audit.full()"
        )
        with pytest.raises(Unreachable):
            await running.sequencer.append(some_events(40, "meanwhile"))
        await superuser.execute("drop trigger full_disk on audit.entry; drop function audit.full()")
        await running.seen.until(lambda: running.sequencer.writing)
        answer = await running.sequencer.append(some_events(40, "meanwhile"))

    assert [result.index for result in answer.results] == list(range(40, 80))
    assert len(await check_log(PostgresReader(database))) == 80
    await check_tables(owner)


async def test_a_clock_that_jumps_back_does_not_take_the_log_back(database, owner):
    jumps = [NOON, NOON, NOON - timedelta(days=1), NOON - timedelta(hours=1), NOON + timedelta(seconds=1)]

    class Jumping:
        def now(self):
            return jumps.pop(0) if len(jumps) > 1 else jumps[0]

    async with Running(database, Jumping()) as running:
        for number in range(6):
            await running.sequencer.append(some_events(2, f"batch {number}"))

    entries = await check_log(PostgresReader(database))
    recorded = [entry.recorded_time for entry in entries]
    assert recorded == sorted(recorded)
    assert recorded[0] == NOON
    await check_tables(owner)
