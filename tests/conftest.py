"""What every test of the project shares."""

import os

from hypothesis import HealthCheck, settings

# Fixtures with a database, or with the four services; they start them when a test first asks.
pytest_plugins = ["tests.support.postgres", "tests.support.systems"]

# The machine's speed must not decide whether a property holds, so no example has a deadline. CI draws the same examples
# every time; a developer's machine draws fresh ones, and prints how to repeat the one that failed.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("developer", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if "CI" in os.environ else "developer")
