"""`evenkeel account`: what clients hold."""

from typing import Annotated

import typer
from rich.table import Table

from evenkeel.decision.v1 import book_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.text import money, number, percent, price, state
from tools.client.session import Evenkeel
from tools.client.values import civil_date

app = typer.Typer(help="What clients hold.", no_args_is_help=True)


@app.command("show")
def show_account(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Id of an account.")],
    lots: Annotated[bool, typer.Option(help="Show the tax lots too.")] = False,
    snapshot: Annotated[str, typer.Option(help="As this snapshot had it.")] = "",
) -> None:
    """Show an account: value, mix, target and drift; with --lots also when it bought what."""
    request = pb.GetAccountRequest(account_id=account, snapshot_id=snapshot)
    found = call(context, "advisor", lambda services: services.books.GetAccount(request)).account

    def readable() -> None:
        out.print(
            f"[bold]{found.account_id}[/]  household {found.household_id or '-'}  at {found.custodian}  "
            f"value {money(found.value)}  cash {money(found.cash)}  drift {percent(found.drift)}",
            highlight=False,
        )
        out.print(_positions(found))
        if lots:
            out.print(_lots(found))

    show(context, found, readable)


@app.command("list")
def list_accounts(
    context: typer.Context,
    household: Annotated[str, typer.Option(help="Only of this household.")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List accounts by id."""
    request = pb.ListAccountsRequest(household_id=household, page_size=count, page_token=token)

    async def work(services: Evenkeel) -> pb.ListAccountsResponse:
        return await services.books.ListAccounts(request)

    response = call(context, "advisor", work)

    def readable() -> None:
        rows = table("Accounts", "account", "household", "custodian", ">value", ">cash", ">drift")
        for account in response.accounts:
            rows.add_row(
                account.account_id, account.household_id, account.custodian,
                money(account.value), money(account.cash), percent(account.drift),
            )  # fmt: skip
        out.print(rows)
        if response.next_page_token:
            out.print(f"more: --token {response.next_page_token}", highlight=False)

    show(context, response, readable)


def _positions(account: pb.Account) -> Table:
    rows = table("Positions", "instrument", ">units", ">price", ">weight", ">target", "held")
    for position in account.positions:
        rows.add_row(
            position.instrument_id, number(position.quantity), price(position.price),
            percent(position.weight), percent(position.target_weight), state(pb.Holding.DESCRIPTOR, position.holding),
        )  # fmt: skip
    return rows


def _lots(account: pb.Account) -> Table:
    rows = table("Lots", "instrument", "lot", "acquired", ">units", ">basis")
    for position in account.positions:
        for lot in position.lots:
            rows.add_row(
                position.instrument_id, lot.lot_id, str(civil_date(lot.acquired_date)),
                number(lot.quantity), money(lot.basis),
            )  # fmt: skip
    return rows
