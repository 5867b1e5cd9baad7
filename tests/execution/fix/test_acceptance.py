"""The acceptance command as a process of its own, over a real socket: QuickFIX's 59 definitions for a server."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.fix.definitions import DEFINITIONS
from tests.execution.fix.script import play

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "fix.md"


@pytest.fixture(scope="module")
def port():
    command = [sys.executable, "-m", "services.execution.fix.acceptance", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        line = server.stdout.readline()
        try:
            yield int(line.rpartition(":")[2])
        finally:
            server.terminate()
            assert server.wait(20) == 0


@pytest.mark.parametrize("name", DEFINITIONS)
async def test_definition(name, port):
    await play(DEFINITIONS[name][1], port)


async def test_a_conversation_that_differs_is_noticed(port):
    with pytest.raises(AssertionError, match="< A 2 98=0"):
        await play("> A 1 98=0|108=30\n< A 2 98=0|108=30", port)
    with pytest.raises(AssertionError, match="closed"):
        await play("> A 1 98=0|108=1\n< A 1 98=0|108=1\nclosed", port)


def test_the_page_lists_every_definition_with_what_it_shows():
    assert len(DEFINITIONS) == 59
    rows = dict(line.strip("| \n").split(" | ", 1) for line in PAGE.read_text().splitlines() if line.startswith("| `"))

    assert {name: shows for name, (shows, _) in DEFINITIONS.items()}.items() <= {
        name.strip("`"): shows for name, shows in rows.items()
    }.items()


async def test_many_clients_may_try_at_once(port):
    async def stranger():
        await play("> A 1 49=NOBODY|98=0|108=30\nclosed", port)

    await asyncio.gather(*[stranger() for _ in range(30)])
