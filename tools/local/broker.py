"""A broker as a process of this machine, told what to do by lines of JSON."""

import asyncio
import importlib.util
import json
import socket
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]

# QuickFIX has one wheel, for CPython 3.11 on x86-64 Linux.
INSTALLED = importlib.util.find_spec("quickfix") is not None

# Generous: a machine that runs other things beside it has little time for each.
START_S_MAX = 60.0
ANSWER_S_MAX = 60.0
STOP_S_MAX = 20.0
# One answer may hold every order.
LINE_BYTES_MAX = 64 * 1024 * 1024


class BrokerFailed(Exception):
    """The broker's process ended, or cannot do what it was asked."""


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


class Counterparty:
    """A QuickFIX program beside us; `async with`."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Run `python -m module` with these arguments, once started."""
        self._command = (sys.executable, "-m", module, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start it."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Let it end."""
        await self.stop()

    async def start(self) -> Self:
        """Start it, and return when it is up.

        Raises:
            BrokerFailed: It ended.
        """
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX, cwd=ROOT
        )
        async with asyncio.timeout(START_S_MAX):
            await self._answer(self._process)
        return self

    async def ask(self, do: str, **values: object) -> dict[str, Any]:
        """Have it do something, and return its answer.

        Raises:
            BrokerFailed: It cannot, or it ended.
        """
        process = self._running()
        async with self._one, asyncio.timeout(ANSWER_S_MAX):
            if process.stdin is None:
                raise BrokerFailed("the broker has no standard input")
            process.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
            await process.stdin.drain()
            answer = await self._answer(process)
        if "error" in answer:
            raise BrokerFailed(f"{do}: {answer['error']}")
        return answer

    async def stop(self) -> None:
        """Let it end in good order."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it at once, as by SIGKILL."""
        process = self._running()
        process.kill()
        await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise BrokerFailed("the broker was not started")
        return self._process

    async def _answer(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        if process.stdout is None:
            raise BrokerFailed("the broker has no standard output")
        # Over TLS, QuickFIX tells standard output about each certificate.
        while not (line := await process.stdout.readline()).startswith(b"{"):
            if not line:
                raise BrokerFailed(f"{' '.join(self._command)} ended with {await process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
