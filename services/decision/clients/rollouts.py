"""Tells policy what accounts get under both sides of a rollout."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc.aio

from evenkeel.policy.v1 import rollout_service_pb2 as pb
from evenkeel.policy.v1.rollout_service_pb2_grpc import RolloutServiceStub
from services.decision.app.comparing import KeptComparison
from services.decision.clients.peers import facts_of
from services.runtime.wire import decimal_message


@dataclass(frozen=True, slots=True)
class GrpcRollouts:
    """The rollouts of policy over gRPC."""

    channel: grpc.aio.Channel

    async def report(self, request_id: str, found: Sequence[KeptComparison]) -> None:
        """Report comparisons. Safe to repeat."""
        request = pb.ReportComparisonsRequest(
            request_id=request_id,
            comparisons=[
                pb.ReportedComparison(
                    change_id=each.comparison.sides.change_id,
                    run_id=each.run_id,
                    account_id=each.comparison.account_id,
                    tax_bps=decimal_message(each.comparison.tax_bps),
                    cost_bps=decimal_message(each.comparison.cost_bps),
                    drift_bps=decimal_message(each.comparison.drift_bps),
                    turnover_bps=decimal_message(each.comparison.turnover_bps),
                    failed=each.comparison.failed,
                )
                for each in found
            ],
        )
        with facts_of("policy"):
            await RolloutServiceStub(self.channel).ReportComparisons(request)
