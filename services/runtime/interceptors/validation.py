"""The contract's own rules (`buf.validate`), checked before any code of ours sees the request.

A violation names the field, the rule and the value.
"""

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from buf.validate import validate_pb2
from services.kernel.errors import Violations
from services.runtime.context import Call, Handler, Method

VALUE_LENGTH_MAX = 64


class Validation:
    """Refuses requests that break their contract."""

    # It compiles the rules of each type once, in some milliseconds: for all servers of a process.
    _validator = Validator()

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, for valid requests; itself when the contract has no rules, or the handler checks them."""
        if method.checked_by_handler or not has_rules(method.request_type.DESCRIPTOR):
            return handler
        if method.request_streams:

            async def each_valid(call: Call) -> Message | None:
                call.request = self._checked(call.request)
                return await handler(call)

            return each_valid

        async def valid(call: Call) -> Message | None:
            self.check(call.request)
            return await handler(call)

        return valid

    def check(self, request: Message) -> None:
        """Check `request` against its contract.

        Raises:
            Invalid: It breaks a rule; each broken one is a violation.
        """
        found = self._validator.collect_violations(request)
        if found:
            violations = Violations()
            for each in found:
                violations.add(*_said(each))
            violations.raise_if_any()

    async def _checked(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            self.check(request)
            yield request


def has_rules(descriptor: Any, seen: set[str] | None = None) -> bool:  # noqa: ANN401 - its two classes share no type
    """Return whether the message, or one inside it, declares a rule."""
    seen = set() if seen is None else seen
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    if descriptor.GetOptions().HasExtension(validate_pb2.message):
        return True
    if any(oneof.GetOptions().HasExtension(validate_pb2.oneof) for oneof in descriptor.oneofs):
        return True
    for field in descriptor.fields:
        if field.GetOptions().HasExtension(validate_pb2.field):
            return True
        if field.message_type is not None and has_rules(field.message_type, seen):
            return True
    return False


def _said(violation: Violation) -> tuple[str, str]:
    field = field_path(violation)
    message = violation.proto.message or violation.proto.rule_id or "is not allowed"
    value = violation.field_value
    if value is None or isinstance(value, Message | list | dict):
        return field, message
    shown = repr(value)
    if len(shown) > VALUE_LENGTH_MAX:
        shown = f"{shown[: VALUE_LENGTH_MAX - 1]}…"
    return field, f"{message}, was {shown}"


def field_path(violation: Violation) -> str:
    """Return the path of the field that is wrong, as in `lots[3].quantity`; empty for the whole request."""
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        match element.subscript:
            case None:
                pass
            case subscript:
                path += f"[{_key(subscript)}]"
    return path


def _key(subscript: object) -> str:
    value = getattr(subscript, "value", subscript)
    return repr(value) if isinstance(value, str) else str(value)
