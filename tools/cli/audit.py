"""`evenkeel audit`: what was done, and whether the record is whole."""

import json
from csv import writer as csv_writer
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.export_service_pb2 import ExportRequest
from evenkeel.audit.v1.monitor_service_pb2 import GetStatusRequest
from evenkeel.audit.v1.query_service_pb2 import ListLogsRequest
from evenkeel.audit.v1.report_service_pb2 import GetReportRequest, GetReportResponse, ListReportsRequest
from services.audit.domain.logs import EVENTS
from services.audit.domain.signed_note import NoteInvalid, VerifierKey
from services.audit.domain.tlog_proof import FILE_SUFFIX
from services.kernel.errors import Invalid
from tools.cli.context import call, err, out, show, table
from tools.cli.text import time, utc_message
from tools.client.bundle import POLICY_FILE, export_log, export_part, export_proof
from tools.client.log import verify_log
from tools.client.session import Evenkeel
from tools.verifier import audit_verify

app = typer.Typer(help="What was done, and whether the record is whole.", no_args_is_help=True)

LogName = Annotated[str, typer.Option("--log", help="Of this log: `evenkeel audit logs` lists them.")]
# Both spellings everywhere: which one a verb takes is nothing to remember.
Since = Annotated[datetime | None, typer.Option("--from", "--since", help="Only recorded then or later; UTC.")]
Until = Annotated[datetime | None, typer.Option("--to", "--until", help="Only recorded before; UTC.")]
AboutAll = Annotated[
    list[str] | None,
    typer.Option("--about", help="Only about this: account=…, plan=…, order=…; several must all match."),
]
Kind = Annotated[str, typer.Option(help="Only this kind; `decision.plan.*` for all below it.")]
Actor = Annotated[str, typer.Option(help="Only done by this actor.")]
Producer = Annotated[str, typer.Option(help="Only told by this service.")]
Trace = Annotated[str, typer.Option(help="Only in this trace.")]
Key = Annotated[str, typer.Option(help="The log's public key, as C2SP writes it; the profile's when not given.")]


@app.command("list")
def list_entries(
    context: typer.Context,
    kind: Kind = "",
    about: AboutAll = None,
    actor: Actor = "",
    producer: Producer = "",
    trace: Trace = "",
    log: LogName = "events",
    since: Since = None,
    until: Until = None,
    newest: Annotated[bool, typer.Option(help="Newest first.")] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List entries of the log."""
    request = pb.ListEntriesRequest(
        filter=_filter(kind, about, actor, producer, trace, since, until),
        page_size=count,
        page_token=token,
        descending=newest,
        log=log,
    )
    response = call(context, "compliance_officer", lambda services: services.audit.ListEntries(request))

    def readable() -> None:
        rows = table(f"Log of {response.tree_size:,} entries", ">index", "time", "kind", "actor", "about")
        for entry in response.entries:
            subjects = " ".join(f"{each.kind}={each.id}" for each in entry.event.subjects)
            rows.add_row(str(entry.index), time(entry.recorded_time), entry.event.kind, entry.event.actor, subjects)
        out.print(rows)
        if not response.entries:
            out.print("no entry matches all of that", highlight=False)
        if response.next_page_token:
            out.print(f"more: --token {response.next_page_token}", highlight=False)

    show(context, response, readable)


@app.command("show")
def show_entry(
    context: typer.Context,
    index: Annotated[int, typer.Argument(min=0, help="Index of an entry.")],
    log: LogName = "events",
) -> None:
    """Show one entry whole, as it was hashed."""
    request = pb.GetEntryRequest(index=index, log=log)
    response = call(context, "compliance_officer", lambda services: services.audit.GetEntry(request))
    out.print_json(response.entry.body.decode())


@app.command()
def verify(
    context: typer.Context,
    key: Key = "",
    log: LogName = "events",
    export: Annotated[Path | None, typer.Option(help="Also write each entry to this file, one JSON a line.")] = None,
) -> None:
    """Read the whole log, compute its tree anew, and compare with the signed checkpoint."""

    async def work(services: Evenkeel) -> str:
        public_key = await key_of(log, services, key)
        if export is None:
            return (await verify_log(services, public_key, log=log)).sentence
        with export.open("wb") as file:
            return (await verify_log(services, public_key, file, log)).sentence

    sentence = call(context, "compliance_officer", work)
    out.print(f"[green]log verified[/] {sentence}", highlight=False)


@app.command()
def export(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="A new folder for the files.")],
    kind: Kind = "",
    about: AboutAll = None,
    actor: Actor = "",
    producer: Producer = "",
    trace: Trace = "",
    since: Since = None,
    until: Until = None,
    csv: Annotated[bool, typer.Option("--csv", help="Also as CSV.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Also as readable text.")] = False,
    log: LogName = "events",
    reason: Annotated[str, typer.Option(help="Why; recorded.")] = "",
    key: Key = "",
) -> None:
    """Write a part of the log, or all of it, to a folder that anybody can check offline: `evenkeel audit check`."""
    wanted = _filter(kind, about, actor, producer, trace, since, until)
    forms = [ExportRequest.FORM_CSV] * csv + [ExportRequest.FORM_TEXT] * text
    request = ExportRequest(log=log, filter=wanted, forms=forms, reason=reason)

    async def work(services: Evenkeel) -> int:
        return await export_part(services, request, directory, await key_of(log, services, key))

    size = call(context, "compliance_officer", work)
    _check(directory / POLICY_FILE, directory)
    out.print(f"[green]exported[/] {size:,} bytes to {directory}", highlight=False)


@app.command()
def mirror(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="A new folder for the log.")],
    log: LogName = "events",
    key: Key = "",
) -> None:
    """Write the whole log to a folder as C2SP tiles, which `evenkeel audit check` and any C2SP tool can check."""

    async def work(services: Evenkeel) -> int:
        return (await export_log(services, await key_of(log, services, key), directory, log)).size

    size = call(context, "compliance_officer", work)
    out.print(f"[green]mirrored and verified[/] {size:,} entries to {directory}", highlight=False)


@app.command()
def check(
    target: Annotated[
        Path,
        typer.Argument(exists=True, help="An exported folder, a .tlog-proof file, or an account's record."),
    ],
    record: Annotated[
        Path | None,
        typer.Argument(exists=True, help="The record of the .tlog-proof file; the one beside it when not given."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, help="Which logs and witnesses to trust; the one beside the target when not given."),
    ] = None,
) -> None:
    """Check what was exported, without asking anybody; the exit code is 1 when something is not proven."""
    if record is None and target.suffix == FILE_SUFFIX:
        record = target.with_suffix(".json")
    if policy is None:
        policy = (target if target.is_dir() else target.parent) / POLICY_FILE
        if not policy.exists():
            raise typer.BadParameter(f"{policy} does not exist: name a file with the keys to trust by --policy")
        err.print(f"trusting the keys in {policy}; --policy names a file of your own", highlight=False)
    _check(policy, target, *([] if record is None else [record]))


@app.command()
def producers(context: typer.Context) -> None:
    """Show whether each producer speaks, and how far the clocks are apart; the exit code is 1 when one is silent."""
    response = call(context, "compliance_officer", lambda services: services.monitor.GetStatus(GetStatusRequest()))

    def readable() -> None:
        rows = table("Producers", "producer", "state", "last heard", ">waiting")
        for each in response.producers:
            speaks = "speaks" if each.HasField("heard_time") else "not heard yet"
            state = Text("silent", "red") if each.silent else Text(speaks)
            rows.add_row(each.producer, state, time(each.heard_time), str(each.waiting_events))
        out.print(rows)
        clocks = table("Clocks, audit's against", "clock", ">ahead by µs", ">± µs", "measured")
        for clock in response.clocks:
            said = clock.measurement
            clocks.add_row(clock.source, str(said.offset_us), str(said.uncertainty_us), time(clock.measure_time))
        out.print(clocks)

    show(context, response, readable)
    if any(each.silent for each in response.producers):
        raise typer.Exit(1)


@app.command("reports")
def list_reports(context: typer.Context) -> None:
    """List the reports that are installed, and the rule that asks for each."""
    response = call(context, "compliance_officer", lambda services: services.reports.ListReports(ListReportsRequest()))

    def readable() -> None:
        rows = table("Reports", "name", "what", "log", "rule")
        for each in response.reports:
            rows.add_row(each.name, each.title, each.log, each.citation)
        out.print(rows)

    show(context, response, readable)


@app.command()
def report(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which report: `evenkeel audit reports` lists them.")],
    about: AboutAll = None,
    since: Since = None,
    until: Until = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the rows to this file as CSV.")] = None,
) -> None:
    """Make a report from the log alone; what the log does not tell is named as missing."""
    request = GetReportRequest(name=name, subjects=[subject(each) for each in about or ()])
    if since is not None:
        request.start_time.CopyFrom(utc_message(since))
    if until is not None:
        request.end_time.CopyFrom(utc_message(until))

    async def work(services: Evenkeel) -> list[GetReportResponse]:
        return [part async for part in services.reports.GetReport(request)]

    parts = call(context, "compliance_officer", work)
    show(context, parts, lambda: _print_report(parts))
    if csv_file is not None:
        with csv_file.open("w", newline="") as file:
            writer = csv_writer(file)
            writer.writerow([*(each.name for each in parts[0].report.fields), "entries", "missing"])
            for row in (row for part in parts for row in part.rows):
                writer.writerow([*row.values, " ".join(map(str, row.evidence)), " ".join(row.missing)])


def _print_report(parts: list[GetReportResponse]) -> None:
    made, checkpoint, summary = parts[0].report, parts[0].checkpoint, parts[-1].summary
    out.print(f"[bold]{made.title}[/]", highlight=False)
    out.print(made.citation, highlight=False)
    for number, row in enumerate((row for part in parts for row in part.rows), 1):
        out.print(f"\n[bold]{number}[/]", highlight=False)
        for column, value in zip(made.fields, row.values, strict=True):
            if value:
                out.print(f"  {column.name}: {value}", highlight=False, markup=False)
        if row.missing:
            out.print(f"  [red]missing[/] {', '.join(row.missing)}", highlight=False)
        shown = " ".join(map(str, row.evidence[:12])) + (" …" if len(row.evidence) > 12 else "")
        out.print(f"  entries {shown}", highlight=False)
    out.print(
        f"\n{summary.rows:,} rows from {summary.entries:,} entries of {checkpoint.origin}, size {checkpoint.size:,}, "
        f"root {checkpoint.root_hash.hex()}",
        highlight=False,
    )
    reasons: dict[str, list[str]] = {}
    for each in made.fields:
        if each.absent_reason:
            reasons.setdefault(each.absent_reason, []).append(each.name)
    for reason, names in reasons.items():
        out.print(f"[dim]not applicable[/] {', '.join(names)}: {reason}", highlight=False)
    for name, count in summary.missing.items():
        out.print(f"[red]missing[/] {name}: in {count:,} of {summary.rows:,} rows", highlight=False)


@app.command()
def prove(
    context: typer.Context,
    index: Annotated[int, typer.Argument(min=0, help="Index of an entry.")],
    directory: Annotated[Path, typer.Option("--to", help="Folder for the two files.")] = Path(),
    log: LogName = "events",
    key: Key = "",
) -> None:
    """Write one entry and the proof that it is in the log, for `audit_verify.py` or any C2SP tool."""

    async def work(services: Evenkeel) -> tuple[Path, Path]:
        return await export_proof(services, await key_of(log, services, key), index, directory, log)

    record, proof = call(context, "compliance_officer", work)
    out.print(f"[green]proven[/] {record} by {proof}", highlight=False)


@app.command()
def tail(
    context: typer.Context,
    start: Annotated[int, typer.Option(min=0, help="Index of the first entry wanted.")] = 0,
    new: Annotated[bool, typer.Option("--new", help="Only what is recorded from now on.")] = False,
    kind: Kind = "",
    about: AboutAll = None,
    actor: Actor = "",
    producer: Producer = "",
    trace: Trace = "",
    log: LogName = "events",
) -> None:
    """Print entries as they are recorded, one JSON a line, until interrupted; resumes by --start."""
    if start and new:
        raise typer.BadParameter("--start and --new are two different beginnings: give one of them")

    async def work(services: Evenkeel) -> None:
        next_index = start
        if new:
            newest = await services.audit.GetCheckpoint(pb.GetCheckpointRequest(log=log))
            next_index = newest.checkpoint.size
        wanted = _filter(kind, about, actor, producer, trace)
        request = pb.StreamEntriesRequest(start_index=next_index, filter=wanted, follow=True, log=log)
        try:
            async for batch in services.audit.StreamEntries(request):
                for entry in batch.entries:
                    out.print(json.dumps(json.loads(entry.body)), highlight=False, markup=False, soft_wrap=True)
                next_index = batch.next_index
        finally:
            err.print(f"resume by --start {next_index}", highlight=False)

    call(context, "compliance_officer", work)


def _filter(
    kind: str,
    about: list[str] | None,
    actor: str,
    producer: str,
    trace: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pb.EntryFilter:
    wanted = pb.EntryFilter(
        kind=kind, actor=actor, producer=producer, trace_id=trace, subjects=[subject(each) for each in about or ()]
    )
    if since is not None:
        wanted.start_time.CopyFrom(utc_message(since))
    if until is not None:
        wanted.end_time.CopyFrom(utc_message(until))
    return wanted


def _check(policy: Path, *target: Path) -> None:
    code = audit_verify.main([str(policy), *map(str, target)])
    if code != audit_verify.PROVEN:
        raise typer.Exit(code)


async def key_of(log: str, services: Evenkeel, given: str = "") -> str:
    """Return the public key of a log: `given`, or of `events` the profile's, of another what the service says.

    What the service says is told, as whoever verifies should have the key from elsewhere.

    Raises:
        Invalid: There is none, or it is not one.
    """
    found = given or (services.profile.verifier_key if log == EVENTS else await _said_key(log, services))
    if not found:
        raise Invalid(f"the public key of the log {log} is not known: give it by --key")
    try:
        VerifierKey.parse(found)
    except NoteInvalid as error:
        raise Invalid(f"the public key of the log {log} must be one as C2SP writes it, was {found}: {error}") from error
    return found


async def _said_key(log: str, services: Evenkeel) -> str:
    listed = await services.audit_queries.ListLogs(ListLogsRequest(page_size=100))
    said = next((each.verifier_key for each in listed.logs if each.name == log), "")
    if said:
        err.print(f"the key of {log} is what the service says: {said}", highlight=False)
    return said


def subject(text: str) -> pb.Subject:
    """Return what a person writes as `kind=id`.

    Raises:
        BadParameter: It is not written so.
    """
    kind, sign, identifier = text.partition("=")
    if not sign:
        # An id begins with what it is an id of: `plan-05375e14085f19fa`.
        begun, dash, _ = text.partition("-")
        raise typer.BadParameter(f"say what kind of thing, for instance {begun if dash else 'account'}={text}")
    return pb.Subject(kind=kind, id=identifier)
