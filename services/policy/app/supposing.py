"""What would govern if a change did: what is known, with the change's version in place of what its node has."""

from collections import ChainMap
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.kernel.ids import PolicyNodeId
from services.policy.app.editions import Known
from services.policy.domain.changes import Change
from services.policy.domain.history import AsOf
from services.policy.domain.merge import Layer
from services.policy.domain.overlays import Overlays
from services.policy.domain.resolve import Lineage


@dataclass(frozen=True, slots=True)
class Supposed:
    """What `known` says, as if `change` governed its node, whatever its state."""

    known: Known
    change: Change

    async def lineage(self, node_ids: Collection[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        return await self.known.lineage(node_ids)

    async def layers(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> Mapping[PolicyNodeId, Layer]:
        """Return the versions in force as of an instant, by node, the change's at its own; of all nodes for None."""
        found, change = await self.known.layers(node_ids, as_of), self.change
        if node_ids is not None and change.node_id not in node_ids:
            return found
        layer = Layer(
            node_id=change.node_id,
            version_id=change.version_id,
            document=change.document,
            change_id=change.change_id,
            author=change.author,
            approver=change.approver or "",
            reason=change.reason,
            effective_time=as_of.valid_time,
            approved_time=as_of.valid_time,
        )
        return ChainMap({change.node_id: layer}, dict(found) if node_ids is not None else found)  # type: ignore[arg-type] # of the second, a chain only reads

    def overlays(self, as_of: AsOf) -> Overlays:
        """Return the rollouts under way elsewhere, and the stops that hold."""
        return self.known.overlays(as_of).without(self.change.node_id)
