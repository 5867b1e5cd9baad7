"""Every system test marked as one."""

from pathlib import Path

import pytest

from tests.support.scheduling import group_of
from tests.support.systems import ASKED, TRADING


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those who start systems begin first: they take longest."""
    here = Path(__file__).parent
    unmarked = [each for each in items if each.path.is_relative_to(here) and not each.get_closest_marker("system")]
    assert not unmarked, f"system tests must say which system they share (tests/support/systems.py): {unmarked[0]}"
    for item in items:
        shared = {TRADING, ASKED} & set(getattr(item, "fixturenames", ()))
        assert shared <= {group_of(item.nodeid)}, f"tests/support/scheduling.py must send {item.nodeid} to {shared}"
    # Stable, so everything else stays in the order it had, which is random.
    items.sort(key=lambda item: item.get_closest_marker("system") is None)
