"""What the next commit adds to the log, made while the one before it is still being stored.

What is made follows from what the log will be once the commit under way has ended well: from its head, its numbers and
its event ids, which are kept here until then. If it does not end well, whatever was made after it is worth nothing and
is made again, from what is stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.audit.app.ports import LogWriter
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from services.audit.domain.entry import ACCOUNT, Event, write_out
from services.audit.domain.errors import LogWriterElsewhere
from services.audit.domain.sequencing import Growth, Head, Known, conflict_reports, grow
from services.audit.domain.signed_note import SigningKey
from services.kernel.clock import Clock

# Accounts whose last number is kept in memory, about 100 bytes each; more are looked up again.
SEQUENCES_KEPT_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A commit that may be sent when the one before it has ended well; the checkpoint covers both."""

    growth: Growth
    checkpoint: SignedCheckpoint
    # Where the log ends without it.
    before: tuple[Head, SignedCheckpoint]
    # Whether the log was asked which of the events it has.
    asked: bool
    # Where the entry of each of its events is to be.
    indexes: Mapping[str, int]


class Preparer:
    """Makes commits of one writer, each after the other."""

    def __init__(
        self,
        writer: LogWriter,
        origin: str,
        keys: Sequence[SigningKey],
        clock: Clock,
        ends: tuple[Head, SignedCheckpoint],
        ask_first: int,
    ) -> None:
        """Go on after `ends`, and ask the log before each of the first `ask_first` commits which events it has."""
        self._writer = writer
        self._origin = origin
        self._keys = keys
        self._clock = clock
        # As the log will be when all that is not stored yet is.
        self._head, self._checkpoint = ends
        self._sequences: dict[str, int] = {}
        self._unstored: list[Prepared] = []
        self._ask_first = ask_first

    async def prepared(self, events: Sequence[Event]) -> Prepared:
        """Return what recording `events` adds to the log after everything that was prepared.

        Raises:
            LogWriterElsewhere: The log has one of them where this writer put none: somebody else writes to it.
            Unreachable: The hold on the log is lost.
        """
        now, ids = self._clock.now(), {event.event_id for event in events}
        asked = self._ask_first > 0
        known = await self._asked(ids) if asked else self._on_the_way(ids)
        if known or len(ids) < len(events):
            reports = conflict_reports(events, known, now)
            if reports:
                known |= await self._asked({report.event_id for report in reports})
                events = [*events, *reports]
        await self._number(events)
        before = self._head, self._checkpoint
        growth = grow(self._head, events, known, self._sequences, now)
        if growth.entries:
            self._head, self._checkpoint = growth.head, signed(growth.head, self._origin, self._keys)
            if len(self._sequences) > SEQUENCES_KEPT_MAX:
                self._sequences.clear()
            self._sequences |= growth.sequences
        indexes = {entry.event.event_id: entry.index for entry in growth.entries}
        prepared = Prepared(growth, self._checkpoint, before, asked, indexes)
        self._unstored.append(prepared)
        self._ask_first -= asked
        return prepared

    def stored(self, prepared: Prepared) -> None:
        """Note that the oldest commit that was prepared is durable."""
        self._unstored.remove(prepared)

    def undone(self, prepared: Prepared, ask_first: int) -> None:
        """Forget a commit of which nothing was stored, and all that was prepared after it.

        The log is asked before each of the next `ask_first` commits which events it has.
        """
        self._head, self._checkpoint = prepared.before
        self._unstored.clear()
        self._sequences.clear()
        self._ask_first = ask_first

    def _on_the_way(self, ids: set[str]) -> dict[str, Known]:
        """Return those of `ids` that are in commits which may not be stored yet."""
        found: dict[str, Known] = {}
        for each in self._unstored:
            for event_id in each.indexes.keys() & ids:
                index = each.indexes[event_id]
                entry = each.growth.entries[index - each.growth.entries[0].index]
                found[event_id] = Known(index, entry.event.digest)
        return found

    async def _asked(self, ids: set[str]) -> dict[str, Known]:
        """Return those of `ids` that the log has, or will have when what is on the way is stored."""
        # Looked at first: what is stored while the log is asked may not be in its answer.
        on_the_way = self._on_the_way(ids)
        stored = await self._writer.known(ids)
        if any(each.index >= self._head.edge.size for each in stored.values()):
            raise LogWriterElsewhere("another process has written to the log", origin=self._origin)
        return {**stored, **on_the_way}

    async def _number(self, events: Sequence[Event]) -> None:
        """Learn the last numbers of those accounts of `events` of which they are not known."""
        accounts = {event.subjects.get(ACCOUNT) for event in events} - self._sequences.keys()
        unnumbered = [account for account in accounts if account is not None]
        if not unnumbered:
            return
        asking = asyncio.create_task(self._last_numbers(unnumbered))
        try:
            # The question is sent before the bytes are made, which do not depend on its answer.
            await asyncio.sleep(0)
            write_out(events)
        finally:
            self._sequences |= await asking

    async def _last_numbers(self, accounts: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(accounts, 0) | dict(await self._writer.sequences(accounts))


def signed(head: Head, origin: str, keys: Sequence[SigningKey]) -> SignedCheckpoint:
    """Return the checkpoint of the log `origin` where it ends at `head`, signed with each of `keys`.

    Raises:
        ValueError: The head has no time.
    """
    if head.recorded_time is None:
        raise ValueError("a checkpoint needs the time of its head")
    checkpoint = Checkpoint(origin, head.edge.size, head.edge.root())
    return SignedCheckpoint(checkpoint, sign_checkpoint(checkpoint, keys), head.recorded_time)
