"""What the code under test measures: its spans and its metrics, kept in memory."""

from collections.abc import Mapping
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Recorded:
    """Spans that ended since this was made, and metrics as they are now."""

    def __init__(self, exporter: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
        """Start from here."""
        self._exporter = exporter
        self._reader = reader
        exporter.clear()

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans that ended."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of this name."""
        return [span for span in self.spans if span.name == name]

    def points(self, metric: str) -> list[tuple[Mapping[str, object], float]]:
        """The labels and the value, or for a histogram the count, of each series of a metric."""
        data = self._reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), float(point.value if hasattr(point, "value") else point.count))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]


@cache
def _providers() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    # OpenTelemetry takes its providers once in a process.
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    return exporter, reader


def record() -> Recorded:
    """Keep from now on what is measured in this process."""
    return Recorded(*_providers())
