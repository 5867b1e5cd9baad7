"""`evenkeel fix`: what FIX sessions say, how they are, and their controlled reset."""

from typing import Annotated

import typer
from rich.text import Text

from evenkeel.execution.v1 import fix_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.text import state as words
from tools.cli.text import time
from tools.client.session import Evenkeel
from tools.client.values import instant, new_request_id

app = typer.Typer(help="FIX sessions with brokers, and of the sandbox's clients.", no_args_is_help=True)

Session = Annotated[str, typer.Argument(help="A session as `status` names it; the only one when left out.")]
# Shown on each message's line; the others say the same every time.
FRAME = frozenset({8, 9, 10, 34, 35, 49, 52, 56})


@app.command("status")
def status(context: typer.Context) -> None:
    """Show how the sessions are, and which resets are open."""
    response = call(context, "trader", lambda services: services.fix.ListFixSessions(pb.ListFixSessionsRequest()))

    def readable() -> None:
        if not response.sessions:
            out.print("no FIX session was ever opened")
            return
        rows = table("FIX sessions", "session", "state", "as of", ">next out", ">next in", ">generation", "since")
        for each in response.sessions:
            up = Text("up", "green") if each.up else Text.assemble(("down", "red"), f" {each.down_reason}")
            seen = time(each.check_time) if each.HasField("check_time") else "never"
            rows.add_row(
                *(each.session, up, seen, str(each.next_out), str(each.next_in)),
                *(str(each.generation), time(each.start_time)),
            )
        out.print(rows)
        for reset in (reset for each in response.sessions for reset in each.open_resets):
            how = words(pb.FixReset.State.DESCRIPTOR, reset.state)
            by = f", approved by {reset.approver}" if reset.approver else ""
            out.print(f"reset {reset.reset_id} of {reset.session}: {how}, asked for by {reset.proposer}{by}")

    show(context, response, readable)


@app.command("log")
def log(
    context: typer.Context,
    session: Session = "",
    kind: Annotated[str, typer.Option("--type", help="Only messages of this type, for instance D or 8.")] = "",
    value: Annotated[str, typer.Option(help="Only messages with this value in some field, for instance an id.")] = "",
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="How many, the newest.")] = 20,
    heartbeats: Annotated[bool, typer.Option(help="Heartbeats and test requests as well.")] = False,
    raw: Annotated[bool, typer.Option(help="As on the wire, with | between fields.")] = False,
) -> None:
    """Print messages with the names of their fields, the newest last."""

    async def ask(services: Evenkeel) -> pb.ListFixMessagesResponse:
        request = pb.ListFixMessagesRequest(
            session=session or await _only(services),
            msg_type=kind,
            value=value,
            heartbeats=heartbeats,
            page_size=count,
        )
        return await services.fix.ListFixMessages(request)

    response = call(context, "trader", ask)

    def readable() -> None:
        for each in reversed(response.messages):
            out.print(_raw(each) if raw else _line(each), soft_wrap=True)

    show(context, response, readable)


@app.command("reset")
def reset(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why.")],
    session: Session = "",
) -> None:
    """Ask for a session's numbers to begin anew on both sides; another person must approve it."""

    async def ask(services: Evenkeel) -> pb.ProposeFixResetResponse:
        request = pb.ProposeFixResetRequest(
            request_id=new_request_id(), session=session or await _only(services), reason=reason
        )
        return await services.fix.ProposeFixReset(request)

    response = call(context, "trader", ask)
    found = response.reset
    show(
        context,
        response,
        lambda: out.print(f"another person approves it: evenkeel fix approve {found.reset_id}", highlight=False),
    )


@app.command("approve")
def approve(context: typer.Context, reset_id: Annotated[str, typer.Argument(help="Which reset.")]) -> None:
    """Approve a reset, as somebody other than who asked for it."""
    request = pb.ApproveFixResetRequest(request_id=new_request_id(), reset_id=reset_id)
    response = call(context, "risk_officer", lambda services: services.fix.ApproveFixReset(request))
    found = response.reset
    how = words(pb.FixReset.State.DESCRIPTOR, found.state)
    show(context, response, lambda: out.print(f"reset of {found.session}: {how}", highlight=False))


async def _only(services: Evenkeel) -> str:
    sessions = (await services.fix.ListFixSessions(pb.ListFixSessionsRequest())).sessions
    if len(sessions) != 1:
        names = ", ".join(each.session for each in sessions) or "none"
        raise typer.BadParameter(f"name a session; there is {names}")
    return sessions[0].session


def _line(message: pb.FixMessage) -> Text:
    outgoing = message.direction == pb.FixMessage.DIRECTION_OUT
    line = Text()
    line.append(f"{instant(message.time):%H:%M:%S.%f}"[:-3], style="dim")
    line.append(" → " if outgoing else " ← ", style="cyan" if outgoing else "green")
    line.append(f"{message.number:>6} ", style="dim")
    line.append(message.name or message.msg_type, style="bold")
    for each in message.fields:
        if each.tag not in FRAME:
            line.append(f" {each.name or each.tag}=", style="dim")
            line.append(each.value)
    return line


def _raw(message: pb.FixMessage) -> Text:
    return Text("|".join(f"{each.tag}={each.value}" for each in message.fields) + "|")
