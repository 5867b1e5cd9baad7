"""Every call ends. One whose caller set no deadline gets ours.

gRPC itself cancels the handler at the caller's deadline, and a cancelled handler cancels its query. Both are told what
is left through the call's context.
"""

import asyncio
import time
from typing import cast

from google.protobuf.message import Message

from services.runtime.context import Call, Handler, Method
from services.runtime.deadlines import DeadlinePassed


class Deadline:
    """Bounds every call."""

    def __init__(self, call_s: float, stream_s: float) -> None:
        """Give `call_s` to calls whose callers set no deadline, and `stream_s` to streaming ones."""
        self._call_s = call_s
        self._stream_s = stream_s

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, bounded."""
        default_s = self._stream_s if method.request_streams or method.response_streams else self._call_s

        async def bounded(call: Call) -> Message | None:
            # The published type forgets that there may be none.
            given_s = cast("float | None", call.context.time_remaining())
            call.deadline_s = time.monotonic() + (default_s if given_s is None else given_s)
            if given_s is not None:
                return await handler(call)
            bound = asyncio.timeout(default_s)
            try:
                async with bound:
                    return await handler(call)
            except TimeoutError as error:
                if not bound.expired():
                    raise
                raise DeadlinePassed(f"the call took longer than {default_s:g} s", limit_s=default_s) from error

        return bounded
