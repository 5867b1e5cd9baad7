"""Keeps a session with a counterparty up: connects, logs on, and connects again when it is lost."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import structlog

from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.state import NotLoggedOn
from services.execution.fix.protocol.store import Entry, SessionId, SessionStore
from services.execution.fix.transport.application import Application
from services.execution.fix.transport.limits import Limits
from services.execution.fix.transport.link import Link
from services.execution.fix.transport.taking_up import taken_up
from services.execution.fix.transport.turn import Within
from services.execution.fix.transport.wire import Wire
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

CONNECT_S = 10.0
# How long to wait before the next attempt: doubled after each that failed.
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 30.0
# A session that closed for the night is looked at again so often.
CLOSED_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a counterparty listens.

    Attributes:
        host: Name or address.
        port: Of TCP.
        tls: Checks its certificate, and shows ours; None for plain TCP.
        server_name: The name its certificate must carry, where that is not `host`.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class Initiator:
    """One session that we open."""

    def __init__(
        self,
        config: SessionConfig,
        address: Address,
        store: SessionStore,
        application: Application,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        """Connect to `address` as `config` says, once `start` is called."""
        self._config = config
        self._address = address
        self._store = store
        self._application = application
        self._clock = clock
        self._limits = limits or Limits()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._changed = asyncio.Event()
        # Why there is no connection, for people.
        self.why_down = "not started"
        self.link: Link | None = None

    @property
    def session_id(self) -> SessionId:
        """Return the session's name."""
        return self._config.session_id

    @property
    def up(self) -> bool:
        """Return whether messages can be sent."""
        return self.link is not None and self.link.up

    def start(self) -> None:
        """Keep the session up from now on, also after a `stop`."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.get_running_loop().create_task(self._keep_up(), name=f"fix {self.session_id}")

    async def stop(self) -> None:
        """Log out, and connect no more."""
        self._stopping = True
        self._changed.set()
        if self.link is not None:
            self.link.leave("good-bye")
        elif self._task is not None:
            self._task.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def __aenter__(self) -> Self:
        """Start."""
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def send(self, messages: Sequence[Outgoing], within: Within | None = None) -> Sequence[Entry]:
        """See `Link.send`."""
        if self.link is None:
            raise NotLoggedOn(f"session {self.session_id} is down: {self.why_down}")
        return await self.link.send(messages, within)

    async def logged_on(self) -> Link:
        """Wait until the session is up, and return its link."""
        while True:
            link = self.link
            if link is not None and link.up:
                return link
            waits = [asyncio.ensure_future(self._changed.wait())]
            if link is not None and not link.logged_on.is_set():
                waits.append(asyncio.ensure_future(link.logged_on.wait()))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()
            self._changed.clear()

    async def _keep_up(self) -> None:
        backoff_s = BACKOFF_MIN_S
        while not self._stopping:
            if (closed_s := self._closed_s(self._clock.now())) > 0:
                self.why_down = "the session is closed at this time"
                await asyncio.sleep(min(closed_s, CLOSED_S_MAX))
                continue
            was_up = await self._once()
            log.info("fix session down", session=str(self.session_id), why=self.why_down)
            backoff_s = BACKOFF_MIN_S if was_up else min(backoff_s * 2, BACKOFF_MAX_S)
            if not self._stopping:
                await asyncio.sleep(backoff_s)

    def _closed_s(self, now: datetime) -> float:
        schedule = self._config.schedule
        if schedule.period(now) is not None:
            return 0.0
        return (schedule.next_start(now) - now).total_seconds()

    async def _once(self) -> bool:
        """Connect, and drive the session to its end; return whether it was up."""
        link: Link | None = None
        try:
            wire = await self._connect()
            session = await taken_up(self._config, self._store, self._clock.now())
            link = Link(session, wire, self._store, self._application, self._clock, self._limits)
            self.link = link
            self._changed.set()
            self.why_down = await link.run()
        except (OSError, TimeoutError) as failed:
            self.why_down = f"cannot connect to {self._address.host}:{self._address.port}: {str(failed) or 'timed out'}"
        except Exception as failed:
            # A transaction failed: the store may be away. Whatever it was, the next attempt begins from the store.
            self.why_down = f"{type(failed).__name__}: {failed}"
            log.exception("fix session failed", session=str(self.session_id))
        finally:
            self.link = None
            self._changed.set()
        return link is not None and link.logged_on.is_set()

    async def _connect(self) -> Wire:
        address, limits = self._address, self._limits
        async with asyncio.timeout(CONNECT_S):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(limits.inbox_bytes_max, limits.outbox_bytes_max),
                address.host,
                address.port,
                ssl=address.tls,
                server_hostname=(address.server_name or address.host) if address.tls is not None else None,
            )
        return wire
