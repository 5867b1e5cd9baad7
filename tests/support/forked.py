"""Processes that start in milliseconds: a server that has imported their code forks each of them.

A test that kills processes by the dozen is about how they end and how the next ones go on, not about how long Python
imports. Each is a process of its own all the same, and SIGKILL ends it as it ends any other.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["services.audit.__main__", "tests.audit.relay_process"])
_END_S_MAX = 30.0


class Forked:
    """One such process; `start` it, again after each end."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Run the `command_line` of `module` with `arguments`; its output goes to the end of `log`."""
        self.module = module
        self.arguments = tuple(arguments)
        self.environment = dict(environment)
        self.log = log
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> None:
        """Start it."""
        self._process = _CONTEXT.Process(
            target=_become, args=(self.module, self.arguments, self.environment, self.log), daemon=True
        )
        self._process.start()

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Send it a signal, and return its exit code when it has ended."""
        if self._process is None or self._process.pid is None:
            raise RuntimeError("it was not started")
        if self._process.is_alive():
            os.kill(self._process.pid, how)
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends by itself, and return its exit code."""
        if self._process is None:
            raise RuntimeError("it was not started")
        self._process.join(_END_S_MAX)
        if self._process.exitcode is None:
            raise TimeoutError(f"{self.module} did not end within {_END_S_MAX:g} s")
        return self._process.exitcode


def _become(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    command_line: Callable[[], int] = import_module(module).command_line
    sys.exit(command_line())


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    if tests is not None:
        # They may end without a word.
        tests.join()
        os.kill(os.getpid(), signal.SIGKILL)
