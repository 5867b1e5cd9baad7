"""Tells those who wait, in this process, that something changed."""

import asyncio


class Changes:
    """Tells those who wait, in this process, that something changed; what other replicas change is seen by looking."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._changed = asyncio.Event()
        self._work = asyncio.Event()

    def tell(self, *, work: bool = True) -> None:
        """Wake everybody who watches a run; and, if there may be `work` for another stage, those who do it."""
        self._changed.set()
        self._changed = asyncio.Event()
        if work:
            self._work.set()
            self._work = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the next change, or for `seconds`."""
        await _wait(self._changed, seconds)

    async def wait_for_work(self, seconds: float) -> bool:
        """Wait until there may be work, or for `seconds`; return whether there may be."""
        return await _wait(self._work, seconds)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
