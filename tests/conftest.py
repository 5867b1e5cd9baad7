"""What every test of the project shares."""

import gc
import os
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from services.decision.clients.compiling import keep_compiled

# New objects before garbage in cycles is looked for.
GARBAGE_OBJECTS = 50_000

# Workers, and the services that tests start, compile the kernel once and then load it.
keep_compiled(Path(__file__).parents[1] / "build" / "compiled")

# Five thousand collected tests are no garbage, and Python would look them over again and again (`settle` in
# `services/runtime/server.py` does the same for a service).
gc.set_threshold(GARBAGE_OBJECTS, 20, 50)

# What services log is shown of a test that fails. Left alone, structlog draws every stack with its source in frames and
# colours, which took a fifth of the time of tests in which services fail.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# The event loop; fixtures with a database, or with the four services, which they start when a test first asks.
pytest_plugins = ["tests.support.event_loop", "tests.support.postgres", "tests.support.systems"]

# The machine's speed must not decide whether a property holds, so no example has a deadline. CI draws the same examples
# every time; a developer's machine draws fresh ones, and prints how to repeat the one that failed.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("developer", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if "CI" in os.environ else "developer")


def pytest_collection_finish() -> None:
    """Let the collector of garbage not look at what was imported and collected: it stays."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Look for garbage once more; pytest looks five times, and then finds what is left over quickly."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send tests that share something to one worker: xdist's own groups do nothing with this pytest (`Together`)."""
    from tests.support.scheduling import Together  # noqa: PLC0415 - few runs have several workers

    return Together(config, log) if config.getoption("dist") == "loadgroup" else None
