"""Calls to other services: policy, about what is in force."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from services.kernel.ids import PolicyHash
from services.runtime.client import peer_errors
from services.runtime.wire import instant_message

if TYPE_CHECKING:
    # Exists for the type checker only.
    from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub

# Of one call, by its contract.
HASHES_MAX = 1_000


class PolicyClient:
    """Asks policy which versions are in force."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Ask over `channel`."""
        self._policy: PolicyServiceAsyncStub = PolicyServiceStub(channel)

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
