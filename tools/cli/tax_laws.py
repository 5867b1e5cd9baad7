"""`evenkeel tax law`: amounts of tax law, in force, proposed and reviewed, and until when there are any."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.documents import message_from_yaml
from tools.cli.text import number, state
from tools.client.session import Evenkeel
from tools.client.values import civil_date, new_request_id

app = typer.Typer(
    help="Amounts of tax law: in force, proposed, reviewed.",
    no_args_is_help=True,
)


@app.command("list")
def list_laws(
    context: typer.Context,
    country: Annotated[str, typer.Option(help="Only of this country, ISO 3166-1.")] = "",
    year: Annotated[int, typer.Option(help="Only of this tax year.")] = 0,
) -> None:
    """List the versions of tax law: in force, proposed, and those before."""
    found = _laws(context, country, year)

    def readable() -> None:
        rows = table("Tax law", "country", "year", ">version", "state", "proposed by", "reviewed by", "source")
        for each in found:
            said = "in force" if each.in_force else state(pb.TaxLaw.State.DESCRIPTOR, each.state).lower()
            rows.add_row(
                each.jurisdiction, str(each.tax_year), str(each.version), said, each.author, each.reviewer, each.source
            )
        out.print(rows)

    show(context, found, readable)


@app.command("due")
def due_laws(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=0, help="What ends within so many days is due.")] = 45,
    country: Annotated[str, typer.Option(help="Only of this country, ISO 3166-1.")] = "",
) -> None:
    """Say until when taxed accounts are planned, and end with status 1 where that is soon: for a daily job."""

    async def work(services: Evenkeel) -> pb.ListTaxLawsResponse:
        return await services.taxes.ListTaxLaws(pb.ListTaxLawsRequest(jurisdiction=country, page_size=1))

    found = list(call(context, "advisor", work).horizons)

    def readable() -> None:
        rows = table("Tax law", "country", "planned until", ">days left", "to be proposed and approved", "due")
        for each in found:
            is_due = Text("due", "yellow") if each.days_left <= days else ""
            until, missing = str(civil_date(each.last_date)), f"tax year {each.tax_year}"
            rows.add_row(each.jurisdiction, until, str(each.days_left), missing, is_due)
        out.print(rows)

    show(context, found, readable)
    if any(each.days_left <= days for each in found):
        raise typer.Exit(1)


@app.command("show")
def show_law(
    context: typer.Context,
    country: Annotated[str, typer.Argument(help="Country, ISO 3166-1.")],
    year: Annotated[int, typer.Argument(help="The tax year by the year in which it begins.")],
    version: Annotated[int, typer.Option(help="The version; the one in force when it is left out.")] = -1,
) -> None:
    """Show every amount of a tax year's law, and how a version differs from the one before it."""
    laws = _laws(context, country, year)
    found = [each for each in laws if (each.in_force if version < 0 else each.version == version)]
    if not found:
        what = "in force" if version < 0 else f"with number {version}"
        out.print(f"[yellow]{country} {year} has no version {what}: see evenkeel tax law list[/]", highlight=False)
        raise typer.Exit(1)

    def readable() -> None:
        _print_law(found[0], laws)

    show(context, found[0], readable)


@app.command("propose")
def propose_law(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="Country, year, amounts and source, as YAML.", exists=True)
    ],
) -> None:
    """Propose a tax year's amounts; they count once another person approved them.

    The file has the fields of `ProposeTaxLawRequest`; docs/tax.md has one. Amounts left out stay as they were.
    """
    request = message_from_yaml(file.read_text(), pb.ProposeTaxLawRequest(request_id=new_request_id()))
    response = call(context, "policy_author", lambda services: services.taxes.ProposeTaxLaw(request))
    _show_decided(context, response.law, "proposed")


@app.command("review")
def review_law(
    context: typer.Context,
    country: Annotated[str, typer.Argument(help="Country, ISO 3166-1.")],
    year: Annotated[int, typer.Argument(help="The tax year.")],
    version: Annotated[int, typer.Argument(help="The version.")],
    note: Annotated[str, typer.Option(help="What was checked, or why not.")],
    *,
    approve: Annotated[bool, typer.Option("--approve/--reject", help="Whether it counts from now on.")],
) -> None:
    """Approve or reject a version that another person proposed."""
    request = pb.ReviewTaxLawRequest(
        request_id=new_request_id(), jurisdiction=country, tax_year=year, version=version, approved=approve, note=note
    )
    response = call(context, "policy_approver", lambda services: services.taxes.ReviewTaxLaw(request))
    _show_decided(context, response.law, "approved" if approve else "rejected")


def _laws(context: typer.Context, country: str, year: int) -> list[pb.TaxLaw]:
    async def work(services: Evenkeel) -> list[pb.TaxLaw]:
        request = pb.ListTaxLawsRequest(jurisdiction=country, tax_year=year, page_size=1000)
        found: list[pb.TaxLaw] = []
        while True:
            page = await services.taxes.ListTaxLaws(request)
            found += page.laws
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    return call(context, "advisor", work)


def _show_decided(context: typer.Context, law: pb.TaxLaw, what: str) -> None:
    said = f"{law.jurisdiction} {law.tax_year} version {law.version} {what}: {len(law.amounts)} amounts"
    show(context, law, lambda: out.print(said, highlight=False))


def _print_law(shown: pb.TaxLaw, laws: Iterable[pb.TaxLaw]) -> None:
    out.print(
        f"[bold]{shown.jurisdiction} {shown.tax_year} version {shown.version}[/]  {shown.source}", highlight=False
    )
    before = {
        amount.name: amount.value.value
        for each in laws
        if each.version < shown.version and each.state == pb.TaxLaw.STATE_APPROVED
        for amount in each.amounts
    }
    rows = table("", "amount", ">value", ">before")
    for amount in shown.amounts:
        was = before.get(amount.name, "")
        rows.add_row(amount.name, number(amount.value), was if was not in ("", amount.value.value) else "")
    out.print(rows)
