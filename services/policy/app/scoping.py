"""Where in the tree something is: for callers who may change it only below some nodes."""

from dataclasses import dataclass

from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app.ports import Read


@dataclass(frozen=True, slots=True)
class ScopeApp:
    """The use cases of finding out what a request is about. A node never moves, nor does what belongs to it."""

    read: Read

    async def path(self, node_id: PolicyNodeId) -> frozenset[PolicyNodeId]:
        """Return a node and everything above it; nothing if it does not exist."""
        async with self.read() as policies:
            return frozenset((await policies.lineage([node_id])).parents)

    async def node_of_change(self, change_id: ChangeId) -> PolicyNodeId | None:
        """Return the node whose document a change, or its rollout, is about; None if there is none."""
        async with self.read() as policies:
            change = await policies.change(change_id)
        return None if change is None else change.node_id

    async def node_of_stop(self, stop_id: ChangeId) -> PolicyNodeId | None:
        """Return the node that a stop holds at and below; None if there is none."""
        async with self.read() as policies:
            stop = await policies.stop(stop_id)
        return None if stop is None else stop.node_id
