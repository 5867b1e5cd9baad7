"""Work for many rows at once still belongs to the traces in which each was ordered.

Rows of one run share a trace, so they are done together, in one span of that trace. A block of several runs belongs to
the first and is linked with the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.execution.app.records import BlockRecord


@dataclass(frozen=True, slots=True)
class TraceGroup:
    """Blocks that are worked on in one span: a child of `parent`, linked with `also`."""

    parent: str | None
    also: tuple[str, ...]
    records: tuple[BlockRecord, ...]


def by_trace(records: Iterable[BlockRecord]) -> list[TraceGroup]:
    """Return the blocks by the trace they belong to, in their order within each."""
    groups: dict[str, list[BlockRecord]] = {}
    for record in records:
        groups.setdefault(_trace_id(record.trace_parents[0]) if record.trace_parents else "", []).append(record)
    return [_group(trace_id, members) for trace_id, members in groups.items()]


def distinct(trace_parents: Iterable[str | None]) -> tuple[str, ...]:
    """Return one trace context per trace, ordered; the first is the one that work on all of them belongs to."""
    found: dict[str, str] = {}
    for each in sorted(parent for parent in trace_parents if parent is not None):
        found.setdefault(_trace_id(each), each)
    return tuple(found.values())


def _group(trace_id: str, members: Sequence[BlockRecord]) -> TraceGroup:
    linked = distinct(parent for record in members for parent in record.trace_parents)
    return TraceGroup(
        parent=members[0].trace_parents[0] if trace_id else None,
        also=tuple(parent for parent in linked if _trace_id(parent) != trace_id),
        records=tuple(members),
    )


def _trace_id(trace_parent: str) -> str:
    # W3C trace context: version, trace id, span id, flags.
    return trace_parent.split("-")[1]
