"""Where spans are exported nowhere, there are ids all the same."""

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from services.runtime.trace_ids import TraceIdsProvider

TRACER = TraceIdsProvider().get_tracer("any")


def test_a_span_continues_its_trace_and_the_callers_choice_of_what_is_sampled():
    for flags in (TraceFlags(TraceFlags.DEFAULT), TraceFlags(TraceFlags.SAMPLED)):
        above = SpanContext(trace_id=7, span_id=8, is_remote=True, trace_flags=flags)
        span = TRACER.start_span("call", trace.set_span_in_context(NonRecordingSpan(above)))
        found = span.get_span_context()

        assert (found.trace_id, found.trace_flags) == (7, flags)
        assert found.is_valid
        assert found.span_id != 8


def test_a_span_without_a_trace_begins_one_that_others_may_export():
    first, second = (TRACER.start_span("call").get_span_context() for _ in range(2))

    assert first.trace_id != second.trace_id
    assert first.is_valid
    assert first.trace_flags.sampled
    assert not TRACER.start_span("call").is_recording()


def test_a_span_within_another_is_in_its_trace():
    with TRACER.start_as_current_span("outer") as outer, TRACER.start_as_current_span("inner") as inner:
        assert inner.get_span_context().trace_id == outer.get_span_context().trace_id
        assert inner.get_span_context().span_id != outer.get_span_context().span_id
