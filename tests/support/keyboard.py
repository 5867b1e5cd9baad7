"""Typing commands of `evenkeel` by the hundred, each in a process of its own that has imported it already."""

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forked import Forked


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


@dataclass(frozen=True, slots=True)
class Keyboard:
    """Types commands: `await keyboard("account", "list")`."""

    # Of the shell: where it is, and what its environment has besides the tests' own.
    directory: Path
    environment: Mapping[str, str]

    async def __call__(self, *words: str) -> Typed:
        """Return what became of `evenkeel words…` when it has ended."""
        with tempfile.TemporaryDirectory(prefix="evenkeel-typed-") as directory:
            out, err = Path(directory, "out"), Path(directory, "err")
            environment = {**os.environ, **self.environment}
            command = Forked("tools.cli.main:main", words, environment, out, errors=err, directory=self.directory)
            await asyncio.to_thread(command.start)
            code = await asyncio.to_thread(command.wait)
            return Typed(code, out.read_text(), err.read_text())
