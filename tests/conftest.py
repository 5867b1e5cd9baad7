"""What every test of the project shares."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from services.decision.clients.compiling import keep_compiled

# Workers, and the services that tests start, compile the kernel once and then load it.
keep_compiled(Path(__file__).parents[1] / "build" / "compiled")

# Fixtures with a database, or with the four services; they start them when a test first asks.
pytest_plugins = ["tests.support.postgres", "tests.support.systems"]

# The machine's speed must not decide whether a property holds, so no example has a deadline. CI draws the same examples
# every time; a developer's machine draws fresh ones, and prints how to repeat the one that failed.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("developer", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if "CI" in os.environ else "developer")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send tests that share something to one worker: xdist's own groups do nothing with this pytest (`Together`)."""
    from tests.support.scheduling import Together  # noqa: PLC0415 - few runs have several workers

    return Together(config, log) if config.getoption("dist") == "loadgroup" else None
