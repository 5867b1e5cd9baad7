"""What a launcher started ends with it, and it ends what it started."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tools.local import children

ROOT = Path(__file__).parents[2]
LAUNCHER = """
import sys, time
from pathlib import Path
from tools.local import children

child = children.start(["sleep", "600"], log=Path(sys.argv[1]), environment={"PATH": "/usr/bin:/bin"})
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_ends_with_a_launcher_that_is_killed(tmp_path):
    command = [sys.executable, "-c", LAUNCHER, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        child = os.pidfd_open(int(launcher.stdout.readline()))

        launcher.send_signal(signal.SIGKILL)

        ended, _, _ = select.select([child], [], [], 30)
        os.close(child)
    assert ended


def test_a_child_that_does_not_listen_is_killed(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    )
    child = children.start([sys.executable, "-c", stubborn], log=tmp_path / "log", environment={})
    while not (tmp_path / "log").read_text():
        assert child.poll() is None

    children.stop(child, how=signal.SIGTERM, within_s=0.1)

    assert child.returncode == -signal.SIGKILL
