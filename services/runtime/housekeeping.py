"""Forgets what nobody needs any more: events that audit has had for a while, and answers to requests of long ago.

Both grow with every change for ever otherwise. What is removed goes in small transactions, the oldest first, so nothing
waits for it and a crash in between leaves the rest for the next time. Several replicas may do it at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Delete, delete, func, select

from services.runtime.logging import get_logger
from services.runtime.telemetry import counter
from services.runtime.workers import Worker, wait

if TYPE_CHECKING:
    from services.runtime.database import Database, Transaction
    from services.runtime.settings import ServiceSettings

log = get_logger()

# Rows of one transaction.
ROWS_MAX = 2_000
# Longest wait until the next look; half of what is kept when that is shorter.
LOOK_S_MAX = 3600.0


def housekeeper(database: "Database", settings: "ServiceSettings") -> Worker:
    """Return the worker that removes what `settings` no longer keeps from `database`.

    Args:
        database: Of a service whose login may delete from `outbox` and `request_answer`.
        settings: `events_kept_s` and `answers_kept_s` say for how long.
    """
    return Worker("housekeeper", _Housekeeper(database, settings).run)


class _Housekeeper:
    def __init__(self, database: "Database", settings: "ServiceSettings") -> None:
        self._database = database
        self._events_kept = timedelta(seconds=settings.events_kept_s)
        self._answers_kept = timedelta(seconds=settings.answers_kept_s)
        self._look_s = min(LOOK_S_MAX, settings.events_kept_s / 2, settings.answers_kept_s / 2)
        self._removed = counter("evenkeel.housekeeping.removed", "{row}", "Old events and answers that were removed.")

    async def run(self, stop: asyncio.Event) -> None:
        """Remove what is too old, then look again, until `stop` is set."""
        while not stop.is_set():
            await self._remove("events", self._events, stop)
            await self._remove("answers", self._answers, stop)
            await wait(stop, self._look_s)

    async def _remove(self, what: str, some: Callable[["Transaction"], Awaitable[int]], stop: asyncio.Event) -> None:
        total, last = 0, ROWS_MAX
        while last == ROWS_MAX and not stop.is_set():
            async with self._database.begin() as transaction:
                last = await some(transaction)
            self._removed.add(last, {"what": what})
            total += last
        if total:
            log.info("removed what is no longer kept", what=what, rows=total)

    async def _events(self, transaction: "Transaction") -> int:
        c = self._database.outbox.c
        old = (
            select(c.event_id)
            .where(c.shipped_time < func.now() - self._events_kept)
            .order_by(c.shipped_time)
            .limit(ROWS_MAX)
            .with_for_update(skip_locked=True)
        )
        return await _count(transaction, delete(self._database.outbox).where(c.event_id.in_(old)))

    async def _answers(self, transaction: "Transaction") -> int:
        c = self._database.request_answers.c
        old = (
            select(c.request_id)
            .where(c.recorded_time < func.now() - self._answers_kept)
            .order_by(c.recorded_time)
            .limit(ROWS_MAX)
            .with_for_update(skip_locked=True)
        )
        return await _count(transaction, delete(self._database.request_answers).where(c.request_id.in_(old)))


async def _count(transaction: "Transaction", removal: Delete) -> int:
    return (await transaction.connection.execute(removal)).rowcount
