"""`evenkeel records`: how long the record is kept, what may not be destroyed, and who decided."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
import yaml
from google.protobuf.json_format import ParseDict, ParseError

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import records_service_pb2 as pb
from tools.cli.context import call, err, out, show, table
from tools.cli.text import state as words
from tools.cli.text import time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer(help="How long the record is kept, and what two people decided about it.", no_args_is_help=True)

PROPOSER, DECIDER = "compliance_officer", "records_officer"

Reason = Annotated[str, typer.Option(help="Why; recorded.")]
LogName = Annotated[str, typer.Option("--log", help="Of which log.")]
About = Annotated[list[str] | None, typer.Option(help="Only about this: account=…, plan=…; several must all match.")]


@app.command("classes")
def list_classes(context: typer.Context) -> None:
    """List the retention classes in force."""
    request = pb.ListRetentionClassesRequest()
    response = call(context, PROPOSER, lambda services: services.records.ListRetentionClasses(request))

    def readable() -> None:
        rows = table("Retention classes", "class", ">years", ">at hand", "from", "kinds", "citation")
        for each in response.retention_classes:
            start = words(pb.RetentionClass.StartRule.DESCRIPTOR, each.start_rule)
            if each.fiscal_year_end_month:
                start += f" ({each.fiscal_year_end_month:02d}-{each.fiscal_year_end_day:02d})"
            kinds = " ".join(each.kinds)
            rows.add_row(each.class_id, str(each.years), str(each.accessible_years), start, kinds, each.citation)
        out.print(rows)

    show(context, response, readable)


@app.command("propose-classes")
def propose_classes(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, help="YAML: a list of classes, or one.")],
    reason: Reason,
) -> None:
    """Propose the retention classes of a file; each waits for another person."""
    try:
        said = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{file} is not YAML: {error}") from error
    rules = said if isinstance(said, list) else [said]
    if not all(isinstance(each, dict) for each in rules):
        raise typer.BadParameter(f"{file} must be a list of retention classes, or one")
    try:
        classes = [ParseDict(each, pb.RetentionClass()) for each in rules]
    except ParseError as error:
        raise typer.BadParameter(f"{file}: {error}") from error

    async def work(services: Evenkeel) -> list[pb.Proposal]:
        proposals = []
        for each in classes:
            request = pb.ProposeRetentionClassRequest(request_id=new_request_id(), retention_class=each, reason=reason)
            proposals.append((await services.records.ProposeRetentionClass(request)).proposal)
        return proposals

    proposals = call(context, PROPOSER, work)
    show(context, proposals, lambda: _print(proposals))


@app.command()
def hold(
    context: typer.Context,
    matter: Annotated[str, typer.Argument(help="The matter it serves, for instance a case number.")],
    reason: Reason,
    about: About = None,
    kind: Annotated[str, typer.Option(help="Only this kind, or all below it.")] = "",
    actor: Annotated[str, typer.Option(help="Only done by this actor.")] = "",
) -> None:
    """Place a legal hold, in force at once: on everything, or on what the options say."""
    scope = audit.EntryFilter(kind=kind, actor=actor, subjects=map(subject, about or ()))
    request = pb.PlaceHoldRequest(request_id=new_request_id(), matter=matter, reason=reason, scope=scope)
    response = call(context, PROPOSER, lambda services: services.records.PlaceHold(request))
    said = f"hold {response.hold.hold_id} is in force: it covers {_scope(scope)}"
    show(context, response, lambda: out.print(said, highlight=False, markup=False))
    # A name that is written wrongly holds nothing, and nobody would see it.
    first = audit.ListEntriesRequest(filter=scope, page_size=1)
    if not call(context, PROPOSER, lambda services: services.audit.ListEntries(first)).entries:
        err.print("[yellow]covers nothing yet[/] no entry of events matches it: is it written as meant?")


@app.command("holds")
def list_holds(
    context: typer.Context,
    released: Annotated[bool, typer.Option(help="Also those that ended.")] = False,
    count: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 100,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List legal holds, the newest first."""
    request = pb.ListHoldsRequest(released=released, page_size=count, page_token=token)
    response = call(context, PROPOSER, lambda services: services.records.ListHolds(request))

    def readable() -> None:
        rows = table("Legal holds", "hold", "matter", "placed", "by", "covers", "released")
        for each in response.holds:
            rows.add_row(
                each.hold_id,
                each.matter,
                time(each.place_time),
                each.placer,
                _scope(each.scope),
                time(each.release_time),
            )
        out.print(rows)
        _more(response.next_page_token)

    show(context, response, readable)


@app.command()
def release(
    context: typer.Context, hold_id: Annotated[str, typer.Argument(help="Which hold.")], reason: Reason
) -> None:
    """Propose to end a legal hold; another person decides."""
    request = pb.ProposeHoldReleaseRequest(request_id=new_request_id(), hold_id=hold_id, reason=reason)
    response = call(context, PROPOSER, lambda services: services.records.ProposeHoldRelease(request))
    show(context, response, lambda: _print([response.proposal]))


@app.command()
def partitions(context: typer.Context, log: LogName = "events") -> None:
    """List the partitions of a log, which are destroyed as one, and those that were."""
    request = pb.ListPartitionsRequest(log=log)
    response = call(context, PROPOSER, lambda services: services.records.ListPartitions(request))

    def readable() -> None:
        rows = table(f"Partitions of {log}", ">first", ">after the last", "state")
        for each in response.partitions:
            state = "destroyed" if each.disposed else "full" if each.full else "growing"
            rows.add_row(str(each.start_index), str(each.stop_index), state)
        out.print(rows)

    show(context, response, readable)


@app.command()
def dispose(
    context: typer.Context,
    start: Annotated[int, typer.Argument(min=0, help="First index of a partition.")],
    stop: Annotated[int, typer.Argument(min=1, help="Index after its last.")],
    reason: Reason,
    log: LogName = "events",
) -> None:
    """Propose to destroy the entries of a partition whose time is over; another person decides."""
    request = pb.ProposeDisposalRequest(
        request_id=new_request_id(), start_index=start, stop_index=stop, reason=reason, log=log
    )
    response = call(context, PROPOSER, lambda services: services.records.ProposeDisposal(request))
    show(context, response, lambda: _print([response.proposal]))


@app.command()
def erase(
    context: typer.Context,
    who: Annotated[str, typer.Argument(help="Whose data: account=… or household=….")],
    reason: Reason,
) -> None:
    """Propose to erase the personal data of a client, by destroying its key; another person decides."""
    request = pb.ProposeErasureRequest(request_id=new_request_id(), subject=subject(who), reason=reason)
    response = call(context, PROPOSER, lambda services: services.records.ProposeErasure(request))
    show(context, response, lambda: _print([response.proposal]))


@app.command("proposals")
def list_proposals(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--open", help="Only those that wait.")] = False,
    count: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 100,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List proposals, the newest first."""
    state = pb.Proposal.STATE_OPEN if waiting else pb.Proposal.STATE_UNSPECIFIED
    request = pb.ListProposalsRequest(state=state, page_size=count, page_token=token)
    response = call(context, PROPOSER, lambda services: services.records.ListProposals(request))

    def readable() -> None:
        _print(response.proposals)
        _more(response.next_page_token)

    show(context, response, readable)


@app.command()
def approve(
    context: typer.Context,
    proposal_id: Annotated[str, typer.Argument(help="Which proposal.")],
    comment: Annotated[str, typer.Option(help="What to record with it.")] = "",
) -> None:
    """Approve a proposal, as somebody other than who made it."""
    _decide(context, proposal_id, pb.DecideProposalRequest.DECISION_APPROVE, comment)


@app.command()
def reject(
    context: typer.Context,
    proposal_id: Annotated[str, typer.Argument(help="Which proposal.")],
    comment: Annotated[str, typer.Option(help="Why.")],
) -> None:
    """Reject a proposal, as somebody other than who made it."""
    _decide(context, proposal_id, pb.DecideProposalRequest.DECISION_REJECT, comment)


@app.command()
def retention(
    context: typer.Context,
    index: Annotated[int, typer.Argument(min=0, help="Index of an entry.")],
    log: LogName = "events",
) -> None:
    """Say until when an entry is kept, and why."""
    request = pb.GetRetentionRequest(index=index, log=log)
    response = call(context, PROPOSER, lambda services: services.records.GetRetention(request))

    def readable() -> None:
        rule = response.retention_class
        if response.HasField("keep_until"):
            said = f"until {time(response.keep_until)} by {rule.class_id} ({rule.citation})"
            out.print(f"entry {index} is kept {said}", highlight=False, markup=False)
            out.print(f"at hand until {time(response.accessible_until)}", highlight=False)
        else:
            out.print(f"entry {index} is kept for ever: no retention class covers its kind", highlight=False)
        for each in response.holds:
            out.print(f"held by {each.hold_id} ({each.matter})", highlight=False, markup=False)

    show(context, response, readable)


@app.command()
def reveal(
    context: typer.Context, index: Annotated[int, typer.Argument(min=0, help="Index of an entry.")], reason: Reason
) -> None:
    """Show the personal data of an entry in clear; that it was shown, to whom and why, is recorded first."""
    request = pb.RevealEntryRequest(index=index, reason=reason)
    response = call(context, PROPOSER, lambda services: services.records.RevealEntry(request))
    out.print_json(response.data.decode())


def subject(text: str) -> audit.Subject:
    """Return what `kind=id` names."""
    kind, sign, identifier = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"say what kind of thing, for instance account={text}")
    return audit.Subject(kind=kind, id=identifier)


def _decide(
    context: typer.Context, proposal_id: str, decision: pb.DecideProposalRequest.Decision.ValueType, comment: str
) -> None:
    request = pb.DecideProposalRequest(
        request_id=new_request_id(), proposal_id=proposal_id, decision=decision, comment=comment
    )
    response = call(context, DECIDER, lambda services: services.records.DecideProposal(request))
    show(context, response, lambda: _print([response.proposal]))


def _print(proposals: Iterable[pb.Proposal]) -> None:
    rows = table("Proposals", "proposal", "action", "state", "about", "by", "decided by", "outcome")
    # It is typed to decide: never cut.
    rows.columns[0].min_width = 36
    for each in proposals:
        content = json.loads(each.content)
        about = content.get("class_id") or content.get("hold_id") or content.get("subject")
        if not about:
            about = f"{content['log']} {content['start']} to {content['stop']}"
        outcome = json.loads(each.outcome) if each.outcome else {}
        said = "; ".join(outcome.get("blockers", ()))
        action = words(pb.Proposal.Action.DESCRIPTOR, each.action)
        state = words(pb.Proposal.State.DESCRIPTOR, each.state)
        rows.add_row(each.proposal_id, action, state, about, each.proposer, each.decider, said)
    out.print(rows)


def _scope(scope: audit.EntryFilter) -> str:
    said = [f"{each.kind}={each.id}" for each in scope.subjects]
    said += [f"kind {scope.kind}"] if scope.kind else []
    said += [f"actor {scope.actor}"] if scope.actor else []
    return " ".join(said) or "everything"


def _more(token: str) -> None:
    if token:
        out.print(f"more: --token {token}", highlight=False)
