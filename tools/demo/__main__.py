"""`make demo`: four services rebalance a thousand accounts on real prices, and show what happened.

    python -m tools.demo [--accounts 1000] [--seed 7] [--directory .state/demo] [--venue fix]

Everything runs on this machine and ends with the command. The folder keeps the services' logs, the database, the
trace, the audit log as JSON lines, the summary, and two plans explained in full.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from services.runtime.telemetry import Telemetry
from tools.demo import report
from tools.demo.broker import fix_broker
from tools.demo.rebalance import people_of, rebalance
from tools.demo.reference import DESK
from tools.demo.scenario import MARKET_TIME, Scenario
from tools.demo.stages import Stages
from tools.local.broker import BrokerFailed
from tools.local.postgres import PostgresFailed
from tools.local.stack import LocalStack, StackFailed
from tools.local.traces import TraceReceiver, render

# How many levels of the trace are printed; the folder keeps all of it.
TRACE_DEPTH = 6
# The attribute that a span of a database statement has.
SQL = "db.system.name"
TRACE_WAIT_S = 15.0


async def run(directory: Path, accounts: int, seed: int, console: Console, *, over_fix: bool = False) -> bool:
    """Run the demo in `directory`, and return whether books and log agree; `over_fix`: trade at a broker over FIX."""
    stages = Stages(console)
    async with AsyncExitStack() as closing:
        receiver = await closing.enter_async_context(TraceReceiver(directory / "traces.jsonl"))
        # The trace begins with the demo's own call; its metrics are of no interest.
        os.environ.update(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=receiver.endpoint, OTEL_EXPORTER_OTLP_TRACES_INSECURE="true"
        )
        telemetry = Telemetry("demo")
        broker = None
        if over_fix:
            with stages.stage("broker", "A broker that speaks FIX 4.4"):
                broker = await closing.enter_async_context(fix_broker(directory / "broker"))
            console.print(f"  [dim]{broker.description}[/]", highlight=False)
        with stages.stage("start", "PostgreSQL and four services, each a process of its own, with mutual TLS"):
            stack = LocalStack(
                directory,
                market_time=MARKET_TIME,
                otlp_endpoint=receiver.endpoint,
                environment=DESK if broker is None else {**DESK, **broker.environment},
            )
            await closing.enter_async_context(stack)
        with stages.stage("clients", f"{accounts:,} clients who bought real shares on real days (seed {seed})"):
            scenario = (
                Scenario.build(accounts, seed) if broker is None else Scenario.build(accounts, seed, broker.venue_id)
            )
        people = await closing.enter_async_context(people_of(stack.profile))
        outcome = await rebalance(scenario, people, stages.stage, console, directory / "audit.jsonl", broker)
        if broker is not None:
            console.print(await broker.summary(people.trader), highlight=False)
        # It waits for the receiver, which runs on this very loop.
        await asyncio.to_thread(telemetry.close)
        trace_id = outcome.run.trace_parent.split("-")[1]
        await receiver.wait_for(
            lambda received: (
                {"evenkeel-" + name for name in stack.profile.addresses}
                <= {span.service for span in received.trace(trace_id)}
            ),
            TRACE_WAIT_S,
        )
    # The services have ended and sent their last spans.
    spans = receiver.trace(trace_id)
    console.print()
    report.show(console, outcome, stages.seconds)
    # Statements are many and short; the folder has them.
    console.print(render([span for span in spans if SQL not in span.attributes], depth=TRACE_DEPTH))
    with (directory / "trace.txt").open("w") as file:
        Console(file=file, width=200).print(render(spans))
    (directory / "why.txt").write_text(report.why(outcome) + "\n")
    (directory / "summary.json").write_text(json.dumps(report.as_json(outcome, stages.seconds), indent=2) + "\n")
    _farewell(console, directory, "make up" if broker is None else "make up VENUE=fix")
    return outcome.books_agree


def _farewell(console: Console, directory: Path, again: str) -> None:
    shown = directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
    console.print(
        f"\nIn {shown}/: summary.json, why.txt with every trade of these plans, trace.txt with every statement, "
        "audit.jsonl, logs/ and the database pg/.\n"
        f"Next: [bold]{again}[/] leaves the same system running for calls of your own; "
        "docs/architecture.md says how it works.",
        highlight=False,
    )


def main() -> int:
    """Run the demo and return the exit code: 0 when books and log agree."""
    parser = argparse.ArgumentParser(prog="make demo", description="Four services rebalance a book on real prices.")
    parser.add_argument("--accounts", type=int, default=1000, help="how many clients (2 or more)")
    parser.add_argument("--seed", type=int, default=7, help="of the clients, and of the sandbox venue")
    parser.add_argument("--directory", type=Path, default=Path(".state/demo"), help="made anew each time")
    parser.add_argument(
        "--venue", choices=("sandbox", "fix"), default="sandbox", help="fix: trade at a broker over FIX 4.4"
    )
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    directory = given.directory.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    try:
        agreed = asyncio.run(run(directory, given.accounts, given.seed, console, over_fix=given.venue == "fix"))
    except (StackFailed, PostgresFailed, BrokerFailed) as failed:
        console.print(str(failed), style="red", highlight=False, markup=False)
        return 1
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
