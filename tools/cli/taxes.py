"""`evenkeel tax`: what a history of trades comes to under the law of a country."""

from pathlib import Path
from typing import Annotated

import typer

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.documents import message_from_yaml
from tools.cli.text import number, state
from tools.client.session import Evenkeel
from tools.client.values import civil_date

app = typer.Typer(help="What a history of trades comes to under the law of a country.", no_args_is_help=True)


@app.command()
def preview(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", help="The taxpayer and the history, as YAML.", exists=True)],
) -> None:
    """Assess one taxpayer's tax year from a file; nothing is kept.

    The file has the fields of `PreviewTaxYearRequest`; docs/tax.md has one for each country.
    """

    async def work(services: Evenkeel) -> pb.PreviewTaxYearResponse:
        return await services.taxes.PreviewTaxYear(message_from_yaml(file.read_text(), pb.PreviewTaxYearRequest()))

    response = call(context, "advisor", work)

    def readable() -> None:
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

    show(context, response, readable)


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
