"""`evenkeel run`: rebalance many accounts, and watch it."""

from collections.abc import Mapping
from typing import Annotated

import typer
from google.longrunning.operations_pb2 import Operation
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evenkeel.decision.v1 import run_service_pb2 as pb
from tools.cli.context import call, err, out, show, table
from tools.cli.text import money, percent, state, time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer(help="Rebalance many accounts, and watch it.", no_args_is_help=True)

Run = Annotated[str, typer.Argument(help="Id of a run.")]
FINAL = (pb.Run.STATE_DONE, pb.Run.STATE_CANCELED)


@app.command()
def start(
    context: typer.Context,
    accounts: Annotated[list[str] | None, typer.Argument(help="Accounts; every account of the book if none.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Compute plans and send none.")] = False,
    event: Annotated[str, typer.Option(help="What happened: accounts are decided even inside their bands.")] = "",
    follow: Annotated[bool, typer.Option("--watch", help="Go on by watching it.")] = False,
) -> None:
    """Start a rebalance on the newest book and prices."""
    request = pb.StartRunRequest(request_id=new_request_id(), account_ids=accounts or [], dry_run=dry_run, event=event)

    async def work(services: Evenkeel) -> pb.Run:
        operation: Operation = await services.runs.StartRun(request)
        run = pb.Run()
        operation.metadata.Unpack(run)
        return run

    run = call(context, "platform_engineer", work)
    if follow:
        watch(context, run.run_id)
    else:
        show(context, run, lambda: out.print(run.run_id))


@app.command()
def watch(context: typer.Context, run: Run) -> None:
    """Show a run's progress until it is done."""

    async def work(services: Evenkeel) -> pb.Run:
        return await follow_run(services, run)

    last = call(context, "advisor", work)
    show(context, last, lambda: summary(last))


@app.command("show")
def show_run(context: typer.Context, run: Run) -> None:
    """Show what a run did."""

    async def work(services: Evenkeel) -> pb.Run:
        return (await services.runs.GetRun(pb.GetRunRequest(run_id=run))).run

    found = call(context, "advisor", work)
    show(context, found, lambda: summary(found))


@app.command("list")
def list_runs(
    context: typer.Context, count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20
) -> None:
    """List runs, newest first."""
    response = call(context, "advisor", lambda services: services.runs.ListRuns(pb.ListRunsRequest(page_size=count)))

    def readable() -> None:
        rows = table("Runs", "run", "state", "started", "by", ">accounts", ">decided")
        for run in response.runs:
            rows.add_row(
                run.run_id, state(pb.Run.State.DESCRIPTOR, run.state), time(run.start_time), run.actor,
                str(run.account_count), str(run.decided_count),
            )  # fmt: skip
        out.print(rows)

    show(context, response, readable)


@app.command()
def cancel(context: typer.Context, run: Run) -> None:
    """Stop a run: what is not submitted is not traded."""
    request = pb.CancelRunRequest(request_id=new_request_id(), run_id=run)
    response = call(context, "platform_engineer", lambda services: services.runs.CancelRun(request))
    show(context, response.run, lambda: out.print(f"{run} is {state(pb.Run.State.DESCRIPTOR, response.run.state)}"))


async def follow_run(services: Evenkeel, run_id: str) -> pb.Run:
    """Show progress on the error stream until the run is final, and return it."""
    run = pb.Run()
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        deciding = progress.add_task("deciding", total=None)
        working = progress.add_task("executing", total=None)
        async for message in services.runs.WatchRun(pb.WatchRunRequest(run_id=run_id)):
            run = message.run
            plans = run.plan_counts
            progress.update(deciding, total=run.account_count, completed=run.decided_count)
            sent = sum(plans[name] for name in ("APPROVED", "WORKING", "DONE", "REFUSED"))
            progress.update(working, total=sent or None, completed=plans["DONE"] + plans["REFUSED"])
    return run


def summary(run: pb.Run) -> None:
    """Print what a run did."""
    total = run.summary
    rows = table(f"Run {run.run_id}: {state(pb.Run.State.DESCRIPTOR, run.state)}", "", ">")
    for name, value in (
        ("accounts", f"{run.decided_count:,} of {run.account_count:,} decided"),
        ("outcomes", _counts(run.outcome_counts)),
        ("plans", _counts(run.plan_counts)),
        ("value", money(total.value)),
        ("drift before, after", f"{percent(total.drift_before)}  →  {percent(total.drift_after)}"),
        ("turnover", money(total.turnover)),
        ("trading cost, estimated", money(total.trading_cost)),
        ("net gain realized", money(total.realised_gain)),
        ("tax, estimated", money(total.tax)),
        ("tax saved against first-in first-out", money(total.tax_saved)),
        ("largest certified gap", f"{total.gap_max_bps.value} bp"),
    ):
        rows.add_row(name, value)
    for stage, duration in sorted(run.stage_durations.items()):
        rows.add_row(f"time in {stage}", f"{duration.ToMilliseconds() / 1000:.1f} s")
    out.print(rows)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.lower().replace('_', ' ')}" for name, count in sorted(counts.items()))
