"""What the ports promise, asked of the log in memory and of PostgreSQL alike."""

import dataclasses
import random

import pytest

from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import EMPTY_ROOT
from services.audit.domain.sequencing import EventsRecorded, Growth, grow
from services.audit.domain.tiles import TileId, TileRange
from services.audit.store import PostgresReader, elect
from services.kernel.errors import Unreachable
from services.runtime.database import Database
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, an_event_id, later, some_events
from tests.audit.check_log import check_log
from tests.audit.memory_log import MemoryLog


@dataclasses.dataclass
class Log:
    """Both ends of a log."""

    reader: object
    elect: object


@pytest.fixture
def memory_log():
    memory = MemoryLog(ORIGIN)
    return Log(memory, memory.elect)


@pytest.fixture
async def postgres_log(audit_database):
    database = Database(audit_database.settings())
    yield Log(PostgresReader(database), lambda: elect(database, ORIGIN))
    await database.close()


@pytest.fixture(params=["memory_log", "postgres_log"])
def log(request):
    return request.getfixturevalue(request.param)


async def signed(head):
    checkpoint = Checkpoint(ORIGIN, head.edge.size, head.edge.root())
    return SignedCheckpoint(checkpoint, sign_checkpoint(checkpoint, [KEY]), head.recorded_time)


async def started(writer):
    head, newest = await writer.head()
    if newest is None:
        head = dataclasses.replace(head, recorded_time=NOON)
        await writer.commit(Growth((), (), head, (), {}), await signed(head))
    return head


async def append(log, *batches, at=0):
    """Append each batch in a commit of its own, one second apart."""
    async with log.elect() as writer:
        head = await started(writer)
        for number, batch in enumerate(batches):
            known = await writer.known([event.event_id for event in batch])
            accounts = {event.account for event in batch if event.account}
            growth = grow(head, batch, known, await writer.sequences(accounts), later(at + number))
            await writer.commit(growth, await signed(growth.head))
            head = growth.head
    return head


async def names(log, wanted, *, start=0, stop=10_000, limit=10_000, descending=False):
    found = await log.reader.matching(wanted, start=start, stop=stop, limit=limit, descending=descending)
    bodies = await log.reader.bodies(wanted, start=start, stop=stop, limit=limit, descending=descending)
    assert [entry.body for entry in found] == bodies
    newest = await log.reader.checkpoint()
    size, unbounded = await log.reader.sized_matching(wanted, start=start, limit=limit, descending=descending)
    assert size == newest.checkpoint.size
    every = await log.reader.matching(wanted, start=start, stop=size, limit=limit, descending=descending)
    assert unbounded == every
    return [entry.index for entry in found]


async def test_a_log_that_nobody_wrote_has_nothing(log):
    async with log.elect() as writer:
        head, newest = await writer.head()

    assert (head.edge.size, head.recorded_time, newest) == (0, None, None)
    assert await log.reader.checkpoint() is None
    assert await log.reader.body(0) is None
    assert await log.reader.index_of(an_event_id("x")) is None
    for wanted in (EntryFilter(), EntryFilter(actor="x"), EntryFilter(actor="x", kind="k"), EntryFilter(end_time=NOON)):
        assert await log.reader.bodies(wanted, start=0, stop=9, limit=9) == []
        assert await log.reader.sized_matching(wanted, start=0, limit=9) == (None, [])


async def test_the_empty_log_has_a_checkpoint_once_it_is_signed(log):
    await append(log)

    newest = await log.reader.checkpoint()
    assert newest.checkpoint == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert newest == await log.reader.checkpoint(0)
    assert await check_log(log.reader) == []


@pytest.mark.parametrize("sizes", [(1,), (1, 1, 1), (31, 32, 33), (255, 1, 1), (300,), (5, 600, 7)])
async def test_what_is_committed_is_read_back_whole(log, sizes):
    batches = [some_events(size, f"batch {number}") for number, size in enumerate(sizes)]

    head = await append(log, *batches)

    entries = await check_log(log.reader)
    assert [entry.event for entry in entries] == [event for batch in batches for event in batch]
    assert (await log.reader.checkpoint()).checkpoint.root == head.edge.root()
    assert [(await log.reader.checkpoint(size)) is not None for size in (0, sum(sizes), sum(sizes) + 1)] == [1, 1, 0]
    async with log.elect() as writer:
        rebuilt, newest = await writer.head()
    assert rebuilt == head
    assert newest == await log.reader.checkpoint()


async def test_words_of_any_language_and_shape_are_kept(log):
    odd = an_event("odd", actor='"\\{}, äöü 漢字 𐀀', account='a"b\\c{d},e', subjects={"plan": "", "note": 'x"\\y'})

    await append(log, [odd], [odd, an_event("next", account='a"b\\c{d},e')])

    assert (await check_log(log.reader))[0].event == odd
    assert await names(log, EntryFilter(subjects={"note": 'x"\\y'})) == [0]
    assert await names(log, EntryFilter(subjects={"account": 'a"b\\c{d},e'})) == [0, 1]
    assert await names(log, EntryFilter(actor=odd.actor)) == [0]


async def test_known_events_and_last_numbers_are_found(log):
    events = some_events(40)
    await append(log, events[:20], events[20:])

    async with log.elect() as writer:
        known = await writer.known([events[0].event_id, events[39].event_id, an_event_id("unknown")])
        sequences = await writer.sequences(["acc-0", "acc-1", "acc-2", "unknown"])
        assert await writer.known([]) == {}
        assert await writer.sequences([]) == {}

    assert {event_id: each.index for event_id, each in known.items()} == {
        events[0].event_id: 0,
        events[39].event_id: 39,
    }
    assert known[events[39].event_id].digest == events[39].digest
    assert sequences == {
        account: sum(event.account == account for event in events) for account in ("acc-0", "acc-1", "acc-2")
    }


async def test_only_one_holds_the_log_and_the_next_follows(log):
    async with log.elect():
        with pytest.raises(Unreachable, match="holds the log"):
            async with log.elect():
                pytest.fail("two writers")

    async with log.elect() as writer:
        assert (await writer.head())[0].edge.size == 0


async def test_a_commit_on_an_old_head_is_refused_and_leaves_nothing(log):
    await append(log, some_events(3))
    async with log.elect() as writer:
        old, _ = await writer.head()
    await append(log, some_events(2, "meanwhile"), at=1)

    growth = grow(old, some_events(2, "late"), {}, {}, later(9))
    with pytest.raises(Unreachable):
        async with log.elect() as writer:
            await writer.commit(growth, await signed(growth.head))

    assert len(await check_log(log.reader)) == 5
    assert await log.reader.index_of(growth.entries[0].event.event_id) is None


@pytest.mark.parametrize("count", [2, 64])
async def test_an_event_that_the_log_has_cannot_be_committed_again(log, count):
    events = some_events(count)
    head = await append(log, events)

    fresh = [an_event(f"new {number}", account=None) for number in range(count)]
    growth = grow(head, [*fresh, *events[:1]], {}, {}, later(1))
    async with log.elect() as writer:
        with pytest.raises(EventsRecorded):
            await writer.commit(growth, await signed(growth.head))
        assert len(await check_log(log.reader)) == count
        # Nothing was stored and nothing is lost: the same writer goes on.
        new = grow(head, fresh, {}, {}, later(1))
        await writer.commit(new, await signed(new.head))

    assert len(await check_log(log.reader)) == 2 * count


async def test_filters_match_what_they_say(log):
    events = [
        an_event(0, kind="decision.plan.approved", account="a", actor="alice", producer="decision"),
        an_event(1, kind="decision.plan.rejected", account="b", actor="bob", producer="decision"),
        an_event(2, kind="decision.planner.started", account="a", trace_parent=""),
        an_event(3, kind="execution.order.sent", account="a", subjects={"plan": "plan-0", "order": "o"}),
        an_event(4, kind="decision.plan.approved", account=None, subjects={"plan": "plan-0"}),
        an_event(5, kind="policy.node.made", account=None, producer="policy", actor="alice"),
    ]
    await append(log, events[:2], events[2:4], events[4:])
    trace_id = events[0].trace_id

    for wanted, expected in [
        (EntryFilter(), [0, 1, 2, 3, 4, 5]),
        (EntryFilter(kind="decision.plan.approved"), [0, 4]),
        (EntryFilter(kind="decision.plan.*"), [0, 1, 4]),
        (EntryFilter(kind="decision.*"), [0, 1, 2, 4]),
        (EntryFilter(kind="decision.plan"), []),
        (EntryFilter(actor="alice"), [0, 2, 3, 4, 5]),
        (EntryFilter(actor="bob"), [1]),
        (EntryFilter(producer="policy"), [5]),
        (EntryFilter(subjects={"account": "a"}), [0, 2, 3]),
        (EntryFilter(subjects={"plan": "plan-0"}), [0, 3, 4]),
        (EntryFilter(subjects={"account": "a", "plan": "plan-0"}), [0, 3]),
        (EntryFilter(subjects={"plan": "plan-0", "order": "o"}), [3]),
        (EntryFilter(subjects={"plan": "a"}), []),
        (EntryFilter(trace_id=trace_id), [0, 1, 3, 4, 5]),
        (EntryFilter(trace_id="0" * 31 + "1"), []),
        (EntryFilter(start_time=later(1)), [2, 3, 4, 5]),
        (EntryFilter(end_time=later(1)), [0, 1]),
        (EntryFilter(start_time=later(1), end_time=later(2)), [2, 3]),
        (EntryFilter(start_time=later(3)), []),
        (EntryFilter(end_time=NOON), []),
        (EntryFilter(kind="decision.*", subjects={"account": "a"}, start_time=later(1)), [2]),
    ]:
        assert await names(log, wanted) == expected, wanted
        assert await names(log, wanted, descending=True) == expected[::-1], wanted
        assert await names(log, wanted, start=1, stop=4) == [index for index in expected if 1 <= index < 4]
        assert await names(log, wanted, limit=1) == expected[:1]
        assert await names(log, wanted, limit=1, descending=True) == expected[-1:]


async def test_matches_are_found_across_many_commits_from_any_place_in_either_direction(log):
    rnd = random.Random(3)
    events = [
        an_event(n, actor=rnd.choice(["x", "y"]), account=rnd.choice(["a", "b", None]), kind=rnd.choice(["k.l", "k.m"]))
        for n in range(240)
    ]
    batches, at = [], 0
    while at < len(events):
        size = rnd.choice([1, 2, 3, 40])
        batches.append(events[at : at + size])
        at += size
    await append(log, *batches)

    for wanted in (EntryFilter(actor="x"), EntryFilter(actor="y", kind="k.m", subjects={"account": "b"})):
        expected = [
            number
            for number, event in enumerate(events)
            if event.actor == wanted.actor
            and wanted.kind in (None, event.kind)
            and wanted.subjects.get("account") in (None, event.account)
        ]
        for start, stop in ((0, 240), (17, 18), (100, 180), (239, 240)):
            within = [index for index in expected if start <= index < stop]
            for limit in (1, 2, 7, 500):
                assert await names(log, wanted, start=start, stop=stop, limit=limit) == within[:limit]
                backwards = await names(log, wanted, start=start, stop=stop, limit=limit, descending=True)
                assert backwards == within[::-1][:limit]


async def test_several_questions_are_answered_together_as_each_by_itself(log):
    events = [an_event(n, actor="xyz"[n % 3], kind=("k.l", "k.m")[n % 2], account=f"acc-{n % 5}") for n in range(90)]
    await append(log, events[:1], events[1:50], events[50:])
    wanted = [
        EntryFilter(actor="x"),
        EntryFilter(actor="y", kind="k.m", subjects={"account": "acc-3"}),
        EntryFilter(kind="k.*"),
        EntryFilter(actor="nobody"),
        EntryFilter(actor="z", kind="k.l", start_time=NOON),
        EntryFilter(),
    ]

    for stop, limit in ((90, 500), (51, 500), (90, 7), (90, 2), (0, 5)):
        together = await log.reader.matching_each(wanted, stop=stop, limit=limit)
        assert together == [await log.reader.matching(each, start=0, stop=stop, limit=limit) for each in wanted]


async def test_a_checkpoint_comes_with_a_tile_that_is_full(log):
    await append(log, some_events(300))
    newest = await log.reader.checkpoint()

    assert await log.reader.checkpoint_and_tile(None, 1) == (newest, None)
    signed, tile = await log.reader.checkpoint_and_tile(300, 0)
    assert (signed, tile) == (newest, (await log.reader.tiles([TileRange(TileId(0, 0), 256)]))[TileId(0, 0)])
    assert (await log.reader.checkpoint_and_tile(299, 0))[0] is None


async def test_tiles_are_as_wide_as_asked_and_what_is_missing_is_not_invented(log):
    await append(log, some_events(300))
    tiles = await log.reader.tiles([TileRange(TileId(0, 0), 7), TileRange(TileId(0, 1), 3)])

    assert {tile: len(data) for tile, data in tiles.items()} == {TileId(0, 0): 7 * 32, TileId(0, 1): 3 * 32}
    for missing in (TileRange(TileId(0, 1), 45), TileRange(TileId(1, 0), 2), TileRange(TileId(0, 2), 1)):
        with pytest.raises(LogRootMismatch):
            await log.reader.tiles([missing])


async def test_what_lies_beyond_the_log_is_absent_however_far(log):
    await append(log, some_events(1))

    for index in (1, 2**31, 2**63 - 1, 2**63, 2**64 - 1):
        assert await log.reader.body(index) is None
        assert await log.reader.checkpoint(index + 1) is None
