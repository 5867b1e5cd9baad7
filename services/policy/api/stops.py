"""`evenkeel.policy.v1.StopService`: message → values → use case → message."""

from dataclasses import dataclass
from typing import Any

import grpc.aio

from evenkeel.policy.v1 import stop_service_pb2 as pb
from evenkeel.policy.v1.stop_service_pb2_grpc import StopServiceServicer
from services.kernel.ids import ChangeId, PolicyNodeId, derived_id
from services.policy.api.callers import caller
from services.policy.api.documents import document_of
from services.policy.api.rollout_messages import stop_message
from services.policy.app import StopApp
from services.runtime.paging import cut, read_page

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class StopServicer(StopServiceServicer):
    """Answers those who stop, and those who lift stops."""

    stops: StopApp

    async def CreateStop(self, request: pb.CreateStopRequest, context: _Context) -> pb.CreateStopResponse:
        stop = await self.stops.create_stop(
            ChangeId(derived_id("stop", request.request_id)),
            PolicyNodeId(request.node_id),
            document_of(request.document) if request.HasField("document") else None,
            reason=request.reason,
            by=caller().subject,
        )
        return pb.CreateStopResponse(stop=stop_message(stop))

    async def LiftStop(self, request: pb.LiftStopRequest, context: _Context) -> pb.LiftStopResponse:
        lifted = await self.stops.lift_stop(ChangeId(request.stop_id), reason=request.reason, by=caller().subject)
        return pb.LiftStopResponse(stop=stop_message(lifted))

    async def ListStops(self, request: pb.ListStopsRequest, context: _Context) -> pb.ListStopsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.stops.list_stops(
            node_id=PolicyNodeId(request.node_id) if request.node_id else None,
            holding_only=request.holding_only,
            before=None if page.after is None else int(page.after[0]),
            limit=page.size + 1,
        )
        shown, token = cut(found, page, lambda each: (each.number,))
        return pb.ListStopsResponse(stops=[stop_message(each.stop) for each in shown], next_page_token=token)
