"""Nobody unknown gets in, and nobody does what their roles do not allow.

Which permission a method needs is said by its contract. A method that says none is refused to everybody.
"""

from google.protobuf.message import Message

from services.kernel.errors import Denied
from services.runtime.auth.tokens import Tokens
from services.runtime.context import Call, Handler, Method
from services.runtime.logging import get_logger

log = get_logger()


class RoleMissing(Denied):
    """The caller's roles do not carry the permission that the method needs."""

    reason = "ROLE_MISSING"


class Access:
    """Finds out who calls, and whether they may."""

    def __init__(self, tokens: Tokens) -> None:
        """Believe `tokens`."""
        self._tokens = tokens

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, for callers that hold the method's permission."""
        needed = method.permission
        if needed is None:
            log.warning("method without permission is refused to everybody", method=method.full_name)

        async def allowed(call: Call) -> Message | None:
            authorization = None
            for key, value in call.context.invocation_metadata() or ():
                if key == "authorization":
                    authorization = value if isinstance(value, str) else value.decode("ascii", "replace")
                    break
            caller = call.caller = await self._tokens.caller(authorization)
            if needed is None or needed not in caller.permissions:
                permission = needed or "none that exists"
                raise RoleMissing(
                    f"{caller.subject} needs the permission {permission}", permission=permission, caller=caller.subject
                )
            return await handler(call)

        return allowed
