"""The use cases of the tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kernel.canonical import canonical_json, content_hash
from services.kernel.clock import Clock
from services.kernel.errors import Violations
from services.kernel.ids import PolicyNodeId
from services.kernel.money import Money
from services.policy.app.events import node_event, values_event
from services.policy.app.ports import Begin, ChangeFilter, Read
from services.policy.domain.assets import AccountValue
from services.policy.domain.errors import (
    NodeExists,
    NodeHasChildren,
    NodeNotFound,
    TreeInvalid,
    VersionConflict,
)
from services.policy.domain.tree import Node, NodeKind, Tree, check_placement

# Hexadecimal digits of a node's etag.
_ETAG_DIGITS = 16


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node as its creator describes it."""

    node_id: PolicyNodeId
    kind: NodeKind
    parent_id: PolicyNodeId | None
    display_name: str


@dataclass(frozen=True, slots=True)
class TreeApp:
    """Who inherits from whom."""

    read: Read
    begin: Begin
    clock: Clock

    async def create_nodes(self, wanted: Sequence[NewNode]) -> list[Node]:
        """Create nodes, all or none; parents may be among them.

        Raises:
            NodeExists: An id is taken, or given twice.
            NodeNotFound: A parent does not exist.
            TreeInvalid: A node would be its own ancestor, or does not fit under its parent.
        """
        now = self.clock.now()
        nodes = {new.node_id: Node(new.node_id, new.kind, new.parent_id, new.display_name, now) for new in wanted}
        _refuse_twice(wanted)
        async with self.begin() as policies:
            parents = {node.parent_id for node in nodes.values() if node.parent_id is not None}
            above = {node.node_id: node for node in await policies.ancestry(parents - nodes.keys())}
            for taken in above.keys() & nodes.keys():
                raise NodeExists(f"policy node {taken} exists", node_id=taken)
            tree = Tree({**above, **nodes})
            added = [node for node in tree.from_roots_down() if node.node_id in nodes]
            for node in added:
                if node.parent_id is not None:
                    check_placement(node, tree.chain(node.parent_id))
            await policies.add_nodes(added)
            await policies.emit(*(node_event("created", node) for node in added))
        return [nodes[new.node_id] for new in wanted]

    async def delete_node(self, node_id: PolicyNodeId, etag: str) -> None:
        """Delete a node that has no children and for which nothing was ever proposed.

        Raises:
            NodeNotFound: It does not exist.
            NodeHasChildren: Others inherit from it.
            TreeInvalid: It is part of the history of rules.
            VersionConflict: It is not the node that `etag` was read from.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            node = await policies.node(node_id)
            if node is None:
                raise NodeNotFound(f"policy node {node_id} does not exist", node_id=node_id)
            if etag != etag_of(node):
                raise VersionConflict(
                    f"policy node {node_id} is at {etag_of(node)}, the request was for {etag}",
                    etag=etag_of(node),
                    requested_etag=etag,
                )
            if children := await policies.children_count(node_id):
                raise NodeHasChildren(
                    f"policy node {node_id} has {children} children", node_id=node_id, children=children
                )
            if await policies.changes(ChangeFilter(node_id=node_id), before=None, limit=1):
                raise TreeInvalid(
                    f"policy node {node_id} stays, because rules were proposed for it and are on record",
                    node_id=node_id,
                )
            await policies.delete_node(node_id)
            await policies.emit(node_event("deleted", node))

    async def record_values(
        self, wanted: Sequence[tuple[PolicyNodeId, Money, datetime]], *, by: str, allow_missing: bool = False
    ) -> tuple[int, Sequence[PolicyNodeId]]:
        """Record what accounts are worth, all or none; older values than known are left out.

        Args:
            wanted: Accounts, each once, with their values and since when those are true.
            by: Who says so.
            allow_missing: Leave out accounts that do not exist, instead of refusing all.

        Returns:
            Of how many a value was recorded, and the accounts that do not exist or are no accounts.

        Raises:
            NodeNotFound: Names the first of those, unless `allow_missing`.
        """
        now = self.clock.now()
        values = [AccountValue(account_id, value, at, now, by) for account_id, value, at in wanted]
        async with self.begin() as policies:
            known = set((await policies.lineage([each.account_id for each in values])).account_ids)
            missing = [each.account_id for each in values if each.account_id not in known]
            if missing and not allow_missing:
                raise NodeNotFound(f"policy account {missing[0]} does not exist", node_id=missing[0])
            values = [each for each in values if each.account_id in known]
            if not values:
                return 0, missing
            recorded = await policies.record_values(values)
            await policies.emit(values_event(values, recorded))
        return recorded, missing

    async def get_node(self, node_id: PolicyNodeId) -> Node:
        """Return a node.

        Raises:
            NodeNotFound: It does not exist.
        """
        async with self.read() as policies:
            node = await policies.node(node_id)
        if node is None:
            raise NodeNotFound(f"policy node {node_id} does not exist", node_id=node_id)
        return node

    async def list_nodes(
        self, *, parent_id: PolicyNodeId | None, kind: NodeKind | None, after: PolicyNodeId | None, limit: int
    ) -> list[Node]:
        """Return up to `limit` nodes after the id `after`, by id."""
        async with self.read() as policies:
            return await policies.nodes(parent_id=parent_id, kind=kind, after=after, limit=limit)


def etag_of(node: Node) -> str:
    """Return what would change if the node did."""
    content = canonical_json([node.node_id, node.kind.value, node.parent_id, node.display_name, node.created_time])
    return content_hash(content).removeprefix("sha256:")[:_ETAG_DIGITS]


def _refuse_twice(wanted: Sequence[NewNode]) -> None:
    first: dict[PolicyNodeId, int] = {}
    violations = Violations()
    for place, new in enumerate(wanted):
        if new.node_id in first:
            violations.add(f"nodes[{place}].node_id", f"{new.node_id} is also nodes[{first[new.node_id]}]")
        first.setdefault(new.node_id, place)
    violations.raise_if_any()
