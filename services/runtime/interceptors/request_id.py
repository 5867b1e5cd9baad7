"""An RPC that changes something is done once per `request_id`, in one transaction. See `services.runtime.requests`."""

from typing import cast

from google.protobuf.message import Message

from services.runtime.context import Call, Handler, Method
from services.runtime.database import Database
from services.runtime.requests import once, request_digest


class RequestIds:
    """Makes repeating a call harmless."""

    def __init__(self, database: Database) -> None:
        """Keep the answers in `database`."""
        self._database = database

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, run once per request id; itself when the method changes nothing or streams."""
        if not method.takes_request_id or method.request_streams or method.response_streams:
            return handler

        async def done_once(call: Call) -> Message:
            async def run() -> Message:
                return cast(Message, await handler(call))

            return await once(self._database, call.request.request_id, request_digest(call.request), run)

        return done_once
