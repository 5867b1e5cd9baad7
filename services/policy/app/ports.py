"""What the use cases need from the outside."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from services.kernel.events import Event
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.app.client_ports import ClientReader, ClientWriter
from services.policy.domain.assets import AccountValue, Assets
from services.policy.domain.changes import Change, State
from services.policy.domain.history import Activation, AsOf
from services.policy.domain.index import Delta
from services.policy.domain.merge import Layer
from services.policy.domain.notices import Notice
from services.policy.domain.resolve import Lineage
from services.policy.domain.rollout import Comparison, Rollout
from services.policy.domain.stops import Stop
from services.policy.domain.tree import Node, NodeKind


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes are wanted; None for any.

    Attributes:
        state: At the business instant `market_time`, which must be given with it.
        field: A field or a section that the document sets.
        created_from: Drafted at this instant or later.
        created_before: Drafted before this instant.
    """

    node_id: PolicyNodeId | None = None
    author: str | None = None
    approver: str | None = None
    state: State | None = None
    market_time: datetime | None = None
    field: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class NumberedChange:
    """A change, and its place in the order in which changes were created."""

    number: int
    change: Change


@dataclass(frozen=True, slots=True)
class NumberedStop:
    """A stop, and its place in the order in which stops were created."""

    number: int
    stop: Stop


@dataclass(frozen=True, slots=True)
class NumberedRollout:
    """A rollout, and its place in the order in which rollouts began."""

    number: int
    rollout: Rollout


class PolicyReader(ClientReader, Protocol):
    """What is kept, as of one transaction."""

    async def node(self, node_id: PolicyNodeId) -> Node | None:
        """Return the node, or None."""
        ...

    async def ancestry(self, node_ids: Collection[PolicyNodeId] | None) -> list[Node]:
        """Return those of `node_ids` that exist and everything above them, in any order; all nodes for None."""
        ...

    async def lineage(self, node_ids: Collection[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        ...

    async def edition(self) -> int:
        """Return how often what governs has changed."""
        ...

    def deltas(self, since: int) -> AsyncIterator[Delta]:
        """Yield, in parts, what became different since an edition; everything for -1.

        To be called first in its transaction, so that the parts are of one instant.
        """
        ...

    async def account_count(self, node_id: PolicyNodeId) -> int:
        """Return how many accounts are at and under `node_id`."""
        ...

    async def assets(self, node_id: PolicyNodeId) -> Assets:
        """Return what the accounts at and under `node_id` are worth, by the values recorded last."""
        ...

    async def children_count(self, node_id: PolicyNodeId) -> int:
        """Return how many nodes stand directly under `node_id`."""
        ...

    async def nodes(
        self, *, parent_id: PolicyNodeId | None, kind: NodeKind | None, after: PolicyNodeId | None, limit: int
    ) -> list[Node]:
        """Return up to `limit` nodes after the id `after`, by id; only children of `parent_id`, only of `kind`."""
        ...

    async def layers(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> dict[PolicyNodeId, Layer]:
        """Return the versions in force as of an instant, by node; of all nodes for None."""
        ...

    async def governed(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        """Return the nodes for which a version was ever approved, among the node, those above it and those below it."""
        ...

    async def model_references(self) -> list[tuple[PolicyNodeId, PolicyNodeId]]:
        """Return which nodes refer to which models in a version that was ever approved and not revoked, in order."""
        ...

    async def scheduled_times(self, node_ids: Collection[PolicyNodeId], after: datetime) -> list[datetime]:
        """Return the instants after `after` at which versions of `node_ids` take effect, each once, in order."""
        ...

    async def history(self, node_id: PolicyNodeId) -> list[Activation]:
        """Return all activations of the node, in the order in which they were recorded."""
        ...

    async def change(self, change_id: ChangeId) -> Change | None:
        """Return the change, or None; nobody else changes it until the transaction ends."""
        ...

    async def changes(self, wanted: ChangeFilter, *, before: int | None, limit: int) -> list[NumberedChange]:
        """Return up to `limit` changes with numbers below `before`, newest first."""
        ...

    async def change_of_version(self, version_id: PolicyVersionId) -> Change | None:
        """Return the newest approved change that brought this content, or the newest that proposes it; None if none."""
        ...

    async def notices(self, after: int, limit: int) -> list[Notice]:
        """Return up to `limit` notices after the position `after`, in order."""
        ...

    async def stop(self, stop_id: ChangeId) -> Stop | None:
        """Return the stop, or None; nobody else lifts it until the transaction ends."""
        ...

    async def stops(
        self, *, node_id: PolicyNodeId | None, holding_only: bool, before: int | None, limit: int
    ) -> list[NumberedStop]:
        """Return up to `limit` stops with numbers below `before`, newest first."""
        ...

    async def rollout(self, change_id: ChangeId) -> Rollout | None:
        """Return the rollout of a change, or None; nobody else moves it until the transaction ends."""
        ...

    async def rollouts(
        self, *, node_id: PolicyNodeId | None, open_only: bool, before: int | None, limit: int
    ) -> list[NumberedRollout]:
        """Return up to `limit` rollouts with numbers below `before`, newest first."""
        ...

    async def comparisons(self, change_id: ChangeId, limit: int) -> list[Comparison]:
        """Return up to `limit` comparisons of a rollout, newest first."""
        ...

    async def comparison_count(self, change_id: ChangeId) -> int:
        """Return how many comparisons of a rollout were reported."""
        ...

    async def in_force(self, version_ids: Collection[PolicyVersionId], as_of: AsOf) -> set[PolicyVersionId]:
        """Return those of `version_ids` that govern their node as of an instant."""
        ...


class PolicyWriter(PolicyReader, ClientWriter, Protocol):
    """One transaction: everything in it happens, or nothing."""

    async def decide_alone(self) -> None:
        """Wait until nobody else decides what is in force, and keep it so until the transaction ends."""
        ...

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        """Add nodes, parents before their children.

        Raises:
            NodeExists: An id is taken.
        """
        ...

    async def delete_node(self, node_id: PolicyNodeId) -> None:
        """Delete a node to which nothing refers."""
        ...

    async def record_values(self, values: Sequence[AccountValue]) -> int:
        """Keep values that are not older than what is kept of their account, and return how many were kept."""
        ...

    async def add_change(self, change: Change) -> None:
        """Add a new change and its content."""
        ...

    async def replace_change(self, change: Change) -> None:
        """Replace a change by its next revision, and add its content.

        Raises:
            VersionConflict: It is no longer at the revision before.
        """
        ...

    async def add_activation(self, activation: Activation, *, announced: bool) -> None:
        """Add an activation that continues its node's chain.

        Raises:
            VersionConflict: Another one continued it first.
        """
        ...

    async def revoke(self, change_id: ChangeId, at: datetime) -> None:
        """Take back the activation of a change, which has not taken effect."""
        ...

    async def replace_approvals(self, change: Change) -> None:
        """Replace the approvals of a change, which stays at its revision."""
        ...

    async def add_stop(self, stop: Stop) -> None:
        """Add a new stop."""
        ...

    async def lift(self, stop: Stop) -> None:
        """Keep that a stop was lifted."""
        ...

    async def add_rollout(self, rollout: Rollout) -> None:
        """Add a new rollout.

        Raises:
            RolloutOpen: Its node has another that is not final.
        """
        ...

    async def add_step(self, rollout: Rollout) -> None:
        """Add the last step of a rollout.

        Raises:
            VersionConflict: Another one was added first.
        """
        ...

    async def add_comparisons(self, change_id: ChangeId, found: Sequence[Comparison]) -> int:
        """Add comparisons of a rollout, and return how many were not known before."""
        ...

    async def last_position(self) -> int:
        """Return the position of the last notice, 0 if there is none; stays so for whoever decides alone."""
        ...

    async def add_notice(self, notice: Notice) -> None:
        """Add a notice at the next position."""
        ...

    async def due(self, market_time: datetime, limit: int) -> list[Activation]:
        """Return up to `limit` activations that took effect and were not announced, the oldest first."""
        ...

    async def announced(self, activation: Activation, at: datetime) -> None:
        """Note that the activation was announced."""
        ...

    async def emit(self, *events: Event) -> None:
        """Tell of what happens in this transaction."""
        ...


Read: TypeAlias = Callable[[], AbstractAsyncContextManager[PolicyReader]]
Begin: TypeAlias = Callable[[], AbstractAsyncContextManager[PolicyWriter]]
