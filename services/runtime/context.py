"""Who calls, until when, and in which trace: what is true of the call being served, wherever the code is.

One context variable holds the `Call`; the interceptors fill it in, stage by stage. Background work has no call: it says
for whom it acts with `acting_as`, and continues the trace that the row it picked up was written in.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc.aio
from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from services.runtime.database import Transaction


@dataclass(frozen=True, slots=True)
class Caller:
    """An identity that was checked, and what it may do."""

    subject: str
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    # The policy nodes at and below which it may change something; None for everywhere.
    nodes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC, as its contract describes it."""

    # As it travels: `/evenkeel.decision.v1.DecisionService/ApprovePlan`.
    path: str
    # What a caller must hold; None is refused to everybody.
    permission: str | None
    request_type: type[Message]
    response_type: type[Message]
    request_streams: bool = False
    response_streams: bool = False
    # Whether the handler checks the request against its contract itself.
    checked_by_handler: bool = False
    # Refuses what a caller who is bound to some policy nodes may not change; None where nothing can tell.
    scope: "Scope | None" = None

    @property
    def full_name(self) -> str:
        """Return the name as telemetry writes it, without the leading slash."""
        return self.path[1:]

    @property
    def takes_request_id(self) -> bool:
        """Return whether the request says `request_id`, so changes something."""
        return "request_id" in self.request_type.DESCRIPTOR.fields_by_name


@dataclass(slots=True)
class Call:
    """The call being served. Each stage of the interceptor adds what it found out."""

    method: Method
    context: grpc.aio.ServicerContext[Any, Any]
    request: Any
    # On `time.monotonic`; infinite until the deadline stage has set it.
    deadline_s: float = float("inf")
    caller: Caller | None = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    # The transaction that everything written during this call joins.
    transaction: "Transaction | None" = field(default=None, repr=False)


Handler = Callable[[Call], Awaitable[Message | None]]
# Given a request and the nodes that its caller is bound to, raises `NodeOutOfScope` where it is about others.
Scope = Callable[[Any, frozenset[str]], Awaitable[None]]

_W3C = TraceContextTextMapPropagator()
_call: ContextVar[Call | None] = ContextVar("call", default=None)
_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_call() -> Call | None:
    """Return the call being served, or None in background work."""
    return _call.get()


def current_caller() -> Caller | None:
    """Return who called, or for whom background work acts; None when nobody was named."""
    call = _call.get()
    if call is not None and call.caller is not None:
        return call.caller
    return _caller.get()


def remaining_s() -> float:
    """Return the seconds left until the deadline of the call being served; infinite without one."""
    call = _call.get()
    return float("inf") if call is None else call.deadline_s - time.monotonic()


@contextmanager
def acting_as(caller: Caller) -> Iterator[None]:
    """Name the identity that background work acts for."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


class serving:  # noqa: N801 - read as a context manager; a class, because it is entered on every call
    """Makes a call the one that the code within serves."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: Call) -> None:
        """Serve `call`."""
        self._call = call

    def __enter__(self) -> None:
        self._token = _call.set(self._call)

    def __exit__(self, *_: object) -> None:
        _call.reset(self._token)


def trace_parent() -> str | None:
    """Return the W3C trace context of the present moment, to be stored with a row; None outside any trace."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def continued(
    trace_parent: str | None, name: str, *, also: Sequence[str] = (), **attributes: AttributeValue
) -> Iterator[trace.Span]:
    """Do work in the trace in which it was ordered, as a span of its own.

    Args:
        trace_parent: The W3C trace context that was stored with the row; None starts a new trace.
        name: Of the span.
        also: Further trace contexts that the work belongs to; they become links.
        attributes: Of the span; `__` in a name stands for a dot.
    """
    links = [trace.Link(context) for context in map(_span_context, also) if context.is_valid]
    parent = _W3C.extract({"traceparent": trace_parent}) if trace_parent else Context()
    with _tracer().start_as_current_span(name, context=parent, links=links, attributes=dotted(attributes)) as span:
        yield span


@cache
def _tracer() -> trace.Tracer:
    """Return what makes spans; asking for it costs more than a span does."""
    return trace.get_tracer("evenkeel")


def dotted(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Return `attributes` with `__` in their names replaced by a dot."""
    return {name.replace("__", "."): value for name, value in attributes.items()}


def _span_context(parent: str) -> trace.SpanContext:
    return trace.get_current_span(_W3C.extract({"traceparent": parent})).get_span_context()
