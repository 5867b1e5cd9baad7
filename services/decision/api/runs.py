"""`evenkeel.decision.v1.RunService`: message → values → use case → message."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.longrunning import operations_pb2

from evenkeel.decision.v1 import run_service_pb2 as pb
from evenkeel.decision.v1.run_service_pb2_grpc import RunServiceServicer
from services.decision.api.callers import subject
from services.decision.api.run_messages import (
    comparison_message,
    kept_comparison_message,
    operation_message,
    run_message,
)
from services.decision.app.comparing import ComparisonApp, ComparisonFilter
from services.decision.app.impact import ImpactApp
from services.decision.app.runs import RunApp, RunWish
from services.decision.domain.prices import PriceSetId
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import AccountId, PlanId, RunId
from services.runtime.context import trace_parent
from services.runtime.paging import cut, read_page
from services.runtime.wire import instant_message, instant_of

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
# Each account of a preview is decided twice.
PREVIEWED_DEFAULT = 50
PREVIEWED_MAX = 200

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class RunServicer(RunServiceServicer):
    """Answers callers of runs."""

    app: RunApp
    comparisons: ComparisonApp
    impacts: ImpactApp

    async def StartRun(self, request: pb.StartRunRequest, context: _Context) -> operations_pb2.Operation:
        wish = RunWish(
            account_ids=[AccountId(each) for each in request.account_ids],
            price_set_id=PriceSetId(request.price_set_id) if request.price_set_id else None,
            as_of_time=instant_of(request.as_of_time, "as_of_time") if request.HasField("as_of_time") else None,
            dry_run=request.dry_run,
            event=request.event,
        )
        started = await self.app.start_run(
            wish, actor=subject(), request_id=request.request_id, trace_parent=trace_parent()
        )
        return operation_message(started, self.app.clock.now())

    async def CancelRun(self, request: pb.CancelRunRequest, context: _Context) -> pb.CancelRunResponse:
        canceled = await self.app.cancel_run(RunId(request.run_id))
        return pb.CancelRunResponse(run=run_message(canceled, self.app.clock.now()))

    async def GetRun(self, request: pb.GetRunRequest, context: _Context) -> pb.GetRunResponse:
        found = await self.app.get_run(RunId(request.run_id))
        return pb.GetRunResponse(run=run_message(found, self.app.clock.now()))

    async def ListRuns(self, request: pb.ListRunsRequest, context: _Context) -> pb.ListRunsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.app.list_runs(None if page.after is None else int(page.after[0]), page.size + 1)
        shown, token = cut(found, page, lambda numbered: (numbered[0],))
        now = self.app.clock.now()
        return pb.ListRunsResponse(runs=[run_message(each, now) for _, each in shown], next_page_token=token)

    async def ListComparisons(
        self, request: pb.ListComparisonsRequest, context: _Context
    ) -> pb.ListComparisonsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        wanted = ComparisonFilter(
            run_id=RunId(request.run_id) if request.run_id else None,
            change_id=request.change_id or None,
            account_id=AccountId(request.account_id) if request.account_id else None,
        )
        before = None if page.after is None else int(page.after[0])
        found = await self.comparisons.list_comparisons(wanted, before, page.size + 1)
        shown, token = cut(found, page, lambda each: (each.number,))
        return pb.ListComparisonsResponse(comparisons=map(kept_comparison_message, shown), next_page_token=token)

    async def PreviewChange(self, request: pb.PreviewChangeRequest, context: _Context) -> pb.PreviewChangeResponse:
        if request.run_id and request.HasField("as_of_time"):
            violation = FieldViolation("as_of_time", "must be absent when a run is named")
            raise Invalid(f"{violation.field} {violation.description}", violations=[violation])
        page = read_page(request, default=PREVIEWED_DEFAULT, most=PREVIEWED_MAX)
        # Pages are of one run, also when another is decided between them.
        run_id, after = (
            (request.run_id, None) if page.after is None else (str(page.after[0]), PlanId(str(page.after[1])))
        )
        found = await self.impacts.impact(
            request.change_id,
            RunId(run_id) if run_id else None,
            instant_of(request.as_of_time, "as_of_time") if request.HasField("as_of_time") else None,
            None if after is None else PlanId(after),
            page.size,
        )
        run = found.run
        return pb.PreviewChangeResponse(
            run_id=run.run_id,
            as_of_time=instant_message(run.as_of_time),
            comparisons=[comparison_message(run.run_id, each, run.as_of_time) for each in found.comparisons],
            account_count=len(found.plans),
            next_page_token=page.token((run.run_id, found.plans[-1].plan_id)) if len(found.plans) == page.size else "",
        )

    async def WatchRun(self, request: pb.WatchRunRequest, context: _Context) -> AsyncIterator[pb.WatchRunResponse]:
        async for progress in self.app.watch_run(RunId(request.run_id)):
            yield pb.WatchRunResponse(run=run_message(progress, self.app.clock.now()))
