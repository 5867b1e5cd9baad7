"""What applies to a node, and who said so.

Going from the root to a leaf, each version in force adds what it sets: for most fields the value nearest to the leaf
holds; a consent holds where nobody refuses. A value that a guardrail of an ancestor forbids does not count; then the
nearest permitted value above it holds. So every value in an effective policy was written by one person and approved, as
it stands, by another, and satisfies every guardrail above the node that set it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.document import EMPTY, FIELDS, Document
from services.policy.domain.fields import Merge
from services.policy.domain.guardrails import Bound, Bounds, with_guardrails

# Merges kept at any time; one takes some 10 kB.
MERGES_KEPT = 4_096


class Origin(StrEnum):
    """Where a layer comes from."""

    VERSION = "version"
    """A version that somebody wrote and another approved."""
    PROFILE_RULE = "profile_rule"
    """What an approved rule makes of the client's profile."""
    PREFERENCE = "preference"
    """What the client chose, within the limits of an approved version."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Rules of one origin, with who is responsible for them; mostly a version in force at one node.

    Attributes:
        version_id: Hash of node and document.
        effective_time: Since when it governs the node.
        approved_time: When its approval was recorded.
        reason: Why it was written.
        outcome: Names what a rule or a client says beside the version; empty for versions.
    """

    node_id: PolicyNodeId
    version_id: PolicyVersionId
    document: Document
    change_id: ChangeId
    author: str
    approver: str
    reason: str
    effective_time: datetime
    approved_time: datetime
    origin: Origin = Origin.VERSION
    outcome: str = ""

    @property
    def key(self) -> str:
        """Return what differs for layers that say different things."""
        return f"{self.version_id}/{self.outcome}" if self.outcome else self.version_id

    @property
    def identity(self) -> tuple[object, ...]:
        """Return what differs for layers that differ in anything at all."""
        return (self.node_id, self.version_id, self.change_id, self.effective_time, self.approved_time, self.outcome)


@dataclass(frozen=True, slots=True)
class Overruled:
    """A value that does not count, because a guardrail forbids it."""

    path: str
    layer: Layer
    value: object
    bound: Bound


@dataclass(frozen=True, slots=True)
class Effective:
    """What applies to a node.

    Attributes:
        document: The merged rules, with the guardrails of all nodes on the path.
        layers: The versions in force on the path, root first.
        sources: Who set each field of `document`, by path: one layer, or for gathered fields several, root first.
        overruled: Values on the path that do not count, root first.
        bounds: What binds the nodes below, by path.
    """

    document: Document = EMPTY
    layers: tuple[Layer, ...] = ()
    sources: Mapping[str, tuple[Layer, ...]] = field(default_factory=dict)
    overruled: tuple[Overruled, ...] = ()
    bounds: Bounds = field(default_factory=dict)

    @property
    def version_ids(self) -> tuple[PolicyVersionId, ...]:
        """Return the versions on the path, root first; for accounts without a profile they determine all else here."""
        return tuple(layer.version_id for layer in self.layers if layer.origin is Origin.VERSION)

    def below(self, layer: Layer) -> "Effective":
        """Return what applies to a node under this one whose own version is `layer`."""
        set_here: dict[str, object] = {}
        sources = dict(self.sources)
        overruled: list[Overruled] = []
        for found, value in FIELDS.set_in(layer.document):
            path = found.path
            if found.merge is Merge.GATHER:
                set_here[path] = (*found.read(self.document), *value)
                sources[path] = (*sources.get(path, ()), layer)
                continue
            broken = next((b for b in self.bounds.get(path, ()) if b.violation(found, value) is not None), None)
            if broken is not None:
                overruled.append(Overruled(path, layer, value, broken))
                continue
            if found.merge is Merge.EVERY and found.read(self.document) is False:
                # Whoever refused first is who is responsible, whatever is said below.
                continue
            set_here[path] = value
            sources[path] = (layer,)
        document = FIELDS.replaced(self.document, set_here)
        return Effective(
            document=document,
            layers=(*self.layers, layer),
            sources=sources,
            overruled=(*self.overruled, *overruled),
            bounds=with_guardrails(self.bounds, layer.document.guardrails, layer.node_id, layer.version_id, document),
        )


NOTHING = Effective()
"""What applies above the root: no rule at all."""


class Merges:
    """What was merged lately, for whoever asks about one account after the other: most of a path is shared."""

    def __init__(self, kept_max: int = MERGES_KEPT) -> None:
        """Keep the `kept_max` merges that were used last."""
        self._kept_max = kept_max
        # Of what is above, its identity, which no other can take: what is merged is kept with it.
        self._kept: OrderedDict[tuple[object, ...], tuple[Effective, Effective]] = OrderedDict()

    def below(self, above: Effective, layer: Layer) -> Effective:
        """Return `above.below(layer)`."""
        key = (id(above), *layer.identity)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found[1]
        merged = above.below(layer)
        self._kept[key] = (above, merged)
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return merged


def effective(layers: Iterable[Layer]) -> Effective:
    """Return what applies at the end of a path.

    Args:
        layers: The versions in force on the path, root first; nodes without one are left out.
    """
    merged = NOTHING
    for layer in layers:
        merged = merged.below(layer)
    return merged
