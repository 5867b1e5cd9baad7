"""Closes the log: commits, as an entry of it, to the last number of every account.

Closed after every midnight (UTC), and when somebody asks for the whole record of an account up to now. What is new
since the log was last closed is read once, and each changed number is stored; so closing costs what the day did, not
what the years did.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.audit.app.ports import LogReader
from services.audit.app.sequencer import Sequencer
from services.audit.domain.closing import (
    CLOSE_KIND,
    CloseTree,
    Closing,
    Destroyed,
    Leaf,
    account_hash,
    close_event,
    close_tree,
    read_closing,
)
from services.audit.domain.entry import Entry, parse_entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import EMPTY_ROOT
from services.kernel.clock import Clock

# Trees kept in memory; one over a million accounts is about 200 MB.
_TREES_KEPT = 2
# Entries whose accounts are noted before others may go on.
_STEP_ENTRIES = 5_000


class CloseStore(Protocol):
    """Keeps the numbers that closing entries commit to."""

    def accounts(self, start: int, stop: int, step: int) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Yield account and number of the entries from `start` up to but not including `stop`, `step` together."""
        ...

    async def add_numbers(self, size: int, leaves: Sequence[Leaf]) -> None:
        """Store what the last numbers of these accounts are among the first `size` entries. Safe to repeat."""
        ...

    async def numbers(self, size: int) -> Sequence[Leaf]:
        """Return the last number of each account among the first `size` entries, ordered by the account's hash."""
        ...

    async def gone(self, stops: Collection[int], account: str | None = None) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return by account the stretches of numbers in destroyed partitions that ended at `stops`, joined.

        Only of `account`, when it is given.
        """
        ...


async def nothing_destroyed() -> Sequence[Destroyed]:
    """Return that nothing of a log was ever destroyed."""
    return ()


@dataclass(frozen=True, slots=True)
class Closed:
    """A closing entry, and what it states."""

    entry: Entry
    closing: Closing


class Closer:
    """Closes one log."""

    def __init__(
        self,
        *,
        origin: str,
        log: LogReader,
        store: CloseStore,
        sequencer: Sequencer,
        clock: Clock,
        interval_s: float,
        destroyed: Callable[[], Awaitable[Sequence[Destroyed]]] = nothing_destroyed,
    ) -> None:
        """Close the log `origin`, of which `destroyed` is gone; look every `interval_s` whether a day has ended."""
        self._origin = origin
        self._log = log
        self._store = store
        self._sequencer = sequencer
        self._clock = clock
        self._interval_s = interval_s
        self._destroyed = destroyed
        self._closing = asyncio.Lock()
        self._trees: OrderedDict[tuple[int, tuple[Destroyed, ...]], CloseTree] = OrderedDict()

    async def run(self, stop: asyncio.Event) -> None:
        """Close after each midnight until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if self._sequencer.writing and await self._day_ended():
                    await self.close()
                await asyncio.wait([stopping], timeout=self._interval_s)
        finally:
            stopping.cancel()

    async def newest(self) -> Closed | None:
        """Return the newest closing entry; None before the first."""
        checkpoint = await self._log.checkpoint()
        if checkpoint is None:
            return None
        wanted = EntryFilter(kind=CLOSE_KIND)
        size = checkpoint.checkpoint.size
        for body in await self._log.bodies(wanted, start=0, stop=size, limit=1, descending=True):
            entry = parse_entry(body)
            return Closed(entry, read_closing(entry))
        return None

    async def close(self) -> Closed:
        """Close the log as it is now, and return the closing entry; the newest one, when nothing came after it.

        Raises:
            LogWriterElsewhere: This process does not hold the log.
        """
        async with self._closing:
            newest = await self.newest()
            checkpoint = await self._log.checkpoint()
            size = 0 if checkpoint is None else checkpoint.checkpoint.size
            destroyed = await self.destroyed()
            start = 0
            if newest is not None:
                start = newest.closing.covered_size
                if size == newest.entry.index + 1 == start + 1 and newest.closing.destroyed == destroyed:
                    return newest
            changed: dict[str, int] = {}
            async for step in self._store.accounts(start, size, _STEP_ENTRIES):
                changed.update(step)
            # What was destroyed before the log was closed over it.
            for account, stretches in (await self._store.gone([d.stop for d in destroyed if d.stop > start])).items():
                changed[account] = max(changed.get(account, 0), stretches[-1][1])
            await self._store.add_numbers(size, [Leaf(account_hash(each), last) for each, last in changed.items()])
            tree = await self.tree(Closing(size, 0, EMPTY_ROOT, destroyed))
            now = self._clock.now() if checkpoint is None else checkpoint.sign_time
            event = close_event(self._origin, Closing(size, len(tree), tree.root, destroyed), now)
            appended = await self._sequencer.append([event])
            body = await self._log.body(appended.results[0].index)
            if body is None:
                raise LookupError("an entry that was acknowledged is not there")
            entry = parse_entry(body)
            return Closed(entry, read_closing(entry))

    async def destroyed(self) -> tuple[Destroyed, ...]:
        """Return what is gone of the log now, by the first index."""
        return tuple(sorted(await self._destroyed()))

    async def gone(self, account: str) -> Sequence[tuple[int, int]]:
        """Return the stretches of an account's numbers that are gone now."""
        return (await self._store.gone([each.stop for each in await self.destroyed()], account)).get(account, ())

    async def tree(self, closing: Closing) -> CloseTree:
        """Return the tree over the last numbers of all accounts among the entries that `closing` covers."""
        key = (closing.covered_size, closing.destroyed)
        if key not in self._trees:
            leaves = await self._store.numbers(closing.covered_size)
            gone = await self._store.gone([each.stop for each in closing.destroyed])
            self._trees[key] = await asyncio.to_thread(close_tree, leaves, gone)
            while len(self._trees) > _TREES_KEPT:
                self._trees.popitem(last=False)
        self._trees.move_to_end(key)
        return self._trees[key]

    async def _day_ended(self) -> bool:
        """Return whether entries of a day that is over are not committed to yet."""
        midnight = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        newest = await self.newest()
        if newest is not None and newest.entry.recorded_time >= midnight:
            return False
        before = EntryFilter(end_time=midnight)
        checkpoint = await self._log.checkpoint()
        size = 0 if checkpoint is None else checkpoint.checkpoint.size
        last = await self._log.bodies(before, start=0, stop=size, limit=1, descending=True)
        covered = 0 if newest is None else newest.entry.index + 1
        return any(parse_entry(body).index >= covered for body in last)


# How old a closing entry may be that is still as good as one of now.
FRESH = timedelta(seconds=5)
