"""`evenkeel halt`, `resume`, `trading`: one switch stops everything."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer
from google.type.decimal_pb2 import Decimal as DecimalMessage
from rich.table import Table

from evenkeel.execution.v1 import execution_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.text import number, time
from tools.cli.text import state as words
from tools.client.values import decimal, new_request_id


class Scope(StrEnum):
    """What a halt covers."""

    ALL = "all"
    VENUE = "venue"
    INSTRUMENT = "instrument"
    ACCOUNT = "account"


ScopeOption = Annotated[Scope, typer.Argument(help="What to stop.")]
Id = Annotated[str, typer.Argument(help="Which venue, instrument or account; nothing for all.")]
Reason = Annotated[str, typer.Option(help="Why.")]


def halt(
    context: typer.Context,
    reason: Reason,
    scope: ScopeOption = Scope.ALL,
    identifier: Id = "",
    reducing: Annotated[bool, typer.Option(help="Let sales go on.")] = False,
) -> None:
    """Stop trading: after the answer not one new order leaves."""
    mode = pb.TRADING_MODE_REDUCING if reducing else pb.TRADING_MODE_HALTED
    request = pb.HaltRequest(request_id=new_request_id(), scope=_scope(scope, identifier), mode=mode, reason=reason)
    response = call(context, "trader", lambda services: services.execution.Halt(request))

    def readable() -> None:
        stopped = response.halt
        count = response.canceling_block_count
        canceling = f"{count} block{'' if count == 1 else 's'} of it {'is' if count == 1 else 'are'} being canceled"
        out.print(f"stopped: {_what(stopped.scope)}, {_mode(stopped.mode)}; {canceling} at the venue", highlight=False)
        if stopped.mode != mode:
            out.print(
                f"{stopped.actor} had stopped more: that stays until a person who did not stop it resumes",
                highlight=False,
            )

    show(context, response, readable)


def resume(context: typer.Context, reason: Reason, scope: ScopeOption = Scope.ALL, identifier: Id = "") -> None:
    """Let trading go on, as somebody other than all who stopped it."""
    request = pb.ResumeRequest(request_id=new_request_id(), scope=_scope(scope, identifier), reason=reason)
    response = call(context, "risk_officer", lambda services: services.execution.Resume(request))
    lifted = f"{_what(request.scope)} may trade again, unless something else is stopped: evenkeel trading"
    show(context, response, lambda: out.print(lifted, highlight=False))


def state(
    context: typer.Context,
    account: Annotated[str, typer.Option(help="Also what this account ordered today.")] = "",
    household: Annotated[str, typer.Option(help="Also what this household ordered today.")] = "",
    instrument: Annotated[str, typer.Option(help="Also what was ordered of this instrument today.")] = "",
) -> None:
    """Show what is stopped, the limits, and how much of the day's is used."""
    request = pb.GetTradingStateRequest(account_id=account, household_id=household, instrument_id=instrument)
    response = call(context, "trader", lambda services: services.execution.GetTradingState(request))

    def readable() -> None:
        if response.halts:
            out.print(halts_table(response.halts))
        else:
            out.print("nothing is stopped")
        _limits(response)

    show(context, response, readable)


def halts_table(halts: Iterable[pb.TradingHalt]) -> Table:
    """Return the table of what is stopped; of those who stopped it, whose reason is shown comes first."""
    rows = table("Stopped", "what", "mode", "by", "since", "why")
    for each in halts:
        by = ", ".join((each.actor, *each.also_halted_by))
        rows.add_row(_what(each.scope), _mode(each.mode), by, time(each.start_time), each.reason)
    return rows


def _limits(response: pb.GetTradingStateResponse) -> None:
    order = response.order_limits
    out.print(
        f"an order: at most {_figure(order.quantity_max)} units and a value of {_figure(order.value_max)}, within "
        f"{number(order.collar_bps)} bps of a price of at most {number(order.price_age_max_s)} s",
        highlight=False,
    )
    rows = table("A day", "of", "", ">orders", ">at most", ">value", ">at most", ">turnover", ">at most")
    for each in response.day_limits:
        rows.add_row(
            f"{words(pb.DayLimit.Kind.DESCRIPTOR, each.kind)}",
            each.subject_id,
            f"{each.order_count:,}" if each.HasField("value") else "",
            f"{each.orders_max:,}",
            *(_counted(each.value), _figure(each.value_max)),
            *(_counted(each.turnover), _figure(each.turnover_max)),
        )
    out.print(rows)


def _figure(message: DecimalMessage) -> str:
    return f"{decimal(message):,}" if message.value else ""


def _counted(message: DecimalMessage) -> str:
    """Return what was counted, in cents: fractions of units make fractions of them."""
    return f"{decimal(message):,.2f}" if message.value else ""


def _what(scope: pb.TradingScope) -> str:
    return f"{words(pb.TradingScope.Kind.DESCRIPTOR, scope.kind)} {scope.id}".strip()


def _mode(mode: int) -> str:
    return words(pb.TradingMode.DESCRIPTOR, mode)


def _scope(scope: Scope, identifier: str) -> pb.TradingScope:
    return pb.TradingScope(kind=pb.TradingScope.Kind.Value(f"KIND_{scope.name}"), id=identifier)
