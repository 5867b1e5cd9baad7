"""`evenkeel batch`: many accounts that one brings along, decided at once."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson, Parse, ParseError

from evenkeel.decision.v1 import batch_service_pb2 as pb
from evenkeel.decision.v1.plan_service_pb2 import Plan
from services.kernel.errors import FieldViolation, Invalid
from tools.cli.context import call, out, show, table
from tools.cli.text import state

app = typer.Typer(help="Many accounts that one brings along, decided at once.", no_args_is_help=True)

# Longest wait, in seconds: the computing process may be busy with a run.
WAIT_S = 300.0


@app.command()
def preview(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(help="A PreviewBatchRequest: protobuf's JSON, or its bytes.")],
    to: Annotated[Path | None, typer.Option(help="Write the response there: JSON when it ends so, else bytes.")] = None,
) -> None:
    """Decide the accounts of a file; nothing is stored."""
    asked = _read(request)
    response = call(context, "advisor", lambda services: services.batches.PreviewBatch(asked, timeout=WAIT_S))
    if to is not None:
        written = MessageToJson(response, preserving_proto_field_name=True).encode()
        to.write_bytes(written if to.suffix == ".json" else response.SerializeToString())
    show(context, response, lambda: _told(response))


def _read(path: Path) -> pb.PreviewBatchRequest:
    """Return the request that a file holds.

    Raises:
        Invalid: It holds none.
    """
    content = path.read_bytes()
    try:
        if content.lstrip()[:1] == b"{":
            return Parse(content.decode(), pb.PreviewBatchRequest())
        return pb.PreviewBatchRequest.FromString(content)
    except (ParseError, ValueError, json.JSONDecodeError) as error:
        said = f"must be a PreviewBatchRequest: {error}"
        raise Invalid(f"{path} {said}", violations=[FieldViolation(str(path), said)]) from error


def _told(response: pb.PreviewBatchResponse) -> None:
    rows = table("Plans", "outcome", ">accounts")
    for outcome, count in sorted(Counter(response.plans.outcomes).items()):
        rows.add_row(state(Plan.Outcome.DESCRIPTOR, outcome), f"{count:,}")
    out.print(rows)
    out.print(
        f"{len(response.trades.accounts):,} trades, {len(response.sales.trades):,} sales of lots", highlight=False
    )
    for error in response.errors:
        said = f"{error.account_id}: {error.field} {error.description}"
        out.print(said, highlight=False, markup=False)
