"""Who inherits from whom.

The policy tree has a firm at the root and accounts at the leaves; between them come programs, models and
households, any number of levels of each. A node inherits from every node on the path to its root. Kinds only
ever descend: a household may stand under a model, a model never under a household.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.kernel.ids import PolicyNodeId
from services.policy.domain.errors import NodeExists, NodeHasChildren, NodeNotFound, TreeInvalid

# Far above any real organisation; a bound so that a chain is always a small thing.
DEPTH_MAX = 32


class NodeKind(StrEnum):
    """What a node stands for, from the root down."""

    FIRM = "firm"
    PROGRAM = "program"
    MODEL = "model"
    HOUSEHOLD = "household"
    ACCOUNT = "account"


_LEVEL = {kind: level for level, kind in enumerate(NodeKind)}


@dataclass(frozen=True, slots=True)
class Node:
    """One place in the tree to which policy versions belong.

    Attributes:
        node_id: Unique in the whole tree; an account's node carries the account's own id.
        kind: Never changes.
        parent_id: None for a firm only.
        display_name: For people.
        created_time: When it was recorded.
    """

    node_id: PolicyNodeId
    kind: NodeKind
    parent_id: PolicyNodeId | None
    display_name: str
    created_time: datetime

    def __post_init__(self) -> None:
        """Refuse a firm with a parent, and anything else without one."""
        if (self.kind is NodeKind.FIRM) != (self.parent_id is None):
            raise TreeInvalid(
                f"a firm is a root and has no parent, every other node has one; {self.node_id} is a {self.kind} "
                f"with parent {self.parent_id}",
                node_id=self.node_id,
                kind=self.kind.value,
            )


def check_placement(node: Node, chain: "Chain") -> None:
    """Refuse to put `node` at the end of `chain`, the path from the root to its parent, both inside.

    Raises:
        TreeInvalid: The node is on the chain itself, the chain is as deep as allowed, or the kinds do not descend.
    """
    if any(ancestor.node_id == node.node_id for ancestor in chain):
        raise TreeInvalid(f"{node.node_id} would be its own ancestor", node_id=node.node_id)
    if len(chain) >= DEPTH_MAX:
        raise TreeInvalid(
            f"{node.node_id} would stand {len(chain) + 1} levels deep, at most {DEPTH_MAX} are allowed",
            node_id=node.node_id,
        )
    parent = chain[-1]
    descends = _LEVEL[node.kind] > _LEVEL[parent.kind] or (
        node.kind is parent.kind and node.kind is not NodeKind.ACCOUNT
    )
    if not descends:
        raise TreeInvalid(
            f"{node.node_id} is a {node.kind} and cannot stand under {parent.node_id}, a {parent.kind}",
            node_id=node.node_id,
            kind=node.kind.value,
            parent_id=parent.node_id,
            parent_kind=parent.kind.value,
        )


Chain = tuple[Node, ...]
"""The path from a root to a node, both inside."""


@dataclass(frozen=True)
class Tree:
    """All nodes, by id. Every parent is in the tree and no node is its own ancestor."""

    nodes: Mapping[PolicyNodeId, Node]
    _children: Mapping[PolicyNodeId, tuple[PolicyNodeId, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse orphans and cycles, in one pass over the nodes."""
        children: dict[PolicyNodeId, list[PolicyNodeId]] = {}
        for node in self.nodes.values():
            if node.parent_id is not None:
                if node.parent_id not in self.nodes:
                    raise NodeNotFound(f"the parent {node.parent_id} of {node.node_id} does not exist")
                children.setdefault(node.parent_id, []).append(node.node_id)
        object.__setattr__(self, "_children", {parent: tuple(sorted(ids)) for parent, ids in children.items()})
        reached = sum(1 for _ in self.from_roots_down())
        if reached != len(self.nodes):
            raise TreeInvalid(f"{len(self.nodes) - reached} nodes hang in a cycle and under no firm")

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> "Tree":
        """Return the tree of `nodes`, given in any order.

        Raises:
            NodeExists: Two nodes have one id.
        """
        by_id: dict[PolicyNodeId, Node] = {}
        for node in nodes:
            if node.node_id in by_id:
                raise NodeExists(f"node {node.node_id} is given twice", node_id=node.node_id)
            by_id[node.node_id] = node
        return cls(by_id)

    def from_roots_down(self) -> Iterator[Node]:
        """Yield every node after its parent."""
        waiting = sorted((n.node_id for n in self.nodes.values() if n.parent_id is None), reverse=True)
        while waiting:
            node_id = waiting.pop()
            yield self.nodes[node_id]
            waiting.extend(reversed(self.children(node_id)))

    def node(self, node_id: PolicyNodeId) -> Node:
        """Return the node with `node_id`.

        Raises:
            NodeNotFound: There is none.
        """
        node = self.nodes.get(node_id)
        if node is None:
            raise NodeNotFound(f"policy node {node_id} does not exist", node_id=node_id)
        return node

    def children(self, node_id: PolicyNodeId) -> tuple[PolicyNodeId, ...]:
        """Return the ids of the nodes directly under `node_id`, sorted."""
        return self._children.get(node_id, ())

    def chain(self, node_id: PolicyNodeId) -> Chain:
        """Return the path from the root down to `node_id`, both inside."""
        path = [self.node(node_id)]
        while (parent_id := path[-1].parent_id) is not None:
            path.append(self.nodes[parent_id])
        return tuple(reversed(path))

    def below(self, node_id: PolicyNodeId) -> Iterator[Node]:
        """Yield `node_id` and everything under it, parents first."""
        waiting = [self.node(node_id).node_id]
        while waiting:
            current = waiting.pop()
            yield self.nodes[current]
            waiting.extend(reversed(self.children(current)))

    def with_node(self, node: Node) -> "Tree":
        """Return the tree with `node` added.

        Raises:
            NodeExists: Its id is taken.
            NodeNotFound: Its parent does not exist.
            TreeInvalid: It does not fit there.
        """
        if node.node_id in self.nodes:
            raise NodeExists(f"policy node {node.node_id} exists", node_id=node.node_id)
        if node.parent_id is not None:
            check_placement(node, self.chain(node.parent_id))
        return Tree({**self.nodes, node.node_id: node})

    def without(self, node_id: PolicyNodeId) -> "Tree":
        """Return the tree without `node_id`.

        Raises:
            NodeNotFound: It does not exist.
            NodeHasChildren: Others inherit from it.
        """
        self.node(node_id)
        if children := self.children(node_id):
            raise NodeHasChildren(
                f"policy node {node_id} has {len(children)} children, for instance {children[0]}",
                node_id=node_id,
                children=len(children),
            )
        return Tree({key: node for key, node in self.nodes.items() if key != node_id})
