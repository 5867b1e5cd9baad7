"""Bytes become a message after we know who sent them, and bytes that are none are the sender's mistake.

gRPC's own parsing happens before any interceptor, and answers malformed bytes as a fault of ours.
"""

from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError, Message

from services.kernel.errors import Invalid
from services.runtime.context import Call, Handler, Method


class Parsing:
    """Reads requests."""

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, given messages instead of bytes."""
        request_type = method.request_type
        if method.request_streams:

            async def each_read(call: Call) -> Message | None:
                call.request = _messages(request_type, call.request)
                return await handler(call)

            return each_read

        async def read(call: Call) -> Message | None:
            call.request = _message(request_type, call.request)
            return await handler(call)

        return read


async def _messages(request_type: type[Message], stream: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for data in stream:
        yield _message(request_type, data)


def _message(request_type: type[Message], data: bytes) -> Message:
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.name
        raise Invalid(f"the request's {len(data)} bytes are not a {name}") from error
