"""`evenkeel plan`: what an account should do, why, and a person's word on it."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from evenkeel.common.v1.values_pb2 import Side
from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.decision.v1.explanation_pb2 import LotReason, NoTradeReason, Scenario
from tools.cli.context import call, out, show, table
from tools.cli.documents import document_from_yaml, message_from_yaml
from tools.cli.text import money, number, percent, short, state, time
from tools.client.session import Evenkeel
from tools.client.values import amount, civil_date, new_request_id

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
    idle: Annotated[str, typer.Option(help="Only those that trade nothing for this reason: within-bands, ...")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List plans."""
    request = pb.ListPlansRequest(run_id=run, account_id=account, page_size=count, page_token=token)
    if held:
        request.state = pb.Plan.STATE_HELD
    if idle:
        request.no_trade_reason = _reason(idle)
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
        out.print(response.sentence, highlight=False, markup=False)
        out.print(f"decided by {response.recorded_engine}", highlight=False, markup=False)
        out.print(f"computed by {response.engine}", highlight=False, markup=False)

    show(context, response, readable)
    if not response.identical:
        raise typer.Exit(1)


@app.command()
def preview(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Id of an account.")],
    philosophies: Annotated[bool, typer.Option(help="By each philosophy that policy has, side by side.")] = False,
    preset: Annotated[list[str] | None, typer.Option(help="By a preset of policy; may be repeated.")] = None,
    policy: Annotated[Path | None, typer.Option(help="YAML of a policy document whose fields replace some.")] = None,
    deposit: Annotated[str, typer.Option(help="With a deposit, for instance `5000 USD`.")] = "",
    withdrawal: Annotated[str, typer.Option(help="With a withdrawal, for instance `5000 USD`.")] = "",
    price: Annotated[list[str] | None, typer.Option(help="At another price, `VTI=95`; may be repeated.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave this instrument alone; may be repeated.")] = None,
    regardless: Annotated[bool, typer.Option(help="Even if nothing asks for a rebalance.")] = False,
    event: Annotated[str, typer.Option(help="As if a run were started for this event.")] = "",
    keep: Annotated[bool, typer.Option(help="Keep what it says, for `plan previews`.")] = False,
    largest_withdrawal: Annotated[bool, typer.Option(help="Also what can be withdrawn at most.")] = False,
) -> None:
    """Show what an account would get on inputs that are not so; no plan is made."""
    flows = {"deposit": deposit, "withdrawal": withdrawal}
    prices = [each.partition("=") for each in price or []]
    said = {
        **{name: amount for name, amount in flows.items() if amount},
        "prices": [{"instrument_id": name, "price": value} for name, _, value in prices],
        "untouched_instrument_ids": without or [],
        "event": event,
    }
    supposed = message_from_yaml(yaml.safe_dump(said), Scenario())
    if policy is not None:
        supposed.policy_document = document_from_yaml(policy.read_text(encoding="utf-8")).SerializeToString()
    request = pb.PreviewPlanRequest(
        account_id=account, philosophies=philosophies, keep=keep, largest_withdrawals=largest_withdrawal
    )
    if not philosophies:
        scenarios = [Scenario(name="policy"), *(Scenario(name=each, preset=each) for each in preset or [])]
        if supposed != Scenario():
            supposed.name = "what if"
            scenarios.append(supposed)
        for each in scenarios:
            each.ignore_triggers = regardless
        request.scenarios.extend(scenarios)
    response = call(context, "advisor", lambda services: services.plans.PreviewPlan(request))
    show(context, response, lambda: side_by_side(response))


@app.command()
def transition(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Id of an account.")],
    years: Annotated[int, typer.Option(min=1, max=30, help="Tax years, the present one included.")] = 5,
    policy: Annotated[Path | None, typer.Option(help="YAML of a policy document whose fields replace some.")] = None,
) -> None:
    """Show how an account gets to its target over tax years, each within its gain budget; no plan is made."""
    request = pb.PreviewTransitionRequest(account_id=account, tax_years=years)
    if policy is not None:
        document = document_from_yaml(policy.read_text(encoding="utf-8"))
        request.scenario.CopyFrom(Scenario(name="what if", policy_document=document.SerializeToString()))
    response = call(context, "advisor", lambda services: services.plans.PreviewTransition(request))

    def readable() -> None:
        rows = table(
            f"Transition of {account}", "from", ">tax year", "outcome", ">sold", ">bought", ">net gain", ">budget",
            ">tax", ">cost", ">drift", ">tracking error",
        )  # fmt: skip
        for step in response.steps:
            rows.add_row(
                civil_date(step.step_date).isoformat(), str(step.tax_year),
                state(pb.Plan.Outcome.DESCRIPTOR, step.outcome),
                money(step.sold_value), money(step.bought_value), money(step.realized_gain),
                money(step.gain_budget) if step.HasField("gain_budget") else "none", money(step.tax),
                money(step.trading_cost), percent(step.drift_after), percent(step.tracking_error_after),
            )  # fmt: skip
        out.print(rows)
        out.print(response.sentence, highlight=False, markup=False)

    show(context, response, readable)


@app.command()
def previews(context: typer.Context, account: Annotated[str, typer.Argument(help="Id of an account.")]) -> None:
    """Show how far kept previews were from what came, and why."""
    request = pb.ListPreviewsRequest(account_id=account)
    response = call(context, "advisor", lambda services: services.plans.ListPreviews(request))

    def readable() -> None:
        rows = table(
            "Errors of previews: what came less what was said", "preview", "at", ">turnover", ">cost", ">tax",
            ">drift", ">tracking error", "differed in",
        )  # fmt: skip
        for each in response.previews:
            why = ", ".join(state(pb.KeptPreview.Input.DESCRIPTOR, one) for one in each.differing_inputs)
            figures = _errors(each.error) if each.plan_id else ["", "", "", "", ""]
            rows.add_row(each.name, time(each.create_time), *figures, why if each.plan_id else "nothing came yet")
        if response.measured_count:
            rows.add_row(f"mean of {response.measured_count}", "", *_errors(response.mean_absolute_error), "")
        out.print(rows)

    show(context, response, readable)


def _errors(figures: pb.PreviewFigures) -> list[str]:
    return [
        percent(figures.turnover), money(figures.trading_cost), money(figures.tax), percent(figures.drift_after),
        percent(figures.tracking_error_after),
    ]  # fmt: skip


@app.command("explain")
def explain_plan(
    context: typer.Context,
    plan: Plan,
    what_if: Annotated[bool, typer.Option(help="Also solve again for each trade what is best without it.")] = False,
) -> None:
    """Explain a plan: its objective before and after, each trade's worth, and the limits that bind."""
    request = pb.ExplainPlanRequest(plan_id=plan, what_if=what_if)
    response = call(context, "advisor", lambda services: services.plans.ExplainPlan(request))
    show(context, response, lambda: _explained(response))


@app.command("why-not")
def why_not(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Id of an account.")],
    instrument: Annotated[str, typer.Argument(help="Only about this instrument.")] = "",
    plan: Annotated[str, typer.Option(help="Which of its plans; the newest by default.")] = "",
) -> None:
    """Explain why an account, or an instrument of it, was not traded."""
    request = pb.ExplainNoTradeRequest(account_id=account, plan_id=plan, instrument_id=instrument)
    response = call(context, "advisor", lambda services: services.plans.ExplainNoTrade(request))

    def readable() -> None:
        if response.reason:
            out.print(f"[bold]{state(NoTradeReason.DESCRIPTOR, response.reason)}[/]  {response.plan_id}")
        out.print(response.sentence, highlight=False, markup=False)
        for each in response.instruments:
            out.print(f"  {each.sentence}", highlight=False, markup=False)
        for binding in response.binding_constraints:
            out.print(f"  limit: {binding.sentence}", highlight=False, markup=False)
        if response.HasField("regardless"):
            summary = response.regardless.explanation.summary
            out.print(f"regardless of triggers: {summary}", highlight=False, markup=False)

    show(context, response, readable)


def side_by_side(response: pb.PreviewPlanResponse) -> None:
    """Print what hypothetical plans come to, beside each other."""
    rows = table("", "", "outcome", ">trades", ">turnover", ">cost", ">tax", ">drift", ">tracking error")
    for each in response.plans:
        why = each.plan.explanation
        rows.add_row(
            each.name, state(pb.Plan.Outcome.DESCRIPTOR, each.plan.outcome), str(len(each.plan.trades)),
            money(why.turnover), money(why.trading_cost), money(why.tax),
            f"{percent(why.drift_before)} → {percent(why.drift_after)}", percent(why.tracking_error_after),
        )  # fmt: skip
    out.print(rows)
    for each in response.plans:
        out.print(f"{each.name}: {each.plan.explanation.summary}", highlight=False, markup=False)
        for trade in each.plan.trades if len(response.plans) == 1 else []:
            out.print(f"  {trade.sentence}", highlight=False, markup=False)
    for largest in response.largest_withdrawals:
        out.print(largest.sentence, highlight=False, markup=False)


def _explained(told: pb.ExplainPlanResponse) -> None:
    out.print(told.explanation.summary, highlight=False, markup=False)
    for trigger in told.triggers:
        out.print(f"  asked for by: {trigger.sentence}", highlight=False, markup=False)
    rows = table("", "basis points", ">deviation", ">outside band", ">idle cash", ">cost", ">tax", ">all")
    for name, terms in (("doing nothing", told.objective_before), ("the plan", told.objective_after)):
        rows.add_row(
            name, number(terms.deviation_bps), number(terms.outside_band_bps), number(terms.idle_cash_bps),
            number(terms.cost_bps), number(terms.tax_bps), number(terms.total_bps),
        )  # fmt: skip
    out.print(rows)
    for trade in told.trades:
        out.print(f"  {trade.sentence} {trade.without}", highlight=False, markup=False)
        if trade.HasField("resolved_without"):
            out.print(f"    {trade.resolved_without.sentence}", highlight=False, markup=False)
    if told.lots:
        rows = table("", "instrument", "lot", ">units", ">gain", "taxed", ">rate", ">tax", ">avoided")
        for lot in told.lots:
            rows.add_row(
                "sold" if lot.sold else "kept", lot.instrument_id, lot.lot_id, number(lot.quantity), money(lot.gain),
                state(LotReason.Character.DESCRIPTOR, lot.character), percent(lot.rate), money(lot.tax),
                money(lot.avoided),
            )  # fmt: skip
        out.print(rows)
    for lot in told.lots:
        out.print(f"  {lot.sentence}", highlight=False, markup=False)
    if told.HasField("raised"):
        out.print(f"  {told.raised.sentence}", highlight=False, markup=False)
    for binding in told.explanation.binding_constraints:
        out.print(f"  limit: {binding.sentence}", highlight=False, markup=False)


def _reason(said: str) -> NoTradeReason.ValueType:
    prefix = "NO_TRADE_REASON_"
    known = {name.removeprefix(prefix).lower().replace("_", "-"): value for name, value in NoTradeReason.items()[1:]}
    if said not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}, was {said}")
    return known[said]


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
    if plan.inputs.HasField("household"):
        out.print(household(plan.inputs.household), highlight=False, markup=False)
    out.print(
        f"hash {plan.plan_hash}\npolicy {short(plan.inputs.policy_hash)}  snapshot {plan.inputs.snapshot_id}  "
        f"prices {plan.inputs.price_set_id}",
        highlight=False,
    )


def household(proof: pb.HouseholdProof) -> str:
    """Return how good plans of a household are together, and what is not proven of it."""
    gap = amount(proof.objective) - amount(proof.bound)
    accounts = ", ".join(proof.account_ids)
    told = (
        f"household of {accounts}: together {money(proof.objective)}, no plans that deny no loss come to less than "
        f"{money(proof.bound)}; "
    )
    told += f"{gap:,.2f} of it is unproven" if gap else "nothing is unproven"
    told += f", after {proof.solve_count} plans"
    return told if proof.settled else f"{told}; a loss is still denied, which no bar of these accounts' law prevents"


def _one(plan: pb.Plan) -> None:
    out.print(
        f"{plan.plan_id} of {plan.account_id} is {state(pb.Plan.State.DESCRIPTOR, plan.state)}"
        + (f", approved by {plan.approver}" if plan.approver else ""),
        highlight=False,
    )
