"""A network between two parties that fails on request: it cuts, swallows, holds back."""

import asyncio
from collections.abc import Callable


class TcpProxy:
    """Passes bytes between clients and a server, until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        """Lead to `host`:`port`."""
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        # No connection is let through.
        self.down = False
        # Looks at what a client sends; True cuts the connection instead, once.
        self.cut_before: Callable[[bytes], bool] | None = None
        # Passes so many bytes more from the client, and cuts, in the middle of a message perhaps.
        self.cut_after: int | None = None
        # What the server says waits until a client sends something that contains these bytes.
        self.hold_until: bytes | None = None
        self._released = asyncio.Event()
        self._released.set()

    async def start(self) -> "TcpProxy":
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Cut everything."""
        self.down = True
        self.cut()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Cut all connections now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def lead_to(self, port: int) -> None:
        """Lead to another port from the next connection on."""
        self._target = self._target[0], port

    def hold(self, until: bytes) -> None:
        """Hold back what the server says until a client sends `until`."""
        self.hold_until = until
        self._released.clear()

    def release(self) -> None:
        """Pass on what was held back."""
        self.hold_until = None
        self._released.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.down:
            writer.transport.abort()
            return
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, upstream_writer}
        try:
            await asyncio.gather(
                self._from_client(reader, upstream_writer, writer), self._from_server(upstream_reader, writer)
            )
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers -= {writer, upstream_writer}
            for each in (writer, upstream_writer):
                each.transport.abort()

    async def _from_client(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            if self.hold_until is not None and self.hold_until in data:
                self.release()
            if self.cut_before is not None and self.cut_before(data):
                self.cut_before = None
                break
            if self.cut_after is not None:
                passed, self.cut_after = data[: self.cut_after], None
                to.write(passed)
                await to.drain()
                break
            to.write(data)
            await to.drain()
        to.close()
        back.close()

    async def _from_server(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._released.wait()
            to.write(data)
            await to.drain()
        to.close()
