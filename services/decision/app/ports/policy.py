"""The policy service: the policies of accounts, as Protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.decision.domain.comparison import PolicySides
from services.decision.domain.policy import Policy
from services.kernel.ids import AccountId, PolicyHash


@dataclass(frozen=True, slots=True)
class EffectivePolicies:
    """What policy answered: each different policy once, and the policy of each account; empty when none is in force."""

    documents: Mapping[PolicyHash, bytes]
    version_hashes: Mapping[PolicyHash, tuple[str, ...]]
    policy_of: Mapping[AccountId, PolicyHash]
    # The accounts under a rollout; both of their policies are among `documents`.
    sides: Mapping[AccountId, PolicySides] = field(default_factory=dict)


class PolicyDocuments(Protocol):
    """The policies of accounts, as the policy service answers."""

    async def resolve(self, account_ids: Sequence[AccountId], effective_time: datetime) -> EffectivePolicies:
        """Return the policies in force at `effective_time`, for each of the accounts.

        Raises:
            Unreachable: The service does not answer.
        """
        ...

    async def supposing(
        self, change_id: str, account_ids: Sequence[AccountId], effective_time: datetime, known_time: datetime | None
    ) -> EffectivePolicies:
        """Return the same as it was known at an instant, now for None, but as if a change governed its node.

        Raises:
            NotFound: There is no such change.
            Unreachable: The service does not answer.
        """
        ...

    def read(self, document: bytes) -> Policy:
        """Return what a document says.

        Raises:
            Invalid: It says what cannot be.
        """
        ...


@dataclass(frozen=True, slots=True)
class PolicyPreset:
    """A part of a policy document with a name; `philosophy` is that of its objective, empty when it has none."""

    name: str
    philosophy: str
    document: bytes


class PolicyClient(PolicyDocuments, Protocol):
    """The policy service."""

    async def presets(self) -> Sequence[PolicyPreset]:
        """Return the published rules and philosophies, by name.

        Raises:
            Unreachable: The service does not answer.
        """
        ...

    def overlaid(self, document: bytes, over: bytes) -> bytes:
        """Return `document` with the fields that `over` sets in place of its own, lists as a whole.

        Raises:
            Invalid: One of both is no document.
        """
        ...
