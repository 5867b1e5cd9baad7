"""The effective policies of many nodes at once.

Most accounts set nothing themselves, so they share the policy of the node above; what applies to an inner node is
merged once and kept. Work and memory grow with the nodes that have a version, and by almost nothing per account.

While a rollout is under way, accounts below its node may have its version in place of the node's own, and stops tighten
what applies; `Overlays` says where. Then what is merged once is kept by the candidates chosen on the way.

To an account applies, after what it inherits, what a rule makes of the client's profile; then the account's own
version; then the client's preferences; and stops tighten all of it. `Clients` says what is on record.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime

from services.kernel.ids import PolicyNodeId, PolicyVersionId
from services.policy.domain.clients import NOBODY, Clients
from services.policy.domain.errors import NodeNotFound
from services.policy.domain.merge import NOTHING, Effective, Layer
from services.policy.domain.overlays import NO_OVERLAYS, Overlays
from services.policy.domain.personal import Outcome, ProfileRecord, missing, outcome, profile_layer
from services.policy.domain.plain import Plain, in_plain_words
from services.policy.domain.preference_limits import preference_layer
from services.policy.domain.preferences import Standing
from services.policy.domain.rollout import Rollout
from services.policy.domain.stops import tightened


@dataclass(frozen=True, slots=True)
class Lineage:
    """Who stands under whom, and nothing else: what a million accounts need.

    Attributes:
        parents: The node above each node, None for roots; a tree.
        account_ids: The accounts among them, by id.
    """

    parents: Mapping[PolicyNodeId, PolicyNodeId | None]
    account_ids: Sequence[PolicyNodeId]


class Applied:
    """What applies to a node: merged, with who said what, and in plain words; worked out when somebody reads it.

    Attributes:
        key: The same for nodes to which the same applies, of those that one resolver resolves.
    """

    __slots__ = ("_made", "_make", "_merged", "key")

    def __init__(
        self, key: tuple[str, ...], make: Callable[[], tuple[Effective, Plain]], merged: Effective | None = None
    ) -> None:
        """Know how to make it; what is `merged` already need not be made in plain words to be looked at."""
        self.key = key
        self._merged = merged
        self._make = make
        self._made: tuple[Effective, Plain] | None = None

    @property
    def effective(self) -> Effective:
        """Return the merged rules."""
        return self._both()[0] if self._merged is None else self._merged

    @property
    def plain(self) -> Plain:
        """Return what the merged rules come to."""
        return self._both()[1]

    @property
    def lasting(self) -> bool:
        """Return whether its plain words follow from its key alone: they name no other mix and no instant."""
        return not self.plain.references and not has_instant(self.effective.document)

    @property
    def version_ids(self) -> tuple[PolicyVersionId, ...]:
        """Return the versions on the path, root first, and those that say the mixes of its models, each once."""
        references = (layer.version_id for layer in self.plain.references)
        return tuple(dict.fromkeys((*self.effective.version_ids, *references)))

    def sources(self, path: str) -> tuple[Layer, ...]:
        """Return who is responsible for the value of a field in plain words, root first."""
        found = self.plain.sources.get(path)
        return found if found is not None else self.effective.sources.get(path, ())

    def _both(self) -> tuple[Effective, Plain]:
        if self._made is None:
            self._made = self._make()
        return self._made


@dataclass(frozen=True, slots=True)
class Sides:
    """What an account under a rollout has with its candidate and without; one of them is in force."""

    rollout: Rollout
    candidate: Applied
    incumbent: Applied


class Resolver:
    """Knows what applies to every node of a tree, as of one instant."""

    def __init__(
        self,
        lineage: Lineage,
        layers: Mapping[PolicyNodeId, Layer],
        valid_time: datetime,
        overlays: Overlays = NO_OVERLAYS,
        clients: Clients = NOBODY,
        below: Callable[[Effective, Layer], Effective] = Effective.below,
    ) -> None:
        """Start with nothing merged.

        Args:
            lineage: The tree, or the paths of the nodes that are asked about.
            layers: The versions in force, by node.
            valid_time: The instant; what begins or expires is judged by it.
            overlays: Rollouts under way and stops that hold.
            clients: What is on record of the clients of the nodes that are asked about.
            below: Merges one layer more; one that remembers saves work over many resolvers.
        """
        self._merged = below
        self._clients = clients
        self._accounts = frozenset(lineage.account_ids) if clients else frozenset[PolicyNodeId]()
        self._profiles: dict[PolicyNodeId | None, ProfileRecord | None] = {None: None}
        # Made once: what a rule makes of a client, and what is below a layer. What is above is kept with each, so that
        # no other can take its identity.
        self._led: dict[tuple[int, Outcome | None, str | None, str | None], tuple[Effective, Effective]] = {}
        self._shared: dict[tuple[int, str], tuple[Effective, Effective]] = {}
        self._valid_time = valid_time
        self._overlays = overlays
        self._chosen: dict[tuple[PolicyNodeId, frozenset[PolicyNodeId]], Effective] = {}
        self._applied: dict[tuple[str, ...], Applied] = {}
        self._by_identity: dict[int, Applied] = {}
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
        if self._overlays:
            path = self._path(node_id)
            return self._overlaid(path, self._overlays.canaries(path))
        above = self._inner.get(parent_id)
        if above is None:
            above = self._above(parent_id)
        return self._own(node_id, above, self._layers.get(node_id))

    def standing(self, account_id: PolicyNodeId) -> Standing:
        """Return what the preferences of an account's client are judged against: all that applies but them and stops.

        Raises:
            NodeNotFound: It does not exist.
        """
        if account_id not in self._parents:
            raise NodeNotFound(f"policy node {account_id} does not exist", node_id=account_id)
        path = self._path(account_id)
        above, layer = self._last(path, self._overlays.canaries(path) if self._overlays else frozenset())
        return self._standing(account_id, above, layer)

    def profile(self, node_id: PolicyNodeId | None) -> ProfileRecord | None:
        """Return the profile that counts for a node: its own, or the nearest above it."""
        if node_id in self._profiles:
            return self._profiles[node_id]
        if node_id is None:
            return None
        found = self._clients.profiles.get(node_id)
        if found is None:
            found = self.profile(self._parents.get(node_id))
        # Accounts are asked about once or twice; what is above them is shared.
        if node_id not in self._accounts:
            self._profiles[node_id] = found
        return found

    def mix_of(self, node_id: PolicyNodeId) -> Effective | None:
        """Return what applies to a node, or None if there is none."""
        return self.effective(node_id) if node_id in self._parents else None

    def applied(self, node_id: PolicyNodeId) -> Applied:
        """Return what applies to a node, in plain words too; the same object for all that share it.

        Raises:
            NodeNotFound: It does not exist.
        """
        return self._in_plain_words(node_id, self.effective(node_id))

    def sides(self, node_id: PolicyNodeId) -> Sides | None:
        """Return both sides of the rollout that an account is under, the one nearest to it; None if under none."""
        if not self._overlays.candidates:
            return None
        path = self._path(node_id)
        near = next((each for each in reversed(path) if each in self._overlays.candidates), None)
        if near is None:
            return None
        canaries = self._overlays.canaries(path)
        return Sides(
            self._overlays.candidates[near].rollout,
            candidate=self._in_plain_words(node_id, self._overlaid(path, canaries | {near})),
            incumbent=self._in_plain_words(node_id, self._overlaid(path, canaries - {near})),
        )

    def _in_plain_words(self, node_id: PolicyNodeId, merged: Effective) -> Applied:
        required = merged.document.client.required_consents
        lacking = missing(required, self._path(node_id), self._clients.valid_consents) if required else ()
        key = tuple(layer.key for layer in merged.layers)
        if lacking:
            # No key of a layer is empty, so what is lacking cannot be taken for one.
            key = (*key, "", *lacking)
        found = self._applied.get(key)
        if found is None:
            found = self._applied[key] = Applied(key, lambda: self._made(merged, lacking), merged)
        return found

    def _made(self, merged: Effective, lacking: tuple[str, ...]) -> tuple[Effective, Plain]:
        return merged, in_plain_words(merged, self._valid_time, self.mix_of, lacking)

    def _below_shared(self, above: Effective, layer: Layer | None) -> Applied:
        """Return what applies to an account under `above` with the version `layer`, without merging it yet."""
        # By identity, because what is above is kept, and a key takes longer to make than everything else here.
        shared = self._by_identity.get(id(above))
        if shared is None:
            shared = self._by_identity[id(above)] = self._keyed(tuple(each.key for each in above.layers), above, None)
        return shared if layer is None else self._keyed((*shared.key, layer.key), above, layer)

    def _keyed(self, key: tuple[str, ...], above: Effective, layer: Layer | None) -> Applied:
        found = self._applied.get(key)
        if found is None:
            found = self._applied[key] = Applied(
                key, lambda: self._made(above if layer is None else self._merged(above, layer), ())
            )
        return found

    def _quick(self, node_ids: Sequence[PolicyNodeId]) -> list[tuple[PolicyNodeId, Applied]]:
        """Return what `applied` does, where neither rollouts nor stops nor anything on record of clients matters."""
        found: list[tuple[PolicyNodeId, Applied]] = []
        parents, layers, inner = self._parents, self._layers, self._inner
        for node_id in node_ids:
            parent_id = parents.get(node_id)
            above = inner.get(parent_id)
            if above is None:
                above = self._above(parent_id)
            layer = layers.get(node_id)
            consents = above.document.client.required_consents
            if parent_id is None or consents or (layer is not None and layer.document.client.required_consents):
                # A root, what does not exist, and what depends on who asks.
                found.append((node_id, self.applied(node_id)))
            else:
                found.append((node_id, self._below_shared(above, layer)))
        return found

    def many(self, node_ids: Sequence[PolicyNodeId], at_once: int) -> Iterator[list[tuple[PolicyNodeId, Applied]]]:
        """Yield each node with what applies to it, in the order given, `at_once` at a time.

        Raises:
            NodeNotFound: Names the first that does not exist.
        """
        for start in range(0, len(node_ids), at_once):
            asked = node_ids[start : start + at_once]
            if self._overlays or self._clients:
                yield [(node_id, self.applied(node_id)) for node_id in asked]
            else:
                yield self._quick(asked)

    def _path(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        path = [node_id]
        while (parent_id := self._parents[path[-1]]) is not None:
            path.append(parent_id)
        path.reverse()
        return path

    def _overlaid(self, path: Sequence[PolicyNodeId], candidates: frozenset[PolicyNodeId]) -> Effective:
        """Return what applies at the end of a path where `candidates` have the version that is rolled out to them."""
        above, layer = self._last(path, candidates)
        return tightened(self._own(path[-1], above, layer), self._overlays.stops_on(path))

    def _last(
        self, path: Sequence[PolicyNodeId], candidates: frozenset[PolicyNodeId]
    ) -> tuple[Effective, Layer | None]:
        """Return what applies above the end of a path, and the version that governs the end itself."""
        merged = NOTHING
        for depth, each in enumerate(path[:-1]):
            key = (each, candidates.intersection(path[: depth + 1]))
            found = self._chosen.get(key)
            if found is None:
                layer = self._governing(each, candidates)
                found = self._chosen[key] = merged if layer is None else self._merged(merged, layer)
            merged = found
        return merged, self._governing(path[-1], candidates)

    def _governing(self, node_id: PolicyNodeId, candidates: frozenset[PolicyNodeId]) -> Layer | None:
        return self._overlays.candidates[node_id].layer if node_id in candidates else self._layers.get(node_id)

    def _own(self, node_id: PolicyNodeId, above: Effective, layer: Layer | None) -> Effective:
        """Return what applies to a node with the version `layer` and its client, under what is above it."""
        if node_id not in self._accounts:
            return above if layer is None else self._merged(above, layer)
        standing = self._standing(node_id, above, layer)
        preferences = self._clients.preferences.get(node_id)
        if preferences is None or not standing.merged.layers:
            return standing.merged
        return self._below(standing.merged, preference_layer(preferences, standing))

    def _standing(self, account_id: PolicyNodeId, above: Effective, layer: Layer | None) -> Standing:
        merged = above if layer is None else self._merged(above, layer)
        record = self.profile(account_id)
        if record is None:
            return Standing(merged, None, self._valid_time, self.mix_of)
        rule, day = merged.document.profile_rule, self._valid_time.astimezone(UTC).date()
        found = outcome(rule, record.profile, day) if rule.models else None
        known = (id(above), found, record.profile.residence, record.profile.wrapper)
        if layer is None and known in self._led:
            return Standing(self._led[known][1], found, self._valid_time, self.mix_of)
        said = profile_layer(merged, record, self._valid_time)
        if said is not None:
            with_it = self._below(above, said)
            merged = with_it if layer is None else with_it.below(layer)
        if layer is None:
            self._led[known] = (above, merged)
        return Standing(merged, found, self._valid_time, self.mix_of)

    def _below(self, above: Effective, layer: Layer) -> Effective:
        """Return `above.below(layer)`, the same object for layers that say the same of the same."""
        key = (id(above), layer.key)
        found = self._shared.get(key)
        if found is None:
            found = self._shared[key] = (above, above.below(layer))
        return found[1]

    def _above(self, node_id: PolicyNodeId | None) -> Effective:
        path: list[PolicyNodeId] = []
        while node_id is not None and node_id not in self._inner:
            path.append(node_id)
            node_id = self._parents[node_id]
        merged = self._inner[node_id]
        for each in reversed(path):
            layer = self._layers.get(each)
            merged = merged if layer is None else self._merged(merged, layer)
            self._inner[each] = merged
        return merged


def first_unknown(node_ids: Iterable[PolicyNodeId], lineage: Lineage) -> PolicyNodeId | None:
    """Return the first of `node_ids` that is not in the tree, or None."""
    return next((node_id for node_id in node_ids if node_id not in lineage.parents), None)


def has_instant(value: object) -> bool:
    """Return whether a document, or a part of one, says an instant anywhere."""
    if isinstance(value, tuple):
        return any(map(has_instant, value))
    if is_dataclass(value):
        return any(has_instant(getattr(value, each.name)) for each in fields(value))
    return isinstance(value, datetime)
