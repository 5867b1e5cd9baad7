"""What the use cases need of the outside."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.entry import Entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.sequencing import Growth, Head, Known
from services.audit.domain.tiles import TileId, TileRange
from services.kernel.errors import Unreachable


class LogWriter(Protocol):
    """The hold on the log that one process has, until it is lost.

    Every method raises `Unreachable` when the hold or the database is lost. What a `commit` that raises has done is
    unknown; the next writer's `head` tells. While a commit runs, `known` and `sequences` may be asked; whether they
    see what it stores is open until it has returned.
    """

    async def head(self) -> tuple[Head, SignedCheckpoint | None]:
        """Return where the log ends, rebuilt from what is stored, and its newest checkpoint.

        Raises:
            LogRootMismatch: What is stored does not hash to what was signed.
        """
        ...

    async def known(self, event_ids: Collection[str]) -> Mapping[str, Known]:
        """Return those of `event_ids` that the log has."""
        ...

    async def sequences(self, accounts: Collection[str]) -> Mapping[str, int]:
        """Return the last number of each of `accounts` that has an entry."""
        ...

    async def commit(self, growth: Growth, checkpoint: SignedCheckpoint) -> None:
        """Store `growth` and the checkpoint that covers it, all or nothing, durably.

        Raises:
            EventsRecorded: The log has one of its events; nothing was stored.
        """
        ...


# Waits for nothing: raises `LogWriterElsewhere` when another process holds the log.
Elect = Callable[[], AbstractAsyncContextManager[LogWriter]]


class LogReader(Protocol):
    """Reads what is committed, and so published."""

    async def checkpoint(self, size: int | None = None) -> SignedCheckpoint | None:
        """Return the checkpoint of `size`, or the newest."""
        ...

    async def checkpoint_and_tile(self, size: int | None, tile: int) -> tuple[SignedCheckpoint | None, bytes | None]:
        """Return the checkpoint of `size`, or the newest, and the tile `tile` of the leaves, None when not full."""
        ...

    async def size_at(self, instant: datetime) -> int | None:
        """Return how many entries were recorded at `instant` or before; None when there was no checkpoint yet."""
        ...

    async def body(self, index: int) -> bytes | None:
        """Return the body of the entry at `index`."""
        ...

    async def index_of(self, event_id: str) -> int | None:
        """Return the index of the entry of the event `event_id`, in lower case."""
        ...

    async def bodies(
        self, wanted: EntryFilter, *, start: int, stop: int, limit: int, descending: bool = False
    ) -> Sequence[bytes]:
        """Return at most `limit` bodies of matching entries from `start` up to but not including `stop`, by index.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        ...

    async def matching(
        self, wanted: EntryFilter, *, start: int, stop: int, limit: int, descending: bool = False
    ) -> Sequence[Entry]:
        """Return at most `limit` matching entries from `start` up to but not including `stop`, by index.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        ...

    async def sized_matching(
        self, wanted: EntryFilter, *, start: int, limit: int, descending: bool = False
    ) -> tuple[int | None, Sequence[Entry]]:
        """Return how many entries the log has, None without a checkpoint, and what `matching` does, of one instant.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        ...

    async def matching_each(self, wanted: Sequence[EntryFilter], *, stop: int, limit: int) -> Sequence[Sequence[Entry]]:
        """Return for each filter what `matching` does from the first on; together, it takes as long as for one.

        Raises:
            LogRootMismatch: One that may match is not as the log writes it.
        """
        ...

    async def tiles(self, wanted: Collection[TileRange]) -> Mapping[TileId, bytes]:
        """Return the hashes of the tiles `wanted`, each as wide as asked.

        Raises:
            LogRootMismatch: A hash is missing.
        """
        ...


class Observer(Protocol):
    """Is told what the writer does, so that followers wake and operators see."""

    def elected(self, checkpoint: SignedCheckpoint) -> None:
        """Note that this process holds the log, which ends at `checkpoint`."""
        ...

    def committed(self, checkpoint: SignedCheckpoint, entries: int) -> None:
        """Note that `entries` more are durable, and that `checkpoint` covers them."""
        ...

    def lost(self, reason: Unreachable) -> None:
        """Note that the hold on the log was lost, or not given, because of `reason`."""
        ...
