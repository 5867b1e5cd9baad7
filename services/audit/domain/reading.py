"""Reads stored bodies, quickly.

`entry.parse_entry` takes a body apart, makes an event of it as if a producer had told it, and writes it anew to see
that it is the same. For nearly every body the same is known for a third of that: it is canonical as a whole, has the
members that the log writes, and each has a value of its kind. The others go the long way.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from services.audit.domain.entry import EVENT_BYTES_MAX, TRACE_PARENT, Entry, Event, parse_entry
from services.audit.domain.json_text import written
from services.audit.domain.merkle import leaf_hash

# The members of every body, in their order.
MEMBERS = (
    "account_sequence",
    "actor",
    "data",
    "event_id",
    "index",
    "kind",
    "occurred_time",
    "producer",
    "recorded_time",
    "subjects",
    "trace_parent",
)
STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

# JSON that needs no further look; a float is none, and a list or an object is looked into.
_PLAIN = frozenset({str, int, bool, type(None)})
_NESTED = frozenset({dict, list})

_EVENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_of_members = itemgetter(*MEMBERS)


@lru_cache(maxsize=1024)
def read_entry(body: bytes) -> Entry:
    """Return the entry whose body is `body`.

    Raises:
        EntryInvalid: `body` is not what the log writes for any event.
    """
    return _plainly(body) or parse_entry(body)


def exact(objects: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether no number in `objects`, however deep, is a floating-point one."""
    inside: Collection[Any] = [each for members in objects for each in members.values()]
    while inside:
        types = set(map(type, inside))
        if types <= _PLAIN:
            return True
        if not types <= _PLAIN | _NESTED:
            return False
        nested = (each for each in inside if type(each) in _NESTED)
        inside = list(chain.from_iterable(each.values() if type(each) is dict else each for each in nested))
    return True


def _plainly(body: bytes) -> Entry | None:
    """Return the entry, if that `body` is one can be seen at a glance."""
    # Without escapes there is no control character, and in ASCII keys are sorted alike by every rule.
    if not body.isascii() or b"\\" in body or b"\x7f" in body or len(body) > EVENT_BYTES_MAX:
        return None
    try:
        members = orjson.loads(body)
        if len(members) != len(MEMBERS) or orjson.dumps(members, option=STRICT) != body:
            return None
        values = _of_members(members)
        number, actor, data, event_id, index, kind, occurred, producer, recorded, subjects, trace_parent = values
        if type(number) is not int or type(index) is not int or type(data) is not dict or type(subjects) is not dict:
            return None
        if not type(actor) is type(event_id) is type(kind) is type(occurred) is type(producer) is type(recorded) is str:
            return None
        if type(trace_parent) is not str or not {str}.issuperset(map(type, subjects.values())):
            return None
        if not (_PLAIN.issuperset(map(type, data.values())) or exact((data,))):
            return None
        if not _EVENT_ID.fullmatch(event_id) or not _traced(trace_parent):
            return None
        occurred_time, recorded_time = _instant(occurred), _instant(recorded)
    except (KeyError, TypeError, ValueError):
        return None
    if occurred_time is None or recorded_time is None:
        return None
    event = Event.checked(
        event_id, kind, occurred_time, producer, actor, trace_parent, subjects, orjson.dumps(data, option=STRICT)
    )
    return Entry(index, number, recorded_time, event, body, leaf_hash(body))


@lru_cache(maxsize=1024)
def _instant(text: str) -> datetime | None:
    """Return the instant that `text` says, if it is written as the log does."""
    instant = datetime.fromisoformat(text)
    return instant if written(instant) == b'"%b"' % text.encode() else None


@lru_cache(maxsize=1024)
def _traced(trace_parent: str) -> bool:
    return not trace_parent or TRACE_PARENT.fullmatch(trace_parent) is not None
