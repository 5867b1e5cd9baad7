"""Listens for counterparties, and gives each that proves who it is its session.

Until a Logon between known parties is complete, a connection is a stranger: it may cost a few kilobytes and a few
seconds, only so many may be there at once, and whatever it does wrong, it is closed without a word. Over TLS a Logon is
believed only if the client's certificate carries a name that speaks for its CompID.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import structlog

from services.execution.fix.protocol.codec import DataTags, Undecodable, decode
from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.framer import Framer, Garbled
from services.execution.fix.protocol.store import SessionId, SessionStore
from services.execution.fix.protocol.tags import BEGIN_STRING, SENDER_COMP_ID, TARGET_COMP_ID
from services.execution.fix.transport.application import Application
from services.execution.fix.transport.limits import Limits
from services.execution.fix.transport.link import Link
from services.execution.fix.transport.taking_up import taken_up
from services.execution.fix.transport.tls import names
from services.execution.fix.transport.wire import Wire, WireClosed
from services.kernel.clock import Clock

# A Logon's identity is in its first fields; nothing there is a data field.
_NO_DATA = DataTags({})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Counterparty:
    """Whom we accept.

    Attributes:
        config: The session as agreed.
        names: Names of client certificates that may speak for it, over TLS; None where the connection has no TLS.
    """

    config: SessionConfig
    names: frozenset[str] | None = None


class Acceptor:
    """Serves sessions on a port."""

    def __init__(
        self,
        counterparties: Mapping[SessionId, Counterparty],
        store: SessionStore,
        application: Application,
        clock: Clock,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accept `counterparties`.

        Args:
            counterparties: By the session's id.
            store: Keeps the sessions.
            application: Takes what is delivered.
            clock: Tells the time.
            limits: What a counterparty may cost.
            tls: Asks clients for certificates; None for plain TCP.

        Raises:
            ValueError: With TLS, a counterparty has no names; or without, one has.
        """
        for session, each in counterparties.items():
            if (each.names is not None) != (tls is not None):
                raise ValueError(f"{session} needs certificate names with TLS, and none without")
        self._counterparties = counterparties
        self._store = store
        self._application = application
        self._clock = clock
        self._limits = limits or Limits()
        self._tls = tls
        self._links: dict[SessionId, Link | None] = {}
        self._strangers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # Raised transactions, by the session they ended; for whoever watches.
        self.failures = 0

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which is chosen freely for 0."""
        loop = asyncio.get_running_loop()
        limits = self._limits
        self._server = await loop.create_server(
            lambda: Wire(limits.inbox_bytes_max, limits.outbox_bytes_max, self._welcome),
            host,
            port,
            ssl=self._tls,
            ssl_handshake_timeout=limits.logon_s if self._tls is not None else None,
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Say good-bye to everyone, and close."""
        if self._server is not None:
            self._server.close()
        for link in [link for link in self._links.values() if link is not None]:
            link.leave("the acceptor stops")
        for task in list(self._tasks):
            if not self._linked(task):
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _linked(self, task: "asyncio.Task[None]") -> bool:
        return task.get_name().startswith("link")

    async def __aenter__(self) -> Self:
        """Return the acceptor."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    def link(self, session: SessionId) -> Link | None:
        """Return a session's link while it is connected."""
        return self._links.get(session)

    def _welcome(self, wire: Wire) -> None:
        if self._strangers >= self._limits.strangers_max:
            wire.abort()
            return
        self._strangers += 1
        task = asyncio.get_running_loop().create_task(self._serve(wire), name="stranger")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire) -> None:
        framer = Framer(self._limits.body_bytes_max)
        try:
            async with asyncio.timeout(self._limits.logon_s):
                frames = await self._first(wire, framer)
        except (TimeoutError, WireClosed):
            frames = []
        except asyncio.CancelledError:
            wire.abort()
            raise
        finally:
            self._strangers -= 1
        found = self._recognise(wire, frames)
        if found is None:
            # The peer hears nothing, but the close is orderly: nothing of ours is unsent.
            wire.close()
            wire.abort_later()
            return
        session_id, counterparty = found
        if not await self._is_free(session_id):
            log.warning("fix session is connected already", session=str(session_id))
            wire.close()
            wire.abort_later()
            return
        task = asyncio.current_task()
        if task is not None:
            task.set_name(f"link {session_id}")
        self._links[session_id] = None
        try:
            session = await taken_up(counterparty.config, self._store, self._clock.now())
            link = Link(session, wire, self._store, self._application, self._clock, self._limits, framer)
            self._links[session_id] = link
            why = await link.run(frames)
            log.info("fix session over", session=str(session_id), why=why)
        except Exception:
            self.failures += 1
            log.exception("fix session failed", session=str(session_id))
        finally:
            del self._links[session_id]

    async def _first(self, wire: Wire, framer: Framer) -> list[bytes | Garbled]:
        """Wait for the first complete frame, and return it with those behind it."""
        taken = 0
        while True:
            await wire.woken.wait()
            data = wire.take()
            taken += len(data)
            if frames := framer.feed(data):
                return frames
            if wire.closed or taken > self._limits.first_bytes_max:
                raise WireClosed("no Logon came")

    def _recognise(self, wire: Wire, frames: list[bytes | Garbled]) -> tuple[SessionId, Counterparty] | None:
        """Return whose session a first frame opens; None if nobody's who may."""
        first = frames[0] if frames else None
        if not isinstance(first, bytes):
            return None
        try:
            message = decode(first, _NO_DATA)
        except Undecodable:
            return None
        session = SessionId(
            message.text(BEGIN_STRING) or "", message.text(TARGET_COMP_ID) or "", message.text(SENDER_COMP_ID) or ""
        )
        counterparty = self._counterparties.get(session)
        if counterparty is None or message.msg_type != "A":
            log.warning("fix stranger", session=str(session)[:100])
            return None
        if counterparty.names is not None and not counterparty.names & names(wire.certificate):
            log.warning("fix certificate does not speak for its CompID", session=str(session))
            return None
        return session, counterparty

    async def _is_free(self, session: SessionId) -> bool:
        """Return whether a session may be taken up; waits for the end of a connection that is over."""
        present = self._links.get(session)
        if present is not None and present.ending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(present.ended.wait(), self._limits.logon_s)
        return session not in self._links
