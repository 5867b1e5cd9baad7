"""Spans that nobody will see: an id each, and nothing else.

Ids tie logs, records, errors and the traces of other services together, so there are always some. Attributes and times
take ten times as long to note, and where nothing is exported, for nothing.
"""

import random

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN_ID,
    INVALID_TRACE_ID,
    NonRecordingSpan,
    NoOpTracer,
    SpanContext,
    TraceFlags,
)

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class TraceIds(NoOpTracer):
    """Makes spans that continue a trace and carry nothing but their ids; others may still export their part of it."""

    def start_span(
        self,
        name: str,  # noqa: ARG002 - the signature is OpenTelemetry's
        context: Context | None = None,
        *_: object,
        **__: object,
    ) -> trace.Span:
        """Return a span with an id of its own, in the trace of `context` or in a new one."""
        parent = trace.get_current_span(context).get_span_context()
        span_id = random.getrandbits(64) or INVALID_SPAN_ID + 1
        if parent.is_valid:
            found = SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)
        else:
            found = SpanContext(random.getrandbits(128) or INVALID_TRACE_ID + 1, span_id, False, _SAMPLED)
        return NonRecordingSpan(found)


class TraceIdsProvider(trace.NoOpTracerProvider):
    """Gives the same tracer to everybody."""

    def get_tracer(self, *_: object, **__: object) -> trace.Tracer:
        """Return the tracer."""
        return _TRACER


_TRACER = TraceIds()
