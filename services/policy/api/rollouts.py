"""`evenkeel.policy.v1.RolloutService`: message → values → use case → message."""

from dataclasses import dataclass
from typing import Any

import grpc.aio

from evenkeel.policy.v1 import rollout_service_pb2 as pb
from evenkeel.policy.v1.rollout_service_pb2_grpc import RolloutServiceServicer
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.api.callers import caller
from services.policy.api.rollout_messages import reported, rollout_message
from services.policy.app import RolloutApp
from services.runtime.paging import cut, read_page

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class RolloutServicer(RolloutServiceServicer):
    """Answers those who lead rollouts, and decision, which reports about them."""

    rollouts: RolloutApp

    async def AdvanceRollout(self, request: pb.AdvanceRolloutRequest, context: _Context) -> pb.AdvanceRolloutResponse:
        moved = await self.rollouts.advance(
            ChangeId(request.change_id), etag=request.etag, reason=request.reason, by=caller().subject
        )
        return pb.AdvanceRolloutResponse(rollout=rollout_message(moved))

    async def RollBackRollout(
        self, request: pb.RollBackRolloutRequest, context: _Context
    ) -> pb.RollBackRolloutResponse:
        moved = await self.rollouts.roll_back(ChangeId(request.change_id), reason=request.reason, by=caller().subject)
        return pb.RollBackRolloutResponse(rollout=rollout_message(moved))

    async def GetRollout(self, request: pb.GetRolloutRequest, context: _Context) -> pb.GetRolloutResponse:
        seen = await self.rollouts.get(ChangeId(request.change_id))
        return pb.GetRolloutResponse(rollout=rollout_message(seen.rollout, seen.readings, seen.comparison_count))

    async def ListRollouts(self, request: pb.ListRolloutsRequest, context: _Context) -> pb.ListRolloutsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.rollouts.list_rollouts(
            node_id=PolicyNodeId(request.node_id) if request.node_id else None,
            open_only=request.open_only,
            before=None if page.after is None else int(page.after[0]),
            limit=page.size + 1,
        )
        shown, token = cut(found, page, lambda each: (each.number,))
        return pb.ListRolloutsResponse(
            rollouts=[rollout_message(each.rollout) for each in shown], next_page_token=token
        )

    async def ReportComparisons(
        self, request: pb.ReportComparisonsRequest, context: _Context
    ) -> pb.ReportComparisonsResponse:
        return pb.ReportComparisonsResponse(taken_count=await self.rollouts.report(reported(request)))
