"""Gives a part of a log away, as files that anybody can check without us.

The bodies of the entries, the proof of all of them under one signed checkpoint, and as asked CSV and readable text;
last of all a signed manifest with the hash of each file. Everything is made in one pass, in steps: an export of any
length needs the memory of two.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.audit.app.ports import LogReader
from services.audit.domain.entry import ACCOUNT, parse_entry
from services.audit.domain.errors import LogRootMismatch, TreeSizeUnknown
from services.audit.domain.filter import EntryFilter
from services.audit.domain.manifest import (
    CHECKPOINT_PATH,
    CSV_PATH,
    ENTRIES_PATH,
    MANIFEST_PATH,
    PROOF_PATH,
    TEXT_PATH,
    ExportedFile,
    Manifest,
)
from services.audit.domain.merkle import Span, leaf_hashes, span_root
from services.audit.domain.records import scope_data
from services.audit.domain.render import csv_header, csv_lines, text_blocks
from services.audit.domain.signed_note import SigningKey
from services.audit.domain.sparse import SparseTree, gap_spans, leaf_line, leaf_lines, node_line, proof_spans
from services.audit.domain.tiles import TileNodes, tiles_for

# Entries that are handled at once, about a megabyte; between two steps, calls are served.
STEP_ENTRIES = 1 << 11
# A body is at most 64 KiB, so that many of the largest are 16 MiB.
STEP_ENTRIES_FILTERED = 250
# Subtrees whose tiles are read at once: each is at most a tile of 8 KiB.
_STEP_SPANS = 1_000


class Form(StrEnum):
    """How entries are written besides their bodies."""

    CSV = "CSV"
    TEXT = "TEXT"


class LogRows(Protocol):
    """Reads a stretch of the log row by row."""

    async def lines(self, start: int, stop: int) -> tuple[Sequence[int], bytes]:
        """Return the indexes from `start` up to but not including `stop`, and their bodies, a newline between two."""
        ...

    async def cosignatures(self, size: int) -> Sequence[str]:
        """Return the lines that witnesses signed of the checkpoint of `size`."""
        ...


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """Which entries of which log, for whom."""

    log: str
    wanted: EntryFilter
    forms: frozenset[Form]
    exporter: str
    access_index: int | None
    tree_size: int | None = None
    start_index: int = 0
    stop_index: int | None = None


@dataclass(slots=True)
class _File:
    path: str
    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def take(self, content: bytes) -> bytes:
        self.size_bytes += len(content)
        self.digest.update(content)
        return content

    @property
    def exported(self) -> ExportedFile:
        return ExportedFile(self.path, self.size_bytes, self.digest.digest())


class Exporter:
    """Exports one log."""

    def __init__(self, *, log: LogReader, rows: LogRows, key: SigningKey) -> None:
        """Read from `log`, whole stretches from `rows`; sign manifests with `key`, the log's own."""
        self._log = log
        self._rows = rows
        self._key = key

    async def export(self, order: ExportOrder, now: datetime) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the files piece by piece: a path and the next bytes of its content.

        Raises:
            TreeSizeUnknown: The log has no checkpoint of the size wanted.
            LogRootMismatch: What is stored does not hash to what was signed. There is no manifest then.
        """
        signed = await self._log.checkpoint(order.tree_size)
        if signed is None:
            raise TreeSizeUnknown(f"the log has no checkpoint of size {order.tree_size}")
        size = signed.checkpoint.size
        files = {path: _File(path) for path in _paths(order.forms)}
        # Each file is there, even when it stays empty.
        for path, file in files.items():
            yield path, file.take(csv_header() if path == CSV_PATH else b"")
        tree, count = SparseTree(), 0
        numbers: list[int] = []
        async with aclosing(self._steps(order, size)) as steps:
            async for indexes, text in steps:
                bodies = text.split(b"\n")
                if len(bodies) != len(indexes):
                    raise LogRootMismatch("a stored entry is not as the log writes it")
                proof = await self._proof(tree, indexes, leaf_hashes(bodies), size)
                count += len(bodies)
                yield ENTRIES_PATH, files[ENTRIES_PATH].take(text + b"\n")
                yield PROOF_PATH, files[PROOF_PATH].take(proof)
                if Form.CSV in order.forms:
                    yield CSV_PATH, files[CSV_PATH].take(csv_lines(bodies))
                if Form.TEXT in order.forms:
                    yield TEXT_PATH, files[TEXT_PATH].take(text_blocks(bodies))
                if _account_of(order) is not None:
                    ends = (parse_entry(bodies[0]).account_sequence, parse_entry(bodies[-1]).account_sequence)
                    numbers = [numbers[0] if numbers else ends[0], ends[1]]
        yield PROOF_PATH, files[PROOF_PATH].take(await self._proof(tree, (), (), size))
        if tree.root() != signed.checkpoint.root:
            raise LogRootMismatch(f"the entries do not hash to the checkpoint of size {size}", size=size)
        note = signed.note + "".join(await self._rows.cosignatures(size))
        yield CHECKPOINT_PATH, files[CHECKPOINT_PATH].take(note.encode())
        account = _account_of(order)
        manifest = Manifest(
            checkpoint=signed.checkpoint,
            log=order.log,
            question={
                **scope_data(order.wanted),
                "start_index": order.start_index,
                "stop_index": size if order.stop_index is None else order.stop_index,
            },
            entries=count,
            export_time=now,
            exporter=order.exporter,
            access_index=order.access_index,
            account_numbers=None if account is None or not numbers else (account, numbers[0], numbers[1]),
            files=[each.exported for each in files.values()],
        )
        yield MANIFEST_PATH, manifest.note(self._key).encode()

    async def _steps(self, order: ExportOrder, size: int) -> AsyncGenerator[tuple[Sequence[int], bytes]]:
        """Yield step by step the indexes that are wanted, and their bodies as lines."""
        start, stop = order.start_index, size if order.stop_index is None else min(order.stop_index, size)
        if order.wanted == EntryFilter():
            async with aclosing(self._stretches(start, stop)) as stretches:
                async for stretch in stretches:
                    yield stretch
            return
        while start < stop:
            found = await self._log.matching(order.wanted, start=start, stop=stop, limit=STEP_ENTRIES_FILTERED)
            if found:
                start = found[-1].index + 1
                yield [entry.index for entry in found], b"\n".join([entry.body for entry in found])
            if len(found) < STEP_ENTRIES_FILTERED:
                return

    async def _stretches(self, start: int, stop: int) -> AsyncGenerator[tuple[Sequence[int], bytes]]:
        """Yield everything from `start` to `stop` as `_steps` does; while one step is worked at, the next is read."""

        def reading() -> "asyncio.Task[tuple[Sequence[int], bytes]] | None":
            # To where the next subtree of as many leaves begins, so that hashing takes the fewest steps.
            nonlocal start
            first, start = start, min((start // STEP_ENTRIES + 1) * STEP_ENTRIES, stop)
            return asyncio.create_task(self._rows.lines(first, start)) if first < stop else None

        ahead = reading()
        try:
            while ahead is not None:
                indexes, text = await ahead
                ahead = reading()
                # Once, so that the question is under way before the answer to the one before it is worked at.
                await asyncio.sleep(0)
                if indexes:
                    yield indexes, text
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _proof(self, tree: SparseTree, indexes: Sequence[int], leaves: Sequence[bytes], size: int) -> bytes:
        """Return the lines of the proof up to the last of `indexes`, or to the end when there is none."""
        after = tree.size
        if indexes and indexes[0] == after and indexes[-1] == after + len(indexes) - 1:
            joined = b"".join(leaves)
            tree.add_leaves(joined)
            return leaf_lines(after, joined)
        spans = proof_spans(after, indexes) if indexes else list(gap_spans(after, size))
        roots = await self._roots(spans, size)
        lines: list[bytes] = []
        between = iter(zip(spans, roots, strict=True))
        given = dict(zip(indexes, leaves, strict=True))
        end = indexes[-1] + 1 if indexes else size
        while tree.size < end:
            leaf = given.get(tree.size)
            if leaf is not None:
                lines.append(leaf_line(tree.size, leaf))
                tree.add(tree.size, 1, leaf)
            else:
                span, root = next(between)
                lines.append(node_line(span, root))
                tree.add(span.start, span.stop - span.start, root)
        return b"".join(lines)

    async def _roots(self, spans: Sequence[Span], size: int) -> list[bytes]:
        roots: list[bytes] = []
        for at in range(0, len(spans), _STEP_SPANS):
            some = spans[at : at + _STEP_SPANS]
            nodes = TileNodes(await self._log.tiles(tiles_for(some, size)))
            roots += [span_root(nodes, span) for span in some]
        return roots


def _account_of(order: ExportOrder) -> str | None:
    """Return the account when everything of one account is wanted, so that its numbers must be without a gap."""
    wanted = order.wanted
    only = EntryFilter(subjects=wanted.subjects, start_time=wanted.start_time, end_time=wanted.end_time)
    return wanted.subjects.get(ACCOUNT) if wanted == only and len(wanted.subjects) == 1 else None


def _paths(forms: frozenset[Form]) -> list[str]:
    paths = [ENTRIES_PATH, PROOF_PATH]
    paths += [CSV_PATH] if Form.CSV in forms else []
    paths += [TEXT_PATH] if Form.TEXT in forms else []
    return [*paths, CHECKPOINT_PATH]
