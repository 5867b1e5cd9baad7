"""The two systems that tests share, each started once, when a test first asks for it.

A start costs ten seconds of processor time: four services, migrations, an optimiser, a database server. So tests that
can live together do:

- `trading_system`: its accounts are divided among those who rebalance them, so each run is over accounts that nobody
  else trades. Its services may be killed; `whole` brings them back.
  It decides in columns, the other by the kernel.
- `asked_system`: nothing happens to its services; commands are typed at it, and what it must refuse is asked of it.

Marked with `on(...)`; all who share a system meet on one worker (`scheduling.py`), which stops it after the last of
them: even a system that nobody asks anything takes a fifth of a core.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.system import System

TRADING, ASKED = "trading_system", "asked_system"
# Accounts of a run in which services are killed, and how many such runs there are.
KILLED_ACCOUNTS, KILLS = 16, 2
# The last accounts, the large one among them, are for the rebalance that nothing disturbs.
WHOLE_ACCOUNTS = 24
ASKED_ACCOUNTS = 8


# The shared systems that run here, by the name of their fixture.
running: dict[str, pytest.FixtureDef[Any]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Remember the shared systems as they start. Around pytest's own: after that one, no other is asked."""
    made = yield
    if fixturedef.argname in (TRADING, ASKED):
        running[fixturedef.argname] = fixturedef
    return made


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop a shared system when its worker goes on to other tests; they do not come back (`scheduling.py`)."""
    if nextitem is None or not hasattr(item.config, "workerinput"):
        return
    for name in [name for name in running if name not in getattr(nextitem, "fixturenames", ())]:
        running.pop(name).finish(request=getattr(item, "_request"))  # noqa: B009 - pytest gives it no public name


def on(system: str) -> list[pytest.MarkDecorator]:
    """Return the marks of tests that use a shared system."""
    return [pytest.mark.system, pytest.mark.timeout(400), pytest.mark.usefixtures(system)]


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """Make a directory that goes at the end. Not `tmp_path`: as root, PostgreSQL runs as a user who cannot enter it."""
    made = Path(tempfile.mkdtemp(prefix="evenkeel-system-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
async def trading_system() -> AsyncIterator["System"]:
    """A system whose accounts are rebalanced, some by each test."""
    # Here, because every test process imports this module and few need the services' clients and real prices.
    from tests.support.system import running_system  # noqa: PLC0415 - for the reason above

    with reachable_directory() as directory:
        async with running_system(directory, KILLS * KILLED_ACCOUNTS + WHOLE_ACCOUNTS, engine="columns") as started:
            yield started


@pytest.fixture(scope="session")
async def asked_system() -> AsyncIterator["System"]:
    """A system that is asked, by its `profile.toml` in `stack.directory` too."""
    from tests.support.system import running_system  # noqa: PLC0415 - as above

    with reachable_directory() as directory:
        async with running_system(directory, ASKED_ACCOUNTS) as started:
            started.stack.profile.save(directory / "profile.toml")
            yield started
