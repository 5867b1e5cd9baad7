"""What `make up` tells people to try."""

import socket

import pytest
from typer.testing import CliRunner

from tools.cli.main import app
from tools.demo import up


@pytest.mark.parametrize("command", [command for command, _ in up.TRY + up.TRY_OVER_FIX])
def test_every_command_that_is_shown_exists(command):
    shown = CliRunner().invoke(app, [*command.split(), "--help"])

    assert shown.exit_code == 0, shown.output


def test_a_port_that_is_taken_is_left_to_chance():

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert up._free({"policy": port}) == {}
    assert up._free({"policy": port}) == {"policy": port}


def test_what_trades_over_fix_has_a_directory_of_its_own(monkeypatch):
    started = []

    async def run(directory, accounts, seed, console, *, over_fix):
        started.append((directory, over_fix))

    monkeypatch.setattr(up, "run", run)
    up.main([])
    up.main(["--venue", "fix"])
    up.main(["--venue", "fix", "--directory", "elsewhere"])

    assert started == [
        (up.DIRECTORY.resolve(), False),
        (up.DIRECTORY_OVER_FIX.resolve(), True),
        (up.DIRECTORY.parents[1].resolve() / "elsewhere", True),
    ]
