"""`evenkeel plan`: what an account should do, why, and a person's word on it."""

from typing import Annotated

import typer

from evenkeel.common.v1.values_pb2 import Side
from evenkeel.decision.v1 import plan_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.text import money, number, percent, short, state, time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer(help="What an account should do, why, and a person's word on it.", no_args_is_help=True)

Plan = Annotated[str, typer.Argument(help="Id of a plan.")]


@app.command("show")
def show_plan(context: typer.Context, plan: Plan) -> None:
    """Show a plan: its trades, what each is worth and costs, and the proof of how good it is."""
    found = call(context, "advisor", lambda services: services.plans.GetPlan(pb.GetPlanRequest(plan_id=plan))).plan
    show(context, found, lambda: explain(found))


@app.command("list")
def list_plans(
    context: typer.Context,
    run: Annotated[str, typer.Option(help="Only of this run.")] = "",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    held: Annotated[bool, typer.Option(help="Only those that wait for a person.")] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List plans."""
    request = pb.ListPlansRequest(run_id=run, account_id=account, page_size=count, page_token=token)
    if held:
        request.state = pb.Plan.STATE_HELD
    response = call(context, "advisor", lambda services: services.plans.ListPlans(request))

    def readable() -> None:
        rows = table("Plans", "plan", "account", "state", "outcome", ">turnover", ">tax", "waits because")
        for plan in response.plans:
            rows.add_row(
                plan.plan_id, plan.account_id,
                state(pb.Plan.State.DESCRIPTOR, plan.state), state(pb.Plan.Outcome.DESCRIPTOR, plan.outcome),
                money(plan.explanation.turnover), money(plan.explanation.tax), "; ".join(plan.review_reasons),
            )  # fmt: skip
        out.print(rows)
        if response.next_page_token:
            out.print(f"more: --token {response.next_page_token}", highlight=False)

    show(context, response, readable)


@app.command()
def approve(
    context: typer.Context,
    plan: Plan,
    plan_hash: Annotated[str, typer.Argument(help="Hash of the plan that was read, as `plan show` prints it.")],
    comment: Annotated[str, typer.Option(help="What to record with the approval.")] = "",
) -> None:
    """Approve a plan that waits for a person."""
    request = pb.ApprovePlanRequest(request_id=new_request_id(), plan_id=plan, plan_hash=plan_hash, comment=comment)
    response = call(context, "advisor", lambda services: services.plans.ApprovePlan(request))
    show(context, response.plan, lambda: _one(response.plan))


@app.command()
def withdraw(context: typer.Context, plan: Plan, comment: Annotated[str, typer.Option(help="Why.")]) -> None:
    """Withdraw a plan before it is sent."""
    request = pb.WithdrawPlanRequest(request_id=new_request_id(), plan_id=plan, comment=comment)
    response = call(context, "advisor", lambda services: services.plans.WithdrawPlan(request))
    show(context, response.plan, lambda: _one(response.plan))


@app.command()
def replay(context: typer.Context, plan: Plan) -> None:
    """Compute a past plan again from its recorded inputs, and compare byte for byte."""

    async def work(services: Evenkeel) -> pb.ReplayPlanResponse:
        return await services.plans.ReplayPlan(pb.ReplayPlanRequest(plan_id=plan))

    response = call(context, "compliance_officer", work)

    def readable() -> None:
        verdict = "[green]identical[/]" if response.identical else "[red]different[/]"
        out.print(f"{verdict}: recorded {response.recorded_hash}, recomputed {response.recomputed_hash}")
        out.print(f"engine {response.engine}", highlight=False)

    show(context, response, readable)
    if not response.identical:
        raise typer.Exit(1)


def explain(plan: pb.Plan) -> None:
    """Print a plan and why it is so."""
    why, proof = plan.explanation, plan.certificate
    out.print(
        f"[bold]{plan.plan_id}[/]  account {plan.account_id}  {state(pb.Plan.State.DESCRIPTOR, plan.state)}  "
        f"{state(pb.Plan.Outcome.DESCRIPTOR, plan.outcome)}  expires {time(plan.expire_time)}",
        highlight=False,
    )
    out.print(why.summary, highlight=False, markup=False)
    if plan.review_reasons:
        out.print(f"[yellow]waits for a person:[/] {'; '.join(plan.review_reasons)}", highlight=False)
    if plan.trades:
        rows = table("", "", "instrument", ">units", ">value", ">cost", ">tax", ">weight", ">target", ">worth")
        for trade in plan.trades:
            rows.add_row(
                state(Side.DESCRIPTOR, trade.side), trade.instrument_id, number(trade.quantity), money(trade.value),
                money(trade.trading_cost), money(trade.tax),
                f"{percent(trade.weight_before)} → {percent(trade.weight_after)}",
                percent(trade.target_weight), f"{number(trade.net_benefit_bps)} bp",
            )  # fmt: skip
        out.print(rows)
        for trade in plan.trades:
            out.print(f"  {trade.sentence}", highlight=False, markup=False)
    for binding in why.binding_constraints:
        out.print(f"  limit: {binding.sentence}", highlight=False, markup=False)
    out.print(
        f"certified within {proof.gap_bps.value or '0'} bp of the best possible "
        f"(optimum {proof.primal_bps.value} bp, bound {proof.dual_bound_bps.value} bp, "
        f"doing nothing {proof.idle_bps.value} bp; rounding cost {proof.rounding_bps.value or '0'} bp) "
        f"by {proof.solver}",
        highlight=False,
    )
    out.print(
        f"hash {plan.plan_hash}\npolicy {short(plan.inputs.policy_hash)}  snapshot {plan.inputs.snapshot_id}  "
        f"prices {plan.inputs.price_set_id}",
        highlight=False,
    )


def _one(plan: pb.Plan) -> None:
    out.print(
        f"{plan.plan_id} of {plan.account_id} is {state(pb.Plan.State.DESCRIPTOR, plan.state)}"
        + (f", approved by {plan.approver}" if plan.approver else ""),
        highlight=False,
    )
