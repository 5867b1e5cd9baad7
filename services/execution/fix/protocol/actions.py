"""What a session wants done, in this order.

The shell carries these out: it writes `Send` and `Received` with the numbers in one transaction, hands what is to be
delivered to the application within it, and only then lets bytes go to the socket.
"""

from dataclasses import dataclass
from typing import NamedTuple

from services.execution.fix.protocol.framer import Garbled
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.store import Entry


class Send(NamedTuple):
    """A new message: journal it, then write it to the socket."""

    generation: int
    entry: Entry


class Received(NamedTuple):
    """A message took its number: journal it; if `deliver`, the application applies it in the same transaction."""

    generation: int
    entry: Entry
    message: Message
    deliver: bool


@dataclass(frozen=True, slots=True)
class Resend:
    """They ask for `first` to `last` again, both included: read the journal, pass it through `Session.resender`."""

    generation: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Transmit:
    """Bytes for the socket under a number that is used already: something sent again, or a gap fill."""

    data: bytes


@dataclass(frozen=True, slots=True)
class GapFilled:
    """Application messages that they asked for and did not get, being too old: ask what became of them."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class LoggedOn:
    """The session is up."""


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """They said good-bye, with this text, if any."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """We refused a message with a Reject or a Business Message Reject."""

    message: Message
    why: str


@dataclass(frozen=True, slots=True)
class GapFound:
    """Messages from `first` to `last` are missing; they were asked for."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class BegunAnew:
    """Both sides' numbers begin at 1 again, because of `why`."""

    why: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, after what was written is out."""

    why: str


Action = (
    Send
    | Received
    | Resend
    | Transmit
    | GapFilled
    | LoggedOn
    | LoggedOut
    | Refused
    | GapFound
    | BegunAnew
    | Garbled
    | Close
)
