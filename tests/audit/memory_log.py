"""A log in memory, as the ports describe one: for tests of the use cases, held to the same contract as the store."""

import asyncio
from contextlib import asynccontextmanager

from services.audit.domain.entry import EntryInvalid
from services.audit.domain.errors import LogRootMismatch, LogWriterElsewhere
from services.audit.domain.reading import read_entries
from services.audit.domain.sequencing import EventsRecorded, Head, Known
from services.audit.domain.tiles import RightEdge


class MemoryLog:
    """Keeps entries, keys, tiles and checkpoints, and who writes.

    `fail_before_commit` and `fail_after_commit` count down the commits that lose the hold on the log, before or after
    they are durable.
    """

    def __init__(self, origin):
        self.origin = origin
        self.entries = []
        self.keys = {}
        self.full_tiles = {}
        self.checkpoints = {}
        self.holder = None
        self.commits = 0
        # How often it was asked which events it has.
        self.asked = 0
        self.fail_before_commit = 0
        self.fail_after_commit = 0
        # Cleared, it holds every commit; `committing` is set when one is held.
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.committing = asyncio.Event()
        # Cleared, it holds the answers to what a writer asks, which tell of the log as it was when it was asked.
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        # Accounts whose last number was asked for.
        self.numbered = []

    @asynccontextmanager
    async def elect(self):
        if self.holder is not None:
            raise LogWriterElsewhere("another writer holds the log", origin=self.origin)
        writer = MemoryWriter(self)
        self.holder = writer
        try:
            yield writer
        finally:
            if self.holder is writer:
                self.holder = None

    def hold(self):
        """Hold commits until `may_commit` is set."""
        self.committing.clear()
        self.may_commit.clear()

    def depose(self):
        """Take the hold from whoever has it, as the end of its session would."""
        self.holder = None

    async def checkpoint(self, size=None):
        if size is None:
            size = max(self.checkpoints, default=None)
        return self.checkpoints.get(size)

    async def checkpoint_and_tile(self, size, tile):
        leaves = self.entries[tile * 256 : (tile + 1) * 256]
        full = b"".join(entry.leaf for entry in leaves) if len(leaves) == 256 else None
        return await self.checkpoint(size), full

    async def matching(self, wanted, *, start, stop, limit, descending=False):
        bodies = await self.bodies(wanted, start=start, stop=stop, limit=limit, descending=descending)
        try:
            return read_entries(bodies)
        except EntryInvalid as error:
            raise LogRootMismatch("a stored entry is not as the log writes it") from error

    async def sized_matching(self, wanted, *, start, limit, descending=False):
        size = max(self.checkpoints, default=None)
        found = await self.matching(wanted, start=start, stop=size or 0, limit=limit, descending=descending)
        return size, found

    async def matching_each(self, wanted, *, stop, limit):
        return [await self.matching(each, start=0, stop=stop, limit=limit) for each in wanted]

    async def size_at(self, instant):
        return max((size for size, each in self.checkpoints.items() if each.sign_time <= instant), default=None)

    async def body(self, index):
        return self.entries[index].body if index < len(self.entries) else None

    async def index_of(self, event_id):
        return self.keys[event_id].index if event_id in self.keys else None

    async def bodies(self, wanted, *, start, stop, limit, descending=False):
        found = [entry.body for entry in self.entries[start:stop] if wanted.matches(entry)]
        return (found[::-1] if descending else found)[:limit]

    async def tiles(self, wanted):
        return {each.id: self._tile(each) for each in wanted}

    def _tile(self, wanted):
        level, first = wanted.id.level, wanted.id.index * 256
        if level == 0:
            hashes = [entry.leaf for entry in self.entries[first : first + wanted.width]]
        else:
            below = [root for (tile, root) in sorted(self.full_tiles.items()) if tile.level == level - 1]
            hashes = below[first : first + wanted.width]
        if len(hashes) < wanted.width:
            raise LogRootMismatch("hashes are missing")
        return b"".join(hashes)


class MemoryWriter:
    def __init__(self, log):
        self.log = log

    async def head(self):
        self._held()
        edge, _ = RightEdge().extended(entry.leaf for entry in self.log.entries)
        newest = await self.log.checkpoint()
        return Head(edge, newest.sign_time if newest else None), newest

    async def known(self, event_ids):
        self._held()
        self.log.asked += 1
        found = {event_id: self.log.keys[event_id] for event_id in event_ids if event_id in self.log.keys}
        await self.log.may_answer.wait()
        return found

    async def sequences(self, accounts):
        self._held()
        self.log.numbered += accounts
        last = {entry.event.account: entry.account_sequence for entry in self.log.entries}
        await self.log.may_answer.wait()
        return {account: last[account] for account in accounts if account in last}

    async def commit(self, growth, checkpoint):
        log = self.log
        log.committing.set()
        await log.may_commit.wait()
        self._held()
        log.commits += 1
        if log.fail_before_commit:
            log.fail_before_commit -= 1
            raise LogWriterElsewhere("lost before the commit")
        follows = growth.head.edge.size == len(log.entries) + len(growth.entries)
        new = not any(entry.event.event_id in log.keys for entry in growth.entries)
        if not new:
            raise EventsRecorded
        if not follows or checkpoint.checkpoint.size in log.checkpoints:
            raise LogWriterElsewhere("another writer was here")
        log.entries += growth.entries
        log.keys |= {entry.event.event_id: Known(entry.index, entry.event.digest) for entry in growth.entries}
        log.full_tiles |= {tile.id: tile.root for tile in growth.tiles}
        log.checkpoints[checkpoint.checkpoint.size] = checkpoint
        if log.fail_after_commit:
            log.fail_after_commit -= 1
            raise LogWriterElsewhere("lost after the commit")

    def _held(self):
        if self.log.holder is not self:
            raise LogWriterElsewhere("the hold on the log was lost")
