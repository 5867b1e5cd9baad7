"""Everything about one account in a period, with what proves that nothing is left out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.audit.app.audit import AuditApp
from services.audit.app.closer import FRESH, Closed, Closer
from services.audit.app.ports import LogReader
from services.audit.domain.account_record import Bounds, CloseProof, ProvenEntry
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.entry import ACCOUNT, parse_entry
from services.audit.domain.filter import EntryFilter
from services.kernel.clock import Clock

# Entries that are read and proven together.
_STEP_ENTRIES = 200


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account's record: what bounds it, how many entries it has, and under which checkpoint all is proven."""

    bounds: Bounds
    count: int
    checkpoint: SignedCheckpoint


class AccountRecords:
    """Answers with whole records."""

    def __init__(self, *, app: AuditApp, log: LogReader, closer: Closer, clock: Clock) -> None:
        """Read from `log`, prove by `app`, and close the log by `closer` where the period's end needs it."""
        self._app = app
        self._log = log
        self._closer = closer
        self._clock = clock

    async def record(self, account: str, start: datetime | None, end: datetime | None) -> AccountRecord:
        """Return what bounds the record of `account` from `start` up to but not including `end`, None for no bound.

        Raises:
            TreeSizeUnknown: Nobody has written to the log yet.
            LogWriterElsewhere: The log must be closed for this, and this process does not hold it.
        """
        about = EntryFilter(subjects={ACCOUNT: account})
        signed = await self._app.checkpoint()
        after = None if end is None else await self._one(replace(about, start_time=end), signed)
        closed: Closed | None = None
        if end is not None and after is not None:
            complete_until = end
            if await self._closer.destroyed():
                # Numbers may be missing because they were destroyed, which only a closing entry shows.
                closed = await self._closed_as_it_is()
                signed = await self._app.checkpoint()
        else:
            closed, following = await self._closed(end)
            signed = await self._app.checkpoint()
            complete_until = following if end is None else min(end, following)
            after = await self._one(replace(about, start_time=complete_until), signed)
        before = None
        if start is not None:
            before = await self._one(replace(about, end_time=min(start, complete_until)), signed, newest=True)
        close = None
        if closed is not None and (after is None or closed.closing.destroyed):
            close = await self._close_proof(account, closed, signed)
        bounds = Bounds(account, start, complete_until, before, after, close)
        return AccountRecord(bounds, await self._count(bounds, signed), signed)

    async def entries(self, record: AccountRecord) -> AsyncIterator[Sequence[ProvenEntry]]:
        """Yield the entries of `record` by their numbers, some at a time."""
        bounds, at = record.bounds, 0
        wanted = EntryFilter(
            subjects={ACCOUNT: bounds.account}, start_time=bounds.start_time, end_time=bounds.complete_until
        )
        size = record.checkpoint.checkpoint.size
        while True:
            bodies = await self._log.bodies(wanted, start=at, stop=size, limit=_STEP_ENTRIES)
            if bodies:
                yield await self._app.proven(bodies, record.checkpoint)
                at = parse_entry(bodies[-1]).index + 1
            if len(bodies) < _STEP_ENTRIES:
                return

    async def _closed(self, end: datetime | None) -> tuple[Closed, datetime]:
        """Return a closing entry that covers everything before `end`, or before now, and until when it does."""
        newest = await self._closer.newest()
        if newest is not None and await self._says_what_is(newest):
            until = await self._covered_until(newest)
            if until >= (self._clock.now() - FRESH if end is None else end):
                return newest, until
        closed = await self._closer.close()
        return closed, await self._covered_until(closed)

    async def _closed_as_it_is(self) -> Closed:
        newest = await self._closer.newest()
        return newest if newest is not None and await self._says_what_is(newest) else await self._closer.close()

    async def _says_what_is(self, closed: Closed) -> bool:
        """Return whether a closing entry knows everything that was destroyed, and what follows it is still there."""
        destroyed = await self._closer.destroyed()
        size = closed.closing.covered_size
        return closed.closing.destroyed == destroyed and not any(each.start <= size < each.stop for each in destroyed)

    async def _covered_until(self, closed: Closed) -> datetime:
        return (await self._app.entry(closed.closing.covered_size)).recorded_time

    async def _close_proof(self, account: str, closed: Closed, signed: SignedCheckpoint) -> CloseProof:
        tree = await self._closer.tree(closed.closing)
        following = await self._app.entry(closed.closing.covered_size)
        close, first = await self._app.proven([closed.entry.body, following.body], signed)
        return CloseProof(close, first, tuple(tree.proven(at) for at in tree.around(account)))

    async def _one(self, wanted: EntryFilter, signed: SignedCheckpoint, *, newest: bool = False) -> ProvenEntry | None:
        size = signed.checkpoint.size
        bodies = await self._log.bodies(wanted, start=0, stop=size, limit=1, descending=newest)
        return (await self._app.proven(bodies, signed))[0] if bodies else None

    async def _count(self, bounds: Bounds, signed: SignedCheckpoint) -> int:
        """Return how many entries the period has, by the numbers of the first and the last."""
        wanted = EntryFilter(
            subjects={ACCOUNT: bounds.account}, start_time=bounds.start_time, end_time=bounds.complete_until
        )
        ends = [
            await self._log.bodies(wanted, start=0, stop=signed.checkpoint.size, limit=1, descending=descending)
            for descending in (False, True)
        ]
        numbers = [parse_entry(body).account_sequence for bodies in ends for body in bodies]
        if not numbers:
            return 0
        first, last = numbers
        gone = () if bounds.close is None else await self._closer.gone(bounds.account)
        between = sum(until - since + 1 for since, until in gone if first < since and until < last)
        return last - first + 1 - between
