"""How a call was refused, as the caller is told."""

from collections.abc import Awaitable

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class Refused:
    """What a caller is told when a call is refused."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        """Read the details of `error`."""
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.info = error_details_pb2.ErrorInfo()
        self.bad = error_details_pb2.BadRequest()
        self.retry = error_details_pb2.RetryInfo()
        status = rpc_status.from_call(error)  # type: ignore[no-untyped-call]  # published without types
        for detail in status.details if status else ():
            for known in (self.info, self.bad, self.retry):
                detail.Unpack(known)

    @property
    def reason(self) -> str:
        """The stable name of why."""
        reason: str = self.info.reason
        return reason

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong with each field."""
        return {each.field: each.description for each in self.bad.field_violations}


async def refused(call: Awaitable[object]) -> Refused:
    """Await `call`, which must be refused, and return how."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused(caught.value)
