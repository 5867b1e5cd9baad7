"""What a session must not forget: its numbers, what it sent, what it received. The port; a store implements it.

The rule is write-ahead. One transaction (a `Unit`) holds everything that belongs together:

- outbound: the message in the journal, the session's next numbers, and whatever the application writes with it (its
  order row, its event). Only after the commit do bytes go to the socket. A death before the commit: nothing was sent,
  nothing is known of it. A death after it: the number is used, the counterparty notices the gap and asks, and an order
  that aged meanwhile is gap-filled, never sent again.
- inbound: the message in the journal, the session's next numbers, and what the application made of it. A death before
  the commit: the number did not advance, we ask for it again. After it: the counterparty's repetition is a duplicate.

`Unit.advance` is guarded by the numbers it moves, so that two processes that both believe to hold a session cannot both
send: the second one's transaction fails before anything reaches a socket. Only by those: what is sent and what was
received may be on their way to the disk at once.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol


class SessionId(NamedTuple):
    """Names a session as we see it: BeginString, our CompID, theirs."""

    begin_string: str
    sender: str
    target: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.begin_string}:{self.sender}->{self.target}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where a session stands.

    Attributes:
        generation: How often its numbers have begun anew, from 0. Together with a number it names a message for ever.
        next_out: The number that our next message gets, from 1.
        next_in: The number that we expect from them, from 1.
        since: When this generation began; what the schedule compares with the session's period.
    """

    generation: int
    next_out: int
    next_in: int
    since: datetime

    def moves_out(self, becomes: "Numbers") -> bool:
        """Return whether from here to `becomes` something is sent, or all begins anew."""
        return becomes.next_out != self.next_out or becomes.generation != self.generation

    def moves_in(self, becomes: "Numbers") -> bool:
        """Return whether from here to `becomes` something was received, or all begins anew."""
        return becomes.next_in != self.next_in or becomes.generation != self.generation

    def moved(self, was: "Numbers", becomes: "Numbers") -> "Numbers | None":
        """Return where a session that stands here stands after a move; None if what it moves is elsewhere."""
        if self.generation != was.generation:
            return None
        out, come = was.moves_out(becomes), was.moves_in(becomes)
        if (out and self.next_out != was.next_out) or (come and self.next_in != was.next_in):
            return None
        return Numbers(
            becomes.generation,
            becomes.next_out if out else self.next_out,
            becomes.next_in if come else self.next_in,
            becomes.since,
        )


class Direction(StrEnum):
    """Who sent a message."""

    OUT = "OUT"
    IN = "IN"


class Entry(NamedTuple):
    """A message in the journal.

    Attributes:
        number: Its MsgSeqNum.
        msg_type: Its MsgType.
        data: The whole frame, as it was first sent or received.
        time: When we sent or received it.
    """

    number: int
    msg_type: str
    data: bytes
    time: datetime


class NumbersMoved(Exception):
    """Somebody else moved the session's numbers: another process holds it. Nothing was written, nothing may be sent."""


class Journaled(NamedTuple):
    """An entry, and where in a session's journal it belongs."""

    generation: int
    direction: Direction
    entry: Entry


class Unit(Protocol):
    """One transaction: all of it is written, or none. An application's own writes join it through its own store."""

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Return a part of the transaction that is undone by itself when left by an error."""
        ...

    async def advance(
        self, session: SessionId, was: Numbers, becomes: Numbers, journal: Sequence[Journaled] = ()
    ) -> None:
        """Move the session's numbers, and add to its journal what they were used for.

        A higher generation means that the numbers begin anew. A number that is the same in `was` and `becomes` is left
        as it is, whatever it is.

        Args:
            session: Whose.
            was: Where it stands.
            becomes: Where it stands after this.
            journal: What is about to be sent, and what was received; each number of a generation once each way.

        Raises:
            NumbersMoved: What moves was not at `was`; nothing was written.
        """
        ...

    async def claim(self, session: SessionId, keys: Sequence[str]) -> frozenset[str]:
        """Return those keys that this session has never claimed, and claim them; across generations.

        A key is what makes an application message count once, whatever number it comes under: for an execution report
        its ExecID. If the transaction does not commit, nothing was claimed.
        """
        ...


class SessionStore(Protocol):
    """Keeps sessions over restarts."""

    async def load(self, session: SessionId, now: datetime) -> Numbers:
        """Return where a session stands; one never seen begins at 1 and 1, generation 0, since `now`."""
        ...

    def begin(self) -> AbstractAsyncContextManager[Unit]:
        """Return a transaction: committed when left normally, undone when left by an error."""
        ...

    async def journal(
        self, session: SessionId, generation: int, direction: Direction, first: int, last: int, limit: int
    ) -> Sequence[Entry]:
        """Return the journal's entries from `first` to `last`, both included, by number, at most `limit`."""
        ...

    async def sessions(self) -> Collection[tuple[SessionId, Numbers]]:
        """Return all sessions and where they stand, by id."""
        ...
