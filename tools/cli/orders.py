"""`evenkeel order` and `evenkeel block`: how trades get done."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from evenkeel.common.v1.values_pb2 import Side
from evenkeel.execution.v1 import execution_service_pb2 as pb
from tools.cli.context import as_json, call, json_line, out, show, table
from tools.cli.text import day, money, number, price, state, time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

orders = typer.Typer(help="Accounts' orders.", no_args_is_help=True)
blocks = typer.Typer(help="Several accounts' orders sent as one.", no_args_is_help=True)

Count = Annotated[int, typer.Option(min=1, max=1000, help="How many.")]
Token = Annotated[str, typer.Option(help="Token of the page.")]


@orders.command("list")
def list_orders(
    context: typer.Context,
    run: Annotated[str, typer.Option(help="Only of this run.")] = "",
    plan: Annotated[str, typer.Option(help="Only of this plan.")] = "",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    count: Count = 20,
    token: Token = "",
) -> None:
    """List accounts' orders."""
    request = pb.ListOrdersRequest(run_id=run, plan_id=plan, account_id=account, page_size=count, page_token=token)

    async def work(services: Evenkeel) -> pb.ListOrdersResponse:
        return await services.execution.ListOrders(request)

    response = call(context, "trader", work)

    def readable() -> None:
        if not response.orders:
            out.print("no orders")
            return
        rows = table("Orders", "order", "account", "", "instrument", ">units", ">filled", ">value", "state", "block")
        for order in response.orders:
            rows.add_row(
                order.order_id, order.account_id, state(Side.DESCRIPTOR, order.side), order.instrument_id,
                number(order.quantity), number(order.filled_quantity), money(order.filled_value),
                _state(order), order.block_id,
            )  # fmt: skip
        out.print(rows)
        _more(response.next_page_token)

    show(context, response, readable)


@orders.command("show")
def show_order(context: typer.Context, order: Annotated[str, typer.Argument(help="Id of an order.")]) -> None:
    """Show an order: what became of it, and what it cost when it is over."""
    request = pb.GetOrderRequest(order_id=order)
    response = call(context, "trader", lambda services: services.execution.GetOrder(request))

    def readable() -> None:
        found = response.order
        out.print(
            f"[bold]{found.order_id}[/]  {state(Side.DESCRIPTOR, found.side)} {number(found.quantity)} "
            f"{found.instrument_id} for {found.account_id}: {_state(found)}",
            highlight=False,
        )
        out.print(
            f"filled {number(found.filled_quantity)} for {money(found.filled_value)}, fees {money(found.fees)}",
            highlight=False,
        )
        out.print(f"of plan {found.plan_id}, run {found.run_id or 'none'}", highlight=False)
        if found.block_id:
            out.print(f"last sent in {found.block_id}", highlight=False)
        out.print(f"taken {time(found.create_time)}, changed last {time(found.update_time)}", highlight=False)
        if found.HasField("cost"):
            cost = found.cost
            rows = table("Cost", ">delay", ">trading", ">opportunity", ">fees", ">predicted")
            rows.add_row(*map(money, (cost.delay, cost.trading, cost.opportunity, cost.fees, cost.predicted_cost)))
            out.print(rows)

    show(context, response, readable)


@orders.command("watch")
def watch_orders(
    context: typer.Context,
    run: Annotated[str, typer.Option(help="Only of this run.")] = "",
    plan: Annotated[str, typer.Option(help="Only of this plan.")] = "",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    rows: Annotated[int, typer.Option(min=1, max=200, help="How many to show: those that changed last.")] = 20,
) -> None:
    """Watch accounts' orders in a table that changes with them, until they are all over or Ctrl-C.

    With --json each change is a line of its own.
    """
    request = pb.WatchOrdersRequest(run_id=run, plan_id=plan, account_id=account)
    which = pb.ListOrdersRequest(run_id=run, plan_id=plan, account_id=account)
    known: dict[str, pb.Order] = {}
    lines = as_json(context)

    def shown() -> Table:
        counts = Counter(state(pb.Order.State.DESCRIPTOR, order.state) for order in known.values())
        title = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no orders yet"
        found = table(title, "order", "account", "", "instrument", ">units", ">filled", ">value", "state")
        for order in list(known.values())[-rows:]:
            found.add_row(
                order.order_id, order.account_id, state(Side.DESCRIPTOR, order.side), order.instrument_id,
                number(order.quantity), number(order.filled_quantity), money(order.filled_value),
                _state(order),
            )  # fmt: skip
        return found

    def changed(orders: Iterable[pb.Order]) -> None:
        for order in orders:
            # What changed last is at the end.
            before = known.pop(order.order_id, None)
            known[order.order_id] = order
            if lines and order != before:
                json_line(order)

    async def work(services: Evenkeel) -> None:
        with nullcontext() if lines else Live(get_renderable=shown, console=out, refresh_per_second=4):
            async for batch in services.execution.WatchOrders(request):
                changed(batch.orders)
                # A batch is not all there is: others may be open that come with the next.
                if all(order.state in _OVER for order in known.values()) and not await _open(services, which):
                    changed([each async for each in _listed(services, which)])
                    break

    call(context, "trader", work)


_OVER = {pb.Order.STATE_FILLED, pb.Order.STATE_CANCELED, pb.Order.STATE_REJECTED}
_AT_WORK = (pb.Order.STATE_WAITING, pb.Order.STATE_READY, pb.Order.STATE_WORKING)
_PAGE = 1_000


async def _open(services: Evenkeel, which: pb.ListOrdersRequest) -> bool:
    """Return whether one of the orders is not over."""
    request = pb.ListOrdersRequest(page_size=1)
    request.MergeFrom(which)
    for each in _AT_WORK:
        request.state = each
        if (await services.execution.ListOrders(request)).orders:
            return True
    return False


async def _listed(services: Evenkeel, which: pb.ListOrdersRequest) -> AsyncIterator[pb.Order]:
    """Yield the orders, by id."""
    request = pb.ListOrdersRequest(page_size=_PAGE)
    request.MergeFrom(which)
    while True:
        page = await services.execution.ListOrders(request)
        for order in page.orders:
            yield order
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


@blocks.command("list")
def list_blocks(
    context: typer.Context,
    run: Annotated[str, typer.Option(help="Only with orders of this run.")] = "",
    count: Count = 50,
    token: Token = "",
) -> None:
    """List blocks."""
    request = pb.ListBlocksRequest(run_id=run, page_size=count, page_token=token)
    response = call(context, "trader", lambda services: services.execution.ListBlocks(request))

    def readable() -> None:
        if not response.blocks:
            out.print("no blocks")
            return
        rows = table(
            "Blocks", "block", "venue", "", "instrument", ">orders", ">units", ">filled", ">average", ">fees", "state"
        )
        for block in response.blocks:
            rows.add_row(
                block.block_id, block.venue_id, state(Side.DESCRIPTOR, block.side), block.instrument_id,
                str(block.order_count), number(block.quantity), number(block.filled_quantity),
                price(block.average_price), money(block.fees), state(pb.Block.State.DESCRIPTOR, block.state),
            )  # fmt: skip
        out.print(rows)
        _more(response.next_page_token)

    show(context, response, readable)


@blocks.command("show")
def show_block(context: typer.Context, block: Annotated[str, typer.Argument(help="Id of a block.")]) -> None:
    """Show a block's fills, and how they were shared among the accounts."""
    request = pb.GetBlockRequest(block_id=block)
    response = call(context, "trader", lambda services: services.execution.GetBlock(request))

    def readable() -> None:
        found = response.block
        out.print(
            f"[bold]{found.block_id}[/]  {state(Side.DESCRIPTOR, found.side)} {number(found.quantity)} "
            f"{found.instrument_id} at {found.venue_id}: "
            f"{state(pb.Block.State.DESCRIPTOR, found.state)} {found.reject_reason}",
            highlight=False,
        )
        if found.account_currency:
            out.print(f"its fills are turned into the accounts' {found.account_currency}", highlight=False)
        if found.leg_of_block_id:
            out.print(f"turns the fills of {found.leg_of_block_id}", highlight=False)
        if found.crossed_block_id:
            out.print(f"crossed with opposite orders of other clients: {found.crossed_block_id}", highlight=False)
        if response.HasField("uncross"):
            out.print(_uncross(response.uncross), highlight=False)
        fills = table("Fills", "execution", ">units", ">price", ">fees", "time")
        for fill in response.fills:
            fills.add_row(
                fill.execution_id, number(fill.quantity), price(fill.price), money(fill.fees), time(fill.execute_time)
            )
        out.print(fills)
        rows = table("Allocations", "allocation", "account", ">units", ">value", ">fees", "settles")
        for part in response.allocations:
            rows.add_row(
                part.allocation_id, part.account_id, number(part.quantity), money(part.value), money(part.fees),
                day(part.settlement_date),
            )  # fmt: skip
        out.print(rows)
        for told in response.instructions:
            how = state(pb.AllocationInstruction.State.DESCRIPTOR, told.state)
            out.print(f"the venue was told: {told.allocation_id}  {how} {told.reject_reason}", highlight=False)

    show(context, response, readable)


@blocks.command("instruct")
def instruct_again(
    context: typer.Context,
    instruction: Annotated[str, typer.Argument(help="Id of an allocation instruction that the venue rejected.")],
    reason: Annotated[str, typer.Option(help="Why it is told again: what was settled with the venue.")],
) -> None:
    """Have the venue told again who got what, after it rejected that."""
    request = pb.InstructAllocationRequest(request_id=new_request_id(), allocation_id=instruction, reason=reason)
    response = call(context, "trader", lambda services: services.execution.InstructAllocation(request))
    show(context, response, lambda: out.print(f"it is told as {response.instruction.allocation_id}", highlight=False))


@blocks.command("uncross")
def propose_uncross(
    context: typer.Context,
    block: Annotated[str, typer.Argument(help="Id of either block of a cross.")],
    reason: Annotated[str, typer.Option(help="What was wrong with it.")],
) -> None:
    """Ask for a cross to be undone, both sides together; another person must approve."""
    request = pb.ProposeUncrossRequest(request_id=new_request_id(), block_id=block, reason=reason)
    response = call(context, "trader", lambda services: services.execution.ProposeUncross(request))
    show(context, response, lambda: out.print(_uncross(response.uncross), highlight=False))


@blocks.command("approve-uncross")
def approve_uncross(
    context: typer.Context, block: Annotated[str, typer.Argument(help="Id of either block of a cross.")]
) -> None:
    """Approve that a cross is undone, as somebody other than who asked for it."""
    request = pb.ApproveUncrossRequest(request_id=new_request_id(), block_id=block)
    response = call(context, "risk_officer", lambda services: services.execution.ApproveUncross(request))
    show(context, response, lambda: out.print(_uncross(response.uncross), highlight=False))


@blocks.command("allocation")
def show_allocation(
    context: typer.Context, allocation: Annotated[str, typer.Argument(help="Id of an allocation.")]
) -> None:
    """Show an allocation with all that it replaces and that replaced it, and what the statement said."""
    request = pb.GetAllocationRequest(allocation_id=allocation)
    response = call(context, "trader", lambda services: services.execution.GetAllocation(request))

    def readable() -> None:
        found = response.allocation
        out.print(
            f"[bold]{found.account_id}[/] ordered {number(response.ordered_quantity)} of the "
            f"{number(response.block_quantity)} {found.instrument_id} of {found.block_id}; "
            f"{number(response.carry)} carried over from earlier blocks"
            f"{'; an own account of the firm, behind all clients' if response.own else ''}",
            highlight=False,
        )
        rows = table("Allocation", "id", "replaces", ">units", ">price", ">value", ">fees", ">traded for", "made")
        for each in response.history:
            traded = money(each.traded_value) if each.HasField("traded_value") else ""
            rows.add_row(
                each.allocation_id, each.replaces_allocation_id, number(each.quantity), price(each.price),
                money(each.value), money(each.fees), traded, time(each.create_time),
            )  # fmt: skip
        out.print(rows)

    show(context, response, readable)


def _state(order: pb.Order) -> str:
    return f"{state(pb.Order.State.DESCRIPTOR, order.state)} {order.close_reason}".strip()


def _uncross(found: pb.Uncross) -> str:
    what = f"{found.sell_block_id} and {found.buy_block_id}"
    if found.approver:
        return f"{found.approver} had the cross of {what} undone, as {found.proposer} asked: {found.reason}"
    return f"{found.proposer} wants the cross of {what} undone, and waits for another person: {found.reason}"


def _more(token: str) -> None:
    if token:
        out.print(f"more: --token {token}", highlight=False)
