"""`evenkeel audit`: what was done, and whether the record is whole."""

import json
from pathlib import Path
from typing import Annotated

import typer

from evenkeel.audit.v1 import audit_service_pb2 as pb
from services.kernel.errors import Invalid
from tools.cli.context import call, err, out, show, table
from tools.cli.text import time
from tools.client.bundle import export_log, export_proof
from tools.client.log import verify_log
from tools.client.session import Evenkeel

app = typer.Typer(help="What was done, and whether the record is whole.", no_args_is_help=True)


@app.command("list")
def list_entries(
    context: typer.Context,
    kind: Annotated[str, typer.Option(help="Only this kind; `decision.plan.*` for all below it.")] = "",
    about: Annotated[
        list[str] | None, typer.Option(help="Only about this: account=…, plan=…, order=…; several must all match.")
    ] = None,
    actor: Annotated[str, typer.Option(help="Only done by this actor.")] = "",
    trace: Annotated[str, typer.Option(help="Only in this trace.")] = "",
    newest: Annotated[bool, typer.Option(help="Newest first.")] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List entries of the log."""
    request = pb.ListEntriesRequest(
        filter=pb.EntryFilter(
            kind=kind, actor=actor, trace_id=trace, subjects=[_subject(text) for text in about or ()]
        ),
        page_size=count,
        page_token=token,
        descending=newest,
    )
    response = call(context, "compliance_officer", lambda services: services.audit.ListEntries(request))

    def readable() -> None:
        rows = table(f"Log of {response.tree_size:,} entries", ">index", "time", "kind", "actor", "about")
        for entry in response.entries:
            subjects = " ".join(f"{each.kind}={each.id}" for each in entry.event.subjects)
            rows.add_row(str(entry.index), time(entry.recorded_time), entry.event.kind, entry.event.actor, subjects)
        out.print(rows)
        if response.next_page_token:
            out.print(f"more: --token {response.next_page_token}", highlight=False)

    show(context, response, readable)


@app.command("show")
def show_entry(context: typer.Context, index: Annotated[int, typer.Argument(min=0, help="Index of an entry.")]) -> None:
    """Show one entry whole, as it was hashed."""
    request = pb.GetEntryRequest(index=index)
    response = call(context, "compliance_officer", lambda services: services.audit.GetEntry(request))
    out.print_json(response.entry.body.decode())


@app.command()
def verify(
    context: typer.Context,
    key: Annotated[
        str, typer.Option(help="The log's public key, as C2SP writes it; the profile's when not given.")
    ] = "",
    export: Annotated[Path | None, typer.Option(help="Also write each entry to this file, one JSON a line.")] = None,
) -> None:
    """Read the whole log, compute its tree anew, and compare with the signed checkpoint."""

    async def work(services: Evenkeel) -> str:
        verifier_key = _key(key, services)
        if export is None:
            return (await verify_log(services, verifier_key)).sentence
        with export.open("wb") as file:
            return (await verify_log(services, verifier_key, file)).sentence

    sentence = call(context, "compliance_officer", work)
    out.print(f"[green]log verified[/] {sentence}", highlight=False)


@app.command()
def export(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="A new folder for the log.")],
    key: Annotated[str, typer.Option(help="The log's public key; the profile's when not given.")] = "",
) -> None:
    """Write the whole log to a folder that anybody can check offline, with `audit_verify.py` or any C2SP tool."""

    async def work(services: Evenkeel) -> int:
        return (await export_log(services, _key(key, services), directory)).size

    size = call(context, "compliance_officer", work)
    out.print(f"[green]exported and verified[/] {size:,} entries to {directory}", highlight=False)


@app.command()
def prove(
    context: typer.Context,
    index: Annotated[int, typer.Argument(min=0, help="Index of an entry.")],
    directory: Annotated[Path, typer.Option("--to", help="Folder for the two files.")] = Path(),
    key: Annotated[str, typer.Option(help="The log's public key; the profile's when not given.")] = "",
) -> None:
    """Write one entry and the proof that it is in the log, for `audit_verify.py` or any C2SP tool."""

    async def work(services: Evenkeel) -> tuple[Path, Path]:
        return await export_proof(services, _key(key, services), index, directory)

    record, proof = call(context, "compliance_officer", work)
    out.print(f"[green]proven[/] {record} by {proof}", highlight=False)


@app.command()
def tail(
    context: typer.Context,
    start: Annotated[int, typer.Option(min=0, help="Index of the first entry wanted.")] = 0,
    kind: Annotated[str, typer.Option(help="Only this kind; `decision.plan.*` for all below it.")] = "",
) -> None:
    """Print entries as they are recorded, one JSON a line, until interrupted; resumes by --start."""

    async def work(services: Evenkeel) -> None:
        next_index = start
        request = pb.StreamEntriesRequest(start_index=start, filter=pb.EntryFilter(kind=kind), follow=True)
        try:
            async for batch in services.audit.StreamEntries(request):
                for entry in batch.entries:
                    out.print(json.dumps(json.loads(entry.body)), highlight=False, markup=False, soft_wrap=True)
                next_index = batch.next_index
        finally:
            err.print(f"resume by --start {next_index}", highlight=False)

    call(context, "compliance_officer", work)


def _key(given: str, services: Evenkeel) -> str:
    verifier_key = given or services.profile.verifier_key
    if not verifier_key:
        raise Invalid("the log's public key is not in the profile: give it by --key")
    return verifier_key


def _subject(text: str) -> pb.Subject:
    kind, sign, identifier = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"say what kind of thing, for instance account={text}")
    return pb.Subject(kind=kind, id=identifier)
