"""Keeps FIX sessions up beside the calls: those that we open, and the sandbox's own port.

Several replicas of the service share a database, and a session belongs to one of them: who holds its lock. The lock
ends with the connection that took it, so another replica goes on when the holder dies; and the store's numbers, which
move from where they were or not at all, would stop two that both believed to hold it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import text

from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.store import SessionId, SessionStore
from services.execution.fix.transport.acceptor import Acceptor, Counterparty
from services.execution.fix.transport.initiator import Initiator
from services.execution.fix.transport.tls import server_context
from services.execution.venues.fix44.desk import SandboxDesk
from services.execution.venues.fix44.watch import SessionWatch
from services.kernel.clock import Clock
from services.runtime.database import Database
from services.runtime.workers import Worker, wait

log = structlog.get_logger()

# How often one that does not hold a session tries to, and a holder makes sure that it still does, in seconds.
LEAD_AGAIN_S = 2.0


def keep_up(initiator: Initiator, database: Database, watch: SessionWatch) -> Worker:
    """Return the worker that keeps a session with a broker up, in one replica at a time."""

    async def run(stop: asyncio.Event) -> None:
        async with held(database, str(initiator.session_id), stop) as lost:
            if stop.is_set():
                return
            initiator.start()
            watch.hold(initiator.session_id, lambda: initiator.link, lambda: initiator.why_down)
            try:
                await _either(stop, lost)
            finally:
                # First what needs no database: it may be away, and nobody may speak any more either way.
                await initiator.stop()
                await watch.let_go(initiator.session_id)

    return Worker(f"fix session {initiator.session_id}", run)


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of mutual TLS, PEM: our certificate, its key, and who signs the other side's."""

    certificate: Path
    key: Path
    authorities: Path


class SandboxPort:
    """The sandbox's own FIX port."""

    def __init__(
        self, configs: Sequence[SessionConfig], store: SessionStore, desk: SandboxDesk, clock: Clock, tls: Tls | None
    ) -> None:
        """Serve the sessions of `configs`; over TLS, a client's certificate must carry its CompID as a name."""
        names: Mapping[SessionId, frozenset[str] | None] = {
            each.session_id: None if tls is None else frozenset({each.target}) for each in configs
        }
        self._sessions = [each.session_id for each in configs]
        self._desk = desk
        self.acceptor = Acceptor(
            {each.session_id: Counterparty(each, names[each.session_id]) for each in configs},
            store,
            desk,
            clock,
            tls=None if tls is None else server_context(tls.certificate, tls.key, tls.authorities),
        )

    def worker(self, host: str, port: int, database: Database, watch: SessionWatch) -> Worker:
        """Return the worker that listens, in one replica at a time."""

        async def run(stop: asyncio.Event) -> None:
            async with held(database, f"sandbox:{port}", stop) as lost:
                if stop.is_set():
                    return
                bound = await self.acceptor.start(host, port)
                log.info("the sandbox speaks fix", host=host, port=bound)
                ending = asyncio.Event()
                pumps = [
                    asyncio.create_task(self._desk.pump(each, partial(self.acceptor.link, each), ending))
                    for each in self._sessions
                ]
                for each in self._sessions:
                    watch.hold(each, partial(self.acceptor.link, each), lambda: "the client is not connected")
                try:
                    await _either(stop, lost, *pumps)
                finally:
                    # First what needs no database: it may be away, and the port must be free either way.
                    ending.set()
                    await asyncio.gather(*pumps, return_exceptions=True)
                    await self.acceptor.stop()
                    for each in self._sessions:
                        await watch.let_go(each)
            for pump in pumps:
                pump.result()

        return Worker("sandbox fix port", run)


@asynccontextmanager
async def held(database: Database, name: str, stop: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """Hold what `name` names in this replica alone; the event is set when it is lost. Waits for it, or for `stop`.

    Raises:
        ConnectionError: It was lost. A worker must fail then, so that it is started again.
    """
    key = int.from_bytes(hashlib.sha256(f"fix/{name}".encode()).digest()[:8], "big", signed=True)
    lost = asyncio.Event()
    async with database.dedicated() as connection:
        while not stop.is_set():
            taken = await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
            if taken.scalar_one():
                break
            await wait(stop, LEAD_AGAIN_S)

        async def watch() -> None:
            try:
                while True:
                    await asyncio.sleep(LEAD_AGAIN_S)
                    await connection.execute(text("SELECT 1"))
            except Exception as error:
                log.warning("a lock is gone with its connection", name=name, why=str(error))
                lost.set()
                raise

        watching = asyncio.create_task(watch())
        try:
            yield lost
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    if lost.is_set():
        raise ConnectionError(f"the lock of {name} is gone")


async def _either(*awaited: "asyncio.Event | asyncio.Task[None]") -> None:
    waits = [asyncio.ensure_future(each.wait()) if isinstance(each, asyncio.Event) else each for each in awaited]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each, source in zip(waits, awaited, strict=True):
            if isinstance(source, asyncio.Event):
                each.cancel()
