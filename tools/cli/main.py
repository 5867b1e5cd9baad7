"""`evenkeel`: one verb for each thing that a person asks of the services."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from tools.cli import (
    audit,
    audit_queries,
    batches,
    book,
    breaks,
    calibrating,
    clients,
    custodians,
    fix,
    nodes,
    orders,
    plans,
    policy,
    policy_history,
    records,
    rollouts,
    runs,
    services,
    taxes,
    trading,
)
from tools.cli.context import Options, refusals_told

app = typer.Typer(
    help="Talks to Evenkeel's services, each command as the person who usually gives it; --as changes that.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
policy.app.add_typer(policy_history.app)
policy.app.add_typer(rollouts.halting)
policy.app.add_typer(rollouts.app, name="rollout")
policy.app.add_typer(nodes.app, name="node")
app.add_typer(policy.app, name="policy")
app.add_typer(book.app, name="account")
app.add_typer(clients.app, name="client")
app.add_typer(runs.app, name="run")
app.add_typer(plans.app, name="plan")
app.add_typer(batches.app, name="batch")
app.add_typer(taxes.app, name="tax")
app.add_typer(orders.orders, name="order")
app.add_typer(orders.blocks, name="block")
app.add_typer(audit_queries.extended(audit.app), name="audit")
app.add_typer(records.app, name="records")
app.add_typer(fix.app, name="fix")
app.add_typer(breaks.app, name="break")
app.add_typer(custodians.app, name="custodian")
app.command("cost")(breaks.cost)
app.command("calibrate")(calibrating.calibrate)
app.command("halt")(trading.halt)
app.command("resume")(trading.resume)
app.command("trading")(trading.state)
app.command("status")(services.status)


@app.callback()
def options(
    context: typer.Context,
    profile: Annotated[
        Path, typer.Option(envvar="EVENKEEL_PROFILE", help="File with addresses, certificates and tokens.")
    ] = Path(".state/up/profile.toml"),
    person: Annotated[
        str | None,
        typer.Option("--as", envvar="EVENKEEL_PERSON", help="Whose token to use, by its name in the profile."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print messages as JSON.")] = False,
) -> None:
    """Read the options before the verb."""
    context.obj = Options(profile, person, as_json)


@cache
def command() -> Callable[[], Any]:
    """Return the whole command line, made once a process."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line."""
    with refusals_told():
        command()()
