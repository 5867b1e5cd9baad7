"""Which entries do these events become?

The log takes each event once. An event that comes again gets the index it has; another event under the same id is
refused and the attempt is recorded as an entry of its own, once for each such content. Everything else is appended in
the order given, under the next index and the next number of its account.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.audit.domain.entry import ACCOUNT, Entry, Event, new_entries
from services.audit.domain.tiles import RightEdge, Tile
from services.kernel.canonical import canonical_json

CONFLICT_KIND = "audit.event.conflict_refused"
AUDIT_PRODUCER = "audit"
AUDIT_ACTOR = "audit_service"

# Name space of the ids of reports, so that the same attempt has the same id (RFC 9562, version 5).
_REPORTS = uuid.UUID("2b9a7d0e-6f5c-4a41-9a3e-3d1c5b8e7f60")


class Status(StrEnum):
    """What the log did with an event."""

    APPENDED = "APPENDED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"


class EventsRecorded(Exception):
    """The log has an event that was taken for a new one; nothing was stored."""


@dataclass(slots=True, unsafe_hash=True)
class Known:
    """An event id that the log has: the entry's index and the event's digest. Never changed, as an entry is not."""

    index: int
    digest: bytes


@dataclass(slots=True, unsafe_hash=True)
class Result:
    """The index of the entry that has the event's id, and what the log did. Never changed, as an entry is not."""

    index: int
    status: Status


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends: its right edge, and when it came to be so; None before the first checkpoint.

    The time is that of the newest checkpoint and of every entry that it was the first to cover.
    """

    edge: RightEdge
    recorded_time: datetime | None


@dataclass(frozen=True, slots=True)
class Growth:
    """What one commit adds to the log.

    `results` has one per event given, in their order; `sequences` the new last number of each account in `entries`.
    """

    entries: tuple[Entry, ...]
    tiles: tuple[Tile, ...]
    head: Head
    results: tuple[Result, ...]
    sequences: Mapping[str, int]


def conflict_reports(events: Sequence[Event], known: Mapping[str, Known], now: datetime) -> tuple[Event, ...]:
    """Return an event for each of `events` whose id has another content, in `known` or earlier among `events`.

    The same attempt made again is the same event, whenever it is made.
    """
    if not known and len({event.event_id for event in events}) == len(events):
        return ()
    digests = {event_id: each.digest for event_id, each in known.items()}
    reports: dict[str, Event] = {}
    for event in events:
        recorded = digests.setdefault(event.event_id, event.digest)
        if recorded != event.digest:
            report = _conflict_report(event, recorded, now)
            reports[report.event_id] = report
    return tuple(reports.values())


def grow(
    head: Head, events: Iterable[Event], known: Mapping[str, Known], sequences: Mapping[str, int], now: datetime
) -> Growth:
    """Return what recording `events` adds to the log.

    Args:
        head: Where the log ends.
        events: In the order of arrival.
        known: Those of their ids that the log has.
        sequences: The last number of each account among them; an account that is absent has no entry.
        now: The time to record. It does not go back: a time before the head's is raised to that.
    """
    recorded_time = max(now, head.recorded_time) if head.recorded_time else now
    fresh, results = _told_apart(list(events), known, head.edge.size)
    numbers: dict[str, int] = {}
    of_each = []
    for event in fresh:
        number, account = 0, event.subjects.get(ACCOUNT)
        if account is not None:
            number = numbers[account] = (numbers.get(account) or sequences.get(account, 0)) + 1
        of_each.append(number)
    entries = new_entries(fresh, head.edge.size, of_each, recorded_time)
    edge, tiles = head.edge.extended([entry.leaf for entry in entries])
    after = Head(edge, recorded_time if entries else head.recorded_time)
    return Growth(tuple(entries), tiles, after, tuple(results), numbers)


def _told_apart(
    events: Sequence[Event], known: Mapping[str, Known], index: int
) -> tuple[Sequence[Event], Sequence[Result]]:
    """Return those of `events` that are new, which are appended from `index` on, and what becomes of each of all."""
    if not known and len({event.event_id for event in events}) == len(events):
        return events, [Result(at, Status.APPENDED) for at in range(index, index + len(events))]
    recorded = dict(known)
    fresh: list[Event] = []
    results: list[Result] = []
    for event in events:
        earlier = recorded.get(event.event_id)
        if earlier is None:
            recorded[event.event_id] = Known(index + len(fresh), event.digest)
            results.append(Result(index + len(fresh), Status.APPENDED))
            fresh.append(event)
        else:
            same = earlier.digest == event.digest
            results.append(Result(earlier.index, Status.DUPLICATE if same else Status.CONFLICT))
    return fresh, results


def _conflict_report(event: Event, recorded: bytes, now: datetime) -> Event:
    """Return the event that says that `event` was refused, because `recorded` has its id."""
    return Event(
        event_id=str(uuid.uuid5(_REPORTS, f"{event.event_id} {recorded.hex()} {event.digest.hex()}")),
        kind=CONFLICT_KIND,
        occurred_time=now,
        producer=AUDIT_PRODUCER,
        actor=AUDIT_ACTOR,
        trace_parent=event.trace_parent,
        subjects={"event": event.event_id},
        data=canonical_json(
            {
                "recorded_digest": f"sha256:{recorded.hex()}",
                "refused_actor": event.actor,
                "refused_digest": f"sha256:{event.digest.hex()}",
                "refused_kind": event.kind,
                "refused_producer": event.producer,
            }
        ),
    )
