"""Traces and metrics, by OpenTelemetry.

Spans are always made, because their ids tie logs, records and errors together; they say more, and are exported,
only when `OTEL_EXPORTER_OTLP_ENDPOINT` says where to. The standard `OTEL_*` variables work, sampling included.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.util.types import AttributeValue

from services.runtime.context import dotted
from services.runtime.trace_ids import TraceIdsProvider

_NAME = "evenkeel"

# Bucket edges of every duration in seconds, as the RPC conventions advise.
DURATION_EDGES_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# A collector that is gone must not keep a stopping service.
FLUSH_MS_MAX = 2_000


class Telemetry:
    """The process's exporters. Made once, in `serve`, before anything is measured; closed at the very end."""

    def __init__(self, service: str) -> None:
        """Start measuring as `service`; export if the environment says where to."""
        resource = Resource.create({"service.name": f"evenkeel-{service}", "service.version": installed_version()})
        self._traces: TracerProvider | None = None
        readers: list[MetricReader] = []
        # Imported when used: they take a third of a second, which the command line and whoever has no collector save.
        if _endpoint("TRACES"):
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - for the reason above
                OTLPSpanExporter,
            )

            self._traces = TracerProvider(resource=resource)
            self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        if _endpoint("METRICS"):
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - as above
                OTLPMetricExporter,
            )

            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        self._metrics = MeterProvider(resource=resource, metric_readers=readers)
        trace.set_tracer_provider(self._traces or TraceIdsProvider())
        metrics.set_meter_provider(self._metrics)

    def close(self) -> None:
        """Send what is not sent yet, for at most a few seconds. Blocks."""
        if self._traces is not None:
            self._traces.force_flush(FLUSH_MS_MAX)
            self._traces.shutdown()
        self._metrics.shutdown(FLUSH_MS_MAX)


def _endpoint(signal: str) -> str | None:
    """Return where `signal` is exported to, by the standard variables; None for nowhere."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")


def installed_version() -> str:
    """Return the version of this build."""
    try:
        return version("evenkeel")
    except PackageNotFoundError:
        return "0.0.0+source"


@cache
def tracer() -> trace.Tracer:
    """Return the tracer of all services; asking for it costs more than a span does."""
    return trace.get_tracer(_NAME)


def meter() -> Meter:
    """Return the meter of all services."""
    return metrics.get_meter(_NAME)


@contextmanager
def span(name: str, **attributes: AttributeValue) -> Iterator[trace.Span]:
    """Measure the work within as a span of the present trace; an exception marks it failed.

    `__` in an attribute's name stands for a dot: `evenkeel__accounts=12`.
    """
    with tracer().start_as_current_span(name, attributes=dotted(attributes)) as current:
        yield current


def current_trace_id() -> str | None:
    """Return the id of the present trace, 32 hexadecimal digits; None outside any."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def counter(name: str, unit: str, description: str) -> Counter:
    """Return a counter named `evenkeel.<noun>.<verb>`; few labels, never an account's id."""
    return meter().create_counter(name, unit, description)


def duration(name: str, description: str) -> Histogram:
    """Return a histogram of durations in seconds."""
    return meter().create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=DURATION_EDGES_S)


def level(name: str, unit: str, description: str) -> Gauge:
    """Return a gauge that is told its value whenever it changes."""
    return meter().create_gauge(name, unit, description)


def gauge(name: str, unit: str, description: str, read: Callable[[], float | None]) -> None:
    """Have `read` asked at each export; None means there is nothing to say. Once per process and name."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        value = read()
        return () if value is None else (Observation(value),)

    meter().create_observable_gauge(name, [observe], unit, description)
