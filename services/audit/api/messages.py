"""Messages of `evenkeel.audit.v1` ↔ values of the log."""

import re
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar

from google.protobuf.message import Message

from buf.validate import validate_pb2
from evenkeel.audit.v1 import audit_service_pb2 as pb
from services.audit.app import Appended
from services.audit.domain.batch import Columns, recordable
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.entry import Entry, Event, EventInvalid, printable
from services.audit.domain.filter import EntryFilter
from services.audit.domain.sequencing import Status
from services.kernel.canonical import JsonValue, rfc3339
from services.kernel.errors import Invalid, Violations
from services.runtime.wire import EPOCH, instant_message, instant_of

_STATUS = {
    Status.APPENDED: pb.AppendResult.STATUS_APPENDED,
    Status.DUPLICATE: pb.AppendResult.STATUS_DUPLICATE,
    Status.CONFLICT: pb.AppendResult.STATUS_CONFLICT,
}


class EventsReader:
    """Reads what is to be appended; what it may say is declared in its contract."""

    def __init__(self, check: Callable[[Message], None]) -> None:
        """Have `check` say what in a message breaks its contract, by raising `Invalid`."""
        self._check = check

    def events_of(self, request: pb.AppendRequest | pb.AppendStreamRequest) -> list[Event]:
        """Return the events that `request` tells.

        Raises:
            Invalid: The contract forbids it, or an event cannot be recorded as it is.
        """
        events = _surely_events(request)
        if events is None:
            self._check(request)
            events = _events_of(request.events)
        return events


class _Texts:
    """The rules that the contract declares for a field of text."""

    def __init__(self, rules: validate_pb2.StringRules) -> None:
        self._least, self._most = rules.min_len, rules.max_len or sys.maxsize
        self._pattern = re.compile(rules.pattern) if rules.pattern else None

    def allow(self, texts: Collection[str]) -> bool:
        lengths = set(map(len, texts)) or {self._least}
        pattern = self._pattern
        return (
            self._least <= min(lengths)
            and max(lengths) <= self._most
            and (pattern is None or all(map(pattern.fullmatch, texts)))
        )


def _texts_of(message: type[Message]) -> dict[str, _Texts]:
    fields = message.DESCRIPTOR.fields
    return {each.name: _Texts(_rules(message, each.name).string) for each in fields if each.type == each.TYPE_STRING}


def _rules(message: type[Message], field: str) -> validate_pb2.FieldRules:
    rules: validate_pb2.FieldRules = (
        message.DESCRIPTOR.fields_by_name[field].GetOptions().Extensions[validate_pb2.field]
    )
    return rules


_OF_EVENT, _OF_SUBJECT, _OF_REQUEST = map(_texts_of, (pb.Event, pb.Subject, pb.AppendRequest))
_EVENTS = _rules(pb.AppendRequest, "events").repeated
_SUBJECTS_MAX = _rules(pb.Event, "subjects").repeated.max_items
_DATA_BYTES_MAX = _rules(pb.Event, "data").bytes.max_len


_FIELDS = attrgetter(
    *("event_id", "kind", "producer", "actor", "trace_parent", "data", "subjects"),
    *("occurred_time.seconds", "occurred_time.nanos"),
)
_KIND_AND_ID = attrgetter("kind", "id")


def _surely_events(request: pb.AppendRequest | pb.AppendStreamRequest) -> list[Event] | None:
    """Return the events that `request` tells, None when something may be wrong with it.

    Over columns, in a quarter of the time that checking and reading each message takes. What it lets pass, the contract
    allows.
    """
    messages = request.events
    if not _EVENTS.min_items <= len(messages) <= _EVENTS.max_items:
        return None
    if request.log and not _OF_REQUEST["log"].allow([request.log]):
        return None
    ids, kinds, producers, actors, traces, data, said, seconds, nanos = zip(*map(_FIELDS, messages), strict=True)
    subjects = [dict(map(_KIND_AND_ID, each)) for each in said]
    lengths = list(map(len, subjects))
    if lengths != list(map(len, said)) or max(lengths) > _SUBJECTS_MAX:
        return None
    # An instant that is not there reads as that of 1970.
    if 0 in seconds and not all(each.HasField("occurred_time") for each in messages):
        return None
    try:
        times = [EPOCH + timedelta(0, second, nano // 1000) for second, nano in zip(seconds, nanos, strict=True)]
    except OverflowError:
        return None
    if any(nano % 1000 for nano in nanos):
        return None
    columns = Columns(
        event_ids=[event_id.lower() for event_id in ids],
        kinds=kinds,
        occurred_times=times,
        producers=producers,
        actors=actors,
        trace_parents=traces,
        subjects=subjects,
        data=data,
    )
    if not (
        _OF_EVENT["kind"].allow(set(columns.kinds))
        and _OF_EVENT["producer"].allow(set(columns.producers))
        and _OF_EVENT["actor"].allow(set(columns.actors))
        and _OF_EVENT["trace_parent"].allow(set(columns.trace_parents))
        and _OF_SUBJECT["kind"].allow(set().union(*subjects))
        and _OF_SUBJECT["id"].allow([subject_id for about in subjects for subject_id in about.values()])
        and max(map(len, columns.data)) <= _DATA_BYTES_MAX
    ):
        return None
    # That an event's id is a UUID is checked there.
    return recordable(columns)


def _events_of(messages: Sequence[pb.Event]) -> list[Event]:
    """Return the events that `messages` tell.

    Raises:
        Invalid: One of them cannot be recorded as it is; every one that cannot is a violation.
    """
    events: list[Event] = []
    violations = Violations()
    for number, message in enumerate(messages):
        field = f"events[{number}]"
        try:
            events.append(_event_of(message, field))
        except EventInvalid as error:
            violations.add(f"{field}.{error.field}", error.description)
        except Invalid as error:
            for violation in error.violations:
                violations.add(violation.field, violation.description)
    violations.raise_if_any(Invalid)
    return events


def _event_of(message: pb.Event, field: str) -> Event:
    return Event(
        event_id=message.event_id.lower(),
        kind=message.kind,
        occurred_time=instant_of(message.occurred_time, f"{field}.occurred_time"),
        producer=message.producer,
        actor=message.actor,
        trace_parent=message.trace_parent,
        subjects=_subjects_of(message.subjects, f"{field}.subjects"),
        data=message.data,
    )


def filter_of(message: pb.EntryFilter, field: str = "filter") -> EntryFilter:
    """Return the filter that `message` says; what it does not say matches everything.

    Args:
        message: What the caller wants.
        field: Where it stands in the request, by which refusals name it; empty when its fields are the request's own.

    Raises:
        Invalid: A kind of subject stands in it twice, a time is out of range, the period ends before it begins, or a
            text has control characters.
    """
    within = f"{field}." if field else ""
    violations = Violations()
    texts = {"kind": message.kind, "actor": message.actor, "producer": message.producer}
    texts |= {f"subjects[{number}].id": subject.id for number, subject in enumerate(message.subjects)}
    for name, text in texts.items():
        if not printable(text):
            violations.add(f"{within}{name}", "must not have control characters")
    violations.raise_if_any(Invalid)
    start_time, end_time = period_of(message, within)
    return EntryFilter(
        kind=message.kind or None,
        subjects=_subjects_of(message.subjects, f"{within}subjects"),
        actor=message.actor or None,
        producer=message.producer or None,
        trace_id=message.trace_id or None,
        start_time=start_time,
        end_time=end_time,
    )


def period_of(message: Any, within: str = "") -> tuple[datetime | None, datetime | None]:  # noqa: ANN401 - of any kind
    """Return from when and until when `message` asks, by its fields `start_time` and `end_time`; None without end.

    Raises:
        Invalid: A time is out of range, or the period ends before it begins; fields are named after `within`.
    """
    start = instant_of(message.start_time, f"{within}start_time") if message.HasField("start_time") else None
    end = instant_of(message.end_time, f"{within}end_time") if message.HasField("end_time") else None
    violations = Violations()
    if start is not None and end is not None and start >= end:
        violations.add(f"{within}end_time", f"must be after start_time, {rfc3339(start)}, was {rfc3339(end)}")
    violations.raise_if_any(Invalid)
    return start, end


def question_of(wanted: EntryFilter) -> dict[str, JsonValue]:
    """Return what `wanted` says beside its subjects, as the access log remembers it."""
    said = {
        "actor": wanted.actor,
        "end_time": rfc3339(wanted.end_time) if wanted.end_time else None,
        "kind": wanted.kind,
        "producer": wanted.producer,
        "start_time": rfc3339(wanted.start_time) if wanted.start_time else None,
        "trace_id": wanted.trace_id,
    }
    return {name: value for name, value in said.items() if value is not None}


_Answer = TypeVar("_Answer", pb.AppendResponse, pb.AppendStreamResponse)


def told(appended: Appended, answer: _Answer) -> _Answer:
    """Return `answer`, which says nothing yet, with what became of each event and the checkpoint that covers them."""
    add = answer.results.add
    for result in appended.results:
        # A message is filled in half the time that one takes to be made and copied.
        message = add()
        message.index = result.index
        message.status = _STATUS[result.status]
    answer.checkpoint.CopyFrom(checkpoint_message(appended.checkpoint))
    return answer


def entry_message(entry: Entry) -> pb.Entry:
    """Return the message that says `entry`."""
    event = entry.event
    return pb.Entry(
        index=entry.index,
        leaf_hash=entry.leaf,
        body=entry.body,
        event=pb.Event(
            event_id=event.event_id,
            kind=event.kind,
            occurred_time=instant_message(event.occurred_time),
            producer=event.producer,
            actor=event.actor,
            trace_parent=event.trace_parent,
            subjects=[pb.Subject(kind=kind, id=subject_id) for kind, subject_id in event.subjects.items()],
            data=event.data,
        ),
        recorded_time=instant_message(entry.recorded_time),
        account_sequence=entry.account_sequence,
    )


def checkpoint_message(signed: SignedCheckpoint) -> pb.Checkpoint:
    """Return the message that says `signed`."""
    checkpoint = signed.checkpoint
    return pb.Checkpoint(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root_hash=checkpoint.root,
        note=signed.note,
        sign_time=instant_message(signed.sign_time),
    )


def _subjects_of(messages: Sequence[pb.Subject], field: str) -> dict[str, str]:
    subjects = {message.kind: message.id for message in messages}
    if len(subjects) == len(messages):
        return subjects
    violations = Violations()
    seen: set[str] = set()
    for number, message in enumerate(messages):
        if message.kind in seen:
            violations.add(f"{field}[{number}].kind", f"must stand once, {message.kind} stands twice")
        seen.add(message.kind)
    violations.raise_if_any(Invalid)
    return subjects
