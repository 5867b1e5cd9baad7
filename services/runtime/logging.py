"""Logs are events with fields, one JSON object per line on standard output, joined to traces by their ids.

log = get_logger()
log.info("order sent", order_id=order_id, venue=venue)
"""

import io
import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from opentelemetry import trace

from services.runtime.telemetry import counter

Logger = structlog.typing.FilteringBoundLogger


def get_logger() -> Logger:
    """Return the logger of the calling module."""
    logger: Logger = structlog.get_logger()
    return logger


def configure_logging(service: str, level: str = "info", to: TextIO | None = None) -> None:
    """Write everything logged, ours and the libraries', as JSON lines.

    Args:
        service: Named in every line.
        level: The least important level that is still written; libraries are heard from `warning` on.
        to: Standard output when None.
    """
    out = cast(TextIO, _Lines(to or sys.stdout, service))
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _with_trace_ids,
    ]
    render: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False),
    ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))


class _Lines(io.TextIOBase):
    """Writes lines, and goes on when one cannot be written.

    A disk that is full must not end the work that only wanted to tell of itself: the relay of an outbox, or the writer
    of the audit log. What is lost is counted, and the count is told as soon as a line can be written again.
    """

    def __init__(self, out: TextIO, service: str) -> None:
        self._out = out
        self._service = service
        self._lost = 0
        # The line that is being written is lost: so is the rest of it.
        self._failed = False
        self._losses = counter("evenkeel.log.lost", "{line}", "Lines of the service's log that could not be written.")

    def write(self, text: str) -> int:
        if not self._failed:
            try:
                self._tell_lost()
                self._out.write(text)
            except OSError:
                self._failed = True
        return len(text)

    def flush(self) -> None:
        try:
            if not self._failed:
                self._out.flush()
        except OSError:
            self._failed = True
        if self._failed:
            self._failed = False
            self._lost += 1
            self._losses.add(1)

    def _tell_lost(self) -> None:
        if self._lost:
            said = {"event": "log lines lost", "lost": self._lost, "service": self._service, "level": "error"}
            # The last one may have been cut anywhere.
            self._out.write(f"\n{json.dumps(said)}\n")
            self._out.flush()
            self._lost = 0


def _with_trace_ids(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event
