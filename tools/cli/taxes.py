"""`evenkeel tax`: what a history of trades comes to under the law of a country, and what is on record about lots."""

import csv
from pathlib import Path
from typing import Annotated, Literal

import typer
from google.protobuf.message import Message

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tools.cli import tax_laws
from tools.cli.context import call, out, show, table
from tools.cli.documents import message_from_yaml
from tools.cli.tax_actions import print_conversions, print_drawings, print_givings
from tools.cli.text import money, number, state
from tools.cli.year_ends import year_ends
from tools.client.session import Evenkeel
from tools.client.values import civil_date, new_request_id

app = typer.Typer(
    help="What a history of trades comes to under the law of a country, and what is on record about lots.",
    no_args_is_help=True,
)


app.add_typer(tax_laws.app, name="law")

Forms = Annotated[Path | None, typer.Option("--forms", help="Write the rows of the year's forms to this CSV file.")]


@app.command()
def preview(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", help="The taxpayer and the history, as YAML.", exists=True)],
    forms: Forms = None,
) -> None:
    """Assess one taxpayer's tax year from a file; nothing is kept.

    The file has the fields of `PreviewTaxYearRequest`; docs/tax.md has one for each country.
    """

    async def work(services: Evenkeel) -> pb.PreviewTaxYearResponse:
        return await services.taxes.PreviewTaxYear(message_from_yaml(file.read_text(), pb.PreviewTaxYearRequest()))

    response = call(context, "advisor", work)

    if forms is not None:
        _write_forms(forms, response)
    show(context, response, lambda: _print_year(response))


@app.command()
def record(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", help="The events, as YAML.", exists=True)],
) -> None:
    """Keep what happened to accounts' lots: purchases, sales, transfers, splits, mergers, returned capital.

    The file has the fields of `RecordTaxEventsRequest`; docs/tax.md has one. Sending it twice changes nothing.
    """
    request = message_from_yaml(file.read_text(), pb.RecordTaxEventsRequest(request_id=new_request_id()))
    response = call(context, "platform_engineer", lambda services: services.taxes.RecordTaxEvents(request))

    def readable() -> None:
        said = f"{response.recorded} recorded, {response.known} on record already, {response.withdrawn} withdrawn"
        out.print(said, highlight=False)
        for each in response.unsettled:
            out.print(f"[yellow]no ledger yet of {each.account_id}: {each.description}[/]", highlight=False)

    show(context, response, readable)


@app.command()
def events(
    context: typer.Context,
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    instrument: Annotated[str, typer.Option(help="Only of this instrument.")] = "",
) -> None:
    """List what is on record about lots, by day."""

    async def work(services: Evenkeel) -> list[pb.RecordedTaxEvent]:
        request = pb.ListTaxEventsRequest(account_id=account, instrument_id=instrument, page_size=1000)
        found: list[pb.RecordedTaxEvent] = []
        while True:
            page = await services.taxes.ListTaxEvents(request)
            found += page.events
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    found = call(context, "advisor", work)

    def readable() -> None:
        rows = table("Events", "day", "event", "account", "instrument", "what", ">units", ">amount", "")
        for each in found:
            event = each.event
            what = event.WhichOneof("what") or ""
            detail = getattr(event, what)
            names = {field.name for field, _ in detail.ListFields()}
            units = number(detail.quantity) if "quantity" in names else _ratio(detail)
            amount = next((money(getattr(detail, name)) for name in EVENT_AMOUNTS if name in names), "")
            rows.add_row(
                str(civil_date(event.date)), event.event_id, event.account_id or "all", event.instrument_id,
                what.replace("_", " "), units, amount, "withdrawn" if each.HasField("withdraw_time") else "",
            )  # fmt: skip
        out.print(rows)

    show(context, found, readable)


@app.command()
def ledger(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The taxpayer, the accounts and the year, as YAML.", exists=True)
    ],
    forms: Forms = None,
) -> None:
    """Show the year of a taxpayer's accounts from what is on record: lots, disposals, the computation, differences.

    The file has the fields of `GetTaxLedgerRequest`; docs/tax.md has one.
    """
    request = message_from_yaml(file.read_text(), pb.GetTaxLedgerRequest())
    response = call(context, "advisor", lambda services: services.taxes.GetTaxLedger(request))
    if forms is not None:
        _write_forms(forms, response.year)

    def readable() -> None:
        _print_year(response.year)
        rows = table("Lots", "account", "asset", "lot", "bought", "held from", ">units", ">cost")
        for each in response.year.remaining:
            days = [str(civil_date(getattr(each, name))) if each.HasField(name) else "" for name in LOT_DAYS]
            rows.add_row(
                each.account_id, each.asset, each.lot_id, *days, number(each.quantity), number(each.cost)
            )  # fmt: skip
        out.print(rows)
        for line in response.brought_forward:
            out.print(f"  brought forward: {line.name.replace('_', ' ')} {number(line.amount)}", highlight=False)
        for purchase in response.pending:
            out.print(
                f"[yellow]on its way: {purchase.account_id} buys {number(purchase.quantity)} {purchase.instrument_id}; "
                f"filled today it would deny {number(purchase.disallowed_loss)} of losses[/]",
                highlight=False,
            )
        for break_ in response.differences:
            out.print(
                f"[yellow]{break_.account_id} {break_.instrument_id}: {number(break_.ledger_quantity)} units by the "
                f"record, {number(break_.book_quantity)} in the book[/]",
                highlight=False,
            )

    show(context, response, readable)


@app.command()
def years(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The year, the taxpayers and their accounts, as YAML.", exists=True)
    ],
) -> None:
    """Assess the year of many taxpayers from what is on record, each as it is done.

    The file has the fields of `StreamTaxYearsRequest`. Who cannot be assessed is named with the reason.
    """
    request = message_from_yaml(file.read_text(), pb.StreamTaxYearsRequest())

    async def work(services: Evenkeel) -> list[pb.StreamTaxYearsResponse]:
        return [each async for each in services.taxes.StreamTaxYears(request)]

    found = call(context, "advisor", work)

    def readable() -> None:
        rows = table("Years", "taxpayer", "law", ">tax", ">open losses", ">denied", "to review")
        for each in found:
            if each.HasField("refused"):
                rows.add_row(each.taxpayer_id, "", "", "", "", f"{each.refused.reason}: {each.refused.description}")
                continue
            year = each.year
            rows.add_row(
                each.taxpayer_id, f"{year.jurisdiction} {year.law_version}", number(year.lines[-1].amount),
                number(year.open_loss), number(year.denied_loss), "; ".join(year.review),
            )  # fmt: skip
        out.print(rows)

    show(context, found, readable)


app.command("year-ends")(year_ends)


@app.command()
def compare(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The taxpayer, the accounts and the scenarios, as YAML.", exists=True)
    ],
) -> None:
    """Compare what a taxpayer could do today by what is left after tax: wait, harvest, defer, give, withdraw.

    The file has the fields of `CompareTaxActionsRequest`; docs/tax.md has one. Nothing is kept, and nothing is traded.
    """
    request = message_from_yaml(file.read_text(), pb.CompareTaxActionsRequest())
    response = call(context, "advisor", lambda services: services.taxes.CompareTaxActions(request))

    def readable() -> None:
        out.print(f"[bold]{civil_date(response.as_of_date)}[/]  amounts in {response.currency_code}\n", highlight=False)
        for each in response.parcels:
            out.print(f"  {each.sentence}", highlight=False)
        rows = table("\nActions", "action", ">tax now", ">cost", ">waiting", "scenario", ">after tax", ">advantage", "")
        for action in response.actions:
            worth = "worth it" if action.worth_it else ""
            for one in action.projections:
                scenario = f"{number(one.scenario.growth)} a year for {one.scenario.years} years"
                rows.add_row(
                    state(pb.TaxAction.Kind.DESCRIPTOR, action.kind), number(action.tax), number(action.cost),
                    number(action.waiting_value), scenario, number(one.after_tax), number(one.advantage), worth,
                )  # fmt: skip
        out.print(rows)
        for deferral in response.deferrals:
            out.print(
                f"  {deferral.parcel.instrument_id} {deferral.parcel.lot_id}: long-term in {deferral.days} days, which "
                f"saves {number(deferral.saved)}, unless the price falls by {number(deferral.break_even_fall)}",
                highlight=False,
            )
        for instead in response.replacements:
            out.print(
                f"  instead of {instead.instrument_id}: {instead.instead_id}, tracking error "
                f"{number(instead.tracking_error)}",
                highlight=False,
            )
        for back in response.reentries:
            out.print(f"  {back.sentence}", highlight=False)
        for way in response.withdrawals:
            name = state(pb.TaxWithdrawal.Choice.DESCRIPTOR, way.choice)
            out.print(f"  withdraw {number(way.raised)} by {name}: {number(way.tax)} of tax", highlight=False)
        if response.HasField("largest_withdrawal"):
            most = response.largest_withdrawal
            out.print(
                f"  at most {number(most.raised)} can be withdrawn for {number(request.withdrawal_tax_limit)} of tax",
                highlight=False,
            )
        out.print(f"  everything would bring {number(response.most_withdrawable)} after tax", highlight=False)
        print_givings(response)
        print_conversions(response)
        print_drawings(response)

    show(context, response, readable)


EVENT_AMOUNTS = ("cost", "proceeds", "amount", "value")
LOT_DAYS: tuple[Literal["acquired_date", "held_from_date"], ...] = ("acquired_date", "held_from_date")


def _ratio(detail: Message) -> str:
    """Return how many new units came for the old ones, where that is what happened."""
    if isinstance(detail, pb.TaxEvent.Split | pb.TaxEvent.Reorganized):
        return f"{detail.new_units}:{detail.old_units}"
    return ""


def _write_forms(file: Path, response: pb.PreviewTaxYearResponse) -> None:
    """Write the rows of the year's forms as CSV, one a row, with the columns of Form 8949."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        rows = csv.writer(lines)
        rows.writerow(FORM_COLUMNS)
        for row in response.form_rows:
            rows.writerow(
                (
                    row.form,
                    row.part,
                    row.description,
                    civil_date(row.acquired_date) if row.HasField("acquired_date") else "",
                    civil_date(row.sold_date) if row.HasField("sold_date") else "",
                    row.proceeds.value,
                    row.cost.value,
                    row.code,
                    row.adjustment.value,
                    row.gain.value,
                )
            )


FORM_COLUMNS = (
    "form", "part", "description", "acquired", "sold", "proceeds", "cost", "code", "adjustment", "gain",
)  # fmt: skip


def _print_year(response: pb.PreviewTaxYearResponse) -> None:
    out.print(
        f"[bold]{response.jurisdiction}[/]  {civil_date(response.first_date)} to {civil_date(response.last_date)}  "
        f"amounts in {response.currency_code}\n",
        highlight=False,
    )
    _print_disposals(response)
    rows = table("The year", "line", ">amount", "source")
    for line in response.lines:
        rows.add_row(line.name.replace("_", " "), number(line.amount), line.source)
    out.print(rows)
    for each in response.marginals:
        term = "" if each.term == pb.TaxPiece.TERM_ANY else f" {state(pb.TaxPiece.Term.DESCRIPTOR, each.term).lower()}"
        out.print(
            f"  the next unit of{term} gain costs {number(each.gain_rate)}, of loss saves {number(each.loss_rate)}",
            highlight=False,
        )
    for sentence in response.review:
        out.print(f"[yellow]  to review: {sentence}[/]", highlight=False)


def _print_disposals(response: pb.PreviewTaxYearResponse) -> None:
    rows = table(
        "Disposals", "day", "asset", ">units", "matched by", "bought", ">proceeds", ">cost", ">counts", "source"
    )
    notes = []
    for disposal in response.disposals:
        for piece in disposal.pieces:
            bought = str(civil_date(piece.acquired_date)) if piece.HasField("acquired_date") else ""
            rows.add_row(
                str(civil_date(disposal.date)), disposal.asset, number(piece.quantity),
                state(pb.TaxPiece.Rule.DESCRIPTOR, piece.rule), bought,
                number(piece.proceeds), number(piece.cost), number(piece.counted_gain), piece.source,
            )  # fmt: skip
            if piece.note:
                notes.append(f"{civil_date(disposal.date)} {disposal.asset}: {piece.note}")
    out.print(rows)
    for note in notes:
        out.print(f"  {note}", highlight=False)
    out.print()
