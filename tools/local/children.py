"""Child processes that do not outlive the process that started them.

A launcher that is killed cannot stop what it started, and a PostgreSQL or a service left behind holds its port and its
data. So each child asks the kernel to be told when its parent dies. It does so itself, between fork and exec, in a
small Python program: `preexec_fn` and `user` of `subprocess` would fork a process that may have gRPC's threads.
"""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

# Runs in the child. Becomes the user, asks for the signal (which a change of user would forget), and makes sure that
# the parent did not die before that; then becomes the command.
_TETHER = """
import ctypes, os, sys
parent, death_signal, uid, gid, *command = sys.argv[1:]
libc = ctypes.CDLL(None)
if uid:
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
if sys.platform == "linux":
    libc.prctl(1, int(death_signal))
if os.getppid() != int(parent):
    sys.exit("the launcher is gone")
os.execvp(command[0], command)
"""


class Child(Protocol):
    """A process that was started, as `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its number; it leads the process group of that number."""

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""

    def wait(self, timeout: float = ..., /) -> int:
        """Return its exit code when it has ended; `subprocess.TimeoutExpired` when it has not in time."""

    def send_signal(self, how: signal.Signals, /) -> None:
        """Send it a signal, if it has not ended."""

    def kill(self) -> object:
        """End it at once."""


def start(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    directory: Path | None = None,
    user: str | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a process that gets `death_signal` when this thread ends, and return at once.

    Linux ties a child to the thread that started it, so call this from one that lives as long as the child should: the
    main thread. Elsewhere than on Linux a child may outlive a launcher that was killed.

    Args:
        command: The program and its arguments.
        log: Where its output goes, after what is there.
        environment: Its whole environment.
        directory: Where it starts; by default where this process is.
        user: Run it as this user; needs root.
        death_signal: What it gets when its parent dies.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            _tethered(command, user, death_signal),
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for the launcher, which then stops its children in order.
            process_group=0,
        )


def run(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path, user: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a process to its end, as `user` if one is named, and return what it said."""
    return subprocess.run(
        _tethered(command, user, signal.SIGTERM),
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def stop(child: Child, *, how: signal.Signals, within_s: float) -> None:
    """Ask a process to end, kill it when it has not after `within_s`, and wait for its end."""
    if child.poll() is None:
        child.send_signal(how)
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _tethered(command: Sequence[str], user: str | None, death_signal: signal.Signals) -> list[str]:
    account = pwd.getpwnam(user) if user else None
    identity = [str(account.pw_uid), str(account.pw_gid)] if account else ["", ""]
    python = [sys.executable, "-I", "-S", "-c", _TETHER]
    return [*python, str(os.getpid()), str(int(death_signal)), *identity, *command]
