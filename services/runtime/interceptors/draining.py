"""Streams end when the service does.

A reader that follows a log would keep a stopping service alive until its grace is over. So what streams still run a
moment after the drain began are ended, and their readers told to read on elsewhere.
"""

import asyncio
from typing import Any

from google.protobuf.message import Message

from services.kernel.errors import Unreachable
from services.runtime.context import Call, Handler, Method


class ServiceStopping(Unreachable):
    """The service is about to stop, and ends its streams."""

    reason = "SERVICE_STOPPING"


class Draining:
    """Knows the streams that run, and ends them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._streams: set[asyncio.Task[Any]] = set()
        self._ending = False

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, ended when the service stops; itself when it does not stream."""
        if not method.response_streams:
            return handler

        async def ended_in_time(call: Call) -> Message | None:
            task = asyncio.current_task()
            if task is None:
                raise RuntimeError("a call is served by a task")
            self._streams.add(task)
            try:
                return await handler(call)
            except asyncio.CancelledError as error:
                if not self._ending or task.uncancel():
                    raise
                raise ServiceStopping("the service is about to stop; open the stream again") from error
            finally:
                self._streams.discard(task)

        return ended_in_time

    def end_streams(self) -> None:
        """End every stream that runs."""
        self._ending = True
        for task in tuple(self._streams):
            task.cancel()
