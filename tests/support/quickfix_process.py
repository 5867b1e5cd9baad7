"""QuickFIX as a process of its own: a broker, or a client of our acceptor."""

import asyncio
import importlib.util
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

MISSING = importlib.util.find_spec("quickfix") is None
needs_quickfix = pytest.mark.skipif(
    MISSING, reason="quickfix-ssl has one wheel, for CPython 3.11 on x86-64 Linux; here it does not install"
)

START_S = 30.0
ANSWER_S = 30.0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


class QuickFixProcess:
    """A QuickFIX program that is told what to do by lines of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Run `python -m module`, with these arguments, once started."""
        self._command = (sys.executable, "-m", module, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    async def start(self) -> "QuickFixProcess":
        """Start it, and wait until it is up."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
            cwd=Path(__file__).resolve().parents[2],
        )
        async with asyncio.timeout(START_S):
            await self._line()
        return self

    async def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Have it do something, and return its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._one, asyncio.timeout(ANSWER_S):
            self._process.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
            await self._process.stdin.drain()
            answer = await self._line()
        assert "error" not in answer, answer["error"]
        return answer

    async def _line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, f"{self._command} ended with {self._process.returncode}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def stop(self) -> None:
        """Let it end in good order."""
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """End it at once, as by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
