"""Receives what the services measure (OTLP over gRPC), and shows a trace as a tree in the terminal.

Stands where an OpenTelemetry collector would; the services cannot tell the difference.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import grpc.aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from rich.text import Text
from rich.tree import Tree

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
# A longer name than this is cut in the tree.
NAME_WIDTH = 76
COLORS = {
    "evenkeel-policy": "magenta",
    "evenkeel-decision": "cyan",
    "evenkeel-execution": "yellow",
    "evenkeel-audit": "green",
}


@dataclass(frozen=True, slots=True)
class Span:
    """One measured piece of work."""

    trace_id: str
    span_id: str
    # Empty for the first span of a trace.
    parent_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]
    # (trace id, span id) of what it continues without being part of it.
    links: tuple[tuple[str, str], ...] = ()

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Group:
    """Spans of one name, service and place in the tree, seen as one."""

    spans: Sequence[Span]
    children: "Sequence[Group]"

    @property
    def start_ns(self) -> int:
        """When the first of them started."""
        return min(span.start_ns for span in self.spans)


@dataclass(slots=True)
class TraceReceiver:
    """An OTLP endpoint on this machine that keeps what it receives; `async with`."""

    # Where each span is also written, as a line of JSON; None: nowhere.
    file: Path | None = None
    spans: list[Span] = field(default_factory=list)
    # The newest data point of each metric, by service and name, as OTLP's JSON.
    metrics: dict[tuple[str, str], Any] = field(default_factory=dict)
    endpoint: str = field(default="", init=False)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition, init=False)
    _server: grpc.aio.Server | None = field(default=None, init=False)
    _lines: TextIO | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lines = self.file.open("a")
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # published without types
            _Traces(self), self._server
        )
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]  # the same
            _Metrics(self), self._server
        )
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take what is in flight, then close."""
        if self._server is not None:
            await self._server.stop(grace=1.0)
        if self._lines is not None:
            self._lines.close()

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of one trace that have arrived, by start."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.start_ns)

    async def wait_for(self, arrived: Callable[[Self], bool], within_s: float) -> None:
        """Return when `arrived` is true of this receiver, asked after each arrival.

        Raises:
            TimeoutError: It did not become true in time.
        """
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: arrived(self))

    async def keep(self, spans: Iterable[Span]) -> None:
        """Add `spans` to what was received."""
        async with self._arrived:
            for span in spans:
                self.spans.append(span)
                if self._lines is not None:
                    self._lines.write(json.dumps(_as_json(span)) + "\n")
            if self._lines is not None:
                self._lines.flush()
            self._arrived.notify_all()


def render(spans: Sequence[Span], *, depth: int = 12) -> Tree:
    """Return a tree of the spans of one trace, with when each started and how long it took.

    Spans of the same name below the same parents are one line, with their number and their total and longest time.

    Args:
        spans: Of one trace.
        depth: How many levels to show.
    """
    if not spans:
        return Tree("no spans")
    roots = grouped(spans)
    begin = min(group.start_ns for group in roots)
    # In the order in which the trace reached them; whoever called may be among them.
    services = dict.fromkeys(
        span.service.removeprefix("evenkeel-") for span in sorted(spans, key=lambda span: span.start_ns)
    )
    took_s = (max(span.end_ns for span in spans) - begin) / 1e9
    tree = Tree(f"trace {spans[0].trace_id}: {len(spans)} spans of {', '.join(services)}, {_seconds(took_s)}")
    _branch(tree, roots, begin, depth)
    return tree


def grouped(spans: Sequence[Span]) -> list[Group]:
    """Return the spans as a forest; one whose parent did not arrive is a root."""
    known = {span.span_id for span in spans}
    below: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        below[span.parent_id if span.parent_id in known else ""].append(span)
    return _groups(below[""], below)


def _groups(siblings: Sequence[Span], below: dict[str, list[Span]]) -> list[Group]:
    alike: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in siblings:
        alike[span.service, span.name].append(span)
    groups = [
        Group(spans, _groups([child for span in spans for child in below.get(span.span_id, ())], below))
        for spans in alike.values()
    ]
    return sorted(groups, key=lambda group: group.start_ns)


def _branch(tree: Tree, groups: Sequence[Group], begin_ns: int, depth: int) -> None:
    for group in groups:
        branch = tree.add(_line(group, begin_ns))
        if depth > 1:
            _branch(branch, group.children, begin_ns, depth - 1)


def _line(group: Group, begin_ns: int) -> Text:
    first = group.spans[0]
    name = first.name if len(first.name) <= NAME_WIDTH else f"{first.name[: NAME_WIDTH - 1]}…"
    line = Text()
    line.append(f"{first.service.removeprefix('evenkeel-'):<9} ", style=COLORS.get(first.service, "white"))
    line.append(name, style="red" if any(span.failed for span in group.spans) else "")
    if len(group.spans) > 1:
        total = sum(span.duration_s for span in group.spans)
        longest = max(span.duration_s for span in group.spans)
        line.append(f"  ×{len(group.spans)}", style="bold")
        line.append(f"  {_seconds(total)} in all, longest {_seconds(longest)}", style="dim")
    else:
        line.append(f"  {_seconds(first.duration_s)}", style="dim")
    line.append(f"  at {_seconds((group.start_ns - begin_ns) / 1e9)}", style="dim")
    return line


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: TraceReceiver) -> None:
        self._receiver = receiver

    async def Export(  # noqa: N802 - gRPC's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, _context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        await self._receiver.keep(
            _span(span, service)
            for resource in request.resource_spans
            for service in [str(_attributes(resource.resource.attributes).get("service.name", "unknown"))]
            for scope in resource.scope_spans
            for span in scope.spans
        )
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: TraceReceiver) -> None:
        self._receiver = receiver

    async def Export(  # noqa: N802 - gRPC's name
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, _context: object
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        for resource in request.resource_metrics:
            service = str(_attributes(resource.resource.attributes).get("service.name", "unknown"))
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._receiver.metrics[service, metric.name] = metric
        # Whoever waits for a metric looks again.
        await self._receiver.keep(())
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _span(span: trace_pb2.Span, service: str) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=service,
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:  # noqa: ANN401 - a text, number, truth value, or list of them
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(each) for each in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case kind:
            return getattr(value, kind)


def _as_json(span: Span) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "service": span.service,
        "name": span.name,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "failed": span.failed,
        "attributes": {
            key: value.hex() if isinstance(value, bytes) else value for key, value in span.attributes.items()
        },
        "links": [list(link) for link in span.links],
    }
