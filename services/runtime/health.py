"""Can the service serve? Asked by itself, again and again; told to whoever watches `grpc.health.v1`.

It serves when its database answers, its migrations are in, and what else it needs is ready. The question goes through a
connection of its own: a busy pool is no reason to be taken out of service.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

# The package's own interface of `HealthServicer` for asyncio.
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from sqlalchemy.exc import SQLAlchemyError

from services.kernel.errors import Fact
from services.runtime.database import Database
from services.runtime.logging import get_logger
from services.runtime.migrations import current_revision_is_head

log = get_logger()

# Longest that one question may take, in seconds; no answer is an answer.
ANSWER_S_MAX = 5.0


class Health:
    """Keeps the health of the server and each of its services."""

    def __init__(
        self,
        database: Database,
        package: str,
        services: Sequence[str],
        ready: Callable[[], Awaitable[bool]] | None,
        period_s: float,
    ) -> None:
        """Watch `database` and the migrations of `package` on behalf of `services`.

        Args:
            database: Asked through a connection of its own.
            package: Whose migrations must be in.
            services: Full names; all are healthy or none.
            ready: What else must be true; nothing when None.
            period_s: Time between two questions.
        """
        self.servicer = HealthServicer()
        self.serving = False
        self._database = database
        self._package = package
        self._names = ("", *services)
        self._ready = ready
        self._period_s = period_s
        self._draining = False

    async def watch(self, stop: asyncio.Event) -> None:
        """Ask again and again until `stop` is set."""
        while not stop.is_set():
            try:
                async with self._database.dedicated() as connection:
                    while not stop.is_set():
                        async with asyncio.timeout(ANSWER_S_MAX):
                            migrated = await current_revision_is_head(connection, self._package, self._database.schema)
                            well = migrated and (self._ready is None or await self._ready())
                        await self._say(well, None if well else "not migrated or not ready")
                        await _pause(stop, self._period_s)
            except (Fact, TimeoutError, SQLAlchemyError) as error:
                # Whatever it is, without an answer the service does not serve; the next question may get one.
                await self._say(False, str(error) or "no answer in time")
                await _pause(stop, self._period_s)

    async def drain(self) -> None:
        """Say that no new calls should come, from now on."""
        self._draining = True
        self.serving = False
        await self.servicer.enter_graceful_shutdown()

    async def start(self) -> None:
        """Say that the service does not serve yet."""
        for name in self._names:
            await self.servicer.set(name, HealthCheckResponse.NOT_SERVING)

    async def _say(self, well: bool, why: str | None) -> None:
        if self._draining or well == self.serving:
            return
        self.serving = well
        status = HealthCheckResponse.SERVING if well else HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self.servicer.set(name, status)
        if well:
            log.info("serving")
        else:
            log.warning("not serving", why=why)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
