"""What the use cases about clients need from the outside."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Protocol, TypeAlias

from services.kernel.ids import PolicyNodeId
from services.policy.domain.clients import Clients
from services.policy.domain.history import AsOf
from services.policy.domain.personal import Consent, ProfileRecord
from services.policy.domain.preferences import PreferencesRecord


class ClientReader(Protocol):
    """What is on record of clients, as of one transaction."""

    async def clients(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> Clients:
        """Return what holds of the clients of nodes as of an instant; of all nodes for None."""
        ...

    async def profile_history(self, node_id: PolicyNodeId) -> list[ProfileRecord]:
        """Return all profiles of a node, in the order in which they were recorded."""
        ...

    async def consent_history(self, node_id: PolicyNodeId) -> list[Consent]:
        """Return all records of consent of a node, in the order in which they were recorded."""
        ...

    async def preference_history(self, account_id: PolicyNodeId) -> list[PreferencesRecord]:
        """Return all preferences of an account, in the order in which they were recorded."""
        ...

    async def accounts_below(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        """Return the accounts that are a node or below it, by id."""
        ...


class ClientWriter(Protocol):
    """Changes what is on record of clients."""

    async def add_profile(self, record: ProfileRecord) -> None:
        """Add the next profile of a node.

        Raises:
            VersionConflict: Another one was added first.
        """
        ...

    async def add_consent(self, consent: Consent) -> None:
        """Add the next record of consent of a node.

        Raises:
            VersionConflict: Another one was added first.
        """
        ...

    async def add_preferences(self, record: PreferencesRecord) -> None:
        """Add the next preferences of an account.

        Raises:
            VersionConflict: Another one was added first.
        """
        ...

    async def look_at(self, node_id: PolicyNodeId, at: datetime) -> None:
        """Note that a node's profile is to be looked at again at the business instant `at`, and at no other."""
        ...

    async def to_look_at(self, market_time: datetime, limit: int) -> list[tuple[PolicyNodeId, datetime]]:
        """Return up to `limit` nodes to look at by now and since when, the earliest first; no one else gets them."""
        ...


# Returns how often what governs has changed, and what holds of the clients of nodes as of an instant, read at once.
Glance: TypeAlias = Callable[[Collection[PolicyNodeId], AsOf], Awaitable[tuple[int, Clients]]]
