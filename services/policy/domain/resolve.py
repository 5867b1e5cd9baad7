"""The effective policies of many nodes at once.

Most accounts set nothing themselves, so they share the policy of the node above; what applies to an inner node is
merged once and kept. Work and memory grow with the nodes that have a version, and by almost nothing per account.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kernel.ids import PolicyNodeId, PolicyVersionId
from services.policy.domain.errors import NodeNotFound
from services.policy.domain.merge import NOTHING, Effective, Layer
from services.policy.domain.plain import Plain, in_plain_words


@dataclass(frozen=True, slots=True)
class Lineage:
    """Who stands under whom, and nothing else: what a million accounts need.

    Attributes:
        parents: The node above each node, None for roots; a tree.
        account_ids: The accounts among them, by id.
    """

    parents: Mapping[PolicyNodeId, PolicyNodeId | None]
    account_ids: Sequence[PolicyNodeId]


@dataclass(frozen=True, slots=True)
class Applied:
    """What applies to a node: merged, with who said what, and in plain words.

    Attributes:
        key: The same for nodes to which the same applies, of those that one resolver resolves.
    """

    effective: Effective
    plain: Plain
    key: tuple[str, ...]

    @property
    def version_ids(self) -> tuple[PolicyVersionId, ...]:
        """Return the versions on the path, root first, and those that say the mixes of its models, each once."""
        references = (layer.version_id for layer in self.plain.references)
        return tuple(dict.fromkeys((*self.effective.version_ids, *references)))

    def sources(self, path: str) -> tuple[Layer, ...]:
        """Return who is responsible for the value of a field in plain words, root first."""
        found = self.plain.sources.get(path)
        return found if found is not None else self.effective.sources.get(path, ())


class Resolver:
    """Knows what applies to every node of a tree, as of one instant."""

    def __init__(self, lineage: Lineage, layers: Mapping[PolicyNodeId, Layer], valid_time: datetime) -> None:
        """Start with nothing merged.

        Args:
            lineage: The tree, or the paths of the nodes that are asked about.
            layers: The versions in force, by node.
            valid_time: The instant; what begins or expires is judged by it.
        """
        self._valid_time = valid_time
        self._applied: dict[tuple[str, ...], Applied] = {}
        self._parents = lineage.parents
        self._layers = layers
        self._inner: dict[PolicyNodeId | None, Effective] = {None: NOTHING}

    def effective(self, node_id: PolicyNodeId) -> Effective:
        """Return what applies to a node; the same object for all that share it.

        Raises:
            NodeNotFound: It does not exist.
        """
        parent_id = self._parents.get(node_id, node_id)
        if parent_id == node_id:
            raise NodeNotFound(f"policy node {node_id} does not exist", node_id=node_id)
        above = self._inner.get(parent_id)
        if above is None:
            above = self._above(parent_id)
        layer = self._layers.get(node_id)
        return above if layer is None else above.below(layer)

    def mix_of(self, node_id: PolicyNodeId) -> Effective | None:
        """Return what applies to a node, or None if there is none."""
        return self.effective(node_id) if node_id in self._parents else None

    def applied(self, node_id: PolicyNodeId) -> Applied:
        """Return what applies to a node, in plain words too; the same object for all that share it.

        Raises:
            NodeNotFound: It does not exist.
        """
        merged = self.effective(node_id)
        key = tuple(layer.version_id for layer in merged.layers)
        found = self._applied.get(key)
        if found is None:
            found = self._applied[key] = Applied(merged, in_plain_words(merged, self._valid_time, self.mix_of), key)
        return found

    def many(self, node_ids: Sequence[PolicyNodeId], at_once: int) -> Iterator[list[tuple[PolicyNodeId, Applied]]]:
        """Yield each node with what applies to it, in the order given, `at_once` at a time.

        Raises:
            NodeNotFound: Names the first that does not exist.
        """
        for start in range(0, len(node_ids), at_once):
            yield [(node_id, self.applied(node_id)) for node_id in node_ids[start : start + at_once]]

    def _above(self, node_id: PolicyNodeId | None) -> Effective:
        path: list[PolicyNodeId] = []
        while node_id is not None and node_id not in self._inner:
            path.append(node_id)
            node_id = self._parents[node_id]
        merged = self._inner[node_id]
        for each in reversed(path):
            layer = self._layers.get(each)
            merged = merged if layer is None else merged.below(layer)
            self._inner[each] = merged
        return merged


def first_unknown(node_ids: Iterable[PolicyNodeId], lineage: Lineage) -> PolicyNodeId | None:
    """Return the first of `node_ids` that is not in the tree, or None."""
    return next((node_id for node_id in node_ids if node_id not in lineage.parents), None)
