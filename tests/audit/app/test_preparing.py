"""While one commit is stored the next one is made. Is the log what it would be had each waited for the one before?"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from services.audit.app import preparing
from services.audit.app.sequencer import AHEAD_EVENTS_MIN
from services.audit.domain.errors import LogBackpressure
from services.audit.domain.sequencing import CONFLICT_KIND, Result, Status
from services.kernel.errors import Unreachable
from tests.audit.app.test_sequencer import Seen, called, sequencer_of, turn_until, writing
from tests.audit.builders import ORIGIN, an_event, later, some_events
from tests.audit.check_log import check_log
from tests.audit.memory_log import MemoryLog


@pytest.fixture
def log():
    return MemoryLog(ORIGIN)


def of_account(count, account, prefix):
    return [an_event(f"{prefix} {number}", account=account) for number in range(count)]


@asynccontextmanager
async def committing(log, sequencer, events):
    """A commit of `events` that is held until `may_commit` is set, or the block ends."""
    log.hold()
    try:
        begun = asyncio.create_task(sequencer.append(events))
        await log.committing.wait()
        yield begun
    finally:
        log.may_commit.set()


@asynccontextmanager
async def one_after_the_other(log, sequencer, first, second):
    """A commit of `first` that is held, and one of `second` that is prepared meanwhile."""
    async with committing(log, sequencer, first) as begun:
        asked = len(log.numbered)
        (ahead,) = await called(sequencer, second)
        await turn_until(lambda: len(log.numbered) > asked)
        # What follows the question does so in the next turns.
        for _ in range(10):
            await asyncio.sleep(0)
        yield begun, ahead


async def numbered_without_a_gap(log):
    """Check the log, and that the entries of each account have its numbers in their order; return the entries."""
    entries = await check_log(log, proofs_max=5)
    last = {}
    for entry in entries:
        if entry.event.account is not None:
            last[entry.event.account] = last.get(entry.event.account, 0) + 1
            assert entry.account_sequence == last[entry.event.account]
    return entries


async def test_half_of_many_who_wait_are_prepared_while_the_other_half_is_stored(log):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        async with committing(log, sequencer, [an_event("first")]):
            callers = await called(sequencer, *([an_event(number)] for number in range(300)))
        answers = await asyncio.gather(*callers)

    # The first 64 are prepared as soon as they are there; then half of those who are left, but 64 of fewer.
    assert [answer.results[0].index for answer in answers] == list(range(1, 301))
    assert seen.commits == [1, 64, 118, 64, 54]
    assert len(await numbered_without_a_gap(log)) == 301


async def test_the_next_commit_is_sent_before_anybody_is_answered(log):
    async with (
        writing(log) as sequencer,
        one_after_the_other(log, sequencer, of_account(64, "acc-1", "first"), of_account(64, "acc-2", "second")) as (
            first,
            ahead,
        ),
    ):
        answered = []
        first.add_done_callback(lambda _: answered.append(log.committing.is_set()))
        log.committing.clear()
        log.may_commit.set()
        assert (await ahead).results[0] == Result(64, Status.APPENDED)

    assert answered == [True]


async def test_few_who_wait_are_not_prepared_before_the_commit_under_way_returns(log):
    seen = Seen()
    async with writing(log, seen) as sequencer:
        async with committing(log, sequencer, [an_event("first")]):
            few = await called(sequencer, *([an_event(f"few {number}")] for number in range(AHEAD_EVENTS_MIN - 1)))
        await asyncio.gather(*few)

    assert seen.commits == [1, AHEAD_EVENTS_MIN - 1]


@pytest.mark.parametrize("asked_first", [0, 64])
async def test_a_repeat_of_what_is_being_stored_has_the_same_index(log, asked_first):
    seen = Seen()
    first = of_account(70, "acc-1", "first")
    second = [*first[60:], *of_account(70, "acc-2", "second"), an_event("first 3", actor="mallory")]
    async with (
        writing(log, seen, asked_first=asked_first) as sequencer,
        one_after_the_other(log, sequencer, first, second) as (begun, ahead),
    ):
        log.may_commit.set()
        answer = await ahead
        await begun

    assert answer.results[:10] == tuple(Result(index, Status.DUPLICATE) for index in range(60, 70))
    assert answer.results[10:80] == tuple(Result(index, Status.APPENDED) for index in range(70, 140))
    assert answer.results[80:] == (Result(3, Status.CONFLICT),)
    # Known without a commit that fails: the first one is all that is asked about.
    assert seen.commits == [70, 71]
    assert log.commits == 3
    entries = await numbered_without_a_gap(log)
    assert [entry.event.kind for entry in entries].count(CONFLICT_KIND) == 1


async def test_nothing_but_repeats_of_what_is_being_stored_is_answered_when_that_is_durable(log):
    events = some_events(70)
    async with writing(log) as sequencer, committing(log, sequencer, events) as begun:
        (repeat,) = await called(sequencer, events)
        await turn_until(lambda: log.asked == 2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not repeat.done()
        log.may_commit.set()
        answers = [await begun, await repeat]

    assert [each.index for each in answers[1].results] == list(range(70))
    assert {each.status for each in answers[1].results} == {Status.DUPLICATE}
    assert answers[0].checkpoint == answers[1].checkpoint
    assert len(await numbered_without_a_gap(log)) == 70


async def test_what_is_stored_while_the_log_is_asked_is_not_taken_for_new(log):
    """The answer tells of the log as it was before the commit that returned before the answer."""
    first = of_account(70, "acc-1", "first")
    async with writing(log) as sequencer, committing(log, sequencer, first) as begun:
        log.may_answer.clear()
        (ahead,) = await called(sequencer, [*first[:5], *of_account(65, "acc-1", "second")])
        await turn_until(lambda: log.asked == 2)
        log.may_commit.set()
        await begun
        log.may_answer.set()
        answer = await ahead

    assert [each.index for each in answer.results] == [*range(5), *range(70, 135)]
    assert len(await numbered_without_a_gap(log)) == 135


@pytest.mark.parametrize("asked_first", [0, 64])
@pytest.mark.parametrize("lost", ["fail_before_commit", "fail_after_commit"])
async def test_what_was_prepared_after_a_commit_that_fails_is_made_again(log, lost, asked_first):
    seen = Seen()
    first, second = of_account(70, "acc-1", "first"), of_account(80, "acc-1", "second")
    async with (
        writing(log, seen, asked_first=asked_first) as sequencer,
        one_after_the_other(log, sequencer, first, [*second, an_event("else", account="acc-2")]) as (begun, ahead),
    ):
        setattr(log, lost, 1)
        log.may_commit.set()
        answers = [await begun, await ahead]

    assert [each.index for each in answers[0].results] == list(range(70))
    assert answers[1].results == tuple(Result(index, Status.APPENDED) for index in range(70, 151))
    assert len(seen.losses) == 1
    assert len(await numbered_without_a_gap(log)) == 151


async def test_what_was_prepared_after_a_commit_with_a_repeat_is_made_again(log):
    """The log was not asked, so the commit finds out by failing, and all that followed from it is wrong."""
    seen = Seen()
    async with writing(log, seen, asked_first=0) as sequencer:
        old = of_account(3, "acc-1", "old")
        await sequencer.append(old)
        first, second = [*of_account(70, "acc-1", "first"), *old], of_account(80, "acc-1", "second")
        async with one_after_the_other(log, sequencer, first, [*second, an_event("else", account="acc-2")]) as (
            begun,
            ahead,
        ):
            log.may_commit.set()
            answers = [await begun, await ahead]

    assert [each.index for each in answers[0].results] == [*range(3, 73), 0, 1, 2]
    assert answers[1].results == tuple(Result(index, Status.APPENDED) for index in range(73, 154))
    assert seen.losses == []
    assert len(await numbered_without_a_gap(log)) == 154


async def test_a_hold_that_is_lost_while_the_next_commit_is_prepared_loses_nothing(log):
    seen = Seen()
    async with writing(log, seen) as sequencer, committing(log, sequencer, of_account(70, "acc-1", "first")) as begun:
        log.depose()
        # It asks for what the next commit needs, and is told that it no longer holds the log.
        (ahead,) = await called(sequencer, of_account(80, "acc-2", "second"))
        for _ in range(10):
            await asyncio.sleep(0)
        log.may_commit.set()
        answers = [await begun, await ahead]

    assert [each.index for answer in answers for each in answer.results] == list(range(150))
    assert len(seen.losses) == 1
    assert len(await numbered_without_a_gap(log)) == 150


async def test_callers_of_a_commit_that_was_prepared_are_refused_when_the_log_is_lost_for_good(log):
    async with writing(log) as sequencer:
        async with one_after_the_other(
            log, sequencer, of_account(70, "acc-1", "first"), of_account(80, "acc-2", "second")
        ) as (begun, ahead):
            log.fail_before_commit = 4
            log.may_commit.set()
            for each in (begun, ahead):
                with pytest.raises(Unreachable):
                    await each
        assert sequencer.queued_events == 0


async def test_events_of_a_commit_that_is_prepared_count_as_waiting(log):
    async with writing(log, queue_events_max=100) as sequencer:
        async with one_after_the_other(
            log, sequencer, of_account(64, "acc-1", "first"), of_account(90, "acc-2", "second")
        ) as (begun, ahead):
            assert sequencer.queued_events == 90
            with pytest.raises(LogBackpressure):
                await sequencer.append(some_events(11, "more"))
            log.may_commit.set()
            await asyncio.gather(begun, ahead)
        assert sequencer.queued_events == 0


async def test_numbers_that_are_forgotten_are_looked_up_again(log, monkeypatch):
    monkeypatch.setattr(preparing, "SEQUENCES_KEPT_MAX", 2)
    async with writing(log) as sequencer:
        for number in range(4):
            async with committing(log, sequencer, some_events(70, f"begun {number}", accounts=7)):
                callers = await called(
                    sequencer, *(some_events(70, f"round {number} of {caller}", accounts=7) for caller in range(3))
                )
            await asyncio.gather(*callers)

    assert len(await numbered_without_a_gap(log)) == 4 * 4 * 70


async def test_the_time_of_what_was_prepared_does_not_go_back(log):
    times = [later(60), later(60), later(30), later(90)]

    class Turning:
        def now(self):
            return times.pop(0) if len(times) > 1 else times[0]

    async with (
        writing(log, clock=Turning()) as sequencer,
        one_after_the_other(log, sequencer, of_account(70, "acc-1", "first"), of_account(80, "acc-2", "second")) as (
            begun,
            ahead,
        ),
    ):
        log.may_commit.set()
        await asyncio.gather(begun, ahead)

    entries = await numbered_without_a_gap(log)
    assert {entry.recorded_time for entry in entries} == {later(60)}


async def test_stopping_stores_what_was_prepared(log):
    sequencer, stop = sequencer_of(log), asyncio.Event()
    running = asyncio.create_task(sequencer.run(stop))
    await turn_until(lambda: sequencer.writing)
    async with one_after_the_other(
        log, sequencer, of_account(70, "acc-1", "first"), of_account(80, "acc-2", "second")
    ) as callers:
        stop.set()
        await asyncio.sleep(0)
    answers = await asyncio.gather(*callers)
    await running

    assert [len(answer.results) for answer in answers] == [70, 80]
    assert len(await numbered_without_a_gap(log)) == 150
