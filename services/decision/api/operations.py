"""`google.longrunning.Operations` for runs: the operation of a run is `operations/<run id>`."""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.longrunning import operations_pb2 as pb
from google.longrunning.operations_pb2_grpc import OperationsServicer
from google.protobuf.empty_pb2 import Empty

from services.decision.api.run_messages import OPERATION_PREFIX, operation_message
from services.decision.app.runs import RunApp
from services.decision.domain.run import RunNotFound, RunProgress
from services.kernel.errors import Invalid, NotFound, Rejected
from services.kernel.ids import RunId
from services.runtime.context import remaining_s
from services.runtime.paging import cut, read_page

# The contract is not ours and declares no permissions; these are those of the same calls of `RunService`.
PERMISSIONS = {
    "GetOperation": "decision.read",
    "ListOperations": "decision.read",
    "WaitOperation": "decision.read",
    "CancelOperation": "decision.run",
    "DeleteOperation": "decision.run",
}

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
# Longest wait of one call; callers wait again.
WAIT_S_MAX = 60.0
# What is left of a caller's deadline for the answer itself.
ANSWER_S = 0.5

_Context = grpc.aio.ServicerContext[Any, Any]


class OperationNotFound(NotFound):
    """No operation has this name."""

    reason = "OPERATION_NOT_FOUND"


class OperationKept(Rejected):
    """Operations are the record of runs, and records stay."""

    reason = "RUN_STATE"


@dataclass(frozen=True, slots=True)
class RunOperations(OperationsServicer):
    """Answers callers of long-running operations."""

    app: RunApp

    async def GetOperation(self, request: pb.GetOperationRequest, context: _Context) -> pb.Operation:
        return self._message(await self._found(request.name))

    async def ListOperations(self, request: pb.ListOperationsRequest, context: _Context) -> pb.ListOperationsResponse:
        if request.filter:
            raise Invalid.of("filter", f"must be empty, was {request.filter[:64]!r}")
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.app.list_runs(None if page.after is None else int(page.after[0]), page.size + 1)
        shown, token = cut(found, page, lambda numbered: (numbered[0],))
        return pb.ListOperationsResponse(operations=[self._message(each) for _, each in shown], next_page_token=token)

    async def CancelOperation(self, request: pb.CancelOperationRequest, context: _Context) -> Empty:
        progress = await self._found(request.name)
        await self.app.cancel_run(progress.run.run_id)
        return Empty()

    async def DeleteOperation(self, request: pb.DeleteOperationRequest, context: _Context) -> Empty:
        await self._found(request.name)
        raise OperationKept("an operation cannot be deleted: it is the record of a run", name=request.name)

    async def WaitOperation(self, request: pb.WaitOperationRequest, context: _Context) -> pb.Operation:
        wanted_s = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else WAIT_S_MAX
        if wanted_s < 0:
            raise Invalid.of("timeout", f"must be at least 0 s, was {wanted_s} s")
        progress = await self._found(request.name)
        try:
            async with asyncio.timeout(max(0.0, min(wanted_s, WAIT_S_MAX, remaining_s() - ANSWER_S))):
                async for each in self.app.watch_run(progress.run.run_id):
                    progress = each
        except TimeoutError:
            # The answer is the operation as it is: not done, wait again.
            progress = await self._found(request.name)
        return self._message(progress)

    async def _found(self, name: str) -> RunProgress:
        try:
            return await self.app.get_run(RunId(name.removeprefix(OPERATION_PREFIX)))
        except RunNotFound as missing:
            raise OperationNotFound(f"operation {name[:128]} does not exist", name=name[:128]) from missing

    def _message(self, progress: RunProgress) -> pb.Operation:
        return operation_message(progress, self.app.clock.now())
