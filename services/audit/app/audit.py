"""The use cases of the audit service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from services.audit.app.ports import LogReader
from services.audit.app.sequencer import Appended, Sequencer
from services.audit.domain.account_record import ProvenEntry
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.entry import EVENT_BYTES_MAX, Entry, EntryInvalid, Event, body_index, parse_entry
from services.audit.domain.errors import EntryDisposed, EntryNotFound, EventTooLarge, LogRootMismatch, TreeSizeUnknown
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import (
    HASH_BYTES,
    Span,
    Unproven,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    peaks_of,
    root_over,
    span_root,
    verify_consistency,
    verify_inclusion,
)
from services.audit.domain.tiles import (
    TILE_WIDTH,
    TileCache,
    TileId,
    TileNodes,
    TileRange,
    tile_range,
    tiles_for,
    tiles_with,
)
from services.kernel.errors import Invalid, Violations

# Entries are read from storage in steps, so that a page of large entries does not fill the memory.
_STEP_ENTRIES = 250
_TILE_BYTES = TILE_WIDTH * HASH_BYTES
# Bodies in one answer; the message that carries them has about twice that, within every client's usual limit of 4 MiB.
_ANSWER_BYTES_MAX = 1_500_000


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Some entries of the log as it was at `tree_size`; `cursor` is where the next page begins, None after the last."""

    entries: tuple[Entry, ...]
    tree_size: int
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Proof:
    """Hashes, and the signed root they lead to."""

    hashes: tuple[bytes, ...]
    checkpoint: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class InclusionProof(Proof):
    """The proof that `leaf` stands at `index`."""

    index: int
    leaf: bytes


class Growing:
    """Wakes those who wait for the log to grow."""

    def __init__(self, poll_s: float = 0.5) -> None:
        """Wake at the latest after `poll_s`: another process may be the writer."""
        self._poll_s = poll_s
        self._grown = asyncio.Event()

    def announce(self) -> None:
        """Wake everyone who waits."""
        self._grown.set()
        self._grown = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Return what is set when the log next grows; ask before looking at the log, so that nothing is missed."""
        return self._grown

    async def wait(self, grown: asyncio.Event) -> None:
        """Return when the log may have grown since `grown` was asked for."""
        waiting = asyncio.ensure_future(grown.wait())
        try:
            await asyncio.wait([waiting], timeout=self._poll_s)
        finally:
            waiting.cancel()


class AuditApp:
    """Appends to the log, reads it, and proves what it contains."""

    def __init__(
        self,
        *,
        sequencer: Sequencer,
        log: LogReader,
        growing: Growing,
        sealed: Callable[[Sequence[Event]], Awaitable[Sequence[Event]]] | None = None,
        why_gone: Callable[[int], Awaitable[str | None]] | None = None,
    ) -> None:
        """Append by `sequencer`, read from `log`, follow by `growing`.

        Args:
            sequencer: Writes the log.
            log: Reads it.
            growing: Wakes followers.
            sealed: Makes of events what may be recorded; None when they may be as they are.
            why_gone: Tells by which decision an entry was destroyed; None when none ever is.
        """
        self._sealed = sealed
        self._why_gone = why_gone
        self._sequencer = sequencer
        self._log = log
        self._growing = growing
        self._cache = TileCache()

    async def append(self, events: Sequence[Event]) -> Appended:
        """Append `events`, all or none, and return when they are durable. Safe to repeat.

        Raises:
            Invalid: There are more than one commit holds.
            EventTooLarge: An event does not fit into an entry.
            LogBackpressure: Too many events wait.
            LogWriterElsewhere: Another process holds the log.
        """
        if self._sealed is not None:
            events = await self._sealed(events)
        sizes = [event.size_bytes for event in events]
        if max(sizes, default=0) > EVENT_BYTES_MAX:
            violations = Violations()
            for number, size in enumerate(sizes):
                if size > EVENT_BYTES_MAX:
                    violations.add(f"events[{number}]", f"must be at most {EVENT_BYTES_MAX} bytes as JSON, was {size}")
            violations.raise_if_any(EventTooLarge)
        return await self._sequencer.append(events)

    async def entry(self, index: int) -> Entry:
        """Return the entry at `index`.

        Raises:
            EntryNotFound: The log is not that long.
            EntryDisposed: The entry was destroyed when its time was over.
        """
        body = await self._log.body(index)
        if body is None:
            proposal_id = None if self._why_gone is None else await self._why_gone(index)
            if proposal_id is not None:
                raise EntryDisposed(
                    f"entry {index} was destroyed by proposal {proposal_id}", index=index, proposal_id=proposal_id
                )
            raise EntryNotFound(f"the log has no entry {index}", index=index)
        return _parsed(body)

    async def entry_of_event(self, event_id: str) -> Entry:
        """Return the entry of the event `event_id`.

        Raises:
            EntryNotFound: The log does not have the event.
        """
        index = await self._log.index_of(event_id.lower())
        if index is None:
            raise EntryNotFound(f"the log has no event {event_id}", event_id=event_id)
        return await self.entry(index)

    async def entries(
        self,
        wanted: EntryFilter,
        *,
        limit: int,
        descending: bool = False,
        tree_size: int | None = None,
        cursor: int | None = None,
    ) -> EntryPage:
        """Return the next matching entries, at most `limit`, and fewer when they are large.

        Args:
            wanted: Which entries.
            limit: 1 or more.
            descending: Whether the newest come first.
            tree_size: How much of the log to look at; all of it when None.
            cursor: Where the page before ended.

        Raises:
            TreeSizeUnknown: Nobody has written to the log yet.
        """
        step = min(_STEP_ENTRIES, limit)
        if tree_size is None and not (descending and cursor is not None):
            start = cursor or 0
            grown, found = await self._log.sized_matching(wanted, start=start, limit=step, descending=descending)
            size = stop = _known(grown)
        else:
            size = (await self._newest()).size if tree_size is None else tree_size
            start, stop = (0, size if cursor is None else cursor) if descending else (cursor or 0, size)
            found = await self._log.matching(wanted, start=start, stop=stop, limit=step, descending=descending)
        entries: list[Entry] = []
        room = _ANSWER_BYTES_MAX
        while True:
            for entry in found:
                if entries and room < len(entry.body):
                    return EntryPage(tuple(entries), size, stop if descending else start)
                entries.append(entry)
                room -= len(entry.body)
                start, stop = (start, entry.index) if descending else (entry.index + 1, stop)
            if len(found) < step or start >= stop:
                return EntryPage(tuple(entries), size, None)
            if len(entries) == limit:
                return EntryPage(tuple(entries), size, stop if descending else start)
            step = min(_STEP_ENTRIES, limit - len(entries))
            found = await self._log.matching(wanted, start=start, stop=stop, limit=step, descending=descending)

    async def tail(
        self, wanted: EntryFilter, *, start: int, follow: bool
    ) -> AsyncIterator[tuple[tuple[Entry, ...], int]]:
        """Yield matching entries from `start` on, with the index to resume from; with `follow`, as the log grows."""
        at = start
        while True:
            grown = self._growing.next()
            page = await self.entries(wanted, limit=_STEP_ENTRIES, cursor=at)
            after = max(at, page.tree_size) if page.cursor is None else page.cursor
            if page.entries or after > at:
                yield page.entries, after
            at = after
            if page.cursor is None:
                if not follow:
                    return
                await self._growing.wait(grown)

    async def checkpoint(self, size: int | None = None) -> SignedCheckpoint:
        """Return the newest checkpoint, or that of `size`.

        Raises:
            TreeSizeUnknown: The log has none of this size.
        """
        return _found(await self._log.checkpoint(size), size)

    async def inclusion_proof(self, index: int, size: int | None = None) -> InclusionProof:
        """Return the proof that the entry at `index` is in the log as it was at `size`, or is now.

        Raises:
            TreeSizeUnknown: The log has no checkpoint of this size.
            EntryNotFound: The log was not that long.
        """
        tile = TileId(0, index // TILE_WIDTH)
        found, data = await self._log.checkpoint_and_tile(size, tile.index)
        signed = _found(found, size)
        checkpoint = signed.checkpoint
        if index >= checkpoint.size:
            raise EntryNotFound(f"the log of size {checkpoint.size} has no entry {index}", index=index)
        peaks = [peaks_of(span) for span in (Span(index, index + 1), *inclusion_spans(index, checkpoint.size))]
        # As much of the tile as the log had then, which may be less than it has now.
        width = tile_range(tile, checkpoint.size).width
        held = {TileRange(tile, width): data[: width * HASH_BYTES]} if data and len(data) == _TILE_BYTES else {}
        wanted = tiles_with([subtree for each in peaks for subtree in each], checkpoint.size)
        nodes = await self._nodes(wanted, held)
        leaf, *path = [root_over(nodes, each) for each in peaks]
        self._verified(index, checkpoint, leaf, path)
        return InclusionProof(tuple(path), signed, index, leaf)

    async def proven(self, bodies: Sequence[bytes], signed: SignedCheckpoint) -> list[ProvenEntry]:
        """Return `bodies`, which the log has, each with the path to the root of `signed`.

        Raises:
            LogRootMismatch: What is stored is not what was signed.
        """
        checkpoint = signed.checkpoint
        indexes = [_index_of(body) for body in bodies]
        spans = [inclusion_spans(index, checkpoint.size) for index in indexes]
        every = {span for each in spans for span in each}
        nodes = await self._nodes(tiles_for(every, checkpoint.size))
        roots = {span: span_root(nodes, span) for span in every}
        proven = []
        for index, body, each in zip(indexes, bodies, spans, strict=True):
            path = tuple(roots[span] for span in each)
            self._verified(index, checkpoint, leaf_hash(body), path)
            proven.append(ProvenEntry(index, body, path))
        return proven

    async def proof_between(self, first: int, second: Checkpoint) -> tuple[bytes, ...]:
        """Return the consistency proof from the first `first` entries, 1 or more, to the checkpoint `second`."""
        return tuple(await self._roots(consistency_spans(first, second.size), second))

    async def consistency_proof(self, first: int, second: int | None = None) -> Proof:
        """Return the proof that the log at size `first` is the beginning of that at `second`, or now.

        Raises:
            TreeSizeUnknown: The log has no checkpoint of one of the sizes.
            Invalid: `first` is 0 or above `second`.
        """
        violations = Violations()
        if first < 1:
            violations.add("first_size", f"must be at least 1, was {first}")
        if second is not None and first > second:
            violations.add("first_size", f"must be at most the second size, {second}, was {first}")
        violations.raise_if_any(Invalid)
        earlier = (await self.checkpoint(first)).checkpoint
        signed = await self.checkpoint(second)
        later = signed.checkpoint
        proof = await self._roots(consistency_spans(first, later.size), later)
        try:
            verify_consistency(
                first=first, second=later.size, first_root=earlier.root, second_root=later.root, proof=proof
            )
        except Unproven as error:
            self._cache.forget()
            raise LogRootMismatch(f"what is stored is not what was signed: {error}", first=first) from error
        return Proof(tuple(proof), signed)

    async def _newest(self) -> Checkpoint:
        return (await self.checkpoint()).checkpoint

    async def _roots(self, spans: Sequence[Span], checkpoint: Checkpoint) -> list[bytes]:
        nodes = await self._nodes(tiles_for(spans, checkpoint.size))
        return [span_root(nodes, span) for span in spans]

    async def _nodes(self, wanted: Sequence[TileRange], held: Mapping[TileRange, bytes] | None = None) -> TileNodes:
        """Return the nodes of the tiles `wanted`; those that are `held` already are not read again."""
        held = held or {}
        known = self._cache.known(wanted)
        missing = [each for each in wanted if each.id not in known and each not in held]
        read = await self._log.tiles(missing) if missing else {}
        return TileNodes({**read, **{each.id: data for each, data in held.items()}}, known, self._cache)

    def _verified(self, index: int, checkpoint: Checkpoint, leaf: bytes, path: Sequence[bytes]) -> None:
        """Check what is to be given away.

        Raises:
            LogRootMismatch: It does not lead to the signed root.
        """
        try:
            verify_inclusion(index=index, size=checkpoint.size, leaf=leaf, proof=path, root=checkpoint.root)
        except Unproven as error:
            self._cache.forget()
            raise LogRootMismatch(f"what is stored is not what was signed: {error}", index=index) from error


def _found(signed: SignedCheckpoint | None, size: int | None) -> SignedCheckpoint:
    if signed is None:
        raise TreeSizeUnknown(
            "the log has no checkpoint yet" if size is None else f"the log has no checkpoint of size {size}",
            **({} if size is None else {"size": size}),
        )
    return signed


def _known(size: int | None) -> int:
    if size is None:
        raise TreeSizeUnknown("the log has no checkpoint yet")
    return size


def _index_of(body: bytes) -> int:
    try:
        return body_index(body)
    except EntryInvalid as error:
        raise LogRootMismatch("a stored entry is not as the log writes it") from error


def _parsed(body: bytes) -> Entry:
    try:
        return parse_entry(body)
    except EntryInvalid as error:
        raise LogRootMismatch("a stored entry is not as the log writes it") from error
