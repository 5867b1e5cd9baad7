"""Calls to other services: policy, about what is in force."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from services.execution.app.ports import PolicyVerdict
from services.kernel.ids import AccountId, PolicyHash
from services.runtime.client import peer_errors
from services.runtime.wire import instant_message

if TYPE_CHECKING:
    # Exists for the type checker only.
    from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub

# Of one call, by its contract.
HASHES_MAX = 1_000
ACCOUNTS_MAX = 1_000


class PolicyClient:
    """Asks policy which versions are in force."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Ask over `channel`."""
        self._policy: PolicyServiceAsyncStub = PolicyServiceStub(channel)

    async def verdicts(
        self,
        accounts: Mapping[AccountId, Collection[PolicyHash]],
        at: datetime,
        effective: Mapping[AccountId, PolicyHash],
    ) -> Mapping[AccountId, PolicyVerdict]:
        """Return those accounts whose rules at `at` are not the given versions and effective policy, or pause trading.

        Raises:
            PeerUnreachable: Policy does not answer.
        """
        asked = sorted(accounts.items())
        found: dict[AccountId, PolicyVerdict] = {}
        for start in range(0, len(asked), ACCOUNTS_MAX):
            request = pb.CheckPoliciesRequest(
                accounts=[
                    pb.AccountVersions(
                        account_id=account_id,
                        version_hashes=sorted(versions),
                        policy_hash=effective.get(account_id, ""),
                    )
                    for account_id, versions in asked[start : start + ACCOUNTS_MAX]
                ],
                effective_time=instant_message(at),
            )
            with peer_errors("policy"):
                try:
                    answer = await self._policy.CheckPolicies(request)
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                        # A policy service of before this call knows neither stops nor rollouts.
                        return {}
                    raise
            for each in answer.verdicts:
                found[AccountId(each.account_id)] = PolicyVerdict(each.paused, each.description)
        return found

    async def in_force(self, hashes: Collection[PolicyHash], at: datetime) -> frozenset[PolicyHash]:
        """Return those of `hashes` that are in force at `at`.

        Raises:
            PeerUnreachable: Policy does not answer.
        """
        asked: Sequence[PolicyHash] = sorted(hashes)
        found: set[PolicyHash] = set()
        for start in range(0, len(asked), HASHES_MAX):
            request = pb.CheckVersionsRequest(
                version_hashes=asked[start : start + HASHES_MAX], effective_time=instant_message(at)
            )
            with peer_errors("policy"):
                answer = await self._policy.CheckVersions(request)
            found.update(map(PolicyHash, answer.in_force_version_hashes))
        return frozenset(found)
