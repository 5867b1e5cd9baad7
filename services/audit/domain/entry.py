"""The very bytes that the log commits to.

A leaf hashes the body of an entry as it is stored, so that checking it never depends on how anybody writes JSON. The
body is canonical JSON all the same: the event as its producer told it, and what the log adds (`index`,
`account_sequence`, `recorded_time`). Everything else that the service knows of an entry is derived from its body.

`account_sequence` numbers the entries of one account without a gap, from 1. It is inside the body, and so under the
root: whoever holds entries 1 to n of an account can see that none was kept from them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from typing import Any, Generic, TypeVar

import orjson

from services.audit.domain.json_text import (
    STRICT,
    canonical_object_fault,
    json_text,
    name_text,
    sorted_alike,
    written,
)
from services.audit.domain.merkle import leaf_hashes

# C2SP tlog-tiles: an entry's length is two bytes.
BODY_BYTES_MAX = 65_535

ACCOUNT = "account"

# The longest `account_sequence`, `index` and `recorded_time` with all their names and punctuation, rounded up.
_ENVELOPE_BYTES_MAX = 256

# The most bytes that an event may have as canonical JSON.
EVENT_BYTES_MAX = BODY_BYTES_MAX - _ENVELOPE_BYTES_MAX

# W3C Trace Context, version 00: trace id and parent id are not all zeros.
TRACE_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
TRACE_ID = slice(3, 35)
# What no name needs, and PostgreSQL's text cannot hold or a terminal would obey.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EVENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# How the members of an event stand between the log's own; see `Event.parts`.
_FIRST = b'"actor":%b,"data":%b,"event_id":"%b"'
_SECOND = b'"kind":%b,"occurred_time":%b,"producer":%b'
_THIRD = b'"subjects":%b,"trace_parent":"%b"'

# A hash that is copied is made in half the time of a new one.
_SHA256 = hashlib.sha256()

# From so many events on columns cost less than one event after the other.
_COLUMNS_MIN = 4

_INDEX = re.compile(rb',"index":([0-9]+),"kind":"')


class EventInvalid(ValueError):
    """A field of the event cannot be recorded as it is."""

    def __init__(self, field: str, description: str) -> None:
        """Say which field, and what is wrong with it."""
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


class EntryInvalid(ValueError):
    """The bytes are not the body of an entry."""


def printable(text: str) -> bool:
    """Return whether `text` has no control characters; no name in the log has any."""
    return text.isprintable() or _CONTROL.search(text) is None


_T = TypeVar("_T")


class _remembered(Generic[_T]):  # noqa: N801 - read as a decorator
    """A property that is computed once. The library's takes a lock each time before Python 3.12, which costs more."""

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: object, owner: type) -> _T:
        value: _T = self._compute(instance)
        instance.__dict__[self._name] = value
        return value


@dataclass(frozen=True)
class Event:
    """Something that happened, as its producer tells it.

    `event_id` is a UUID in lower case; `data` is a JSON object in its canonical form; `trace_parent` is empty when
    nothing was traced.
    """

    event_id: str
    kind: str
    occurred_time: datetime
    producer: str
    actor: str
    trace_parent: str
    subjects: Mapping[str, str]
    data: bytes

    def __post_init__(self) -> None:
        """Refuse what cannot be recorded as it is.

        Raises:
            EventInvalid: A field is malformed.
        """
        if not _EVENT_ID.fullmatch(self.event_id):
            raise EventInvalid("event_id", f"must be a UUID in lower case, was {self.event_id!r}")
        if self.trace_parent and not TRACE_PARENT.fullmatch(self.trace_parent):
            raise EventInvalid("trace_parent", f"must be a W3C traceparent, was {self.trace_parent!r}")
        if not (
            self.producer.isprintable() and self.actor.isprintable() and all(map(printable, self.subjects.values()))
        ):
            for field, text in (("producer", self.producer), ("actor", self.actor), *self.subjects.items()):
                if not printable(text):
                    raise EventInvalid(field, "must not have control characters")
        fault = canonical_object_fault(self.data)
        if fault is not None:
            raise EventInvalid("data", fault)

    @classmethod
    def checked(
        cls,
        event_id: str,
        kind: str,
        occurred_time: datetime,
        producer: str,
        actor: str,
        trace_parent: str,
        subjects: Mapping[str, str],
        data: bytes,
        parts: tuple[bytes, bytes, bytes] | None = None,
    ) -> "Event":
        """Return the event with these fields, for whoever has checked them; see `services.audit.domain.batch`.

        `parts`, when they are given, are those that it would have; its digest is made now.
        """
        event = object.__new__(cls)
        fields = event.__dict__
        fields["event_id"] = event_id
        fields["kind"] = kind
        fields["occurred_time"] = occurred_time
        fields["producer"] = producer
        fields["actor"] = actor
        fields["trace_parent"] = trace_parent
        fields["subjects"] = subjects
        fields["data"] = data
        if parts is not None:
            fields["parts"] = parts
            fields["digest"] = _digest(parts)
        return event

    @property
    def account(self) -> str | None:
        """The account it was about."""
        return self.subjects.get(ACCOUNT)

    @property
    def trace_id(self) -> str | None:
        """The trace it happened in, 32 hexadecimal digits."""
        return self.trace_parent[TRACE_ID] or None

    @_remembered
    def parts(self) -> tuple[bytes, bytes, bytes]:
        """The event's members of the body, as they stand between the log's own."""
        return (
            _FIRST % (name_text(self.actor), self.data, self.event_id.encode()),
            _SECOND % (name_text(self.kind), written(self.occurred_time), name_text(self.producer)),
            _THIRD % (json_text(dict(self.subjects)), self.trace_parent.encode()),
        )

    @_remembered
    def digest(self) -> bytes:
        """SHA-256 of the event as canonical JSON: equal only for the same event told again."""
        return _digest(self.parts)

    @property
    def data_members(self) -> Mapping[str, Any]:
        """The facts, as JSON says them."""
        members: Mapping[str, Any] = json.loads(self.data)
        return members

    @property
    def size_bytes(self) -> int:
        """Length of the event as canonical JSON."""
        first, second, third = self.parts
        return len(first) + len(second) + len(third) + 4


@dataclass(slots=True, unsafe_hash=True)
class Entry:
    """One line of the log, never changed; one is made for each event, and a frozen one would take five times as long.

    `account_sequence` is 0 when the event names no account.
    """

    index: int
    account_sequence: int
    recorded_time: datetime
    event: Event
    body: bytes
    # The hash by which the tree commits to the body.
    leaf: bytes


def new_entry(event: Event, *, index: int, account_sequence: int, recorded_time: datetime) -> Entry:
    """Return the entry that records `event`.

    Raises:
        ValueError: The event is larger than `EVENT_BYTES_MAX`.
    """
    return new_entries([event], index, [account_sequence], recorded_time)[0]


def new_entries(
    events: Sequence[Event], first: int, account_sequences: Iterable[int], recorded_time: datetime
) -> list[Entry]:
    """Return the entries that record `events` together, at `first` and the indexes after it.

    Args:
        events: In the order of the log.
        first: The index of the first.
        account_sequences: One for each event.
        recorded_time: Of all.

    Raises:
        ValueError: An event is larger than `EVENT_BYTES_MAX`.
    """
    if not events:
        return []
    write_out(events)
    numbers, indexes, recorded = list(account_sequences), range(first, first + len(events)), written(recorded_time)
    # The event's members stand between the log's own.
    bodies = [
        b'{"account_sequence":%d,%b,"index":%d,%b,"recorded_time":%b,%b}' % (number, one, index, two, recorded, three)
        for number, index, (one, two, three) in zip(numbers, indexes, [event.parts for event in events], strict=True)
    ]
    if max(map(len, bodies)) > EVENT_BYTES_MAX:
        for event in events:
            if event.size_bytes > EVENT_BYTES_MAX:
                raise ValueError(f"an event is at most {EVENT_BYTES_MAX} bytes, this one has {event.size_bytes}")
    leaves = leaf_hashes(bodies)
    return list(map(Entry, indexes, numbers, repeat(recorded_time), events, bodies, leaves))


@lru_cache(maxsize=512)
def parse_entry(body: bytes) -> Entry:
    """Return the entry whose body is `body`.

    Raises:
        EntryInvalid: `body` is not what `new_entry` writes for any event.
    """
    try:
        members = orjson.loads(body)
        event = Event(
            event_id=members["event_id"],
            kind=members["kind"],
            occurred_time=datetime.fromisoformat(members["occurred_time"]),
            producer=members["producer"],
            actor=members["actor"],
            trace_parent=members["trace_parent"],
            subjects=members["subjects"],
            data=json_text(members["data"]),
        )
        entry = new_entry(
            event,
            index=members["index"],
            account_sequence=members["account_sequence"],
            recorded_time=datetime.fromisoformat(members["recorded_time"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EntryInvalid(f"the bytes are not an entry: {error}") from error
    if entry.body != body:
        raise EntryInvalid("the bytes are not an entry as the log writes it")
    return entry


def body_index(body: bytes) -> int:
    """Return the index that `body` says, without reading the rest of it; `body` is one that the log wrote.

    Raises:
        EntryInvalid: It says none.
    """
    # Inside a text, quotes are escaped; after the data, which comes before, only this member's value is a number.
    found = _INDEX.findall(body)
    if not found:
        raise EntryInvalid("the bytes are not an entry: they have no index")
    return int(found[-1])


def body_account(body: bytes) -> tuple[str | None, int]:
    """Return the account that `body` says, and its number there; `body` is one that the log wrote.

    Raises:
        EntryInvalid: It says none.
    """
    try:
        members = orjson.loads(body)
        return members["subjects"].get(ACCOUNT), members["account_sequence"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EntryInvalid(f"the bytes are not an entry: {error}") from error


def _digest(parts: tuple[bytes, bytes, bytes]) -> bytes:
    digest = _SHA256.copy()
    digest.update(b"{%b,%b,%b}" % parts)
    return digest.digest()


def write_out(events: Sequence[Event]) -> None:
    """Make the bytes and the digest of those of `events` that have none yet, by columns: in half the time."""
    bare = [event.__dict__ for event in events if "parts" not in event.__dict__]
    plain = {(fields["occurred_time"].tzinfo, type(fields["subjects"])) for fields in bare} == {(UTC, dict)}
    if not plain or len(bare) < _COLUMNS_MIN:
        return
    parts = parts_of_each(
        [fields["actor"] for fields in bare],
        [fields["data"] for fields in bare],
        [fields["event_id"] for fields in bare],
        [fields["kind"] for fields in bare],
        [fields["occurred_time"] for fields in bare],
        [fields["producer"] for fields in bare],
        [fields["subjects"] for fields in bare],
        [fields["trace_parent"] for fields in bare],
    )
    if parts is None:
        return
    for fields, each, digest in zip(bare, parts, map(_digest, parts), strict=True):
        fields["parts"] = each
        fields["digest"] = digest


def parts_of_each(
    actors: Sequence[str],
    data: Sequence[bytes],
    event_ids: Sequence[str],
    kinds: Sequence[str],
    occurred_times: Sequence[datetime],
    producers: Sequence[str],
    subjects: Sequence[Mapping[str, str]],
    trace_parents: Sequence[str],
) -> list[tuple[bytes, bytes, bytes]] | None:
    """Return `Event.parts` of many events by columns, in half the time; None when they must be made one by one.

    `occurred_times` are in UTC.
    """
    times = orjson.dumps(occurred_times, option=orjson.OPT_UTC_Z)[1:-1].split(b",")
    listed = orjson.dumps(subjects, option=STRICT)
    about = listed[2:-2].split(b"},{")
    if len(about) != len(subjects) or not sorted_alike(listed):
        # A subject has what stands between two, or characters that are sorted otherwise.
        return None
    return [
        (_FIRST % first, _SECOND % second, _THIRD % (b"{%b}" % each, trace_parent))
        for first, second, each, trace_parent in zip(
            zip(map(name_text, actors), data, map(str.encode, event_ids), strict=True),
            zip(map(name_text, kinds), times, map(name_text, producers), strict=True),
            about,
            map(str.encode, trace_parents),
            strict=True,
        )
    ]
