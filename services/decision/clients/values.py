"""Tells policy what accounts are worth."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from services.decision.app.valuing import ToldValue
from services.decision.clients.peers import facts_of
from services.kernel.ids import AccountId
from services.runtime.wire import instant_message, money_message


@dataclass(frozen=True, slots=True)
class GrpcValues:
    """The values that policy keeps, over gRPC."""

    channel: grpc.aio.Channel

    async def record(self, request_id: str, values: Sequence[ToldValue]) -> Collection[AccountId]:
        """Record values, and return the accounts that policy does not have. Safe to repeat."""
        request = pb.RecordAccountValuesRequest(
            request_id=request_id,
            values=[
                pb.AccountValue(
                    account_id=each.account_id,
                    value=money_message(each.value),
                    as_of_time=instant_message(each.as_of_time),
                )
                for each in values
            ],
            allow_missing=True,
        )
        with facts_of("policy"):
            response = await PolicyServiceStub(self.channel).RecordAccountValues(request)
        return frozenset(map(AccountId, response.missing_account_ids))
