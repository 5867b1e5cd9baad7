"""Background work that runs as long as the service does, and comes back when it fails."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.runtime.logging import get_logger
from services.runtime.telemetry import counter

log = get_logger()

# Wait before a failed worker starts again: doubles each time, with chance, up to the longest.
RESTART_S_MIN = 0.1
RESTART_S_MAX = 10.0
# A worker that ran this long was well; its next failure waits the shortest time again.
WELL_S = 60.0
# Who found no work for this long expects none soon.
CALM_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A background loop. `run` is handed an event that says when to end, and ends soon after it is set.

    One that returns earlier has failed just like one that raises: it is counted and started again.
    """

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]


class Workers:
    """Runs workers until told to stop."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        """Prepare; nothing runs yet."""
        self._workers = tuple(workers)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = counter(
            "evenkeel.worker.failures", "{failure}", "How often background work failed, or ended unasked."
        )

    def start(self) -> None:
        """Start each worker."""
        self._tasks = [asyncio.create_task(self._keep_running(each), name=each.name) for each in self._workers]

    async def stop(self, within_s: float) -> None:
        """Ask each to end, wait for them for `within_s`, then cancel those still running."""
        self._stop.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within_s)
        for task in late:
            log.warning("worker did not end in time", worker=task.get_name(), waited_s=within_s)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_running(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(RESTART_S_MIN, RESTART_S_MAX)
        while not self._stop.is_set():
            started_s = loop.time()
            why: Exception | None = None
            try:
                await worker.run(self._stop)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, counted, and the work goes on
                why = error
            if why is None and self._stop.is_set():
                return
            self._failures.add(1, {"worker": worker.name})
            if loop.time() - started_s > WELL_S:
                backoff.reset()
            wait_s = backoff.next_s()
            event = "worker failed" if why else "worker returned although nobody told it to end"
            log.error(event, worker=worker.name, again_in_s=round(wait_s, 3), exc_info=why)
            await wait(self._stop, wait_s)


class Backoff:
    """Waits that grow: each up to twice as long as the one before, drawn by chance so that many do not wait in step."""

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        """Start at `shortest_s`, end at `longest_s`."""
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._limit_s = shortest_s

    def next_s(self) -> float:
        """Return the next wait, in seconds: half to all of the present limit."""
        limit_s = self._limit_s
        self._limit_s = min(2 * limit_s, self._longest_s)
        return random.uniform(limit_s / 2, limit_s)  # noqa: S311 - spreads load, protects nothing

    def reset(self) -> None:
        """Start again at the shortest."""
        self._limit_s = self._shortest_s


class Patience:
    """How long who found nothing to do waits before looking again: briefly while work comes, longer when none does.

    What other processes wrote is only seen by looking, and looking costs: a query each, many times a second.
    """

    def __init__(self, busy_s: float, calm_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        """Start as if there had just been work.

        Args:
            busy_s: The wait while work comes.
            calm_s: The wait when none came for `CALM_AFTER_S`; at least `busy_s` is waited.
            now_s: A clock in seconds that never goes back.
        """
        self._busy_s = busy_s
        self._calm_s = max(busy_s, calm_s)
        self._now_s = now_s
        self._worked_s = now_s()

    def worked(self) -> None:
        """Note that there was work just now."""
        self._worked_s = self._now_s()

    def next_s(self) -> float:
        """Return how long to wait."""
        return self._busy_s if self._now_s() - self._worked_s < CALM_AFTER_S else self._calm_s


async def wait(stop: asyncio.Event, seconds: float, *wakers: asyncio.Event) -> None:
    """Wait for `seconds`, or until `stop` or one of `wakers` is set."""
    events = (stop, *wakers)
    if any(event.is_set() for event in events):
        return
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
