"""A directory that the database server's user can reach, and every system test marked as one."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Files each of whose tests starts a system of its own.
ALONE = {"test_crashes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark system tests, keep those of a file on one worker, and let the longest begin first."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.timeout(400))
            if item.path.stem not in ALONE:
                # Its tests share a running system.
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
    # Stable, so everything else stays in the order it had, which is random.
    items.sort(key=lambda item: not item.path.is_relative_to(here))


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One for all tests of a file."""
    with _reachable_directory() as made:
        yield made


@pytest.fixture
def fresh_directory() -> Iterator[Path]:
    """One for each test."""
    with _reachable_directory() as made:
        yield made


@contextmanager
def _reachable_directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="evenkeel-system-"))
    # As root, the database server runs as another user and must reach its data.
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
