"""`evenkeel policy`, about what was and what becomes: differences, reasons, history, what happens, going back."""

from datetime import datetime
from typing import Annotated

import typer

from evenkeel.decision.v1 import run_service_pb2 as run_pb
from evenkeel.policy.v1 import policy_service_pb2 as pb
from services.runtime.wire import words_of
from tools.cli.comparisons import comparison_rows
from tools.cli.context import Options, call, out, show, table
from tools.cli.documents import document_to_yaml
from tools.cli.policy import AtTime, KnownTime, Node, one, to_approve
from tools.cli.text import short, state, time, utc_message
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer()

Field = Annotated[str, typer.Argument(help="Path of a field, such as tax.long_term_rate.")]


@app.command()
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="A node, a change, or a version hash.")],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    effective: Annotated[
        bool, typer.Option(help="Of nodes, compare what applies to them, inherited rules too.")
    ] = False,
    before_at: Annotated[datetime | None, typer.Option(help="The first one as in force at this instant (UTC).")] = None,
    after_at: Annotated[datetime | None, typer.Option(help="The second one as in force at this instant (UTC).")] = None,
) -> None:
    """Say what is different between two documents, line by line."""
    request = pb.DiffPoliciesRequest(
        before=_point(before, before_at, effective=effective), after=_point(after, after_at, effective=effective)
    )
    response = call(context, "compliance_officer", lambda services: services.policy.DiffPolicies(request))

    def readable() -> None:
        for each in response.differences:
            out.print(each.description, highlight=False, markup=False)
        if not response.differences:
            out.print("nothing is different")

    show(context, response.differences, readable)


@app.command()
def explain(context: typer.Context, node: Node, field: Field, at: AtTime = None, known: KnownTime = None) -> None:
    """Explain why a node has its value of a field: what every level said, and what became of it."""
    request = pb.ExplainPolicyRequest(node_id=node, field=field)
    _as_of(request, at, known)
    response = call(context, "compliance_officer", lambda services: services.policy.ExplainPolicy(request))

    def readable() -> None:
        out.print(f"{field} of [bold]{node}[/] is {response.value or 'not set'}", highlight=False)
        rows = table("What the levels said", "node", "value", "outcome", "author", "approver", "since", "why")
        for each in response.statements:
            source = each.source
            outcome = state(pb.FieldStatement.Outcome.DESCRIPTOR, each.outcome)
            by = f" by {each.guardrail_node_id}" if each.guardrail_node_id else ""
            rows.add_row(
                source.node_id, source.value, outcome + by, source.author, source.approver,
                time(source.effective_time), source.reason,
            )  # fmt: skip
        out.print(rows)
        for guardrail in response.guardrails:
            out.print(f"below it: {str(guardrail).replace(chr(10), ' ')}", highlight=False, markup=False)

    show(context, response, readable)


@app.command("as-of")
def as_of(context: typer.Context, node: Node, at: AtTime = None, known: KnownTime = None) -> None:
    """Show the versions that governed a node's path at an instant, as known at an instant."""
    request = pb.GetPolicyAsOfRequest(node_id=node)
    _as_of(request, at, known)
    response = call(context, "compliance_officer", lambda services: services.policy.GetPolicyAsOf(request))

    def readable() -> None:
        rows = table("Versions, root first", "node", "version", "author", "approver", "since", "approved", "why")
        for each in response.versions:
            rolled = " (rollout)" if each.version_hash in response.rollout_version_hashes else ""
            rows.add_row(
                each.node_id, short(each.version_hash) + rolled, each.author, each.approver,
                time(each.effective_time), time(each.approve_time), each.reason,
            )  # fmt: skip
        out.print(rows)
        for stop_id in response.stop_ids:
            out.print(f"stopped by {stop_id}", highlight=False)

    show(context, response, readable)


@app.command()
def watch(
    context: typer.Context,
    after: Annotated[int, typer.Option(min=0, help="Only what came after this position.")] = 0,
    count: Annotated[int, typer.Option(min=0, help="Stop after so many; go on for ever when 0.")] = 0,
) -> None:
    """Follow what becomes of versions, rollouts and stops, as it happens."""
    options: Options = context.obj

    async def work(services: Evenkeel) -> None:
        left = count
        async for part in services.policy.WatchPolicies(pb.WatchPoliciesRequest(after_position=after)):
            for notice in part.notices:
                kind = state(pb.PolicyNotice.Kind.DESCRIPTOR, notice.kind)
                line = (
                    f"{notice.position:>6}  {time(notice.record_time)}  {kind:<12} {notice.node_id}  "
                    f"{notice.change_id}  from {time(notice.effective_time)}"
                )
                if options.as_json:
                    show(context, notice, lambda: None)
                else:
                    out.print(line, highlight=False, markup=False)
                left -= 1
                if left == 0:
                    return

    call(context, "compliance_officer", work)


@app.command()
def rollback(
    context: typer.Context,
    node: Node,
    version_hash: Annotated[str, typer.Argument(help="The version to go back to; policy as-of shows them.")],
    reason: Annotated[str, typer.Option(help="Why.")],
) -> None:
    """Propose that a node says again what an earlier version of it said; another person approves it."""
    request = pb.RollBackPolicyRequest(
        request_id=new_request_id(), node_id=node, version_hash=version_hash, reason=reason
    )
    response = call(context, "policy_author", lambda services: services.policy.RollBackPolicy(request))

    def readable() -> None:
        one(response.change)
        to_approve(response.change)

    show(context, response, readable)


def _point(name: str, at: datetime | None, *, effective: bool) -> pb.PolicyPoint:
    if name.startswith("sha256:"):
        return pb.PolicyPoint(version_hash=name)
    if name.startswith("change-"):
        return pb.PolicyPoint(change_id=name)
    point = pb.PolicyPoint(effective_node_id=name) if effective else pb.PolicyPoint(node_id=name)
    if at is not None:
        point.effective_time.CopyFrom(utc_message(at))
    return point


def _as_of(
    request: pb.ExplainPolicyRequest | pb.GetPolicyAsOfRequest, at: datetime | None, known: datetime | None
) -> None:
    if at is not None:
        request.effective_time.CopyFrom(utc_message(at))
    if known is not None:
        request.known_time.CopyFrom(utc_message(known))


@app.command()
def version(context: typer.Context, version_hash: Annotated[str, typer.Argument(help="Hash of a version.")]) -> None:
    """Show a version: what it says, who wrote and approved it, and why."""
    request = pb.GetPolicyVersionRequest(version_hash=version_hash)
    found = call(context, "compliance_officer", lambda services: services.policy.GetPolicyVersion(request)).version

    def readable() -> None:
        out.print(f"[bold]{found.node_id}[/]  version {found.version_hash}", highlight=False, soft_wrap=True)
        approved = f", approved by {found.approver} at {time(found.approve_time)}" if found.approver else ""
        out.print(f"  written by {found.author}{approved}: {found.reason}", highlight=False, markup=False)
        if found.HasField("effective_time"):
            out.print(f"  holds from {time(found.effective_time)}", highlight=False)
        out.print(document_to_yaml(found.document), highlight=False, markup=False)

    show(context, found, readable)


@app.command()
def impact(
    context: typer.Context,
    change: Annotated[str, typer.Argument(help="Id of a change, in whatever state.")],
    run: Annotated[str, typer.Option(help="Try it on what this run rested on.")] = "",
    at: Annotated[
        datetime | None, typer.Option("--at", help="On the last run that decided for an instant up to this (UTC).")
    ] = None,
) -> None:
    """Try a change on a past day: what each account would have got with it, less what without, in basis points."""
    request = run_pb.PreviewChangeRequest(change_id=change, run_id=run)
    if at is not None:
        request.as_of_time.CopyFrom(utc_message(at))

    async def work(services: Evenkeel) -> run_pb.PreviewChangeResponse:
        whole = page = await services.runs.PreviewChange(request)
        while page.next_page_token:
            request.page_token = page.next_page_token
            page = await services.runs.PreviewChange(request)
            whole.comparisons.extend(page.comparisons)
            whole.account_count += page.account_count
        whole.next_page_token = ""
        return whole

    found = call(context, "policy_author", work)

    def readable() -> None:
        title = f"{change} on {found.run_id}, {time(found.as_of_time)}"
        out.print(comparison_rows(title, found.comparisons))
        out.print(f"{len(found.comparisons)} of {found.account_count} accounts have other rules with it")

    show(context, found, readable)


@app.command()
def resolve(
    context: typer.Context,
    accounts: Annotated[list[str] | None, typer.Argument(help="Accounts; all without.")] = None,
    at: AtTime = None,
    known: KnownTime = None,
) -> None:
    """Say which effective policy accounts have: how many share each, or which each of those named has."""
    request = pb.ResolvePoliciesRequest(account_ids=accounts or ())
    if at is not None:
        request.effective_time.CopyFrom(utc_message(at))
    if known is not None:
        request.known_time.CopyFrom(utc_message(known))

    async def work(services: Evenkeel) -> list[pb.ResolvePoliciesResponse]:
        return [part async for part in services.policy.ResolvePolicies(request)]

    parts = call(context, "compliance_officer", work)

    def readable() -> None:
        having: dict[str, list[str]] = {}
        for part in parts:
            for account_id, policy_hash in zip(
                part.account_ids, words_of(part.policy_hashes, "policy_hashes"), strict=True
            ):
                having.setdefault(policy_hash, []).append(account_id)
        rows = table("Policies", "policy", ">accounts", "of them")
        for policy_hash, account_ids in sorted(having.items(), key=lambda each: -len(each[1])):
            some = ", ".join(account_ids if accounts else account_ids[:3])
            rows.add_row(short(policy_hash) if policy_hash else "none in force", str(len(account_ids)), some)
        out.print(rows)

    show(context, parts, readable)
