"""A caller who is bound to some policy nodes changes nothing elsewhere.

A token may name them (`nodes`). They bind what the caller's roles may change, not what they may read. Which node a
request is about only its service can tell; where a service does not, such a caller may read and nothing else.
"""

from google.protobuf.message import Message

from services.kernel.errors import Denied
from services.runtime.context import Call, Handler, Method

# The last words of permissions that change nothing.
READING = frozenset({"preview", "read"})


class NodeOutOfScope(Denied):
    """The caller may act only at and below some policy nodes, and this is elsewhere."""

    reason = "NODE_OUT_OF_SCOPE"


class Scoping:
    """Holds callers to the nodes that they are bound to."""

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, for callers who may change what the request is about; itself when it only reads."""
        if method.permission is None or method.permission.rpartition(".")[2] in READING:
            return handler
        # Of a stream of requests nothing is known before the handler reads it.
        scope = None if method.request_streams else method.scope

        async def within(call: Call) -> Message | None:
            nodes = None if call.caller is None else call.caller.nodes
            if nodes is None:
                return await handler(call)
            if scope is None:
                raise NodeOutOfScope(
                    f"{method.full_name} cannot tell whether it is at or below {', '.join(sorted(nodes)) or 'no node'}"
                )
            await scope(call.request, nodes)
            return await handler(call)

        return within
