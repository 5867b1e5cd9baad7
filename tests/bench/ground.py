"""The ground: what a call costs, and how long the demo takes."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import grpc.aio

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from tests.bench.results import Result, interleaved
from tools.local.issuer import TokenIssuer

ROUNDS = 7
CALLS = 4000
# Calls in flight: enough to keep one core of server busy.
FLIGHT = 32
START_S_MAX = 20.0
DEMO_S_MAX = 300.0


def rpc() -> Sequence[Result]:
    """Measure a unary read through all interceptors against a bare `grpc.aio` server, each in its own process."""
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        issuer = TokenIssuer.at(directory)
        token = issuer.token("bench", ["compliance_officer"], timedelta(hours=1))
        servers = {kind: _serve(kind, issuer.jwks_file, closing) for kind in ("bare", "full")}
        # grpc.aio belongs to one event loop, so all rounds share it.
        loop = closing.enter_context(asyncio.Runner())
        for server in servers.values():
            loop.run(_listening(server.port))
        rates = interleaved(
            ROUNDS, {kind: lambda at=server: loop.run(_rate(at.port, token)) for kind, server in servers.items()}
        )
        costs = interleaved(
            ROUNDS, {kind: lambda at=server: _cpu_s(at, loop, token) for kind, server in servers.items()}
        )
    versions = {"grpcio": version("grpcio"), "protovalidate": version("protovalidate")}
    peer = "bare grpc.aio"
    ratio = costs["full"] / costs["bare"]
    return [
        Result("ground.rpc_unary_per_s", rates["full"], "calls/s", peer, rates["bare"], None, versions),
        Result("ground.rpc_overhead_ratio", ratio, "× a bare call's server CPU", peer, 1.0, None, versions),
    ]


def demo() -> Sequence[Result]:
    """Measure `make demo` from its start to its end, set-up excluded."""
    with tempfile.TemporaryDirectory() as directory:
        # As root, the database server runs as another user and must reach its data.
        Path(directory).chmod(0o755)
        started = time.monotonic()
        command = [sys.executable, "-m", "tools.demo", "--directory", f"{directory}/demo"]
        subprocess.run(command, check=True, timeout=DEMO_S_MAX, stdout=subprocess.DEVNULL)
        took = time.monotonic() - started
        accounts = json.loads(Path(directory, "demo", "summary.json").read_text())["accounts"]
    return [Result("ground.demo_s", took, f"s for {accounts:,} accounts")]


@dataclass(frozen=True, slots=True)
class _Server:
    port: int
    process_id: int


def _serve(kind: str, jwks_file: Path, closing: ExitStack) -> _Server:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.bench.echo", kind, str(port), str(jwks_file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    closing.callback(process.wait)
    closing.callback(process.terminate)
    return _Server(port, process.pid)


def _cpu_s(server: _Server, loop: asyncio.Runner, token: str) -> float:
    """Return the processor time that the server spends on `CALLS` calls, in seconds, as Linux accounts it."""
    before = _spent_s(server.process_id)
    loop.run(_rate(server.port, token))
    return _spent_s(server.process_id) - before


def _spent_s(process_id: int) -> float:
    # proc(5): user and system time are the 14th and 15th field, in clock ticks; the name before them may have spaces.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _listening(port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await asyncio.wait_for(channel.channel_ready(), START_S_MAX)


async def _rate(port: int, token: str) -> float:
    """Return calls per second of `FLIGHT` callers on one connection."""
    metadata = (("authorization", f"Bearer {token}"),)
    request = pb.GetNodeRequest(node_id="account-1")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        get_node = PolicyServiceStub(channel).GetNode

        async def caller() -> None:
            for _ in range(CALLS // FLIGHT):
                await get_node(request, metadata=metadata, timeout=10)

        await get_node(request, metadata=metadata, timeout=10)
        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(FLIGHT)))
        return (CALLS // FLIGHT) * FLIGHT / (time.perf_counter() - started)
