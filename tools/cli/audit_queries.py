"""More verbs of `evenkeel audit`: what compliance asks, each answer verified here before it is shown."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text

from evenkeel.audit.v1 import query_service_pb2 as pb
from evenkeel.audit.v1 import witness_service_pb2 as witness_pb
from services.audit.domain.account_record import ProvenEntry
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.signed_note import VerifierKey
from tools.cli.audit import Key, LogName, Since, Until, key_of
from tools.cli.audit import subject as subject_of
from tools.cli.context import as_json, call, out, show, table
from tools.cli.text import state, time, utc_message
from tools.client.bundle import write_policy
from tools.client.record import VerifiedRecord, read_record
from tools.client.session import Evenkeel

Count = Annotated[int, typer.Option(min=1, max=1000, help="How many.")]
Token = Annotated[str, typer.Option(help="Token of the page.")]
About = Annotated[str, typer.Option(help="Only about this: account=…, plan=…, policy_version=….")]


def list_logs(context: typer.Context) -> None:
    """List the logs: what each is called, how long it is, and the key that checks it."""
    response = call(context, "compliance_officer", lambda each: each.audit_queries.ListLogs(pb.ListLogsRequest()))

    def readable() -> None:
        rows = table("Logs", "name", ">entries", "signed", "key")
        for log in response.logs:
            rows.add_row(log.name, f"{log.checkpoint.size:,}", time(log.checkpoint.sign_time), log.verifier_key)
        out.print(rows)

    show(context, response, readable)


def story(
    context: typer.Context,
    about: Annotated[str, typer.Argument(help="Whose: order=…, plan=…, block=…, run=…, change=…, policy_version=….")],
    log: LogName = "events",
    key: Key = "",
) -> None:
    """Tell the whole story of an order, plan, block, run or change, and verify that each part of it is in the log."""
    request = pb.GetStoryRequest(subject=subject_of(about), log=log)

    async def work(services: Evenkeel) -> pb.GetStoryResponse:
        answer = await services.audit_queries.GetStory(request)
        _verify([each.proven for each in answer.entries], answer.checkpoint.note, await key_of(log, services, key))
        return answer

    response = call(context, "compliance_officer", work)

    def readable() -> None:
        title = f"Story of {about}, proven under {response.checkpoint.size:,} entries"
        rows = table(title, "part", ">index", "time", "what", "who", "about")
        for each in response.entries:
            entry = each.proven.entry
            rows.add_row(
                state(pb.StoryEntry.Chapter.DESCRIPTOR, each.chapter),
                str(entry.index),
                time(entry.event.occurred_time),
                entry.event.kind,
                entry.event.actor,
                " ".join(f"{subject.kind}={subject.id}" for subject in entry.event.subjects),
            )
        out.print(rows)
        if response.truncated:
            out.print("[yellow]there is more than one answer holds[/]; ask about a smaller part")

    show(context, response, readable)


def record(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Which account.")],
    since: Since = None,
    until: Until = None,
    to_file: Annotated[
        Path | None, typer.Option("--file", help="Keep it here, to be checked without us by audit_verify.py.")
    ] = None,
    log: LogName = "events",
    key: Key = "",
) -> None:
    """Read everything about an account in a period, and prove that nothing of it is missing."""
    request = pb.GetAccountRecordRequest(account=account, log=log)
    if since is not None:
        request.start_time.CopyFrom(utc_message(since))
    if until is not None:
        request.end_time.CopyFrom(utc_message(until))

    async def work(services: Evenkeel) -> VerifiedRecord:
        return await read_record(services, await key_of(log, services, key), request)

    verified = call(context, "compliance_officer", work)
    if to_file is not None:
        to_file.write_bytes(verified.file)
        write_policy(to_file.parent, verified.verifier_key)
    if as_json(context):
        out.print_json(verified.file.decode())
        return
    rows = table(f"Everything about account {account}", ">number", ">index", "recorded", "what", "who")
    for entry in verified.entries:
        rows.add_row(
            str(entry.account_sequence),
            str(entry.index),
            f"{entry.recorded_time:%Y-%m-%d %H:%M:%SZ}",
            entry.event.kind,
            entry.event.actor,
        )
    out.print(rows)
    until_text = f"{verified.bounds.complete_until:%Y-%m-%d %H:%M:%SZ}"
    for first, last in verified.destroyed:
        out.print(f"[yellow]destroyed[/] numbers {first:,} to {last:,}, by a disposal: evenkeel records proposals")
    bounds = verified.bounds
    if not (verified.entries or verified.destroyed or bounds.before or bounds.after):
        out.print(f"[yellow]never named[/] no entry of the log is about account {escape(account)}", highlight=False)
    since_text = "the beginning" if bounds.start_time is None else f"{bounds.start_time:%Y-%m-%d %H:%M:%SZ}"
    counted = f"{len(verified.entries):,} entries, from {since_text} until {until_text}"
    out.print(f"[green]complete[/] {counted}", highlight=False)


def as_of(
    context: typer.Context,
    about: Annotated[str, typer.Argument(help="About what: account=…, plan=…, policy_node=….")],
    instant: Annotated[datetime | None, typer.Option("--at", help="As of when; UTC; now when not given.")] = None,
    log: LogName = "events",
    key: Key = "",
) -> None:
    """Show what was known about something at an instant: of each kind of event the newest."""
    request = pb.GetSubjectAsOfRequest(subject=subject_of(about), log=log)
    if instant is not None:
        request.as_of_time.CopyFrom(utc_message(instant))

    async def work(services: Evenkeel) -> pb.GetSubjectAsOfResponse:
        answer = await services.audit_queries.GetSubjectAsOf(request)
        _verify(list(answer.entries), answer.checkpoint.note, await key_of(log, services, key))
        return answer

    response = call(context, "compliance_officer", work)

    def readable() -> None:
        instant_text = "now" if instant is None else f"{time(utc_message(instant))}"
        title = f"{about}, as of {instant_text}: the log's first {response.checkpoint.size:,} entries"
        rows = table(title, ">index", "time", "what", "data")
        for each in response.entries:
            event = each.entry.event
            rows.add_row(str(each.entry.index), time(each.entry.recorded_time), event.kind, event.data.decode()[:200])
        out.print(rows)

    show(context, response, readable)


def approvals(
    context: typer.Context,
    about: About = "",
    approver: Annotated[str, typer.Option(help="Only approved by this person.")] = "",
    since: Since = None,
    until: Until = None,
    count: Count = 20,
    token: Token = "",
    log: LogName = "events",
) -> None:
    """List who approved what, and whether somebody else wrote it; newest first."""
    request = pb.ListApprovalsRequest(approver=approver, page_size=count, page_token=token, log=log)
    _narrow(request, about, since, until)
    response = call(context, "compliance_officer", lambda services: services.audit_queries.ListApprovals(request))

    def readable() -> None:
        rows = table("Approvals", ">index", "time", "what", "approved by", "written by", "two people", "about")
        for each in response.approvals:
            event = each.entry.event
            subjects = " ".join(f"{subject.kind}={subject.id}" for subject in event.subjects)
            independent = "yes" if each.independent else Text("no", "red")
            rows.add_row(
                str(each.entry.index),
                time(each.entry.recorded_time),
                event.kind,
                each.approver,
                each.author,
                independent,
                subjects,
            )
        out.print(rows)
        _more(response.next_page_token, len(response.approvals))

    show(context, response, readable)


def accesses(
    context: typer.Context,
    about: About = "",
    reader: Annotated[str, typer.Option(help="Only by this person.")] = "",
    since: Since = None,
    until: Until = None,
    count: Count = 20,
    token: Token = "",
) -> None:
    """List who read or exported what, newest first; for an account also looks at everybody that showed it."""
    request = pb.ListAccessesRequest(reader=reader, page_size=count, page_token=token)
    _narrow(request, about, since, until)
    response = call(context, "compliance_officer", lambda services: services.audit_queries.ListAccesses(request))

    def readable() -> None:
        rows = table("Who looked", ">index", "time", "who", "what they called", "log", "about")
        for each in response.accesses:
            event = each.entry.event
            subjects = " ".join(f"{subject.kind}={subject.id}" for subject in event.subjects)
            rows.add_row(
                str(each.entry.index),
                time(each.entry.recorded_time),
                each.reader,
                each.method.rpartition(".")[2],
                each.log,
                f"{subjects} (among others)" if each.broad else subjects,
            )
        out.print(rows)
        _more(response.next_page_token, len(response.accesses))

    show(context, response, readable)


def witnesses(
    context: typer.Context,
    log: Annotated[str, typer.Option(help="Of this log.")] = "events",
) -> None:
    """List the witnesses of a log: what each has seen of it, and what is wrong."""
    request = witness_pb.ListWitnessesRequest(log=log)
    response = call(context, "compliance_officer", lambda services: services.witnesses.ListWitnesses(request))

    def readable() -> None:
        needed = f"{response.quorum} make a checkpoint witnessed" if response.witnesses else "none is set up"
        rows = table(f"Witnesses of {log}; {needed}", "name", ">has seen", "when", "trouble")
        for each in response.witnesses:
            rows.add_row(each.name, f"{each.seen_size:,}", time(each.sign_time), each.trouble)
        out.print(rows)

    show(context, response, readable)


def extended(app: typer.Typer) -> typer.Typer:
    """Return the verbs `app`, and those of this module."""
    for verb, command in (
        ("logs", list_logs),
        ("story", story),
        ("record", record),
        ("as-of", as_of),
        ("approvals", approvals),
        ("accesses", accesses),
        ("witnesses", witnesses),
    ):
        app.command(verb)(command)
    return app


def _narrow(
    request: pb.ListApprovalsRequest | pb.ListAccessesRequest,
    about: str,
    since: datetime | None,
    until: datetime | None,
) -> None:
    if about:
        request.subject.CopyFrom(subject_of(about))
    if since is not None:
        request.start_time.CopyFrom(utc_message(since))
    if until is not None:
        request.end_time.CopyFrom(utc_message(until))


def _more(token: str, shown: int) -> None:
    if not shown:
        out.print("no entry matches all of that", highlight=False)
    if token:
        out.print(f"more: --token {token}", highlight=False)


def _verify(proven: list[pb.ProvenEntry], note: str, verifier_key: str) -> None:
    """Check that each entry is in the log whose checkpoint is `note`.

    Raises:
        NoteInvalid: `note` is not of the log that `verifier_key` signs.
        Unproven: An entry is not in it: whoever answered is not to be believed.
    """
    key = VerifierKey.parse(verifier_key)
    checkpoint = open_checkpoint(note, origin=key.name, keys=[key])
    for each in proven:
        ProvenEntry(each.entry.index, each.entry.body, tuple(each.hashes)).opened(checkpoint)
