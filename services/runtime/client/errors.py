"""What another service's error means to us.

Its facts stay facts, with their reasons. That it does not answer is `PeerUnreachable`. That it does not know or trust
us, or fails, is nothing that our own caller could mend: a `PeerFault`, which becomes INTERNAL.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.kernel.errors import (
    DEFAULT_RETRY_AFTER_S,
    Conflict,
    Corrupt,
    Duplicate,
    Fact,
    FieldViolation,
    Invalid,
    NotFound,
    Overloaded,
    Rejected,
    Unreachable,
)


class PeerUnreachable(Unreachable):
    """Another service that this one needs does not answer. Whether it did what was asked is unknown: ask again."""

    reason = "PEER_UNREACHABLE"


class PeerFault(Exception):
    """Another service failed, or refused us for who we are."""


_FACTS: dict[grpc.StatusCode, type[Fact]] = {
    grpc.StatusCode.INVALID_ARGUMENT: Invalid,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Duplicate,
    grpc.StatusCode.FAILED_PRECONDITION: Rejected,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DATA_LOSS: Corrupt,
}
_UNANSWERED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_NO_REASON = "PEER_REFUSED"


@contextmanager
def peer_errors(peer: str) -> Iterator[None]:
    """Turn gRPC errors raised within into facts.

    Args:
        peer: Name of the service called.

    Raises:
        PeerUnreachable: It did not answer.
        PeerFault: It failed, or refused us for who we are.
        Fact: What it said, with its reason.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise fact_of(error, peer) from error


def fact_of(error: grpc.aio.AioRpcError, peer: str) -> Fact | PeerFault:
    """Return what `error`, by the service `peer`, means to us."""
    code = error.code()
    message = error.details() or code.name
    if code in _UNANSWERED:
        return PeerUnreachable(f"{peer} does not answer: {message}", peer=peer)
    kind = _FACTS.get(code)
    if kind is None:
        return PeerFault(f"{peer} answered {code.name}: {message}")
    info, bad, retry = _details(error)
    reason = info.reason or _NO_REASON
    facts: dict[str, object] = {**info.metadata, "peer": peer}
    return _made(kind, reason, message, facts, bad, retry)


def _made(
    kind: type[Fact],
    reason: str,
    message: str,
    facts: dict[str, object],
    bad: error_details_pb2.BadRequest,
    retry: error_details_pb2.RetryInfo,
) -> Fact:
    facts.pop("message", None)
    named = _named(kind, reason)
    if issubclass(named, Invalid):
        violations = [FieldViolation(each.field, each.description) for each in bad.field_violations]
        facts.pop("violations", None)
        return named(message, violations=violations, **facts)
    if issubclass(named, Overloaded):
        retry_after_s = retry.retry_delay.ToMilliseconds() / 1000 or DEFAULT_RETRY_AFTER_S
        facts.pop("retry_after_s", None)
        return named(message, retry_after_s=retry_after_s, **facts)
    return named(message, **facts)


def _named(kind: type[Fact], reason: str) -> type[Fact]:
    return type(f"Peer{kind.__name__}", (kind,), {"reason": reason, "__doc__": "What another service said."})


def _details(
    error: grpc.aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo]:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in _status(error).details:
        for known in (info, bad, retry):
            detail.Unpack(known)
    return info, bad, retry


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    try:
        found: status_pb2.Status | None = rpc_status.from_call(error)  # type: ignore[no-untyped-call] # published without types
    except ValueError:
        # The details contradict the code: somebody between us rewrote one of them. The code stands.
        found = None
    return found or status_pb2.Status()
