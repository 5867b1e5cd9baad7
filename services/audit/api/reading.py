"""Has every reader of entries recorded, and tells them where."""

from typing import Any

import grpc.aio

from services.audit.app import Access, AccessLog, Reader
from services.runtime.context import current_call, trace_parent

# Response header: the index of the entry of the log `access` that tells of this call.
ACCESS_INDEX_HEADER = "evenkeel-access-index"


class AccessRecorder:
    """Writes each call that shows entries into the access log, before its first row is sent."""

    def __init__(self, access: AccessLog) -> None:
        """Record in `access`."""
        self._access = access

    async def record(self, context: grpc.aio.ServicerContext[Any, Any], access: Access) -> int:
        """Record that the call being served shows what `access` says; tell its caller the index, and return it.

        Raises:
            RuntimeError: No call is being served, or nobody knows whose it is.
            Unreachable: It cannot be recorded just now, so nothing may be shown.
        """
        call = current_call()
        if call is None or call.caller is None:
            raise RuntimeError("entries are read in a call, by somebody")
        reader = Reader(call.caller.subject, call.caller.roles, trace_parent() or "")
        index = await self._access.record(reader, call.method.full_name, access)
        await context.send_initial_metadata(((ACCESS_INDEX_HEADER, str(index)),))
        return index
