"""`evenkeel custodian`: what custodians say of accounts, compared with our record."""

from pathlib import Path
from typing import Annotated

import typer

from evenkeel.execution.v1 import execution_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.documents import message_from_yaml
from tools.cli.text import day, time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer(help="Custodians' statements.", no_args_is_help=True)

PAGE = 1_000


@app.command("import")
def import_statement(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="A statement as YAML or JSON: custodian, day, accounts, trades, movements.", exists=True),
    ],
) -> None:
    """Take a custodian's statement of a day, compare it with our record, and show what differs."""
    request = message_from_yaml(file.read_text(), pb.IngestCustodianStatementRequest())
    request.request_id = new_request_id()

    async def work(services: Evenkeel) -> tuple[pb.IngestCustodianStatementResponse, pb.ListBreaksResponse]:
        compared = await services.execution.IngestCustodianStatement(request)
        return compared, await _breaks(services, request.custodian)

    compared, found = call(context, "platform_engineer", work)

    def readable() -> None:
        if compared.first_count:
            of = f"{compared.first_count} of {len(request.accounts)} accounts"
            out.print(
                f"of {of} {request.custodian} speaks for the first time: only their trades are compared, and their "
                "positions and cash from the next statement on",
                highlight=False,
            )
        if request.movements:
            new = f"{compared.movement_count} of {len(request.movements)} movements"
            out.print(f"{new} are new; audit has each, and what of it counts", highlight=False)
        if found.breaks or compared.first_count < len(request.accounts):
            _shown(found)

    show(context, found, readable)


@app.command()
def reconcile(
    context: typer.Context,
    custodian: Annotated[str, typer.Argument(help="Which custodian; all without.")] = "",
) -> None:
    """Show what differs between our record and what custodians said last."""
    found = call(context, "trader", lambda services: _breaks(services, custodian))
    show(context, found, lambda: _shown(found))


async def _breaks(services: Evenkeel, custodian: str) -> pb.ListBreaksResponse:
    found, token = pb.ListBreaksResponse(), ""
    while True:
        page = await services.execution.ListBreaks(pb.ListBreaksRequest(page_size=PAGE, page_token=token))
        found.breaks.extend(
            each for each in page.breaks if each.party == "CUSTODIAN" and custodian in ("", each.source)
        )
        token = page.next_page_token
        if not token:
            return found


def _shown(found: pb.ListBreaksResponse) -> None:
    if not found.breaks:
        out.print("everything agrees")
        return
    rows = table(
        "Breaks", "break", "custodian", "kind", "account", "instrument", "of", "ours", "theirs", "since", "owner"
    )
    for each in found.breaks:
        rows.add_row(
            each.break_id, each.source, each.kind, each.account_id, each.instrument_id or "cash",
            day(each.trade_date), each.ours, each.venues, time(each.find_time), each.owner,
        )  # fmt: skip
    out.print(rows)
    out.print("settle each with its owner, then: evenkeel break resolve")
