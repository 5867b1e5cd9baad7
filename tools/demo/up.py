"""`make up`: the demo's system on this machine, for your own calls, until Ctrl-C.

    python -m tools.demo.up [--accounts 1000] [--seed 7] [--venue fix] [--directory .state/up]

The demo's rules, clients and prices are loaded; what to rebalance, and when, is yours. A later start on the same
directory finds the same accounts, plans and log: loading twice changes nothing. What trades at a broker over FIX has a
directory of its own, `.state/up-fix`, since its rules name another venue.
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.client.profile import SERVICES
from tools.demo.broker import fix_broker
from tools.demo.rebalance import load, people_of
from tools.demo.reference import DESK
from tools.demo.scenario import MARKET_TIME, Scenario
from tools.demo.stages import Stages
from tools.local.broker import BrokerFailed
from tools.local.postgres import PostgresFailed
from tools.local.stack import LocalStack, StackFailed
from tools.local.traces import TraceReceiver

# Taken when they are free, so that addresses are the same tomorrow.
PORTS = {service: 50051 + number for number, service in enumerate(SERVICES)}
# Where the command-line client looks by itself.
DIRECTORY = Path(".state/up")
DIRECTORY_OVER_FIX = Path(".state/up-fix")
PROFILE = "profile.toml"

TRY = (
    ("status", "which services serve"),
    ("account list", "what clients hold"),
    ("run start --watch", "rebalance all of them"),
    ("plan list --held", "plans that wait for a person"),
    ("trading", "whether orders may leave"),
    ("audit verify", "recompute the whole log"),
)
TRY_OVER_FIX = (
    ("fix status", "the session with the broker"),
    ("fix log", "what the two said last"),
)


async def run(directory: Path, accounts: int, seed: int, console: Console, *, over_fix: bool = False) -> None:
    """Run the stack until SIGINT or SIGTERM, with `accounts` clients that `seed` makes; none for 0.

    `over_fix`: orders go to a broker over FIX, started beside the services.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as closing:
        receiver = await closing.enter_async_context(TraceReceiver(directory / "traces.jsonl"))
        broker = await closing.enter_async_context(fix_broker(directory / "broker")) if over_fix else None
        if broker is not None:
            console.print(f"orders go over FIX 4.4; {broker.description}\n", highlight=False)
        with console.status("starting PostgreSQL and four services"):
            stack = LocalStack(
                directory,
                market_time=MARKET_TIME,
                otlp_endpoint=receiver.endpoint,
                ports=_free(PORTS),
                environment=DESK if broker is None else {**DESK, **broker.environment},
            )
            await closing.enter_async_context(stack)
        stack.profile.save(directory / PROFILE)
        if accounts:
            async with people_of(stack.profile) as people:
                scenario = (
                    Scenario.build(accounts, seed)
                    if broker is None
                    else Scenario.build(accounts, seed, broker.venue_id)
                )
                await load(scenario, people, Stages(console).stage, broker)
        _welcome(stack, console, TRY if broker is None else TRY + TRY_OVER_FIX)
        stopping = asyncio.create_task(stop.wait())
        dying = [asyncio.create_task(stack.ended(service), name=service) for service in SERVICES]
        done, _ = await asyncio.wait([stopping, *dying], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *dying):
            task.cancel()
        for service in (task.get_name() for task in done if task is not stopping):
            console.print(f"[red]{service} ended by itself[/]; see {stack.log_file(service)}")
        console.print("stopping")


def _welcome(stack: LocalStack, console: Console, commands: Sequence[tuple[str, str]]) -> None:
    table = Table("service", "address", "log", box=None, padding=(0, 3, 0, 0))
    for service in SERVICES:
        table.add_row(service, stack.profile.addresses[service], _shown(stack.log_file(service)))
    console.print(table)
    console.print()
    if stack.directory != DIRECTORY.resolve():
        console.print(f"  [bold]export EVENKEEL_PROFILE={_shown(stack.directory / PROFILE)}[/]", highlight=False)
    for command, what in commands:
        console.print(f"  [bold].venv/bin/evenkeel {command:<18}[/] {what}", highlight=False)
    console.print(f"\nProfile: {_shown(stack.directory / PROFILE)}. Ctrl-C stops everything; the data stays.")


def _free(ports: dict[str, int]) -> dict[str, int]:
    """Return those ports that nobody listens on."""

    def free(port: int) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

    return {service: port for service, port in ports.items() if free(port)}


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until stopped and return the exit code."""
    parser = argparse.ArgumentParser(prog="make up", description="The four services on this machine, until Ctrl-C.")
    parser.add_argument("--accounts", type=int, default=1000, help="how many clients to load; 0 for none")
    parser.add_argument("--seed", type=int, default=7, help="of the clients")
    parser.add_argument(
        "--venue", choices=("sandbox", "fix"), default="sandbox", help="fix: trade at a broker over FIX 4.4"
    )
    parser.add_argument("--directory", type=Path, default=None, help="where everything is kept")
    given = parser.parse_args(arguments)
    console = Console()
    over_fix = given.venue == "fix"
    directory = (given.directory or (DIRECTORY_OVER_FIX if over_fix else DIRECTORY)).resolve()
    try:
        asyncio.run(run(directory, given.accounts, given.seed, console, over_fix=over_fix))
    except (BrokerFailed, StackFailed, PostgresFailed) as failed:
        console.print(f"[red]{failed}[/]", highlight=False, markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
