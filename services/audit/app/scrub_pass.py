"""One way through the log: what is long and plainly right at once, everything else entry by entry.

Stretches of many commits are checked by a `Stretches`, some at once and beside this process. Each begins where the
stored tiles say that the tree was; that this is true shows when the stretch before it ends there. Where one is not
plainly right, its entries are followed here one by one, and each place is named that is not as it must be.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.audit.app.close_check import CloseContents, Ranges, close_findings
from services.audit.domain.closing import read_closing
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.entry import EntryInvalid, parse_entry
from services.audit.domain.merkle import Unproven
from services.audit.domain.scrub import Progress, Scrub, witness_findings
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.stored import Counts, Finding, Part, Posting, StoredCheckpoint, StoredEntry
from services.audit.domain.stretch import Clean, Suspicion
from services.audit.domain.tiles import RightEdge, TileId

# Entries of a stretch: some seconds' work or less, and far longer than asking for it takes. Fewer than the least are
# followed one by one.
STRETCH_ENTRIES = 1 << 18
STRETCH_ENTRIES_MIN = 4_096
# Commits that are looked up together.
_STEP_COMMITS = 1_000
# Findings that are kept; the first say what happened, and a bent root shows in every checkpoint after it.
FINDINGS_MAX = 1_000
# Accounts of a stretch that are looked at together, so that calls need not wait.
_ACCOUNTS_TOGETHER = 10_000
# Closings whose numbers are remembered: an entry that closes the log follows what it covers, and not at once.
_REMEMBERED = 3


class LogContents(Protocol):
    """Reads what is stored, row by row, and believes nothing of it."""

    async def checkpoints(self, after: int, limit: int) -> Sequence[StoredCheckpoint]:
        """Return at most `limit` checkpoints of sizes above `after`, by size."""
        ...

    async def commit_end(self, size: int) -> int:
        """Return the least size of a checkpoint that is `size` or more; the newest size when none is."""
        ...

    async def rows(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Return the rows from `start` up to but not including `stop`, by index."""
        ...

    async def beside(self, keys: Collection[str], postings: Collection[Posting], tiles: Collection[TileId]) -> Part:
        """Return what is stored under these keys."""
        ...

    async def numbers(self, accounts: Collection[str], before: int) -> Mapping[str, int]:
        """Return the last number of each of `accounts` in commits that begin before an index; 0 without entries."""
        ...

    async def leaves(self, start: int, stop: int) -> Mapping[int, bytes]:
        """Return leaves by their index, from the full tiles; those that no tile has are absent."""
        ...

    async def edge(self, size: int) -> RightEdge:
        """Return the edge of the tree of `size` leaves, as the tiles say.

        Raises:
            LogRootMismatch: Hashes are missing.
        """
        ...

    async def cosignatures(self, size: int) -> Sequence[str]:
        """Return the lines that witnesses signed of the checkpoint of `size`."""
        ...

    async def newest_of(self, kind: str) -> bytes | None:
        """Return the body of the newest entry of `kind` that nobody bent; None when there is none among the newest."""
        ...

    async def counts(self, start: int, size: int) -> Mapping[str, Counts]:
        """Return how many rows each table has for the first `size` entries, and beyond the newest checkpoint.

        Of entries, keys and postings, only for those from `start` on.
        """
        ...


class Stretches(Protocol):
    """Checks long stretches of the log."""

    @property
    def together(self) -> int:
        """How many may be checked at once."""
        ...

    async def check(self, after: int, start: int, stop: int) -> Clean:
        """Check the entries from `start` up to but not including `stop`, and the checkpoints of sizes above `after`.

        Both bounds are ends of commits.

        Raises:
            Suspicion: Something is not plainly as it must be.
        """
        ...

    async def rest(self) -> None:
        """Give back what checking holds, until it is wanted again."""
        ...


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub found in the entries from `start` to `size`; `findings` are the first `FINDINGS_MAX` of its count.

    `whole` says that the pass came to the end of the log, so that its tables were counted too.
    """

    start: int
    size: int
    root: bytes
    findings: tuple[Finding, ...]
    finding_count: int
    whole: bool
    progress: Progress


async def scrub(
    log: LogContents,
    origin: str,
    keys: Sequence[VerifierKey],
    *,
    disposals: Ranges = (),
    witnesses: Sequence[WitnessKey] = (),
    since: Progress | None = None,
    slice_entries: int | None = None,
    continues: VerifierKey | None = None,
    closes: CloseContents | None = None,
    stretches: Stretches | None = None,
) -> ScrubReport:
    """Check what is stored of the log `origin`, as far as it goes now.

    Args:
        log: Reads it.
        origin: What its checkpoints must say.
        keys: Of which one at least must have signed each.
        disposals: The bounds of what was destroyed.
        witnesses: Whose signatures must be over the checkpoints that they are stored with.
        since: Where an earlier scrub ended; from the first entry when None.
        slice_entries: End after about so many entries; at the end of the log when None.
        continues: The key of the origin that this one continues.
        closes: Reads what is stored of closings; they are not looked at when None.
        stretches: Checks long stretches; everything is followed entry by entry when None.
    """
    work = Scrub(origin, keys, since, continues)
    start = work.size
    way = _Way(log, work, -1 if since is None else start, disposals, witnesses, closes, stretches)
    whole = await way.follow(None if slice_entries is None else start + slice_entries)
    if whole:
        way.keep(list(work.surplus(await log.counts(work.plain, work.size))))
    await way.look_at_closings(work.size if whole else None)
    return ScrubReport(start, work.size, work.root(), tuple(way.findings), way.count, whole, work.progress)


class _Way:
    """The way through the log, or through a slice of it."""

    def __init__(
        self,
        log: LogContents,
        work: Scrub,
        after: int,
        disposals: Ranges,
        witnesses: Sequence[WitnessKey],
        closes: CloseContents | None,
        stretches: Stretches | None,
    ) -> None:
        self.findings: list[Finding] = []
        self.count = 0
        self._log = log
        self._work = work
        # The size of the last checkpoint that was followed.
        self._after = after
        self._disposals = disposals
        self._witnesses = witnesses
        self._closes = None if closes is None else _Remembered(closes)
        # From where on closings were not looked at, and what they say that they cover, of which nothing is believed.
        self._closings_from = work.size
        self._cuts: Sequence[int] = ()
        self._stretches = stretches
        # Stretches that are checked just now: their end, and the check.
        self._ahead: deque[tuple[int, asyncio.Task[Clean]]] = deque()

    def keep(self, findings: Sequence[Finding]) -> None:
        """Count `findings`, and keep them as long as there are few."""
        self.count += len(findings)
        self.findings += findings[: FINDINGS_MAX - len(self.findings)]

    async def follow(self, end: int | None) -> bool:
        """Follow the log to the first commit that ends at `end` or after it; return whether it has none."""
        if self._closes is not None:
            self._cuts = await self._closes.covered(self._work.size, end)
        try:
            while end is None or self._work.size < end:
                await self._look_ahead(end)
                if not self._ahead:
                    if not await self._one_by_one(end):
                        return True
                    continue
                stop, check = self._ahead.popleft()
                if await self._plainly_right(check):
                    self._after = stop
                    self._cut()
                else:
                    while self._after < stop and await self._one_by_one(stop):
                        pass
                if self._work.closings:
                    await self.look_at_closings(None)
        finally:
            for _, check in self._ahead:
                check.cancel()
            await asyncio.gather(*(check for _, check in self._ahead), return_exceptions=True)
        return False

    async def look_at_closings(self, end: int | None) -> None:
        """Look at the closings that were met since this was last done; with the log's end, at what follows them."""
        if self._closes is None:
            return
        work, start = self._work, self._closings_from
        found = await close_findings(self._closes, work.closings, start, end, self._disposals, bent=self.count > 0)
        self.keep(found)
        work.closings.clear()
        self._closings_from = work.size

    async def _look_ahead(self, end: int | None) -> None:
        """Begin to check the next stretches, as many as may be."""
        while self._stretches is not None and len(self._ahead) < self._stretches.together:
            start = self._ahead[-1][0] if self._ahead else self._work.size
            cut = next((each for each in self._cuts if each > start), None)
            bounds = [each for each in (start + STRETCH_ENTRIES, end, cut) if each is not None]
            stop = await self._log.commit_end(min(bounds)) if min(bounds) > start else start
            short = stop - start < STRETCH_ENTRIES_MIN and stop != cut
            if short or any(first < stop and start < after_last for first, after_last in self._disposals):
                return
            after = start if self._ahead else self._after
            self._ahead.append((stop, asyncio.create_task(self._stretches.check(after, start, stop))))

    async def _plainly_right(self, check: "asyncio.Task[Clean]") -> bool:
        """Return whether a stretch is as it must be, and go on after it when it is."""
        work = self._work
        try:
            clean = await check
        except Suspicion:
            return False
        if not work.goes_on_with(clean.begun, clean.first_time):
            return False
        numbers = clean.numbers
        unknown = work.unknown(numbers.accounts)
        if unknown:
            work.learn(await self._log.numbers(unknown, clean.begun.size))
        for at in range(0, len(numbers.accounts), _ACCOUNTS_TOGETHER):
            some = slice(at, at + _ACCOUNTS_TOGETHER)
            if not work.numbers_follow(numbers.accounts[some], numbers.first[some]):
                return False
            await asyncio.sleep(0)
        for at in range(0, len(numbers.accounts), _ACCOUNTS_TOGETHER):
            some = slice(at, at + _ACCOUNTS_TOGETHER)
            work.learn(dict(zip(numbers.accounts[some], numbers.last[some], strict=True)), changed=True)
            await asyncio.sleep(0)
        work.take(clean.edge, clean.last_time, clean.counted, clean.closings)
        return True

    async def _one_by_one(self, end: int | None) -> bool:
        """Follow some commits entry by entry, not beyond the first that ends at `end`; return whether there is one."""
        checkpoints = await self._log.checkpoints(self._after, _STEP_COMMITS)
        for signed in checkpoints:
            self.keep(await _commit(self._work, self._log, signed, self._disposals))
            if self._witnesses:
                self.keep(witness_findings(signed, await self._log.cosignatures(signed.size), self._witnesses))
            self._after = signed.size
            self._cut()
            if end is not None and signed.size >= end:
                break
        return bool(checkpoints)

    def _cut(self) -> None:
        """Remember which accounts changed up to here, if a closing says that it covers just this."""
        size = self._work.size
        if self._closes is not None and size in self._cuts:
            since, changed = self._work.cut()
            self._closes.remember(since, size, changed)


class _Remembered:
    """What is stored of closings; numbers that the scrub has just seen are not read again."""

    def __init__(self, closes: CloseContents) -> None:
        self._closes = closes
        self._seen: OrderedDict[tuple[int, int], Mapping[str, int]] = OrderedDict()
        self.numbers = closes.numbers
        self.rows = closes.rows
        self.gone = closes.gone
        self.closing_before = closes.closing_before
        self.closings = closes.closings

    def remember(self, start: int, stop: int, changed: Mapping[str, int]) -> None:
        """Remember the last number of each account that has entries from `start` up to but not including `stop`."""
        self._seen[start, stop] = changed
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    async def covered(self, start: int, end: int | None) -> Sequence[int]:
        """Return what the closings from `start` to `end` say that they cover, as far as they can be read."""
        sizes = set()
        for body in await self._closes.closings(start, end):
            try:
                sizes.add(read_closing(parse_entry(body)).covered_size)
            except (EntryInvalid, Unproven):
                continue
        return sorted(sizes)

    async def accounts(self, start: int, stop: int, step: int) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Yield account and number of the entries there; of each account the last at least."""
        if (start, stop) in self._seen:
            yield list(self._seen[start, stop].items())
            return
        async for some in self._closes.accounts(start, stop, step):
            yield some


async def _commit(work: Scrub, log: LogContents, signed: StoredCheckpoint, disposals: Ranges) -> list[Finding]:
    """Follow one commit, and return what is wrong with it and beside it."""
    start, stop = work.size, signed.size
    gone: dict[int, bytes] = {}
    ends: list[int] = []
    for first, after_last in disposals:
        if first < stop and start < after_last:
            gone |= await log.leaves(max(first, start), min(after_last, stop))
            ends.append(after_last)
            work.forget()
    commit = work.read(await log.rows(start, stop), signed, gone)
    unknown = work.unknown(commit.accounts)
    if unknown:
        work.learn(await log.numbers(unknown, start))
    # What an account's number was where its entries are gone is told by what was kept when they went.
    numbers = {end: await log.numbers(commit.accounts, end) for end in ends if end < stop}
    wrong, expected = work.follow(commit, numbers)
    stored = await log.beside(expected.keys, expected.postings, expected.tiles)
    return [*wrong, *expected.compared(stored)]
