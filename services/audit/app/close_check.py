"""Do the entries that close the log state what the entries before them say?

A closing entry commits to the last number of every account among the entries that it covers. The numbers are read from
the bodies again; the stored ones must be these, and the tree over the stored ones must have the root that the entry
states. Where entries were destroyed, the root alone shows that no stored number was changed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from services.audit.domain.closing import CloseTree, Closing, Leaf, StoredNumber, account_hash, close_tree, read_closing
from services.audit.domain.entry import EntryInvalid, parse_entry
from services.audit.domain.merkle import Unproven
from services.audit.domain.stored import Finding, StoredEntry

# Entries whose numbers are read together.
_STEP_ENTRIES = 5_000
# PostgreSQL's bigint.
_SIZE_MAX = 2**63 - 1

Ranges = Sequence[tuple[int, int]]


class CloseContents(Protocol):
    """Reads what is stored of the closings, and believes nothing of it."""

    def accounts(self, start: int, stop: int, step: int) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Yield account and number of the entries from `start` up to but not including `stop`, `step` together."""
        ...

    async def numbers(self, size: int) -> Sequence[Leaf]:
        """Return the last number of each account among the first `size` entries, ordered by the account's hash."""
        ...

    async def rows(self, after: int, upto: int) -> Sequence[StoredNumber]:
        """Return the numbers stored for sizes above `after` up to and including `upto`, by size."""
        ...

    async def gone(self, stops: Collection[int], account: str | None = None) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return by account the stretches of numbers in destroyed partitions that ended at `stops`, joined."""
        ...

    async def closings(self, start: int, stop: int | None) -> Sequence[bytes]:
        """Return the bodies of the closing entries from `start` up to but not including `stop`, None for the end."""
        ...

    async def closing_before(self, index: int) -> bytes | None:
        """Return the body of the last closing entry before `index`."""
        ...


async def close_findings(
    closes: CloseContents,
    closings: Sequence[StoredEntry],
    start: int,
    end: int | None,
    disposals: Ranges,
    *,
    bent: bool = False,
) -> list[Finding]:
    """Return what is wrong with the closings among the entries from `start` on.

    Args:
        closes: Reads what is stored.
        closings: The closing entries there, by index.
        start: Of the entries that were followed.
        end: Where the log ends, to look at what is stored for a closing that is still to come; None when it goes on.
        disposals: The bounds of what was destroyed.
        bent: Whether something is wrong with the entries themselves; then nothing follows from them.
    """
    unread = ((start, _SIZE_MAX),) if bent else disposals
    findings: list[Finding] = []
    after = await _covered_before(closes, start)
    for row in closings:
        try:
            closing = read_closing(parse_entry(row.body))
        except (EntryInvalid, Unproven) as error:
            findings.append(Finding(f"entry {row.index}", f"does not close the log: {error}"))
            continue
        findings += await _wrong_numbers(closes, after, closing.covered_size, unread, complete=True)
        tree = await _tree(closes, closing)
        if tree is None or (tree.root, len(tree)) != (closing.root, closing.account_count):
            findings.append(Finding(f"entry {row.index}", "closes the log over numbers that are not the stored ones"))
        after = closing.covered_size
    if end is not None:
        findings += await _wrong_numbers(closes, after, end, unread, complete=False)
        surplus = await closes.rows(end, _SIZE_MAX)
        findings += [Finding(_where(each), "is a number for entries that no checkpoint covers") for each in surplus]
    return findings


async def _covered_before(closes: CloseContents, start: int) -> int:
    body = await closes.closing_before(start) if start else None
    try:
        return 0 if body is None else read_closing(parse_entry(body)).covered_size
    except (EntryInvalid, Unproven):
        return 0


async def _wrong_numbers(
    closes: CloseContents, after: int, upto: int, unread: Ranges, *, complete: bool
) -> list[Finding]:
    """Return which of the numbers stored for sizes above `after` up to `upto` are not those of the entries.

    None where entries are `unread`, because they are gone or bent. Those for `upto` must be `complete`; a closing that
    was begun and not finished left some of another size.
    """
    if any(first < upto and after < after_last for first, after_last in unread):
        return []
    stored: dict[int, dict[bytes, StoredNumber]] = {}
    for row in await closes.rows(after, upto):
        stored.setdefault(row.size, {})[row.account_hash] = row
    if complete:
        stored.setdefault(upto, {})
    findings: list[Finding] = []
    changed: dict[bytes, int] = {}
    hashes: dict[str, bytes] = {}
    start = after
    for size in sorted(stored):
        async for step in closes.accounts(start, size, _STEP_ENTRIES):
            for account, number in step:
                known = hashes.get(account)
                if known is None:
                    known = hashes[account] = account_hash(account)
                changed[known] = number
        start = size
        findings += [
            Finding(_where(row), f"is not the last number of an account there: {row.last}")
            for row in stored[size].values()
            if changed.get(row.account_hash) != row.last
        ]
        if complete and size == upto:
            missing = changed.keys() - stored[size].keys()
            findings += [Finding(f"close_number {each.hex()} {size}", "is missing") for each in sorted(missing)]
    return findings


async def _tree(closes: CloseContents, closing: Closing) -> CloseTree | None:
    leaves = await closes.numbers(closing.covered_size)
    gone = await closes.gone([each.stop for each in closing.destroyed])
    try:
        return await asyncio.to_thread(close_tree, leaves, gone)
    except (ValueError, OverflowError):
        return None


def _where(row: StoredNumber) -> str:
    return f"close_number {row.account_hash.hex()} {row.size}"
