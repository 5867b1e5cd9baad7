"""Keeps a claim while work goes on.

Work is claimed for a short time, so that it is soon free again when its worker dies; a worker that lives renews its
claim.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from services.kernel.errors import Conflict, Unreachable

# A claim is renewed this many times within its length, so one renewal may fail.
RENEWALS = 3


@asynccontextmanager
async def held(renew: Callable[[], Awaitable[None]], lease: timedelta) -> AsyncIterator[None]:
    """Renew a claim while the block runs.

    When the claim is lost the work goes on in vain: what it writes at the end is refused by its attempt number.

    Args:
        renew: Extends the claim; raises Conflict when it is lost.
        lease: For how long each renewal holds.
    """
    renewing = asyncio.create_task(_renew(renew, lease.total_seconds() / RENEWALS))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _renew(renew: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await renew()
        except Conflict:
            return
        except Unreachable:
            # The database is away for a moment; the claim may outlive that.
            continue
