"""What decides beside the versions of a path: rollouts under way, and stops that hold.

A rollout in its canary stage gives some accounts its candidate in place of its node's own version; in shadow it gives
it to nobody, and only says what they would have. A stop tightens everything at and under its node.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from services.kernel.ids import PolicyNodeId
from services.policy.domain.merge import Layer
from services.policy.domain.rollout import Rollout, Stage
from services.policy.domain.stops import Stop
from services.policy.domain.tree import NodeKind


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout under way: its stage at the instant asked about, and its version as a layer."""

    rollout: Rollout
    stage: Stage
    layer: Layer


@dataclass(frozen=True, slots=True)
class Overlays:
    """Rollouts under way and stops that hold, by node, as of an instant.

    Attributes:
        stops: By node, in the order in which they were created.
        kind_of: Says what a node stands for.
    """

    candidates: Mapping[PolicyNodeId, Candidate] = field(default_factory=dict)
    stops: Mapping[PolicyNodeId, tuple[Stop, ...]] = field(default_factory=dict)
    kind_of: Callable[[PolicyNodeId], NodeKind] = lambda _: NodeKind.ACCOUNT

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.candidates or self.stops)

    def canaries(self, path: Sequence[PolicyNodeId]) -> frozenset[PolicyNodeId]:
        """Return the nodes of a path whose candidate the account at its end has.

        An inner node has none: it has what its accounts have that are in no canary.
        """
        opened = [each for each in path if each in self.candidates]
        if not opened or self.kind_of(path[-1]) is not NodeKind.ACCOUNT:
            return frozenset()
        household = next((each for each in path if self.kind_of(each) is NodeKind.HOUSEHOLD), path[-1])
        return frozenset(
            each
            for each in opened
            if self.candidates[each].stage is Stage.CANARY and self.candidates[each].rollout.in_canary(household, path)
        )

    def without(self, node_id: PolicyNodeId) -> "Overlays":
        """Return the same without a rollout at a node."""
        candidates = {each: found for each, found in self.candidates.items() if each != node_id}
        return Overlays(candidates, self.stops, self.kind_of)

    def stops_on(self, path: Sequence[PolicyNodeId]) -> list[Stop]:
        """Return the stops that hold at the end of a path, from the root down."""
        return [stop for each in path for stop in self.stops.get(each, ())] if self.stops else []


NO_OVERLAYS = Overlays()
