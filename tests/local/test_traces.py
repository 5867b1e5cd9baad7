"""What services export is received, kept and shown as they measured it."""

import asyncio
import io
import json

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from rich.console import Console

from tools.local.traces import Span, TraceReceiver, grouped, render

MS = 1_000_000


def a_span(name, parent="", *, at=0, took=10, service="evenkeel-decision", span_id=None, failed=False):
    return Span(
        trace_id="ab" * 16,
        span_id=span_id or name,
        parent_id=parent,
        service=service,
        name=name,
        start_ns=at * MS,
        end_ns=(at + took) * MS,
        failed=failed,
        attributes={},
    )


def shown(spans, **options):
    out = io.StringIO()
    Console(file=out, width=200).print(render(spans, **options))
    return out.getvalue()


@pytest.fixture
async def receiver(tmp_path):
    async with TraceReceiver(tmp_path / "traces.jsonl") as receiver:
        yield receiver


async def test_exported_spans_arrive_with_their_parents_and_attributes(receiver, tmp_path):
    provider = TracerProvider(resource=Resource.create({"service.name": "evenkeel-policy"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=receiver.endpoint, insecure=True)))
    tracer = provider.get_tracer("test")
    attributes = {"accounts": 3, "names": ["a", "b"]}
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner", attributes=attributes):
        trace.get_current_span().set_status(trace.StatusCode.ERROR)

    await receiver.wait_for(lambda found: len(found.spans) == 2, within_s=30)
    await asyncio.to_thread(provider.shutdown)

    trace_id = trace.format_trace_id(outer.get_span_context().trace_id)
    first, second = receiver.trace(trace_id)
    assert (first.name, first.service, first.parent_id, first.failed) == ("outer", "evenkeel-policy", "", False)
    assert (second.name, second.parent_id, second.failed) == ("inner", first.span_id, True)
    assert second.attributes == {"accounts": 3, "names": ["a", "b"]}
    written = [json.loads(line) for line in (tmp_path / "traces.jsonl").read_text().splitlines()]
    assert {line["span_id"] for line in written} == {first.span_id, second.span_id}


async def test_exported_metrics_arrive(receiver):
    exporter = OTLPMetricExporter(endpoint=receiver.endpoint, insecure=True)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=50)
    provider = MeterProvider(metric_readers=[reader], resource=Resource.create({"service.name": "evenkeel-audit"}))
    provider.get_meter("test").create_counter("evenkeel.entries").add(7)

    await receiver.wait_for(lambda found: ("evenkeel-audit", "evenkeel.entries") in found.metrics, within_s=30)

    await asyncio.to_thread(provider.shutdown)
    (point,) = receiver.metrics["evenkeel-audit", "evenkeel.entries"].sum.data_points
    assert point.as_int == 7


async def test_waiting_ends_when_nothing_arrives(receiver):
    with pytest.raises(TimeoutError):
        await receiver.wait_for(lambda found: bool(found.spans), within_s=0.05)


def test_a_tree_shows_each_span_below_its_parent_with_times():
    text = shown(
        [
            a_span("StartRun", took=1500),
            a_span("decide", "StartRun", at=20, took=700),
            a_span("Append", "decide", at=300, took=4, service="evenkeel-audit"),
        ]
    )

    lines = text.splitlines()
    assert lines[0] == f"trace {'ab' * 16}: 3 spans of decision, audit, 1.50 s"
    assert lines[1] == "└── decision  StartRun  1.50 s  at 0.0 ms"
    assert lines[2] == "    └── decision  decide  700.0 ms  at 20.0 ms"
    assert lines[3] == "        └── audit     Append  4.0 ms  at 300.0 ms"


def test_spans_of_one_name_below_one_parent_are_one_line():
    solves = [a_span("solve", "run", at=n, took=n + 1, span_id=f"solve-{n}") for n in range(5)]
    queries = [a_span("SELECT", f"solve-{n}", at=n, span_id=f"query-{n}") for n in range(5)]

    text = shown([a_span("run", took=100), *solves, *queries])

    assert "solve  ×5  15.0 ms in all, longest 5.0 ms" in text
    assert "SELECT  ×5" in text


def test_a_span_whose_parent_did_not_arrive_is_a_root():
    roots = grouped([a_span("left", parent="elsewhere"), a_span("right", at=5)])

    assert [group.spans[0].name for group in roots] == ["left", "right"]


def test_depth_limits_the_tree():
    text = shown([a_span("one"), a_span("two", "one"), a_span("three", "two")], depth=2)

    assert "two" in text
    assert "three" not in text


def test_no_spans_are_a_tree_that_says_so():
    assert shown([]) == "no spans\n"
