"""What every command shares: who calls, where to, in which format; and how errors are told."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import grpc.aio
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from services.audit.domain.merkle import Unproven
from services.audit.domain.signed_note import NoteInvalid
from services.kernel.errors import Fact, Invalid
from tools.client.profile import Profile
from tools.client.session import Evenkeel

STATUS_DETAILS = "grpc-status-details-bin"

T = TypeVar("T")

# Of lines that go to a file or to another program: wide enough that none is broken, and no table's cell.
_WIDTH_ELSEWHERE = 2_000


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    asked = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if asked else _WIDTH_ELSEWHERE)


out = _console()
err = _console(stderr=True)


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the verb.

    Attributes:
        profile: File with the services' addresses.
        person: Whose token to use; None takes the one that suits the command.
        as_json: Print messages as JSON instead of tables.
    """

    profile: Path
    person: str | None
    as_json: bool


@contextmanager
def refusals_told() -> Iterator[None]:
    """Tell refusals in words, and end the process with code 1.

    That is what a service refuses, what is wrong with a file or a word before any service is asked, and what a service
    answered without having proven it.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        _tell(error)
    except Fact as error:
        _tell_local(error)
    except (NoteInvalid, Unproven) as error:
        err.print(f"[bold red]NOT PROVEN[/] {escape(str(error))}", highlight=False)
    except OSError as error:
        if error.filename is None:
            raise
        err.print(f"[bold red]FILE[/] {escape(str(error.filename))}: {error.strerror}", highlight=False)
    else:
        return
    sys.exit(1)


def call(context: typer.Context, person: str, work: Callable[[Evenkeel], Awaitable[T]]) -> T:
    """Return what `work` returns, given a connection as `person` (or as `--as` says)."""
    options: Options = context.obj

    async def connected() -> T:
        async with Evenkeel(Profile.load(options.profile), options.person or person) as services:
            return await work(services)

    try:
        return asyncio.run(connected())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def show(context: typer.Context, message: Message | Sequence[Message], readable: Callable[[], None]) -> None:
    """Print `message` as JSON when `--json` was given, else by `readable`."""
    options: Options = context.obj
    if not options.as_json:
        readable()
        return
    if isinstance(message, Message):
        out.print_json(json.dumps(MessageToDict(message, preserving_proto_field_name=True)))
    else:
        out.print_json(json.dumps([MessageToDict(each, preserving_proto_field_name=True) for each in message]))


def json_line(message: Message) -> None:
    """Print `message` as JSON on a line of its own."""
    told = json.dumps(MessageToDict(message, preserving_proto_field_name=True))
    out.print(told, highlight=False, markup=False, soft_wrap=True)


def as_json(context: typer.Context) -> bool:
    """Return whether `--json` was given."""
    options: Options = context.obj
    return options.as_json


class _Literal(Table):
    """A table that shows texts as they are: brackets that people wrote are no markup."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        shown = (Text(each) if isinstance(each, str) else each for each in cells)
        super().add_row(*shown, style=style, end_section=end_section)


def table(title: str, *columns: str) -> Table:
    """Return an empty table whose columns that start with `>` are aligned to the right.

    What is too long for its column goes on in the next line: an id that is cut cannot be typed again. A text stands
    there as it is; what is to have a color is a `Text`.
    """
    heading = Text(title, style="table.title")
    made = _Literal(title=heading, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.startswith(">") else "left"
        made.add_column(column.removeprefix(">"), justify=justify, overflow="fold")
    return made


def _tell(error: grpc.aio.AioRpcError) -> None:
    err.print(f"[bold red]{error.code().name}[/] {escape(error.details() or '')}", highlight=False)
    metadata = error.trailing_metadata() or ()
    packed = next((value for key, value in metadata if key == STATUS_DETAILS), None)
    if packed is not None:
        status = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else packed.encode())
        for detail in status.details:
            _tell_detail(detail)


def _tell_detail(detail: object) -> None:
    info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    if detail.Unpack(info):  # type: ignore[attr-defined]  # google.protobuf.Any, untyped in the status message
        err.print(f"  reason  {info.reason}  (docs/errors.md says what to do)", highlight=False)
    elif detail.Unpack(request):  # type: ignore[attr-defined]  # as above
        for violation in request.field_violations:
            err.print(f"  {violation.field}: {violation.description}", highlight=False, markup=False)
    elif detail.Unpack(retry):  # type: ignore[attr-defined]  # as above
        err.print(f"  repeat in {retry.retry_delay.ToMilliseconds() / 1000:g} s", highlight=False)


def _tell_local(error: Fact) -> None:
    err.print(f"[bold red]{error.reason}[/] {escape(str(error))}", highlight=False)
    if isinstance(error, Invalid):
        for violation in error.violations:
            err.print(f"  {violation.field}: {violation.description}", highlight=False, markup=False)
