"""Connections of the driver's own, made as they are needed: for who asks thousands of times a second.

SQLAlchemy's connections, transactions and rows take three quarters of the time of a short statement. These are for
statements that are written out, or that SQLAlchemy has written once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from asyncpg import Connection as Driver
from asyncpg import InterfaceError, PostgresError, connect


class NoConnection(Exception):
    """The database does not take a connection, or none became free in time."""


class Drivers:
    """A few connections, each used by one at a time."""

    def __init__(self, url: str, connections: int, wait_s: float, age_s: float, options: Mapping[str, object]) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: Of the database, as the driver reads it.
            connections: Most at once.
            wait_s: Longest wait for one of them.
            age_s: Older ones are replaced.
            options: How the driver connects.
        """
        self._url = url
        self._wait_s = wait_s
        self._age_s = age_s
        self._options = options
        self._room = asyncio.Semaphore(connections)
        # Each with the instant from which on it is replaced; the one used last, which is warm, is used next.
        self._idle: list[tuple[Driver, float]] = []
        self._closed = False

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Driver]:
        """Hold a connection; each statement commits by itself, but for what is in a `transaction` of the driver.

        Raises:
            NoConnection: There is none.
        """
        await self._enter()
        try:
            driver, until = await self._found()
            try:
                yield driver
            except Exception:
                self._give_back(driver, until)
                raise
            except BaseException:
                # Whoever was cancelled may have left a statement under way.
                driver.terminate()
                raise
            self._give_back(driver, until)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close every connection; those that are held, when they are given back."""
        self._closed = True
        while self._idle:
            driver, _ = self._idle.pop()
            await driver.close()

    async def _enter(self) -> None:
        if not self._room.locked():
            # A wait with a limit takes time of its own, and mostly there is nothing to wait for.
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_s):
                await self._room.acquire()
        except TimeoutError as late:
            raise NoConnection("no database connection became free in time") from late

    async def _found(self) -> tuple[Driver, float]:
        while self._idle:
            driver, until = self._idle.pop()
            if not driver.is_closed() and time.monotonic() < until:
                return driver, until
            driver.terminate()
        try:
            driver = await connect(self._url, **self._options)
        except (OSError, TimeoutError, PostgresError, InterfaceError) as error:
            # Refused by the network or by the server, whose words may name our login: they stay in the log.
            raise NoConnection("the database does not answer") from error
        return driver, time.monotonic() + self._age_s

    def _give_back(self, driver: Driver, until: float) -> None:
        if self._closed or driver.is_closed() or driver.is_in_transaction():
            driver.terminate()
        else:
            self._idle.append((driver, until))
