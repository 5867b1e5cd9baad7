"""Long work lets others go on between its slices."""

import asyncio
from time import perf_counter

from services.runtime.slices import SLICE_S, Slices


def a_step(seconds):
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


async def went_on(steps, step_s):
    """Return how often others went on while so many steps, so long each, were done."""
    times, done = 0, False

    async def others():
        nonlocal times
        while not done:
            times += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    slices = Slices()
    for _ in range(steps):
        a_step(step_s)
        if slices.over:
            await slices.rest()
    done = True
    await waiting
    return times


async def test_others_go_on_after_each_slice():
    assert await went_on(10, SLICE_S) >= 10


async def test_a_short_piece_of_work_is_done_in_one_go():
    # Nothing that takes this little of the processor is ever two slices, unless the machine is taken away within.
    assert min([await went_on(1, 0.0) for _ in range(20)]) <= 1
