"""Whoever starts the four services leaves nothing behind, even when it is killed."""

import os
import select
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from tests.support.systems import reachable_directory
from tools.client.profile import SERVICES, Profile
from tools.local.stack import ROOT


@pytest.fixture
def directory():
    with reachable_directory() as made:
        yield made


# `test_children.py` has the same of a single child, in a moment.
@pytest.mark.chaos
@pytest.mark.system
@pytest.mark.timeout(400)
def test_a_killed_launcher_leaves_nothing_behind(directory):
    command = [sys.executable, "-m", "tools.demo.up", "--accounts", "0", "--directory", str(directory / "up")]
    launcher = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said = list(takewhile(lambda line: "Ctrl-C" not in line, launcher.stdout))
    assert launcher.poll() is None, "".join(said)
    profile = Profile.load(directory / "up" / "profile.toml")
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    descriptors = {os.pidfd_open(int(child)) for child in children}

    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()

    assert set(profile.addresses) == set(SERVICES)
    assert len(descriptors) == len(SERVICES) + 1
    give_up = datetime.now(UTC) + timedelta(seconds=60)
    alive = set(descriptors)
    while alive and datetime.now(UTC) < give_up:
        ended, _, _ = select.select(alive, [], [], 1)
        alive -= set(ended)
    for descriptor in descriptors:
        os.close(descriptor)
    assert not alive
