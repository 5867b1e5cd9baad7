"""Typing commands of `evenkeel` by the hundred: one process imports the command line, and forks for each command.

Importing it costs half a second of processor time, most commands a tenth of that. A fork is a process of its own, with
its own output and exit code, as one that a person starts; and nothing that a command does reaches the next.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
_WORDS_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what it printed, of a command with `--json`."""
        return json.loads(self.out)


class Keyboard:
    """Types commands: `await keyboard("account", "list")`."""

    def __init__(self, path: str) -> None:
        """Type at the process that listens on `path`."""
        self._path = path

    async def __call__(self, *words: str) -> Typed:
        """Return what became of `evenkeel words…` when it has ended."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
                asked.connect(self._path)
                socket.send_fds(asked, [json.dumps(words).encode()], [out.fileno(), err.fileno()])
                asked.setblocking(False)
                code = await asyncio.get_running_loop().sock_recv(asked, 1)
            out.seek(0)
            err.seek(0)
            assert code, f"{words} died: {err.read().decode()}"
            return Typed(code[0], out.read().decode(), err.read().decode())


@contextmanager
def keyboard(directory: Path, environment: Mapping[str, str]) -> Iterator[Keyboard]:
    """Offer a keyboard to a shell in `directory` with `environment`."""
    path = str(directory / "keyboard")
    command = [sys.executable, "-m", "tests.support.keyboard", path]
    with subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gen")])},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the command line cannot be imported"
            yield Keyboard(path)
        finally:
            process.terminate()


def listen(path: str) -> NoReturn:
    """Import the command line, and run each command that comes in a fork."""
    from tools.cli.main import main  # noqa: F401, PLC0415 - every fork finds it imported

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(64)
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            asked, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _run(asked)
            asked.close()


def _run(asked: socket.socket) -> NoReturn:
    from tools.cli.main import main  # noqa: PLC0415 - imported already

    words, (out, err), _, _ = socket.recv_fds(asked, _WORDS_MAX, 2)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["evenkeel", *json.loads(words)]
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever it is, it ends the command
        # As the interpreter does at the end of a process.
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(code + "\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    asked.send(bytes([int(str(code or 0))]))
    os._exit(0)


if __name__ == "__main__":
    listen(sys.argv[1])
