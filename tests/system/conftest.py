"""A directory that the database server's user can reach, and every system test marked as one."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.timeout(240))


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
