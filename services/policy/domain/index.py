"""Everything that says which rules apply to whom, in memory, so that a million accounts need no query each.

`PolicyIndex` is one edition of it: the tree as columns, and for each node the versions that govern it at some instant.
An edition never changes for whoever holds it; `advanced` returns the next one, sharing what did not change. Columns
only grow, and an edition knows how much of them is its own.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.kernel.ids import PolicyNodeId
from services.policy.domain.content import document_from_bytes
from services.policy.domain.document import Document
from services.policy.domain.history import Activation, AsOf
from services.policy.domain.merge import Layer
from services.policy.domain.overlays import NO_OVERLAYS, Candidate, Overlays
from services.policy.domain.resolve import Lineage
from services.policy.domain.rollout import Rollout, Stage
from services.policy.domain.stops import Stop
from services.policy.domain.tree import NodeKind

# Contents parsed at any time; others stay texts. A parsed one takes some 3 kB.
DOCUMENTS_KEPT = 65_536

_KINDS = tuple(NodeKind)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_ACCOUNT = _KIND_NUMBERS[NodeKind.ACCOUNT]
_ROOT = -1


@dataclass(frozen=True, slots=True)
class Governing:
    """A version that governs a node since some instant: the activation, who answers for it, and its text."""

    activation: Activation
    author: str
    approver: str
    reason: str
    text: str

    @property
    def layer(self) -> Layer:
        """Return it as one layer of a merge."""
        a = self.activation
        return Layer(
            a.node_id, a.version_id, document_of(self.text), a.change_id, self.author, self.approver, self.reason,
            a.effective_time, a.recorded_time,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RollingOut:
    """A rollout, who approved it and why, and the text of its version."""

    rollout: Rollout
    approver: str
    reason: str
    text: str

    def as_of(self, as_of: AsOf) -> Candidate | None:
        """Return the candidate if the rollout is under way as of an instant; its layer holds since the last step."""
        rollout = self.rollout
        stage = rollout.stage_at(as_of)
        if stage is not Stage.SHADOW and stage is not Stage.CANARY:
            return None
        step = next(each for each in reversed(rollout.steps) if each.stage is stage)
        layer = Layer(
            rollout.node_id, rollout.version_id, document_of(self.text), rollout.change_id, rollout.author,
            self.approver, self.reason, step.effective_time, step.recorded_time,
        )  # fmt: skip
        return Candidate(rollout, stage, layer)


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node of the tree, as columns keep it."""

    node_id: PolicyNodeId
    parent_id: PolicyNodeId | None
    kind: NodeKind


@dataclass(frozen=True, slots=True)
class Delta:
    """What became different since an edition.

    Attributes:
        edition: The edition that it leads to.
        nodes: New nodes, parents before their children.
        removed: Nodes that are gone; nothing stands under them.
        governing: New activations and those that were revoked.
        stops: New ones and those that were lifted.
        rollouts: Those that are new or took a step.
    """

    edition: int
    nodes: Iterable[NewNode] = ()
    removed: Iterable[PolicyNodeId] = ()
    governing: Iterable[Governing] = ()
    stops: Iterable[Stop] = ()
    rollouts: Iterable[RollingOut] = ()


class _Columns:
    """The tree as columns; rows are only ever added, and a node that is gone only loses its place."""

    def __init__(self) -> None:
        self.ids: list[PolicyNodeId] = []
        self.parents = array("l")
        self.kinds = bytearray()
        self.places: dict[PolicyNodeId, int] = {}

    def add(self, node: NewNode) -> None:
        if node.node_id in self.places:
            return
        self.places[node.node_id] = len(self.ids)
        self.ids.append(node.node_id)
        self.parents.append(_ROOT if node.parent_id is None else self.places[node.parent_id])
        self.kinds.append(_KIND_NUMBERS[node.kind])


class PolicyIndex:
    """One edition of everything that governs."""

    def __init__(self) -> None:
        """Know nothing: no node, edition -1."""
        self.edition = -1
        self._columns = _Columns()
        self._size = 0
        self._governing: Mapping[int, tuple[Governing, ...]] = {}
        self._stops: Mapping[str, Stop] = {}
        self._rollouts: Mapping[str, RollingOut] = {}
        self._accounts: Sequence[PolicyNodeId] | None = None

    def __len__(self) -> int:
        """Return how many rows the tree has, those of removed nodes included."""
        return self._size

    def advanced(self, delta: Delta) -> "PolicyIndex":
        """Return the edition that `delta` leads to. Only the newest edition may be advanced; others stay readable."""
        following = PolicyIndex()
        following.edition = delta.edition
        columns = following._columns = self._columns
        # A node that is gone may be back by now, in another place.
        removed = [columns.places.pop(node_id, None) for node_id in delta.removed]
        for node in delta.nodes:
            columns.add(node)
        following._size = len(columns.ids)
        governing = dict(self._governing)
        for each in delta.governing:
            place = columns.places.get(each.activation.node_id)
            if place is None:
                continue
            kept = governing.get(place, ())
            others = tuple(other for other in kept if other.activation.sequence != each.activation.sequence)
            governing[place] = (*others, each)
        following._governing = governing
        following._stops = {**self._stops, **{each.stop_id: each for each in delta.stops}}
        following._rollouts = {**self._rollouts, **{each.rollout.change_id: each for each in delta.rollouts}}
        unchanged = following._size == self._size and not any(place is not None for place in removed)
        following._accounts = self._accounts if unchanged else None
        return following

    def account_ids(self) -> Sequence[PolicyNodeId]:
        """Return the accounts, ascending."""
        if self._accounts is None:
            kinds, ids, places = self._columns.kinds, self._columns.ids, self._columns.places
            found = ((row, ids[row]) for row in range(self._size) if kinds[row] == _ACCOUNT)
            self._accounts = sorted(node_id for row, node_id in found if places.get(node_id) == row)
        return self._accounts

    def kind_of(self, node_id: PolicyNodeId) -> NodeKind:
        """Return what a node stands for.

        Raises:
            KeyError: It does not exist.
        """
        return _KINDS[self._columns.kinds[self._columns.places[node_id]]]

    def lineage(self, node_ids: Iterable[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        if node_ids is None:
            return Lineage(Parents(self._columns, self._size), self.account_ids())
        above = Parents(self._columns, self._size)
        parents: dict[PolicyNodeId, PolicyNodeId | None] = {}
        accounts: set[PolicyNodeId] = set()
        for node_id in node_ids:
            current: PolicyNodeId | None = node_id if node_id in above else None
            if current is not None and self.kind_of(current) is NodeKind.ACCOUNT:
                accounts.add(current)
            while current is not None and current not in parents:
                parents[current] = above[current]
                current = parents[current]
        return Lineage(parents, sorted(accounts))

    def path(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        """Return a node and what is above it, the root last; nothing if it does not exist."""
        above = Parents(self._columns, self._size)
        found: list[PolicyNodeId] = []
        current: PolicyNodeId | None = node_id if node_id in above else None
        while current is not None:
            found.append(current)
            current = above[current]
        return found

    def layers(self, as_of: AsOf) -> "Layers":
        """Return the versions in force as of an instant, by node; each is found when it is asked for."""
        return Layers(self._columns, self._governing, as_of)

    def overlays(self, as_of: AsOf) -> Overlays:
        """Return the rollouts under way and the stops that hold as of an instant."""
        # A node may have had several rollouts; at most one of them is under way.
        found = [each.as_of(as_of) for each in self._rollouts.values()]
        under_way = {each.rollout.node_id: each for each in found if each is not None}
        stops: dict[PolicyNodeId, tuple[Stop, ...]] = {}
        for stop in sorted(self._stops.values(), key=lambda each: (each.recorded_time, each.stop_id)):
            if stop.holds(as_of):
                stops[stop.node_id] = (*stops.get(stop.node_id, ()), stop)
        return Overlays(under_way, stops, self.kind_of) if under_way or stops else NO_OVERLAYS


class Parents(Mapping[PolicyNodeId, PolicyNodeId | None]):
    """The node above each node of an edition; None for roots."""

    __slots__ = ("_ids", "_parents", "_places", "_size")

    def __init__(self, columns: _Columns, size: int) -> None:
        """Read `columns`, of which the first `size` rows count."""
        self._ids, self._parents, self._places = columns.ids, columns.parents, columns.places
        self._size = size

    def __getitem__(self, node_id: PolicyNodeId) -> PolicyNodeId | None:
        """Return the node above `node_id`.

        Raises:
            KeyError: `node_id` does not exist.
        """
        place = self._places[node_id]
        if place >= self._size:
            raise KeyError(node_id)
        parent = self._parents[place]
        return None if parent == _ROOT else self._ids[parent]

    def get(  # type: ignore[override]  # of the three forms of a mapping's, the one that is used
        self, node_id: PolicyNodeId, default: PolicyNodeId | None = None
    ) -> PolicyNodeId | None:
        """Return the node above `node_id`, or `default` if that does not exist; a million accounts ask."""
        place = self._places.get(node_id)
        if place is None or place >= self._size:
            return default
        parent = self._parents[place]
        return None if parent == _ROOT else self._ids[parent]

    def __contains__(self, node_id: object) -> bool:
        """Return whether the node exists."""
        place = self._places.get(node_id)  # type: ignore[call-overload]  # other objects are in no dict of ids
        return place is not None and place < self._size

    def __iter__(self) -> Iterator[PolicyNodeId]:
        """Yield the nodes."""
        return (node_id for node_id, place in self._places.items() if place < self._size)

    def __len__(self) -> int:
        """Return how many nodes there are."""
        return sum(1 for _ in self)


class Layers(Mapping[PolicyNodeId, Layer]):
    """The versions in force as of an instant, by node; parsed when asked for, and not kept."""

    __slots__ = ("_as_of", "_governing", "_ids", "_places")

    def __init__(self, columns: _Columns, governing: Mapping[int, tuple[Governing, ...]], as_of: AsOf) -> None:
        """Find nothing yet."""
        self._ids, self._places = columns.ids, columns.places
        self._governing = governing
        self._as_of = as_of

    def __getitem__(self, node_id: PolicyNodeId) -> Layer:
        """Return the version in force.

        Raises:
            KeyError: None is.
        """
        found = self._found(self._places[node_id])
        if found is None:
            raise KeyError(node_id)
        return found.layer

    def get(  # type: ignore[override]  # of the three forms of a mapping's, the one that is used
        self, node_id: PolicyNodeId, default: Layer | None = None
    ) -> Layer | None:
        """Return the version in force, or `default`; most nodes have none, and this is quick about them."""
        place = self._places.get(node_id)
        if place is None or place not in self._governing:
            return default
        found = self._found(place)
        return default if found is None else found.layer

    def __iter__(self) -> Iterator[PolicyNodeId]:
        """Yield the nodes that have one."""
        return (self._ids[place] for place in self._governing if self._found(place) is not None)

    def __len__(self) -> int:
        """Return how many nodes have one."""
        return sum(1 for _ in self)

    def governing(self, node_ids: Iterable[PolicyNodeId]) -> tuple[Governing, ...]:
        """Return what governs those of `node_ids` that have a version in force; the same objects while it does.

        Raises:
            KeyError: One of them does not exist.
        """
        found = (self._found(self._places[node_id]) for node_id in node_ids)
        return tuple(each for each in found if each is not None)

    def _found(self, place: int) -> Governing | None:
        found: Governing | None = None
        valid_time, known_time = self._as_of.valid_time, self._as_of.known_time
        for each in self._governing.get(place, ()):
            activation = each.activation
            if activation.effective_time > valid_time or not activation.known(known_time):
                continue
            if found is None or activation.effective_time > found.activation.effective_time:
                found = each
        return found


@lru_cache(maxsize=DOCUMENTS_KEPT)
def document_of(text: str) -> Document:
    """Return the document whose canonical text is `text`."""
    return document_from_bytes(text)
