import asyncio
from contextlib import asynccontextmanager

import pytest

from services.audit.app import Sequencer
from services.audit.app.sequencer import BATCH_EVENTS_MAX
from services.audit.domain.errors import LogBackpressure, LogRootMismatch, LogWriterElsewhere
from services.audit.domain.sequencing import CONFLICT_KIND, Result, Status
from services.kernel.clock import FixedClock
from services.kernel.errors import Invalid, Unreachable
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, later, some_events
from tests.audit.check_log import check_log
from tests.audit.memory_log import MemoryLog


class Seen:
    """Notes what the sequencer reports, and lets a test wait for it."""

    def __init__(self):
        self.commits = []
        self.losses = []
        self.elections = 0
        self.changed = asyncio.Event()

    def elected(self, checkpoint):
        self.elections += 1
        self.changed.set()

    def committed(self, checkpoint, entries):
        self.commits.append(entries)
        self.changed.set()

    def lost(self, reason):
        self.losses.append(reason)
        self.changed.set()

    async def until(self, condition):
        while not condition():
            self.changed.clear()
            await self.changed.wait()


def sequencer_of(log, *, clock=None, seen=None, **settings):
    return Sequencer(
        elect=log.elect,
        origin=ORIGIN,
        keys=[KEY],
        clock=clock or FixedClock(NOON),
        observer=seen or Seen(),
        **{"election_interval_s": 0.001} | settings,
    )


@asynccontextmanager
async def started(log, seen, **settings):
    """A sequencer that runs, whether or not it holds the log."""
    sequencer, stop = sequencer_of(log, seen=seen, **settings), asyncio.Event()
    task = asyncio.create_task(sequencer.run(stop))
    try:
        yield sequencer
    finally:
        stop.set()
        await task


@asynccontextmanager
async def writing(log, seen=None, **settings):
    """A sequencer that holds the log."""
    seen = seen or Seen()
    async with started(log, seen, **settings) as sequencer:
        await seen.until(lambda: seen.elections)
        yield sequencer


async def called(sequencer, *batches):
    """Callers with a batch each, in this order, all waiting."""
    callers = []
    for batch in batches:
        queued = sequencer.queued_events
        callers.append(asyncio.create_task(sequencer.append(batch)))
        await turn_until(lambda queued=queued, batch=batch: sequencer.queued_events == queued + len(batch))
    return callers


async def turn_until(condition):
    """Let other tasks run until `condition` holds; a hundred turns are plenty."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("never came to be")


@asynccontextmanager
async def a_held_commit(log, sequencer):
    """A commit of one event that does not end before the block does."""
    log.hold()
    first = asyncio.create_task(sequencer.append([an_event("held")]))
    await log.committing.wait()
    yield
    log.may_commit.set()
    await first


@pytest.fixture
def log():
    return MemoryLog(ORIGIN)


async def test_the_first_writer_signs_the_empty_log(log):
    async with writing(log):
        assert (await log.checkpoint()).checkpoint.size == 0


async def test_callers_that_come_before_the_first_election_wait_for_it(log):
    sequencer = sequencer_of(log)
    (early,) = await called(sequencer, some_events(3))
    stop = asyncio.Event()
    task = asyncio.create_task(sequencer.run(stop))

    assert [result.index for result in (await early).results] == [0, 1, 2]
    stop.set()
    await task


async def test_a_caller_is_told_the_index_of_each_event_and_a_checkpoint_that_covers_them(log):
    async with writing(log) as sequencer:
        first = await sequencer.append(some_events(3))
        second = await sequencer.append([an_event("more"), some_events(3)[1]])

    assert first.results == tuple(Result(index, Status.APPENDED) for index in range(3))
    assert second.results == (Result(3, Status.APPENDED), Result(1, Status.DUPLICATE))
    assert second.checkpoint == await log.checkpoint(4)
    assert len(await check_log(log)) == 4


async def test_nothing_new_is_answered_with_the_checkpoint_that_is_there(log):
    async with writing(log) as sequencer:
        first = await sequencer.append(some_events(3))
        commits = log.commits
        again = await sequencer.append(some_events(3))

    assert again.checkpoint == first.checkpoint
    assert log.commits == commits


@pytest.mark.parametrize("before", [0, 3])
async def test_a_caller_without_events_is_answered_once_this_process_holds_the_log(log, before):
    async with writing(log) as sequencer:
        if before:
            await sequencer.append(some_events(before))
        answer = await sequencer.append([])

    assert answer.results == ()
    assert answer.checkpoint == await log.checkpoint(before)


async def test_all_who_wait_while_a_commit_runs_share_the_next_one(log):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        async with a_held_commit(log, sequencer):
            callers = await called(sequencer, *([an_event(number)] for number in range(50)))
        answers = await asyncio.gather(*callers)

    assert seen.commits == [1, 50]
    assert [answer.results[0].index for answer in answers] == list(range(1, 51))
    assert {answer.checkpoint.checkpoint.size for answer in answers} == {51}


async def test_a_batch_has_at_most_1000_events_but_a_caller_is_never_split(log):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        async with a_held_commit(log, sequencer):
            sizes = (600, 600, 300, 100, 1000)
            callers = await called(
                sequencer, *(some_events(size, f"caller of {size} {at}") for at, size in enumerate(sizes))
            )
        await asyncio.gather(*callers)

    assert seen.commits == [1, 600, 1000, 1000]
    assert len(await check_log(log, proofs_max=5)) == 2601


async def test_more_events_than_a_commit_holds_are_refused_whoever_appends_them(log):
    async with writing(log) as sequencer:
        with pytest.raises(Invalid) as refused:
            await sequencer.append(some_events(BATCH_EVENTS_MAX + 1))

        assert [each.description for each in refused.value.violations] == ["must be at most 1000 together, were 1001"]
        assert (sequencer.queued_events, log.entries) == (0, [])


async def test_more_than_the_queue_holds_is_refused_with_a_time_to_come_back(log):
    async with writing(log, queue_events_max=10) as sequencer:
        async with a_held_commit(log, sequencer):
            waiting = await called(sequencer, some_events(8))
            with pytest.raises(LogBackpressure) as refused:
                await sequencer.append(some_events(3, "more"))
        await asyncio.gather(*waiting)

        assert refused.value.retry_after_s > 0
        assert (await sequencer.append(some_events(3, "more"))).results[0].status is Status.APPENDED


async def test_a_call_larger_than_the_queue_is_taken_when_nobody_waits(log):
    async with writing(log, queue_events_max=10) as sequencer:
        assert len((await sequencer.append(some_events(11))).results) == 11


@pytest.mark.parametrize("lost", ["fail_before_commit", "fail_after_commit"])
async def test_a_commit_whose_outcome_is_unknown_is_done_again_and_happens_once(log, lost):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        await sequencer.append(some_events(3))
        setattr(log, lost, 1)
        answer = await sequencer.append(some_events(5))

    assert [result.index for result in answer.results] == [0, 1, 2, 3, 4]
    assert answer.checkpoint.checkpoint.size == 5
    assert len(seen.losses) == 1
    assert len(await check_log(log)) == 5


async def test_a_caller_whose_commit_fails_again_and_again_is_told_to_repeat_and_the_log_goes_on(log):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        log.fail_before_commit = 4
        with pytest.raises(Unreachable):
            await sequencer.append(some_events(2))
        await seen.until(lambda: seen.elections == 5)
        repeated = await sequencer.append(some_events(2))

    assert [result.index for result in repeated.results] == [0, 1]
    assert len(await check_log(log)) == 2


async def test_a_process_that_does_not_hold_the_log_says_so(log):
    seen = Seen()
    async with writing(log), started(log, seen) as other:
        await seen.until(lambda: seen.losses)
        with pytest.raises(LogWriterElsewhere):
            await other.append(some_events(1))

        assert not other.writing


async def test_the_second_process_takes_over_where_the_first_stopped(log):
    seen = Seen()
    async with started(log, Seen()) as first, started(log, seen, clock=FixedClock(later(60))) as second:
        await turn_until(lambda: first.writing)
        await seen.until(lambda: seen.losses)
        await first.append(some_events(300))
        log.depose()
        await seen.until(lambda: seen.elections)
        answer = await second.append([*some_events(2), an_event("new", account="acc-1")])

    assert [result.index for result in answer.results] == [0, 1, 300]
    entries = await check_log(log)
    assert entries[300].recorded_time == later(60)
    assert entries[300].account_sequence == 1 + sum(entry.event.account == "acc-1" for entry in entries[:300])


async def test_a_writer_that_was_deposed_unnoticed_cannot_commit_and_starts_anew(log):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        await sequencer.append(some_events(3))
        log.depose()
        answer = await sequencer.append(some_events(5))

    assert len(seen.losses) == 1
    assert [result.status for result in answer.results] == ["DUPLICATE"] * 3 + ["APPENDED"] * 2
    assert len(await check_log(log)) == 5


async def test_stopping_answers_everyone_who_waits_and_then_refuses(log):
    sequencer, stop = sequencer_of(log), asyncio.Event()
    task = asyncio.create_task(sequencer.run(stop))
    await turn_until(lambda: sequencer.writing)
    async with a_held_commit(log, sequencer):
        callers = await called(sequencer, *(some_events(700, f"caller {number}") for number in range(3)))
        stop.set()
    answers = await asyncio.gather(*callers)
    await task

    assert [answer.results[-1].index for answer in answers] == [700, 1400, 2100]
    with pytest.raises(LogWriterElsewhere):
        await sequencer.append(some_events(1))


async def test_a_caller_that_has_gone_while_it_waited_disturbs_nobody(log):
    async with writing(log) as sequencer:
        async with a_held_commit(log, sequencer):
            callers = await called(sequencer, *([an_event(number)] for number in range(4)))
            callers[0].cancel()
            callers[2].cancel()
            await asyncio.wait([callers[0], callers[2]])
        answers = [await callers[1], await callers[3]]

    assert [answer.results[0].index for answer in answers] == [1, 2]
    assert len(await check_log(log)) == 3


@pytest.mark.parametrize("asked_first", [0, 1, 64])
async def test_repeats_are_found_whether_or_not_the_log_is_asked_first(log, asked_first):
    seen = Seen()
    async with writing(log, seen, asked_first=asked_first) as sequencer:
        await sequencer.append(some_events(3))
        await sequencer.append([an_event("meanwhile")])
        asked = log.asked
        again = await sequencer.append([an_event("new"), *some_events(5), an_event("new")])
        last = await sequencer.append([an_event("last")])

    # Asked before the first commits as often as it was told to, else after one failed, and then before the next.
    assert asked == min(2, asked_first)
    assert [result.index for result in again.results] == [4, 0, 1, 2, 5, 6, 4]
    assert [result.status for result in again.results] == [
        "APPENDED",
        *["DUPLICATE"] * 3,
        *["APPENDED"] * 2,
        "DUPLICATE",
    ]
    assert last.results == (Result(7, Status.APPENDED),)
    assert seen.losses == []
    assert len(await check_log(log)) == 8


@pytest.mark.parametrize("asked_first", [0, 64])
async def test_another_event_under_a_known_id_is_answered_conflict_and_recorded_once(log, asked_first):
    async with writing(log, asked_first=asked_first) as sequencer:
        await sequencer.append([an_event("one")])
        for _ in range(3):
            answer = await sequencer.append([an_event("one", actor="mallory"), an_event("two")])

    assert answer.results[0] == Result(0, Status.CONFLICT)
    entries = await check_log(log)
    assert [entry.event.kind for entry in entries].count(CONFLICT_KIND) == 1
    assert len(entries) == 3


async def test_a_log_that_does_not_hash_to_its_checkpoint_is_not_written_to(log):
    class Bent(MemoryLog):
        @asynccontextmanager
        async def elect(self):
            async with super().elect() as writer:

                async def head():
                    raise LogRootMismatch("bent")

                writer.head = head
                yield writer

    bent = Bent(ORIGIN)
    with pytest.raises(LogRootMismatch):
        await sequencer_of(bent).run(asyncio.Event())
    assert bent.checkpoints == {}


async def test_the_recorded_time_never_goes_back(log):
    clock = FixedClock(later(100))
    async with writing(log, clock=clock) as sequencer:
        await sequencer.append([an_event("one")])
    async with writing(log, clock=FixedClock(NOON)) as sequencer:
        await sequencer.append([an_event("two")])

    assert [entry.recorded_time for entry in await check_log(log)] == [later(100), later(100)]
