"""Workers look at a clock's pace, and at once when a bell rings."""

import asyncio

from services.execution.app.bell import Bell
from services.execution.main import repeating

HOUR_S = 3600.0


async def test_each_bell_wakes_a_worker_that_has_found_nothing():
    bells, looked, stop = (Bell(), Bell()), asyncio.Semaphore(0), asyncio.Event()

    async def step():
        looked.release()
        return 0

    running = asyncio.create_task(repeating("look", step, HOUR_S, HOUR_S, *bells).run(stop))
    await looked.acquire()
    for bell in bells:
        bell.ring()
        await looked.acquire()
    stop.set()
    await running
    assert looked.locked()


async def test_a_bell_that_rings_while_the_worker_looks_makes_it_look_again():
    bell, stop, looks = Bell(), asyncio.Event(), 0

    async def step():
        nonlocal looks
        looks += 1
        if looks == 1:
            bell.ring()
        else:
            stop.set()
        return 0

    await repeating("look", step, HOUR_S, HOUR_S, bell).run(stop)
    assert looks == 2
