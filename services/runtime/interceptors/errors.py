"""Every error becomes a `google.rpc.Status` here, once.

A `Fact` becomes its code, with its reason, its facts and what helps to act on it. Anything else is a fault of ours: the
caller gets a trace id, the log gets the stack.
"""

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from services.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    Duplicate,
    Fact,
    Invalid,
    NotFound,
    Overloaded,
    Rejected,
    Unauthenticated,
    Unreachable,
)
from services.runtime.context import Call, Handler, Method
from services.runtime.deadlines import DeadlinePassed
from services.runtime.logging import get_logger
from services.runtime.telemetry import current_trace_id

DOMAIN = "evenkeel"
STATUS_METADATA = "grpc-status-details-bin"

# A client of gRPC may refuse metadata beyond 8 KiB, in which the details are a third longer than they are, and the
# message stands twice. What does not fit is left out; the message says how many violations there are.
TEXT_BYTES_MAX = 400
FACTS_BYTES_MAX = 1_200
VIOLATIONS_BYTES_MAX = 2_400

_CODES: dict[type[Fact], grpc.StatusCode] = {
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Duplicate: grpc.StatusCode.ALREADY_EXISTS,
    Rejected: grpc.StatusCode.FAILED_PRECONDITION,
    Conflict: grpc.StatusCode.ABORTED,
    Denied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unreachable: grpc.StatusCode.UNAVAILABLE,
    Corrupt: grpc.StatusCode.DATA_LOSS,
    DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
}

log = get_logger()


class Errors:
    """Answers errors."""

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, whose errors are answered as a status."""

        async def answered(call: Call) -> Message | None:
            try:
                return await handler(call)
            except Fact as fact:
                call.code = code_of(fact)
                _log_fact(fact, call)
                await call.context.abort_with_status(_ToSend(call.code, status_of(fact)))
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                call.code = grpc.StatusCode.INTERNAL
                log.exception("call failed", method=method.full_name, error=type(error).__name__)
                await call.context.abort_with_status(_ToSend(call.code, internal_status()))

        return answered


async def answer_unknown(call: Call) -> None:
    """Answer a call of a method that this build does not have."""
    call.code = grpc.StatusCode.UNIMPLEMENTED
    info = error_details_pb2.ErrorInfo(reason="METHOD_UNKNOWN", domain=DOMAIN, metadata={"method": call.method.path})
    message = f"this build has no method {_clipped(call.method.path)}"
    await call.context.abort_with_status(_ToSend(call.code, _status(call.code, message, [info])))


def code_of(fact: Fact) -> grpc.StatusCode:
    """Return the gRPC code of the first class of `fact` that has one."""
    for kind in type(fact).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return grpc.StatusCode.INTERNAL


def status_of(fact: Fact) -> status_pb2.Status:
    """Return what a caller is told of `fact`."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=fact.reason, domain=DOMAIN, metadata=_facts(fact))]
    match fact:
        case Overloaded():
            delay = Duration()
            delay.FromMilliseconds(int(fact.retry_after_s * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        case Invalid() if fact.violations:
            details.append(_bad_request(fact))
        case _:
            pass
    return _status(code_of(fact), fact.message, details)


def internal_status() -> status_pb2.Status:
    """Return what a caller is told of a fault of ours."""
    trace_id = current_trace_id()
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain=DOMAIN, metadata={"trace_id": trace_id} if trace_id else {}
    )
    where = f"; trace {trace_id} says more" if trace_id else ""
    return _status(grpc.StatusCode.INTERNAL, f"the service failed{where}", [info])


def _facts(fact: Fact) -> dict[str, str]:
    metadata: dict[str, str] = {}
    size = 0
    for name, value in fact.facts.items():
        said = _clipped(str(value))
        size += len(name) + len(said.encode()) + 8
        if size > FACTS_BYTES_MAX:
            break
        metadata[name] = said
    return metadata


def _bad_request(fact: Invalid) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    size = 0
    for violation in fact.violations:
        field, description = _clipped(violation.field), _clipped(violation.description)
        size += len(field.encode()) + len(description.encode()) + 8
        if size > VIOLATIONS_BYTES_MAX:
            break
        bad.field_violations.add(field=field, description=description)
    return bad


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=_clipped(message))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _clipped(text: str) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= TEXT_BYTES_MAX else f"{data[: TEXT_BYTES_MAX - 3].decode(errors='ignore')}…"


def _log_fact(fact: Fact, call: Call) -> None:
    known = {name: _clipped(str(value)) for name, value in fact.facts.items() if name not in _TAKEN}
    caller = call.caller.subject if call.caller else None
    message = _clipped(fact.message)
    if isinstance(fact, Corrupt):
        log.error(message, reason=fact.reason, method=call.method.full_name, caller=caller, exc_info=fact, **known)
    else:
        log.info("call refused", reason=fact.reason, method=call.method.full_name, caller=caller, message=message)


_TAKEN = frozenset({"event", "reason", "method", "caller", "exc_info", "level", "time"})


class _ToSend(grpc.Status):
    """A status with its details, as gRPC sends it."""

    def __init__(self, code: grpc.StatusCode, status: status_pb2.Status) -> None:
        self.code = code
        self.details = status.message
        self.trailing_metadata = ((STATUS_METADATA, status.SerializeToString()),)
