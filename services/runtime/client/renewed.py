"""A channel whose certificate is the one in the files now.

gRPC reads a client's certificate once, when a channel is made. Certificates are replaced every few weeks while services
run for months; a channel that showed the old one after it expired would be refused at its next connection. So the
channel is made again when a file changed: new calls take the new one, and calls under way end on the one they began on.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from services.runtime.credentials import WatchedFile
from services.runtime.logging import get_logger

log = get_logger()


class RenewedChannel(grpc.aio.Channel):
    """A channel that `make` makes anew when one of `files` changed; used from one event loop."""

    def __init__(self, make: Callable[[], grpc.aio.Channel], files: Sequence[WatchedFile], drain_s: float) -> None:
        """Make the first channel.

        Args:
            make: Returns a channel from what the files say at that moment.
            files: Looked at before each call, at most once a second.
            drain_s: Longest that calls on a channel that was replaced may go on, in seconds.

        Raises:
            OSError: A file cannot be read.
        """
        self._make = make
        self._files = files
        self._drain_s = drain_s
        self._stale = False
        self._retiring: dict[grpc.aio.Channel, asyncio.Task[None]] = {}
        # Read before the channel is made: what changes after that is seen as a change.
        for file in files:
            file.read()
        self._channel = make()

    def current(self) -> grpc.aio.Channel:
        """Return the channel for a call that begins now."""
        try:
            for file in self._files:
                # Kept until there is a channel for it: another file may be missing for a moment.
                self._stale |= file.changed()
            if self._stale:
                fresh = self._make()
                self._retire(self._channel)
                self._channel, self._stale = fresh, False
                log.info("certificate replaced", files=[str(file.path) for file in self._files])
        except OSError as error:
            # A file that is just being replaced; the next call looks again.
            log.warning("certificate cannot be read", error=str(error))
        return self._channel

    def unary_unary(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401 - as gRPC publishes them
        """Return a callable for this method, on the channel of the moment."""
        return _Method(self, "unary_unary", method, options)

    def unary_stream(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """Return a callable for this method, on the channel of the moment."""
        return _Method(self, "unary_stream", method, options)

    def stream_unary(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """Return a callable for this method, on the channel of the moment."""
        return _Method(self, "stream_unary", method, options)

    def stream_stream(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """Return a callable for this method, on the channel of the moment."""
        return _Method(self, "stream_stream", method, options)

    async def close(self, grace: float | None = None) -> None:
        """Close, those that were replaced too; calls under way may go on for `grace` seconds."""
        draining = list(self._retiring.items())
        for _, task in draining:
            task.cancel()
        await asyncio.gather(*(task for _, task in draining), return_exceptions=True)
        await asyncio.gather(self._channel.close(grace), *(channel.close(grace) for channel, _ in draining))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the channel of the moment."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the channel of the moment leaves a state."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel of the moment is connected."""
        await self.current().channel_ready()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at once."""
        await self.close()

    def _retire(self, channel: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(channel.close(self._drain_s), name="retire channel")
        self._retiring[channel] = task
        task.add_done_callback(lambda _: self._retiring.pop(channel, None))


class _Method:
    """A method of a stub: bound again when the channel was made again."""

    def __init__(self, renewed: RenewedChannel, kind: str, method: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._renewed = renewed
        self._kind = kind
        self._method = method
        self._options = options
        self._channel: grpc.aio.Channel | None = None
        self._bound: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as gRPC publishes it
        channel = self._renewed.current()
        if self._bound is None or channel is not self._channel:
            self._channel, self._bound = channel, getattr(channel, self._kind)(*self._method, **self._options)
        return self._bound(*arguments, **options)
