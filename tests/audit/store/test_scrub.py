"""A superuser adds, removes and bends rows behind the service's back. Does a scrub find it, and say where?"""

import asyncio
import json
import re
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.app import Closer, Scrubber, scrub, scrub_pass
from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.closing import Closing, Leaf, account_hash, close_event
from services.audit.domain.cosignature import Cosigner
from services.audit.domain.stretch import Suspicion
from services.audit.store import (
    PostgresCloses,
    PostgresContents,
    PostgresReader,
    PostgresStretches,
    StretchProcesses,
    Trusted,
)
from services.audit.store import stretches as stretches_module
from services.audit.store.compiling import compile_everything
from services.kernel.clock import FixedClock
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, some_events
from tests.audit.check_log import check_log
from tests.audit.store.test_postgres import Running


async def filled(database):
    """A log with commits of several sizes, a full tile of each of two levels' worth, and a conflict."""
    async with Running(database) as running:
        for number, size in enumerate((1, 3, 40, 300)):
            await running.sequencer.append(some_events(size, f"batch {number}"))
            if number > 1:
                await closed(database, running.sequencer)
        await running.sequencer.append([an_event("batch 1 1", actor="mallory")])


async def closed(database, sequencer):
    closes = PostgresCloses(database)
    reader = PostgresReader(database)
    closer = Closer(origin=ORIGIN, log=reader, store=closes, sequencer=sequencer, clock=FixedClock(NOON), interval_s=60)
    return await closer.close()


async def scrubbed(database):
    return await scrub(PostgresContents(database), ORIGIN, [KEY.verifier_key], closes=PostgresCloses(database))


async def test_a_log_as_it_was_written_has_nothing_to_find(database):
    assert (await scrubbed(database)).size == 0
    await filled(database)

    report = await scrubbed(database)

    assert (report.size, report.findings, report.finding_count) == (347, (), 0)
    assert report.root == (await PostgresReader(database).checkpoint()).checkpoint.root


TABLES = ("entry", "posting", "event_key", "tile", "checkpoint_note", "close_number")


async def keep(superuser):
    """Keep a copy of every table as it is good."""
    await superuser.execute("create schema good")
    for table in TABLES:
        await superuser.execute(f"create table good.{table} as select * from audit.{table}")


async def restore(superuser, table):
    async with superuser.transaction():
        await superuser.execute(f"truncate audit.{table}")
        await superuser.execute(f"insert into audit.{table} select * from good.{table}")


async def test_rows_that_were_added_or_removed_are_found(database, superuser):
    await filled(database)
    await keep(superuser)
    fake_key = "insert into audit.event_key values (gen_random_uuid(), 3, sha256('x'))"
    for table, change, place in (
        ("posting", "delete from audit.posting where start = 44", r"posting -?\d+ 44: is missing"),
        ("posting", "insert into audit.posting values (1, 2, '\\x0000')", r"posting: has \d+ rows"),
        ("event_key", fake_key, r"event_key: has \d+ rows"),
        ("event_key", "delete from audit.event_key where idx = 7", r"event_key [0-9a-f-]+: is missing"),
        ("tile", "delete from audit.tile", "tile 0 0: is missing"),
        (
            "tile",
            "insert into audit.tile select 1, 0, root, data from audit.tile",
            r"tile: has 1 rows for entries that no",
        ),
        ("entry", "delete from audit.entry where idx = 5", "entry 5: is missing"),
        ("entry", "delete from audit.entry where idx >= 340", "entry 340: is missing"),
        ("checkpoint_note", "delete from audit.checkpoint_note where size = 4", "entry 1: was not recorded|posting"),
        (
            "checkpoint_note",
            "delete from audit.checkpoint_note where size = 347",
            "entry: has 1 rows for entries that no checkpoint covers",
        ),
    ):
        await superuser.execute(change)
        report = await scrubbed(database)
        places = " ".join(f"{each.where}: {each.what}" for each in report.findings)
        assert re.search(place, places), (change, places)
        await restore(superuser, table)


@pytest.mark.parametrize("member", ["index", "recorded_time"])
async def test_a_closing_entry_that_was_bent_so_that_it_is_none_is_found(database, superuser, member):
    await filled(database)
    bent = await superuser.execute(
        """
        update audit.entry set body = convert_to(replace(convert_from(body, 'utf8'), $1, '"bent"'), 'utf8')
        where convert_from(body, 'utf8') like '%"kind":"audit.log.closed"%'
        """,
        f'"{member}"',
    )
    assert bent == "UPDATE 2"

    found = (await scrubbed(database)).findings

    assert sum(each.what == "its body is not one that the log writes" for each in found) == 2


async def test_a_closing_entry_that_states_other_numbers_than_the_entries_have_is_found(database):
    async with Running(database) as running:
        await running.sequencer.append(some_events(9))
        said = (await closed(database, running.sequencer)).closing
        forged = Closing(said.covered_size, said.account_count, bytes(32))
        await running.sequencer.append([close_event(f"{ORIGIN} forged", forged, NOON)])

    report = await scrubbed(database)

    assert [each.where for each in report.findings] == ["entry 10"]
    assert "closes the log over numbers that are not the stored ones" in report.findings[0].what


async def test_a_closing_that_was_begun_and_never_finished_is_no_finding(database):
    async with Running(database) as running:
        await running.sequencer.append(some_events(9))
        checkpoint = await PostgresReader(database).checkpoint()
        size = checkpoint.checkpoint.size
        numbers = {
            account: number async for step in PostgresCloses(database).accounts(0, size, 99) for account, number in step
        }
        account, last = next(iter(numbers.items()))
        await PostgresCloses(database).add_numbers(size, [Leaf(account_hash(account), last)])

        assert (await scrubbed(database)).findings == ()
        await running.sequencer.append(some_events(9, "later"))
        await closed(database, running.sequencer)

    assert (await scrubbed(database)).findings == ()


async def test_what_is_right_after_a_missing_entry_is_not_accused(database, superuser):
    await filled(database)
    await superuser.execute("delete from audit.entry where idx = 2")

    report = await scrubbed(database)

    places = [each.where for each in report.findings]
    # Its own place, the gap in its account, the roots that cover it, the tile above it, and what was stored for it.
    assert {"entry 2", "checkpoint_note 4", "checkpoint_note 345", "tile 0 0"} <= set(places)
    assert sum(place.startswith("entry ") for place in places) == 2
    assert not any(place.startswith(("posting ", "event_key ")) for place in places)
    assert report.size == 347


class Ticking:
    """A clock on which half an hour passes between two looks."""

    def __init__(self):
        self.at = NOON

    def now(self):
        self.at += timedelta(minutes=30)
        return self.at


def a_scrubber(database, running, *, clock=None, reports=None, interval_s=3600.0, **options):
    return Scrubber(
        log=PostgresContents(database),
        origin=ORIGIN,
        keys=[KEY.verifier_key],
        sequencer=running.sequencer,
        clock=clock or FixedClock(NOON),
        interval_s=interval_s,
        on_report=(reports if reports is not None else []).append,
        **options,
    )


async def test_a_scrub_records_its_result_in_the_log_each_time_it_is_due(database):
    reports = []
    async with Running(database) as running:
        await running.sequencer.append(some_events(5))
        scrubber = a_scrubber(database, running, clock=Ticking(), reports=reports, interval_s=60)
        task = asyncio.create_task(scrubber.run(running.stop))
        await running.seen.until(lambda: len(running.seen.commits) > 2)
        running.stop.set()
        await task

    entries = await check_log(PostgresReader(database))
    assert [report.size for report in reports[:2]] == [5, 6]
    assert entries[5].event.kind == "audit.log.scrubbed"
    said = json.loads(entries[5].event.data)
    assert (said["finding_count"], said["findings"], said["size"], said["whole"]) == (0, [], 5, True)
    assert said["root"] == f"sha256:{reports[0].root.hex()}"


async def test_a_pass_goes_in_slices_and_another_process_goes_on_with_it(database):
    await filled(database)
    reports = []
    async with Running(database) as running:
        for _ in range(4):
            # Each knows nothing but what is recorded.
            await a_scrubber(database, running, reports=reports, slice_entries=100).scrub()

    assert [(each.start, each.size, each.whole, each.finding_count) for each in reports[:3]] == [
        (0, 345, False, 0),
        (345, 348, True, 0),
        (0, 345, False, 0),
    ]


async def test_a_slice_begins_again_where_its_beginning_was_bent(database, superuser):
    await filled(database)
    async with Running(database) as running:
        await a_scrubber(database, running, slice_entries=40).scrub()
        await superuser.execute("update audit.tile set data = set_bit(data, 41 * 256, 1 - get_bit(data, 41 * 256))")

        again = await a_scrubber(database, running, slice_entries=40).scrub()
        rest = await a_scrubber(database, running).scrub()

    assert (again.start, again.size, again.finding_count) == (0, 44, 0)
    assert rest.start == 0
    assert [each.where for each in rest.findings] == ["tile 0 0"]


@pytest.mark.parametrize("bent", ["sixe", "{"], ids=["another member", "no entry"])
async def test_a_result_that_was_bent_is_passed_over_and_named(database, superuser, bent):
    await filled(database)
    async with Running(database) as running:
        await a_scrubber(database, running, slice_entries=40).scrub()
        second = await a_scrubber(database, running, slice_entries=40).scrub()
        await superuser.execute(
            "update audit.entry set body = replace(convert_from(body, 'UTF8'), '\"size\"', $1)::bytea "
            "where idx = (select max(idx) from audit.entry)",
            f'"{bent}"' if bent == "sixe" else bent,
        )

        again = await a_scrubber(database, running).scrub()

    assert (second.start, again.start) == (44, 44)
    assert "entry 348" in [each.where for each in again.findings]


async def test_a_null_where_none_can_be_is_followed_entry_by_entry(database, superuser):
    await filled(database)
    await superuser.execute("alter table audit.event_key alter digest drop not null")
    await superuser.execute("update audit.event_key set digest = null where idx = 7")

    with pytest.raises(Suspicion, match="null"):
        await PostgresStretches(database, Trusted(ORIGIN, [KEY.verifier_key])).check(-1, 0, 347)


async def test_a_witness_that_signed_another_root_is_named(database, superuser):
    await filled(database)
    witness = Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    true = (await PostgresReader(database).checkpoint(4)).checkpoint
    other = Checkpoint(ORIGIN, 44, bytes(32))
    add = "insert into audit.cosignature (size, witness, line, cosign_time) values ($1, $2, $3, now())"
    for each in (true, other):
        await superuser.execute(add, each.size, witness.name, witness.line(each.text(), 7))

    report = await scrub(PostgresContents(database), ORIGIN, [KEY.verifier_key], witnesses=[witness.key])

    assert [each.where for each in report.findings] == ["cosignature 44 witness.example"]


@pytest.fixture
def short_stretches(monkeypatch):
    """Stretches of a few dozen entries, so that a small log has some; what checks them is compiled beforehand."""
    compile_everything()
    monkeypatch.setattr(scrub_pass, "STRETCH_ENTRIES", 40)
    monkeypatch.setattr(scrub_pass, "STRETCH_ENTRIES_MIN", 1)


class Counted(PostgresStretches):
    """Checks in this process, three stretches at once, and remembers which and what came of it."""

    together = 3

    def __init__(self, database):
        super().__init__(database, Trusted(ORIGIN, [KEY.verifier_key]))
        self.clean, self.suspicious = [], []

    async def check(self, after, start, stop):
        try:
            clean = await super().check(after, start, stop)
        except Suspicion:
            self.suspicious.append((start, stop))
            raise
        self.clean.append((start, stop))
        return clean


async def in_stretches(database, **options):
    stretches = Counted(database)
    closes = PostgresCloses(database)
    log, keys = PostgresContents(database), [KEY.verifier_key]
    return await scrub(log, ORIGIN, keys, closes=closes, stretches=stretches, **options), stretches


async def test_stretches_that_are_right_are_checked_at_once_with_the_same_result(database, short_stretches):
    await filled(database)

    report, stretches = await in_stretches(database)

    assert report == await scrubbed(database)
    assert report.progress.counted == (await scrubbed(database)).progress.counted
    # Cut where a closing covers what is before it.
    assert sorted(stretches.clean) == [(0, 44), (44, 345), (345, 347)]
    assert stretches.suspicious == []


async def test_only_a_stretch_that_is_not_right_is_followed_entry_by_entry(database, superuser, short_stretches):
    await filled(database)
    await keep(superuser)
    for table, change, suspicious in (
        ("event_key", "delete from audit.event_key where idx = 7", [(0, 44)]),
        ("posting", "delete from audit.posting where start = 345", [(345, 347)]),
        ("tile", "delete from audit.tile", [(44, 345), (345, 347)]),
        ("entry", "update audit.entry set body = 'x', leaf = sha256('x') where idx = 50", [(44, 345)]),
        ("event_key", "insert into audit.event_key values (gen_random_uuid(), 50, sha256('x'))", [(44, 345)]),
        ("event_key", "insert into audit.event_key values (gen_random_uuid(), -1, sha256('x'))", []),
        ("event_key", "insert into audit.event_key values (gen_random_uuid(), 347, sha256('x'))", []),
        ("close_number", "update audit.close_number set last = last + 1 where size = 44", []),
    ):
        await superuser.execute(change)

        report, stretches = await in_stretches(database)

        exact = await scrubbed(database)
        assert sorted(stretches.suspicious) == suspicious, change
        assert report.finding_count == exact.finding_count > 0, change
        assert {each.where for each in report.findings} == {each.where for each in exact.findings}, change
        await restore(superuser, table)


async def test_rows_may_lie_in_any_order_in_their_tables(database, superuser, monkeypatch):
    monkeypatch.setattr(stretches_module, "STEP_ENTRIES", 30)
    monkeypatch.setattr(stretches_module, "KEYS_TOGETHER", 50)
    monkeypatch.setattr(stretches_module, "POSTINGS_TOGETHER", 40)
    async with Running(database) as running:
        for number in range(12):
            await running.sequencer.append(some_events(7 + number, f"commit {number}"))
    stretches = PostgresStretches(database, Trusted(ORIGIN, [KEY.verifier_key]))
    size = sum(range(7, 19))
    clean = await stretches.check(-1, 0, size)
    for table in ("event_key", "posting"):
        await superuser.execute(f"create temporary table lain as select * from audit.{table}")
        await superuser.execute(f"truncate audit.{table}")
        await superuser.execute(f"insert into audit.{table} select * from lain order by md5(lain::text)")
        await superuser.execute("drop table lain")
    await keep(superuser)

    assert await stretches.check(-1, 0, size) == clean
    for index in range(0, size, 11):
        for table, change in (
            ("event_key", f"delete from audit.event_key where idx = {index}"),
            ("event_key", f"update audit.event_key set digest = sha256('x') where idx = {index}"),
            ("event_key", f"insert into audit.event_key values (gen_random_uuid(), {index}, sha256('x'))"),
        ):
            await superuser.execute(change)
            with pytest.raises(Suspicion, match="the keys are not those of the entries"):
                await stretches.check(-1, 0, size)
            await restore(superuser, table)
    for start in await superuser.fetch("select distinct start from audit.posting"):
        await superuser.execute("delete from audit.posting where start = $1", start[0])
        with pytest.raises(Suspicion, match="the postings are not those of the entries"):
            await stretches.check(-1, 0, size)
        await restore(superuser, "posting")


async def test_what_is_in_memory_of_a_slice_is_not_looked_up_for_the_next(database, short_stretches, monkeypatch):
    await filled(database)
    reports, asked = [], []
    numbers = PostgresContents.numbers

    async def counting(self, accounts, before):
        asked.append(accounts)
        return await numbers(self, accounts, before)

    monkeypatch.setattr(PostgresContents, "numbers", counting)
    async with Running(database) as running:
        how = {"reports": reports, "slice_entries": 40, "stretches": Counted(database)}
        scrubber = a_scrubber(database, running, closes=PostgresCloses(database), **how)
        for _ in range(3):
            await scrubber.scrub()
        assert not asked
        # Another process knows nothing.
        await a_scrubber(database, running, **how).scrub()

    assert [(each.start, each.finding_count) for each in reports] == [(0, 0), (44, 0), (345, 0), (0, 0)]


async def test_processes_check_beside_the_service_and_may_die(audit_database, database, short_stretches):
    await filled(database)
    trusted = Trusted(ORIGIN, [KEY.verifier_key])
    stretches = StretchProcesses(audit_database.settings(), trusted, count=1, niceness=0)
    try:
        clean = await stretches.check(-1, 0, 44)
        assert (clean.edge.size, clean.counted["entry"]) == (44, 44)
        with pytest.raises(Suspicion, match="no checkpoint covers the end"):
            await stretches.check(-1, 0, 43)

        waiting = asyncio.create_task(stretches.check(44, 44, 345))
        await stretches.rest()
        with suppress(Suspicion):
            await waiting

        report = await scrub(PostgresContents(database), ORIGIN, trusted.keys, stretches=stretches)
        assert (report.size, report.finding_count) == (347, 0)
    finally:
        await stretches.rest()
