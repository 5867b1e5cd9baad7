"""Processes that start in milliseconds: a server that has imported their code forks each of them.

A test that kills processes by the dozen is about how they end and how the next ones go on, and one that types commands
by the hundred about what they say; neither about how long Python imports. Each is a process of its own all the same:
it leads a process group, has its own output and exit code, SIGKILL ends it as it ends any other, and nothing that it
does reaches the next.
"""

import atexit
import multiprocessing
import multiprocessing.connection
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "services.audit.__main__",
        "services.decision.main",
        "services.execution.__main__",
        "services.policy.__main__",
        "tests.audit.relay_process",
        "tests.support.forked",
        "tools.cli.main",
        "tools.local.migrate",
        "tests.support.settled",
    ]
)
# What the command line finds when it is imported: a terminal without colours, wide enough for every table.
_TERMINAL = {"COLUMNS": "250", "NO_COLOR": "1"}
_END_S_MAX = 180.0
# How often one that starts is asked whether it leads its group.
_POLL_S = 0.001
# Its exit code can be read once, and whoever starts a process reads those of the others that ended.
_ONE_AT_A_TIME = threading.Lock()


class Forked:
    """One such process, with the verbs of `subprocess.Popen`; `start` it, again after each end."""

    def __init__(
        self,
        entry: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        errors: Path | None = None,
        directory: Path | None = None,
    ) -> None:
        """Run Python code with `arguments` on its command line; how it ends is how the process ends.

        Args:
            entry: `module:function`; or `module` alone, which runs as by `python -m`.
            arguments: The words after the command's name.
            environment: All of its environment variables.
            log: What it says goes to the end of this file.
            errors: And what it complains of to this one; None: to `log` too.
            directory: Where it runs; None: where the tests do.
        """
        self._entry = entry
        self._arguments = tuple(arguments)
        self._environment = dict(environment)
        self._outputs = log, errors or log
        self._directory = directory
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def pid(self) -> int:
        """Its number, and its group's."""
        number = self._started().pid
        assert number is not None
        return number

    def start(self) -> None:
        """Start it."""
        with _ONE_AT_A_TIME:
            with patch.dict(os.environ, _TERMINAL):
                forkserver.ensure_running()
            # Not a daemon: those may have no children.
            process = _CONTEXT.Process(
                target=_become, args=(self._entry, self._arguments, self._environment, self._outputs, self._directory)
            )
            process.start()
        self._process = process
        atexit.register(self._leave_nothing)
        while self.poll() is None and not _leads_a_group(self.pid):
            time.sleep(_POLL_S)

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        process = self._started()
        with _ONE_AT_A_TIME:
            return process.exitcode

    def wait(self, timeout: float = _END_S_MAX) -> int:
        """Wait until it ends by itself, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: It did not within `timeout` seconds.
        """
        multiprocessing.connection.wait([self._started().sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._entry, timeout)
        atexit.unregister(self._leave_nothing)
        return code

    def send_signal(self, how: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, how)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Send it a signal, and return its exit code when it has ended."""
        self.send_signal(how)
        return self.wait()

    def _started(self) -> multiprocessing.process.BaseProcess:
        if self._process is None:
            raise RuntimeError("it was not started")
        return self._process

    def _leave_nothing(self) -> None:
        # One that a test forgot would hold up the end of this process, which waits for its children.
        self.send_signal(signal.SIGKILL)


def forked(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
    """Start `python -m module arguments…`: how a `LocalStack` of tests starts its programs."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = Forked(module, arguments, environment, log)
    process.start()
    return process


def _leads_a_group(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False


def _become(
    entry: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    outputs: tuple[Path, Path],
    directory: Path | None,
) -> None:
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in enumerate(outputs, start=1):
        with file.open("ab") as output:
            os.dup2(output.fileno(), descriptor)
    if directory is not None:
        os.chdir(directory)
    module, _, function = entry.partition(":")
    sys.argv = [module, *arguments]
    if function:
        run: Callable[[], int | None] = getattr(import_module(module), function)
        sys.exit(run())
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    if tests is not None:
        # They may end without a word.
        tests.join()
        os.killpg(os.getpid(), signal.SIGKILL)
