"""`evenkeel break` and `evenkeel cost`: what does not agree, and what trading cost."""

from enum import StrEnum
from typing import Annotated

import typer
from google.type.money_pb2 import Money

from evenkeel.execution.v1 import execution_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.text import bare, day, time
from tools.client.session import Evenkeel
from tools.client.values import amount, new_request_id

app = typer.Typer(help="Differences with venues and custodians.", no_args_is_help=True)

BreakId = Annotated[str, typer.Argument(help="Id of a break.")]


class Group(StrEnum):
    """What each line of a cost report is about."""

    CURRENCY = "currency"
    INSTRUMENT = "instrument"
    VENUE = "venue"
    ALGORITHM = "algorithm"


_GROUPS = {
    Group.CURRENCY: pb.GetCostReportRequest.GROUP_BY_UNSPECIFIED,
    Group.INSTRUMENT: pb.GetCostReportRequest.GROUP_BY_INSTRUMENT,
    Group.VENUE: pb.GetCostReportRequest.GROUP_BY_VENUE,
    Group.ALGORITHM: pb.GetCostReportRequest.GROUP_BY_ALGORITHM,
}


@app.command("list")
def list_breaks(
    context: typer.Context,
    resolved: Annotated[bool, typer.Option(help="Also those that are resolved.")] = False,
    owner: Annotated[str, typer.Option(help="Only those of this owner.")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    token: Annotated[str, typer.Option(help="Token of the page.")] = "",
) -> None:
    """List what differs between our record and those of venues and custodians."""
    request = pb.ListBreaksRequest(resolved=resolved, owner=owner, page_size=count, page_token=token)
    response = call(context, "trader", lambda services: services.execution.ListBreaks(request))

    def readable() -> None:
        if not response.breaks:
            out.print(f"no break is {owner}'s" if owner else "everything agrees")
            return
        rows = table(
            "Breaks", "break", "with", "kind", "what", "of", "ours", "theirs", "since", "still", "owner", "settled"
        )
        for each in response.breaks:
            what = f"{each.account_id} {each.instrument_id}".strip() or each.client_order_id
            settled = f"{each.resolver} {each.note}".strip() if each.HasField("resolve_time") else ""
            rows.add_row(
                each.break_id, each.source, each.kind, what, day(each.trade_date), each.ours, each.venues,
                time(each.find_time), time(each.see_time), each.owner, settled,
            )  # fmt: skip
        out.print(rows)
        if response.next_page_token:
            out.print(f"more: --token {response.next_page_token}", highlight=False)

    show(context, response, readable)


@app.command("assign")
def assign(context: typer.Context, break_id: BreakId, owner: Annotated[str, typer.Argument(help="Who.")]) -> None:
    """Say who looks after a break."""
    request = pb.AssignBreakRequest(request_id=new_request_id(), break_id=break_id, owner=owner)
    response = call(context, "trader", lambda services: services.execution.AssignBreak(request))
    show(context, response, lambda: out.print(f"{response.found.owner} looks after it"))


@app.command("resolve")
def resolve(
    context: typer.Context,
    break_ids: Annotated[list[str], typer.Argument(help="Ids of breaks that were settled in the same way.")],
    note: Annotated[str, typer.Option(help="How they were settled.")],
) -> None:
    """Say that breaks are settled, so that they stop nothing any more; what the other side has counts from then on."""

    async def work(services: Evenkeel) -> list[pb.ResolveBreakResponse]:
        requests = (pb.ResolveBreakRequest(request_id=new_request_id(), break_id=each, note=note) for each in break_ids)
        return [await services.execution.ResolveBreak(each) for each in requests]

    responses = call(context, "trader", work)

    def readable() -> None:
        for each in responses:
            out.print(f"{each.found.break_id} is settled, and stays so while both sides say the same", highlight=False)

    show(context, responses[0] if len(responses) == 1 else responses, readable)


def cost(
    context: typer.Context,
    run: Annotated[str, typer.Option(help="Only orders of this run.")] = "",
    by: Annotated[Group, typer.Option(help="What each line is about.")] = Group.CURRENCY,
) -> None:
    """Show what trading cost, and why: Perold's implementation shortfall, beside what decision predicted."""
    request = pb.GetCostReportRequest(run_id=run, group_by=_GROUPS[by])
    response = call(context, "trader", lambda services: services.execution.GetCostReport(request))

    def readable() -> None:
        if not response.lines:
            out.print("no order is over")
            return
        lines = [(line, _amounts(line)) for line in response.lines]
        if by is Group.CURRENCY:
            # Few lines of many figures: they are read downwards.
            rows = table("Costs", "", *(f">{line.traded_value.currency_code}" for line, _ in lines))
            for what in lines[0][1]:
                rows.add_row(what, *(figures[what] for _, figures in lines))
        else:
            rows = table("Costs", by, "", *(f">{what}" for what in lines[0][1]))
            for line, figures in lines:
                rows.add_row(line.key, line.traded_value.currency_code, *figures.values())
        out.print(rows)

    show(context, response, readable)


def _amounts(line: pb.CostLine) -> dict[str, str]:
    """Return what a line says by name, in its currency."""
    return {
        "orders": str(line.order_count),
        "traded": bare(line.traded_value),
        "crossed": bare(line.crossed_value),
        "delay": bare(line.delay),
        "trading": bare(line.trading),
        "opportunity": bare(line.opportunity),
        "fees": bare(line.fees),
        "shortfall": bare(line.shortfall),
        "predicted": bare(line.predicted_cost),
        "vs VWAP": against(line.interval_vwap_cost, line.interval_vwap_value, line.traded_value),
        "vs close": against(line.close_cost, line.close_value, line.traded_value),
    }


def against(cost: Money, compared: Money, traded: Money) -> str:
    """Return a cost against the market, of what part of the trades it is; nothing where the market is not known."""
    if amount(compared) == 0:
        return ""
    return bare(cost) if compared == traded else f"{bare(cost)} on {bare(compared)}"
