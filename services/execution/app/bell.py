"""Wakes those who wait for something new, so that nothing waits for a clock that needs not."""

import asyncio


class Bell:
    """Rings for everybody who listens. Who takes `rung` before looking can miss nothing that comes after."""

    def __init__(self) -> None:
        """Start silent."""
        self._rung = asyncio.Event()

    @property
    def rung(self) -> asyncio.Event:
        """Return the event of the next ring."""
        return self._rung

    def ring(self) -> None:
        """Wake everybody who waits."""
        self._rung.set()
        self._rung = asyncio.Event()
