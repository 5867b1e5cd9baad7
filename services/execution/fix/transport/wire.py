"""One TCP or TLS connection as bounded buffers."""

import asyncio
from collections.abc import Callable
from typing import cast

# How long what was written last may take to leave, once we hang up.
LINGER_S = 5.0


class WireClosed(Exception):
    """The connection is gone, or its other side does not read."""


class Wire(asyncio.Protocol):
    """Collects what comes until it is taken, and holds the other side back while too much waits."""

    def __init__(self, inbox_max: int, outbox_max: int, wake: Callable[["Wire"], None] | None = None) -> None:
        """Hold at most `inbox_max` unread bytes, and `outbox_max` unsent ones.

        Args:
            inbox_max: Reading pauses from here on.
            outbox_max: `flush` waits from here on.
            wake: Called with this wire when it is connected.
        """
        self._inbox = bytearray()
        self._inbox_max = inbox_max
        self._outbox_max = outbox_max
        self._connected = wake
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = False
        # Set when there is something to take, or nothing more will come.
        self.woken = asyncio.Event()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._outbox_max)
        if self._connected is not None:
            self._connected(self)

    def data_received(self, data: bytes) -> None:
        """Collect, and pause when it is enough."""
        self._inbox += data
        if len(self._inbox) >= self._inbox_max and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self.woken.set()

    def eof_received(self) -> bool:
        """Close our side, too."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Wake whoever waits."""
        self.closed = True
        self._writable.set()
        self.woken.set()

    def pause_writing(self) -> None:
        """Make `flush` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `flush` go on."""
        self._writable.set()

    # What a link calls.

    @property
    def transport(self) -> asyncio.Transport:
        """Return the transport, of a connected wire."""
        if self._transport is None:
            raise WireClosed("not connected yet")
        return self._transport

    def take(self) -> bytes:
        """Return what came, and read on."""
        if not self.closed:
            # Of a wire that ended it stays set: nothing would set it again.
            self.woken.clear()
        data = bytes(self._inbox)
        self._inbox.clear()
        if self._paused and not self.closed:
            self._paused = False
            self.transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        if data and not self.closed:
            self.transport.write(data)

    async def flush(self, timeout_s: float) -> None:
        """Wait until little waits for the socket.

        Raises:
            WireClosed: The connection is gone, or its other side read nothing for `timeout_s`.
        """
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._writable.wait()
            except TimeoutError as late:
                self.abort()
                raise WireClosed(f"the counterparty read nothing for {timeout_s:g} s") from late
        if self.closed:
            raise WireClosed("the connection is gone")

    def close(self) -> None:
        """Close after what was written is out."""
        if self._transport is not None:
            self._transport.close()

    @property
    def certificate(self) -> object:
        """Return the other side's verified certificate as `ssl` shows it; None without TLS."""
        return self.transport.get_extra_info("peercert")

    def abort_later(self) -> None:
        """Close at once if what was written does not leave soon."""
        asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
