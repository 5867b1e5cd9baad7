"""Logs are lines of JSON that traces can be found by."""

import errno
import io
import json
import logging

import pytest
import structlog

from services.runtime.logging import configure_logging, get_logger
from services.runtime.telemetry import span
from services.runtime.workers import Worker, Workers
from tests.runtime.counter.running import until


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


class Disk(io.StringIO):
    """A file on a disk that may be full."""

    full = False

    def write(self, text):
        return self._unless_full(lambda: super(Disk, self).write(text))

    def flush(self):
        self._unless_full(super().flush)

    def _unless_full(self, act):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return act()


@pytest.fixture
def disk():
    """Log as a service does, to a disk."""
    handlers, level, before = logging.root.handlers, logging.root.level, structlog.get_config()
    written = Disk()
    configure_logging("counter", to=written)
    yield written
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    logging.root.handlers, logging.root.level = handlers, level


def test_lines_that_a_full_disk_does_not_take_are_counted_and_told_of_when_it_does(disk, recorded):
    def lost():
        return sum(value for _, value in recorded.points("evenkeel.log.lost"))

    before = lost()
    get_logger().info("before")
    disk.full = True
    get_logger().info("lost")
    logging.getLogger("a library").warning("lost too")
    disk.full = False
    get_logger().info("after")

    lines = [json.loads(line) for line in disk.getvalue().splitlines() if line]
    assert [(each["event"], each.get("lost")) for each in lines] == [
        ("before", None),
        ("log lines lost", 2),
        ("after", None),
    ]
    assert lost() == before + 2


async def test_work_goes_on_when_its_failure_cannot_be_logged(disk):
    disk.full, runs = True, []

    async def run(stop):
        runs.append(len(runs))
        if len(runs) < 3:
            raise ConnectionError("once more")
        await stop.wait()

    workers = Workers([Worker("told of nowhere", run)])
    workers.start()
    await until(lambda: len(runs) == 3)
    await workers.stop(5)

    assert runs == [0, 1, 2]


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
