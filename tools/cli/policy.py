"""`evenkeel policy`: what is allowed, who said so, and how it changes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from evenkeel.decision.v1.book_service_pb2 import ListAccountsRequest
from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1.rollout_pb2 import RolloutPlan
from tools.cli.context import call, out, show, table
from tools.cli.documents import document_from_yaml, document_to_yaml, message_from_yaml
from tools.cli.text import short, state, time, utc_message
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

SCHEMAS = Path(__file__).parent / "schemas"

app = typer.Typer(help="What is allowed, who said so, and how it changes.", no_args_is_help=True)

Node = Annotated[str, typer.Argument(help="A node of the policy tree; for an account, the account's id.")]
Change = Annotated[str, typer.Argument(help="Id of a change.")]
AtTime = Annotated[datetime | None, typer.Option("--at", help="As in force at this instant (UTC).")]
KnownTime = Annotated[datetime | None, typer.Option("--known", help="As known at this instant (UTC).")]


@app.command("show")
def show_policy(context: typer.Context, node: Node, at: AtTime = None, known: KnownTime = None) -> None:
    """Show the effective policy of an account or node, with the origin of each field."""
    request = pb.GetEffectivePolicyRequest(node_id=node)
    if at is not None:
        request.effective_time.CopyFrom(utc_message(at))
    if known is not None:
        request.known_time.CopyFrom(utc_message(known))
    response = call(context, "compliance_officer", lambda services: services.policy.GetEffectivePolicy(request))

    def readable() -> None:
        out.print(f"[bold]{node}[/]  policy {short(response.policy.policy_hash)}\n", highlight=False)
        out.print(document_to_yaml(response.document), highlight=False, markup=False)
        sources = table("Where it comes from", "field", "value", "node", "author", "approver", "since", "why")
        for source in response.sources:
            value = source.value if len(source.value) <= 40 else source.value[:37] + "…"
            sources.add_row(
                source.field, value, source.node_id, source.author, source.approver,
                time(source.effective_time), source.reason,
            )  # fmt: skip
        out.print(sources)

    show(context, response, readable)


@app.command()
def submit(
    context: typer.Context,
    node: Node,
    file: Annotated[Path, typer.Option("--file", "-f", help="The node's whole new document, as YAML.", exists=True)],
    reason: Annotated[str, typer.Option(help="Why.")],
    effective: Annotated[datetime | None, typer.Option(help="Holds from this instant on (UTC).")] = None,
    rollout: Annotated[
        Path | None, typer.Option(help="How it reaches the accounts, as YAML; all at once without.", exists=True)
    ] = None,
) -> None:
    """Draft a change of a node's document from a YAML file, and submit it for approval."""
    request = pb.CreateChangeRequest(request_id=new_request_id(), node_id=node, reason=reason)
    if effective is not None:
        request.effective_time.CopyFrom(utc_message(effective))

    async def work(services: Evenkeel) -> pb.CreateChangeResponse:
        request.document.CopyFrom(document_from_yaml(file.read_text()))
        if rollout is not None:
            request.rollout.CopyFrom(message_from_yaml(rollout.read_text(), RolloutPlan()))
        drafted = await services.policy.CreateChange(request)
        submitted = await services.policy.SubmitChange(
            pb.SubmitChangeRequest(
                request_id=new_request_id(), change_id=drafted.change.change_id, etag=drafted.change.etag
            )
        )
        drafted.change.CopyFrom(submitted.change)
        return drafted

    response = call(context, "policy_author", work)

    def readable() -> None:
        for warning in response.warnings:
            out.print(f"[yellow]{warning.rule}[/] {warning.description}", highlight=False)
        to_approve(response.change)

    show(context, response, readable)


@app.command()
def edit(
    context: typer.Context,
    change: Change,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The node's whole new document, as YAML.", exists=True)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; as it was without.")] = "",
    effective: Annotated[datetime | None, typer.Option(help="Holds from this instant on (UTC).")] = None,
) -> None:
    """Edit one's own change that is not decided, and submit it again; approvals that it had are void."""
    request = pb.UpdateChangeRequest(request_id=new_request_id(), change_id=change, reason=reason)
    if reason:
        request.update_mask.paths.append("reason")
    if effective is not None:
        request.effective_time.CopyFrom(utc_message(effective))
        request.update_mask.paths.append("effective_time")
    if file is not None:
        request.update_mask.paths.append("document")

    async def work(services: Evenkeel) -> pb.SubmitChangeResponse:
        if file is not None:
            request.document.CopyFrom(document_from_yaml(file.read_text()))
        request.etag = (await services.policy.GetChange(pb.GetChangeRequest(change_id=change))).change.etag
        edited = (await services.policy.UpdateChange(request)).change
        return await services.policy.SubmitChange(
            pb.SubmitChangeRequest(request_id=new_request_id(), change_id=change, etag=edited.etag)
        )

    response = call(context, "policy_author", work)
    show(context, response, lambda: to_approve(response.change))


@app.command()
def approve(
    context: typer.Context,
    change: Change,
    version_hash: Annotated[str, typer.Argument(help="Hash of the content that was read.")],
    etag: Annotated[
        str, typer.Option(help="The change's etag, as read: its reason, time and rollout are approved with it.")
    ],
    comment: Annotated[str, typer.Option(help="What to record with the approval.")] = "",
) -> None:
    """Approve a submitted change, as somebody other than its author; `policy change` shows what to read."""
    request = pb.ApproveChangeRequest(
        request_id=new_request_id(), change_id=change, version_hash=version_hash, etag=etag, comment=comment
    )
    response = call(context, "policy_approver", lambda services: services.policy.ApproveChange(request))
    show(context, response, lambda: one(response.change))


@app.command()
def reject(context: typer.Context, change: Change, comment: Annotated[str, typer.Option(help="Why not.")]) -> None:
    """Reject a submitted change."""
    request = pb.RejectChangeRequest(request_id=new_request_id(), change_id=change, comment=comment)
    response = call(context, "policy_approver", lambda services: services.policy.RejectChange(request))
    show(context, response, lambda: one(response.change))


@app.command()
def withdraw(context: typer.Context, change: Change) -> None:
    """Withdraw one's own change before it is approved."""
    request = pb.WithdrawChangeRequest(request_id=new_request_id(), change_id=change)
    response = call(context, "policy_author", lambda services: services.policy.WithdrawChange(request))
    show(context, response, lambda: one(response.change))


@app.command()
def lint(
    context: typer.Context,
    node: Node,
    file: Annotated[Path, typer.Option("--file", "-f", help="A document, as YAML.", exists=True)],
) -> None:
    """Say what is wrong or odd about a document, and change nothing."""

    async def work(services: Evenkeel) -> pb.LintDocumentResponse:
        document = document_from_yaml(file.read_text())
        return await services.policy.LintDocument(pb.LintDocumentRequest(node_id=node, document=document))

    response = call(context, "policy_author", work)

    def readable() -> None:
        for finding in response.findings:
            severity = state(pb.Finding.Severity.DESCRIPTOR, finding.severity)
            out.print(f"{severity:8} {finding.rule}: {finding.description}", highlight=False, markup=False)
        if not response.findings:
            out.print("nothing found")

    show(context, response, readable)
    if any(finding.severity == pb.Finding.SEVERITY_ERROR for finding in response.findings):
        raise typer.Exit(1)


@app.command("change")
def show_change(context: typer.Context, change: Change) -> None:
    """Show a change: what it would make different, whose approval it needs, and how to approve what is shown."""

    async def work(services: Evenkeel) -> tuple[pb.PolicyChange, pb.DiffPoliciesResponse]:
        found = (await services.policy.GetChange(pb.GetChangeRequest(change_id=change))).change
        against = pb.PolicyPoint(node_id=found.node_id)
        different = await services.policy.DiffPolicies(
            pb.DiffPoliciesRequest(before=against, after=pb.PolicyPoint(change_id=change))
        )
        return found, different

    found, different = call(context, "policy_approver", work)

    def readable() -> None:
        one(found)
        out.print(f"  why: {found.reason}", highlight=False, markup=False)
        out.print(f"  reaches {found.account_count} accounts", highlight=False)
        if found.HasField("effective_time"):
            out.print(f"  holds from {time(found.effective_time)}", highlight=False)
        if found.HasField("rollout"):
            out.print("  is rolled out:\n" + indented(document_to_yaml(found.rollout)), highlight=False, markup=False)
        out.print("against what the node says now:" if different.differences else "nothing is different from now")
        for each in different.differences:
            out.print(f"  {each.description}", highlight=False, markup=False)
        needs(found)
        if found.state == pb.PolicyChange.STATE_SUBMITTED:
            to_approve(found)

    show(context, found, readable)


@app.command()
def changes(
    context: typer.Context,
    node: Annotated[str, typer.Option(help="Only of this node.")] = "",
    author: Annotated[str, typer.Option(help="Only by this author.")] = "",
    approver: Annotated[str, typer.Option(help="Only decided by this approver.")] = "",
    field: Annotated[str, typer.Option(help="Only those that set this field or section, such as risk.")] = "",
    in_state: Annotated[str, typer.Option("--state", help="Only in this state, such as submitted.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Only drafted at this instant (UTC) or later.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only drafted before this instant (UTC).")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List changes, newest first."""
    request = pb.ListChangesRequest(node_id=node, author=author, approver=approver, field=field, page_size=count)
    if in_state:
        request.state = _state_named(in_state)
    if since is not None:
        request.start_time.CopyFrom(utc_message(since))
    if until is not None:
        request.end_time.CopyFrom(utc_message(until))
    response = call(context, "compliance_officer", lambda services: services.policy.ListChanges(request))

    def readable() -> None:
        rows = table("Changes", "change", "node", "state", "author", "approver", "holds from", "why")
        for change in response.changes:
            rows.add_row(
                change.change_id, change.node_id, state(pb.PolicyChange.State.DESCRIPTOR, change.state), change.author,
                change.approver, time(change.effective_time), change.reason,
            )  # fmt: skip
        out.print(rows)

    show(context, response.changes, readable)


@app.command("record-values")
def record_values(context: typer.Context) -> None:
    """Record what accounts are worth by the book, for rules of approval that look at assets."""

    async def work(services: Evenkeel) -> pb.RecordAccountValuesResponse:
        recorded, token = 0, ""
        as_of_time = utc_message(datetime.now(UTC))
        while True:
            page = await services.books.ListAccounts(ListAccountsRequest(page_size=1000, page_token=token))
            values = [
                pb.AccountValue(account_id=each.account_id, value=each.value, as_of_time=as_of_time)
                for each in page.accounts
                if each.HasField("value")
            ]
            for each in page.accounts:
                if not each.HasField("value"):
                    out.print(f"{each.account_id} has a position without a price, so what it is worth is not known")
            if values:
                request = pb.RecordAccountValuesRequest(request_id=new_request_id(), values=values)
                recorded += (await services.policy.RecordAccountValues(request)).recorded_count
            token = page.next_page_token
            if not token:
                return pb.RecordAccountValuesResponse(recorded_count=recorded)

    response = call(context, "platform_engineer", work)
    show(context, response, lambda: out.print(f"{response.recorded_count} accounts recorded", highlight=False))


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="What is written: document or rollout.")] = "document",
) -> None:
    """Print the JSON Schema of what is written as YAML, for editors."""
    path = SCHEMAS / f"{kind}.json"
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in SCHEMAS.glob("*.json")))
        raise typer.BadParameter(f"must be one of {known}, was {kind}")
    # As it is: wrapped lines would not be JSON.
    typer.echo(path.read_text(), nl=False)


def one(change: pb.PolicyChange) -> None:
    """Print a change in a line."""
    out.print(
        f"{change.change_id} of {change.node_id} is {state(pb.PolicyChange.State.DESCRIPTOR, change.state)}, "
        f"written by {change.author}" + (f", decided by {change.approver}" if change.approver else ""),
        highlight=False,
    )
    if change.state == pb.PolicyChange.STATE_SUBMITTED:
        needs(change)


def needs(change: pb.PolicyChange) -> None:
    """Print whose approval a change needs."""
    for need in change.approval_needs:
        out.print(f"  {need.given_count} of {need.count}: {need.description}", highlight=False, markup=False)


def to_approve(change: pb.PolicyChange) -> None:
    """Print how to approve a change as it was read."""
    out.print(f"submitted [bold]{change.change_id}[/]; to approve what was read:", highlight=False)
    out.print(
        f"  evenkeel policy approve {change.change_id} {change.version_hash} --etag {change.etag}",
        highlight=False,
        soft_wrap=True,
    )


def indented(text: str) -> str:
    """Return `text` with each line further in."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _state_named(name: str) -> pb.PolicyChange.State.ValueType:
    names = {state(pb.PolicyChange.State.DESCRIPTOR, each): each for each in pb.PolicyChange.State.values() if each}
    found = names.get(name.lower().replace("_", " "))
    if found is None:
        raise typer.BadParameter(f"must be one of {', '.join(names)}, was {name}", param_hint="--state")
    return found
