"""Processes that start in milliseconds: a server that has imported their code forks each of them.

A test that kills processes by the dozen is about how they end and how the next ones go on, and one that types commands
by the hundred about what they say; neither about how long Python imports. Each is a process of its own all the same:
it has its own output and exit code, SIGKILL ends it as it ends any other, and nothing that it does reaches the next.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["services.audit.__main__", "services.policy.__main__", "tests.audit.relay_process", "tools.cli.main"]
)
# What the command line finds when it is imported: a terminal without colours, wide enough for every table.
_TERMINAL = {"COLUMNS": "250", "NO_COLOR": "1"}
_END_S_MAX = 180.0


class Forked:
    """One such process; `start` it, again after each end."""

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
        """Run a function with `arguments` on its command line; how it ends is how the process ends.

        Args:
            entry: `module:function`.
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

    def start(self) -> None:
        """Start it."""
        with patch.dict(os.environ, _TERMINAL):
            forkserver.ensure_running()
        self._process = _CONTEXT.Process(
            target=_become,
            args=(self._entry, self._arguments, self._environment, self._outputs, self._directory),
            daemon=True,
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
            raise TimeoutError(f"{self._entry} did not end within {_END_S_MAX:g} s")
        return self._process.exitcode


def _become(
    entry: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    outputs: tuple[Path, Path],
    directory: Path | None,
) -> None:
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
    run: Callable[[], int | None] = getattr(import_module(module), function)
    sys.exit(run())


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    if tests is not None:
        # They may end without a word.
        tests.join()
        os.kill(os.getpid(), signal.SIGKILL)
