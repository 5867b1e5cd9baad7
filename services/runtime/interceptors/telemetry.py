"""A span and a duration for each call, by the RPC conventions of OpenTelemetry.

The span continues the caller's trace. Every other stage and the handler run inside it.
"""

import asyncio
import time

import grpc
from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.runtime.context import Call, Handler, Method
from services.runtime.telemetry import duration, tracer

# Faults of ours, by the conventions; the other codes are answers, and do not mark the server's span as failed.
SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class Telemetry:
    """Measures every call."""

    def __init__(self) -> None:
        """Make the instruments."""
        self._tracer = tracer()
        self._duration = duration("rpc.server.call.duration", "How long calls took to serve.")

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler`, measured."""
        name = method.full_name
        always = {"rpc.system.name": "grpc", "rpc.method": name}
        # What a call that went well is counted under; made once.
        well = {**always, "rpc.response.status_code": "OK"}

        async def measured(call: Call) -> Message | None:
            started_s = time.perf_counter()
            carrier = {key: value for key, value in call.context.invocation_metadata() or () if key in _TRACE_HEADERS}
            parent = extract(carrier) if carrier else None
            # By hand, because `start_as_current_span` costs as much again as the span.
            span = self._tracer.start_span(name, parent, SpanKind.SERVER, always)
            token = attach(trace.set_span_in_context(span, parent))
            try:
                return await handler(call)
            except asyncio.CancelledError:
                call.code = grpc.StatusCode.CANCELLED
                raise
            except BaseException:
                if call.code is grpc.StatusCode.OK:
                    call.code = grpc.StatusCode.UNKNOWN
                raise
            finally:
                code = call.code.name
                labels = well
                span.set_attribute("rpc.response.status_code", code)
                if call.code is not grpc.StatusCode.OK:
                    labels = {**always, "rpc.response.status_code": code}
                    if call.code in SERVER_FAULTS:
                        labels["error.type"] = code
                        span.set_attribute("error.type", code)
                        span.set_status(Status(StatusCode.ERROR))
                span.end()
                self._duration.record(time.perf_counter() - started_s, labels)
                detach(token)

        return measured


_TRACE_HEADERS = frozenset({"traceparent", "tracestate", "baggage"})
