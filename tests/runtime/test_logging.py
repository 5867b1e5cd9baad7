"""Logs are lines of JSON that traces can be found by."""

import io
import json
import logging

import pytest
import structlog

from services.runtime.logging import configure_logging, get_logger
from services.runtime.telemetry import span


@pytest.fixture
def lines():
    """Log as a service does, and return what was written."""
    handlers, level, before = logging.root.handlers, logging.root.level, structlog.get_config()
    written = io.StringIO()
    configure_logging("counter", to=written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    logging.root.handlers, logging.root.level = handlers, level


def test_an_event_is_one_line_with_its_fields(lines):
    get_logger().info("order sent", order_id="o-1", venue="sandbox")

    (line,) = lines()
    assert line["event"] == "order sent"
    assert (line["order_id"], line["venue"], line["service"], line["level"]) == ("o-1", "sandbox", "counter", "info")
    assert line["time"].endswith("Z")


def test_a_line_within_a_trace_carries_its_ids(lines, recorded):
    with span("work") as current:
        get_logger().info("done")

    (line,) = lines()
    assert line["trace_id"] == format(current.get_span_context().trace_id, "032x")
    assert line["span_id"] == format(current.get_span_context().span_id, "016x")


def test_an_exception_is_in_the_line(lines):
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        get_logger().exception("call failed")

    (line,) = lines()
    assert "ZeroDivisionError: by nothing" in line["exception"]


def test_libraries_are_heard_from_warnings_on(lines):
    logging.getLogger("sqlalchemy").info("chatter")
    logging.getLogger("sqlalchemy").warning("trouble")

    (line,) = lines()
    assert (line["event"], line["level"]) == ("trouble", "warning")
