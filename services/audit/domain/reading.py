"""Reads stored bodies, many at once.

`entry.parse_entry` takes a body apart, makes an event of it as if a producer had told it, and writes it anew to see
that it is the same. For nearly every body the same is known for a quarter of that, over columns: each is canonical as a
whole, has the members that the log writes, and each of these has a value of its kind. The others go the long way.
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
from services.audit.domain.merkle import leaf_hashes

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

# From so many bodies on columns cost less than one body after the other.
_COLUMNS_MIN = 3


def read_entries(bodies: Sequence[bytes]) -> list[Entry]:
    """Return the entry of each of `bodies`.

    Raises:
        EntryInvalid: One of them is not what the log writes for any event.
    """
    entries = _plainly(bodies) if len(bodies) >= _COLUMNS_MIN else None
    return list(map(parse_entry, bodies)) if entries is None else entries


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


def _plainly(bodies: Sequence[bytes]) -> list[Entry] | None:
    """Return the entries, if that each of `bodies` is one can be seen at a glance."""
    text = b"[%b]" % b",".join(bodies)
    # Without escapes there is no control character, and in ASCII keys are sorted alike by every rule.
    if not text.isascii() or b"\\" in text or b"\x7f" in text or max(map(len, bodies)) > EVENT_BYTES_MAX:
        return None
    try:
        # Each is read by itself, so that each ends where it seems to; together they are what canonical JSON would be.
        documents = list(map(orjson.loads, bodies))
        if orjson.dumps(documents, option=STRICT) != text or set(map(len, documents)) != {len(MEMBERS)}:
            return None
        columns = zip(*map(_of_members, documents), strict=True)
        numbers, actors, data, event_ids, indexes, kinds, occurred, producers, recorded, subjects, traces = columns
        texts = chain(actors, event_ids, kinds, occurred, producers, recorded, traces)
        if set(map(type, chain(numbers, indexes))) != {int} or set(map(type, texts)) != {str}:
            return None
        if set(map(type, chain(data, subjects))) != {dict} or not exact(data):
            return None
        if not {str}.issuperset(map(type, chain.from_iterable(map(dict.values, subjects)))):
            return None
        if not all(map(_EVENT_ID.fullmatch, event_ids)) or not all(map(_traced, set(traces))):
            return None
        occurred_times, recorded_times = _instants(occurred), _instants(recorded)
    except (KeyError, TypeError, ValueError):
        return None
    if occurred_times is None or recorded_times is None:
        return None
    # In ASCII they are written in the order in which they were read, which is sorted.
    told = map(orjson.dumps, data)
    events = map(Event.checked, event_ids, kinds, occurred_times, producers, actors, traces, subjects, told)
    return list(map(Entry, indexes, numbers, recorded_times, events, bodies, leaf_hashes(bodies)))


def _instants(texts: Sequence[str]) -> list[datetime] | None:
    """Return the instants that `texts` say, if each is written as the log does."""
    instants = list(map(datetime.fromisoformat, texts))
    # Without a time zone, an instant would be written as it stands, too.
    same = orjson.dumps(instants, option=orjson.OPT_UTC_Z) == orjson.dumps(texts)
    return instants if same and all(each[-1] == "Z" for each in texts) else None


@lru_cache(maxsize=1024)
def _traced(trace_parent: str) -> bool:
    return not trace_parent or TRACE_PARENT.fullmatch(trace_parent) is not None
