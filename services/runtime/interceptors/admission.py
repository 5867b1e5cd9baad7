"""A service that takes more than it can do answers nobody in time. So it counts, and refuses early."""

from google.protobuf.message import Message

from services.kernel.errors import Overloaded
from services.runtime.context import Call, Handler, Method


class CallsExceedLimit(Overloaded):
    """The service has as many calls in flight as it admits."""

    reason = "CALLS_EXCEED_LIMIT"


class Admission:
    """Lets a bounded number of calls in."""

    def __init__(self, most: int) -> None:
        """Admit `most` calls at once."""
        self.most = most
        self.admitted = 0

    def around(self, _: Method, handler: Handler) -> Handler:
        """Return `handler`, refused while the service is full."""

        async def admitted(call: Call) -> Message | None:
            if self.admitted >= self.most:
                raise CallsExceedLimit(
                    f"the service serves at most {self.most} calls at once; repeat in a second", limit=self.most
                )
            self.admitted += 1
            try:
                return await handler(call)
            finally:
                self.admitted -= 1

        return admitted
