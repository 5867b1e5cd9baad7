"""Which node a request is about, and whether its caller may act there.

By the names of the request's fields, which mean the same in all of policy's contracts. What names none of them is
refused to whoever is bound to nodes, and so is what does not exist: to know more, one must be allowed more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app import ScopeApp
from services.runtime.interceptors.scoping import NodeOutOfScope


@dataclass(frozen=True, slots=True)
class NodeScope:
    """Refuses requests about nodes that their caller is not bound to."""

    app: ScopeApp

    async def __call__(self, request: Any, nodes: frozenset[str]) -> None:  # noqa: ANN401 - any request of policy's
        """Return if all that a request is about is at or below one of `nodes`.

        Raises:
            NodeOutOfScope: It is not.
        """
        for node_id in await self._about(request):
            if node_id is None or not nodes & await self.app.path(node_id):
                where = "this" if node_id is None else f"node {node_id}"
                said = ", ".join(sorted(nodes)) or "no node"
                raise NodeOutOfScope(f"{where} is not at or below {said}", node_id=node_id or "")

    async def _about(self, request: Any) -> Collection[PolicyNodeId | None]:  # noqa: ANN401 - as above
        if isinstance(request, pb.CreateNodeRequest):
            return [_parent(request.node)]
        if isinstance(request, pb.CreateNodesRequest):
            new = {each.node_id for each in request.nodes}
            # Those that are below none but each other are below nothing.
            return {_parent(each) for each in request.nodes if each.parent_id not in new} or {None}
        named = request.DESCRIPTOR.fields_by_name
        if "node_id" in named:
            return [PolicyNodeId(request.node_id)]
        if "account_id" in named:
            return [PolicyNodeId(request.account_id)]
        if "change_id" in named:
            return [await self.app.node_of_change(ChangeId(request.change_id))]
        if "stop_id" in named:
            return [await self.app.node_of_stop(ChangeId(request.stop_id))]
        return [None]


def _parent(node: pb.PolicyNode) -> PolicyNodeId | None:
    # A root is below nothing.
    return PolicyNodeId(node.parent_id) if node.parent_id else None
