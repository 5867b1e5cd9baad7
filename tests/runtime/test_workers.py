"""Background work goes on, whatever happens to it."""

import asyncio

from services.runtime.workers import CALM_AFTER_S, Backoff, Patience, Worker, Workers, wait
from tests.runtime.counter.running import until


async def test_a_worker_that_fails_is_started_again(recorded):
    runs = []

    async def run(stop):
        runs.append(len(runs))
        if len(runs) < 3:
            raise ConnectionError("once more")
        await stop.wait()

    workers = Workers([Worker("flaky", run)])
    workers.start()
    await until(lambda: len(runs) == 3)
    await workers.stop(5)

    assert runs == [0, 1, 2]
    assert ({"worker": "flaky"}, 2) in recorded.points("evenkeel.worker.failures")


async def test_a_worker_that_returns_although_nobody_told_it_to_end_is_counted_and_started_again(recorded):
    runs = []

    async def run(stop):
        runs.append(len(runs))
        if len(runs) == 3:
            await stop.wait()

    workers = Workers([Worker("gone", run)])
    workers.start()
    await until(lambda: len(runs) == 3)
    await workers.stop(5)

    assert runs == [0, 1, 2]
    assert ({"worker": "gone"}, 2) in recorded.points("evenkeel.worker.failures")


async def test_workers_are_asked_to_end_and_waited_for():
    started, ended = [], []

    async def run(stop):
        started.append(True)
        await stop.wait()
        ended.append(True)

    workers = Workers([Worker("a", run), Worker("b", run)])
    workers.start()
    await until(lambda: len(started) == 2)
    await workers.stop(5)

    assert ended == [True, True]


async def test_a_worker_that_does_not_end_is_cancelled():
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def run(stop):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    workers = Workers([Worker("stubborn", run)])
    workers.start()
    await started.wait()
    await workers.stop(0.01)

    assert cancelled.is_set()


def test_waits_double_up_to_the_longest_and_start_again():
    backoff = Backoff(1, 8)
    waits = [backoff.next_s() for _ in range(6)]

    for got, limit in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert limit / 2 <= got <= limit
    backoff.reset()
    assert backoff.next_s() <= 1


async def test_a_wait_ends_with_any_of_its_reasons():
    stop, waker = asyncio.Event(), asyncio.Event()
    await wait(stop, 0.001)
    waiting = asyncio.ensure_future(wait(stop, 60, waker))
    waker.set()

    await asyncio.wait_for(waiting, 5)


def test_who_finds_no_work_looks_often_for_a_while_and_then_seldom_until_there_is_some():
    now_s = 100.0
    patience = Patience(0.1, 1.0, lambda: now_s)

    now_s += CALM_AFTER_S - 0.1
    assert patience.next_s() == 0.1
    now_s += 0.1
    assert patience.next_s() == 1.0
    patience.worked()
    assert patience.next_s() == 0.1


def test_calm_is_never_shorter_than_busy():
    assert Patience(2.0, 1.0, iter([0.0, CALM_AFTER_S]).__next__).next_s() == 2.0
