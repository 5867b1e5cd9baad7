"""`evenkeel policy rollout` and `evenkeel policy stop`: how rules reach accounts, and how all of it stops."""

from pathlib import Path
from typing import Annotated

import typer

from evenkeel.decision.v1 import run_service_pb2 as run_pb
from evenkeel.policy.v1 import rollout_pb2 as pb
from evenkeel.policy.v1 import rollout_service_pb2 as service_pb
from evenkeel.policy.v1 import stop_service_pb2 as stop_pb
from tools.cli.comparisons import comparison_rows
from tools.cli.context import call, out, show, table
from tools.cli.documents import document_from_yaml
from tools.cli.policy import Node
from tools.cli.text import number, state, time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer(help="How approved rules reach accounts: shadow, canary, all; and back.", no_args_is_help=True)
# Verbs of stops; they stand beside the others of `policy`.
halting = typer.Typer()

Change = Annotated[str, typer.Argument(help="Id of the change that is rolled out.")]
Why = Annotated[str, typer.Option("--reason", help="Why.")]


@app.command("list")
def list_rollouts(
    context: typer.Context,
    node: Annotated[str, typer.Option(help="Only of this node.")] = "",
    under_way: Annotated[bool, typer.Option("--open", help="Only those that are not final.")] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List rollouts, newest first."""
    request = service_pb.ListRolloutsRequest(node_id=node, open_only=under_way, page_size=count)
    response = call(context, "compliance_officer", lambda services: services.rollouts.ListRollouts(request))

    def readable() -> None:
        rows = table("Rollouts", "change", "node", "stage", "since", "by", "why")
        for each in response.rollouts:
            last = each.steps[-1]
            rows.add_row(
                each.change_id, each.node_id, _stage(each.stage), time(last.effective_time), last.actor, last.reason
            )
        out.print(rows)

    show(context, response.rollouts, readable)


@app.command("show")
def show_rollout(context: typer.Context, change: Change) -> None:
    """Show a rollout: its stages so far, and what its stop rules see."""
    request = service_pb.GetRolloutRequest(change_id=change)
    response = call(context, "compliance_officer", lambda services: services.rollouts.GetRollout(request))
    show(context, response, lambda: _one(response.rollout))


@app.command()
def advance(context: typer.Context, change: Change, reason: Why) -> None:
    """Lead a rollout to its next stage, as somebody other than the change's author."""

    async def work(services: Evenkeel) -> service_pb.AdvanceRolloutResponse:
        now = await services.rollouts.GetRollout(service_pb.GetRolloutRequest(change_id=change))
        return await services.rollouts.AdvanceRollout(
            service_pb.AdvanceRolloutRequest(
                request_id=new_request_id(), change_id=change, etag=now.rollout.etag, reason=reason
            )
        )

    response = call(context, "policy_approver", work)
    show(context, response, lambda: _one(response.rollout))


@app.command()
def back(context: typer.Context, change: Change, reason: Why) -> None:
    """Take a rollout back at once: every account has the old rules."""
    request = service_pb.RollBackRolloutRequest(request_id=new_request_id(), change_id=change, reason=reason)
    response = call(context, "policy_approver", lambda services: services.rollouts.RollBackRollout(request))
    show(context, response, lambda: _one(response.rollout))


@app.command()
def comparisons(
    context: typer.Context,
    change: Annotated[str, typer.Option(help="Only of this change.")] = "",
    run: Annotated[str, typer.Option(help="Only of this run.")] = "",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List what accounts got under the new rules less what under the old, in basis points, newest first."""
    request = run_pb.ListComparisonsRequest(change_id=change, run_id=run, account_id=account, page_size=count)
    response = call(context, "compliance_officer", lambda services: services.runs.ListComparisons(request))

    show(context, response.comparisons, lambda: out.print(comparison_rows("Comparisons", response.comparisons)))


@halting.command()
def stop(
    context: typer.Context,
    node: Node,
    reason: Why,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="What to tighten, as YAML; pauses without.", exists=True)
    ] = None,
) -> None:
    """Pause, or tighten, everything at and under a node: at once, without an approver, and only ever safer."""
    request = stop_pb.CreateStopRequest(request_id=new_request_id(), node_id=node, reason=reason)

    async def work(services: Evenkeel) -> stop_pb.CreateStopResponse:
        if file is not None:
            request.document.CopyFrom(document_from_yaml(file.read_text()))
        return await services.stops.CreateStop(request)

    response = call(context, "trader", work)
    show(context, response, lambda: _stop(response.stop))


@halting.command()
def lift(context: typer.Context, stop_id: Annotated[str, typer.Argument(help="Id of the stop.")], reason: Why) -> None:
    """Lift a stop, as somebody other than who created it."""
    request = stop_pb.LiftStopRequest(request_id=new_request_id(), stop_id=stop_id, reason=reason)
    response = call(context, "risk_officer", lambda services: services.stops.LiftStop(request))
    show(context, response, lambda: _stop(response.stop))


@halting.command()
def stops(
    context: typer.Context,
    node: Annotated[str, typer.Option(help="Only of this node.")] = "",
    holding: Annotated[bool, typer.Option("--holding", help="Only those that hold.")] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List stops, newest first."""
    request = stop_pb.ListStopsRequest(node_id=node, holding_only=holding, page_size=count)
    response = call(context, "compliance_officer", lambda services: services.stops.ListStops(request))

    def readable() -> None:
        rows = table("Stops", "stop", "node", "since", "by", "why", "lifted", "by")
        for each in response.stops:
            rows.add_row(
                each.stop_id, each.node_id, time(each.effective_time), each.actor, each.reason, time(each.lift_time),
                each.lifter,
            )  # fmt: skip
        out.print(rows)

    show(context, response.stops, readable)


def _stop(stop: stop_pb.Stop) -> None:
    lifted = f"lifted by {stop.lifter}" if stop.lifter else f"holds since {time(stop.effective_time)}"
    out.print(f"{stop.stop_id} of {stop.node_id}, by {stop.actor}, {lifted}", highlight=False)


def _one(rollout: pb.Rollout) -> None:
    out.print(f"{rollout.change_id} of {rollout.node_id} is in stage [bold]{_stage(rollout.stage)}[/]", highlight=False)
    for step in rollout.steps:
        out.print(
            f"  {time(step.effective_time)}  {_stage(step.stage)}, by {step.actor}: {step.reason}",
            highlight=False,
            markup=False,
        )
    for each in rollout.readings:
        metric = state(pb.StopRule.Metric.DESCRIPTOR, each.rule.metric)
        seen = number(each.mean_bps) or "nothing yet"
        out.print(
            f"  mean {metric} of {each.count} of {each.rule.window} comparisons: {seen} bps, at most "
            f"{number(each.rule.bound_bps)} allowed" + (", broken" if each.broken else ""),
            highlight=False,
        )


def _stage(stage: pb.RolloutStage.ValueType) -> str:
    return state(pb.RolloutStage.DESCRIPTOR, stage)
