"""Asks policy which rules hold for accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1 import profile_service_pb2 as profile_pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from evenkeel.policy.v1.profile_service_pb2_grpc import ProfileServiceStub
from services.decision.app.ports.policy import EffectivePolicies, PolicyPreset
from services.decision.clients.overlaying import overlaid_policy
from services.decision.clients.peers import facts_of
from services.decision.clients.policy_document import read_policy
from services.decision.domain.comparison import PolicySides
from services.decision.domain.policy import (
    Policy,
)
from services.kernel.canonical import content_hash
from services.kernel.errors import Invalid, NotFound
from services.kernel.ids import AccountId, PolicyHash
from services.runtime.wire import instant_message, words_of


@dataclass(frozen=True, slots=True)
class GrpcPolicy:
    """The policy service over gRPC."""

    channel: grpc.aio.Channel

    async def resolve(self, account_ids: Sequence[AccountId], effective_time: datetime) -> EffectivePolicies:
        """Return the policies in force at `effective_time`, for each of the accounts.

        Accounts that the tree does not have are without a policy, like those for which none is in force.
        """
        try:
            return await self._resolve(account_ids, _request(account_ids, effective_time))
        except NotFound:
            # The release before refuses the whole call for one unknown account, and knows all without being told.
            return await self._resolve(account_ids, _request((), effective_time))

    async def supposing(
        self, change_id: str, account_ids: Sequence[AccountId], effective_time: datetime, known_time: datetime | None
    ) -> EffectivePolicies:
        """Return the same as it was known at an instant, now for None, but as if a change governed its node."""
        request = _request(account_ids, effective_time)
        request.change_id = change_id
        if known_time is not None:
            request.known_time.CopyFrom(instant_message(known_time))
        return await self._resolve(account_ids, request)

    def read(self, document: bytes) -> Policy:
        """Return what a document says.

        Raises:
            Invalid: It is no document, or says what cannot be.
        """
        return read_policy(document)

    async def presets(self) -> Sequence[PolicyPreset]:
        """Return the published rules and philosophies, by name."""
        found: list[PolicyPreset] = []
        token = ""
        with facts_of("policy"):
            while True:
                request = profile_pb.ListPresetsRequest(page_token=token)
                response = await ProfileServiceStub(self.channel).ListPresets(request)
                found += [
                    PolicyPreset(each.name, each.document.objective.philosophy, each.document.SerializeToString())
                    for each in response.presets
                ]
                token = response.next_page_token
                if not token:
                    return sorted(found, key=lambda each: each.name)

    def overlaid(self, document: bytes, over: bytes) -> bytes:
        """Return `document` with the fields that `over` sets in place of its own, lists as a whole."""
        return overlaid_policy(document, over)

    async def _resolve(self, account_ids: Sequence[AccountId], request: pb.ResolvePoliciesRequest) -> EffectivePolicies:
        sides: dict[AccountId, PolicySides] = {}
        documents: dict[PolicyHash, bytes] = {}
        versions: dict[PolicyHash, tuple[str, ...]] = {}
        policy_of = dict.fromkeys(account_ids, PolicyHash(""))
        with facts_of("policy"):
            async for part in PolicyServiceStub(self.channel).ResolvePolicies(request):
                for policy in part.policies:
                    _check_hash(policy)
                    documents[PolicyHash(policy.policy_hash)] = policy.document_bytes
                    versions[PolicyHash(policy.policy_hash)] = tuple(policy.version_hashes)
                hashes = words_of(part.policy_hashes, "policy_hashes")
                for account_id, policy_hash in zip(part.account_ids, hashes, strict=True):
                    if account_id in policy_of:
                        policy_of[AccountId(account_id)] = PolicyHash(policy_hash)
                for each in part.comparisons:
                    if each.account_id in policy_of and each.candidate_hash != each.incumbent_hash:
                        sides[AccountId(each.account_id)] = PolicySides(
                            each.change_id, PolicyHash(each.candidate_hash), PolicyHash(each.incumbent_hash)
                        )
        # A side of which nothing is in force has nothing to be compared with.
        sides = {name: each for name, each in sides.items() if each.candidate_hash and each.incumbent_hash}
        used = set(policy_of.values())
        used |= {name for each in sides.values() for name in (each.candidate_hash, each.incumbent_hash)}
        return EffectivePolicies(
            documents={name: body for name, body in documents.items() if name in used},
            version_hashes={name: hashes for name, hashes in versions.items() if name in used},
            policy_of=policy_of,
            sides=sides,
        )


def _request(account_ids: Sequence[AccountId], effective_time: datetime) -> pb.ResolvePoliciesRequest:
    return pb.ResolvePoliciesRequest(
        account_ids=account_ids,
        effective_time=instant_message(effective_time),
        with_comparisons=True,
        allow_missing=True,
    )


def _check_hash(policy: pb.EffectivePolicy) -> None:
    found = content_hash(policy.document_bytes)
    if found != policy.policy_hash:
        raise Invalid.of("policies.policy_hash", f"must be {found}, the document's hash, was {policy.policy_hash}")
