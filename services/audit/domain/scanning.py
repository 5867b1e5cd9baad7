"""Reads many bodies of the log, compiled: where their members stand, if each is plainly as the log writes it.

Nearly all bodies have their members in order, texts without an escape, and whole numbers of at most 15 digits. Of
these, that they are canonical (RFC 8785) shows in one pass over their bytes. Whatever else a body may rightly be is not
recognised here, and is read in another way. That the bytes are UTF-8 is for the caller to see.

Everything that is compiled together is in this file, because what was compiled is kept until its file changes.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
_F = TypeVar("_F", bound=Callable[..., Any])

# Rows of `spans`: where the texts stand, without their quotes.
ACTOR, KIND, PRODUCER, RECORDED, TRACE = range(5)
SPANS = 5
# Different (actor, producer, kind) that are told apart, and subjects of one entry that are recognised.
LABELS_MAX = 64
SUBJECTS_MAX = 16

_DEPTH_MAX = 16
_DIGITS_MAX = 15

_BEGIN = np.frombuffer(b'{"account_sequence":', np.uint8)
_ACTOR = np.frombuffer(b',"actor":', np.uint8)
_DATA = np.frombuffer(b',"data":', np.uint8)
_EVENT_ID = np.frombuffer(b',"event_id":"', np.uint8)
_INDEX = np.frombuffer(b'","index":', np.uint8)
_KIND = np.frombuffer(b',"kind":', np.uint8)
_OCCURRED = np.frombuffer(b',"occurred_time":', np.uint8)
_PRODUCER = np.frombuffer(b',"producer":', np.uint8)
_RECORDED = np.frombuffer(b',"recorded_time":', np.uint8)
_SUBJECTS = np.frombuffer(b',"subjects":{', np.uint8)
_TRACE = np.frombuffer(b',"trace_parent":"', np.uint8)
_TRUE, _FALSE = np.frombuffer(b"true", np.uint8), np.frombuffer(b"false", np.uint8)
_NULL = np.frombuffer(b"null", np.uint8)
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

# Bytes inside of plain strings.
_PLAIN = np.array([0x20 <= byte < 0xF0 and byte not in b'"\\\x7f' for byte in range(256)])

_QUOTE, _COMMA, _MINUS, _COLON, _ZERO, _NINE = 34, 44, 45, 58, 48, 57
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = 123, 125, 91, 93


def compiled(function: _F) -> _F:
    """Compile `function` when it is first called, or load what was compiled before."""
    return cast("_F", njit(cache=True, nogil=True)(function))


@compiled
def scan(
    text: Bytes,
    starts: Ints,
    ends: Ints,
    first: int,
    numbers: Ints,
    spans: Ints,
    subjects: Ints,
    ids: Bytes,
    events: Bytes,
    event_ends: Ints,
    labels: Ints,
    examples: Ints,
) -> tuple[int, int]:
    """Read the bodies at `starts` to `ends` of `text`, all uint8; the first has the index `first`.

    Every position is followed by at least one byte more. Written are, by entry: `numbers` of the account; `spans`, of
    shape (n, SPANS, 2); `ids`, of shape (n, 16); `labels`, the number of its (actor, producer, kind), and `examples`,
    an entry with each; `events` and `event_ends`, the canonical text of each event, one after the other. `subjects`,
    of shape (SUBJECTS_MAX * n, 5), has of each subject its entry, where its kind and its id begin and end.

    Returns:
        How many subjects and how many labels there are; -1 when a body is not recognised.
    """
    none = (-1, -1)
    found, known, written = 0, 0, 0
    # Of each object that is open where its last key stands; of a list -1.
    keys = np.empty((_DEPTH_MAX, 2), np.int64)
    for n in range(len(starts)):
        at, end = starts[n], ends[n]
        at = _after(text, at, end, _BEGIN)
        if at < 0:
            return none
        at, numbers[n] = _whole(text, at, end)
        if at < 0:
            return none
        # The event's own members, of which the text of the event is made.
        own = at + 1
        at = _text(text, _after(text, at, end, _ACTOR), end, spans[n, ACTOR])
        at = _value(text, _after(text, at, end, _DATA), end, keys)
        at = _id(text, _after(text, at, end, _EVENT_ID), end, ids[n])
        if at < 0:
            return none
        events[written] = _OPEN
        written += 1
        written = _copied(text, own, at + 1, events, written)
        at, index = _whole(text, _after(text, at, end, _INDEX), end)
        if at < 0 or index != first + n:
            return none
        own = at
        at = _text(text, _after(text, at, end, _KIND), end, spans[n, KIND])
        at = _instant(text, _after(text, at, end, _OCCURRED), end)
        at = _text(text, _after(text, at, end, _PRODUCER), end, spans[n, PRODUCER])
        if at < 0:
            return none
        written = _copied(text, own, at, events, written)
        begins = _after(text, at, end, _RECORDED)
        at = _instant(text, begins, end)
        spans[n, RECORDED, 0], spans[n, RECORDED, 1] = begins + 1, at - 1
        own = at
        at, found = _about(text, _after(text, at, end, _SUBJECTS), end, n, subjects, found)
        begins = _after(text, at, end, _TRACE)
        at = _trace(text, begins, end)
        if at < 0 or at + 2 != end or text[at] != _QUOTE or text[at + 1] != _CLOSE:
            return none
        spans[n, TRACE, 0], spans[n, TRACE, 1] = begins, at
        written = _copied(text, own, end, events, written)
        event_ends[n] = written
        label = 0
        while label < known and not _same_label(text, spans[n], spans[examples[label]]):
            label += 1
        if label == known:
            if known == LABELS_MAX:
                return none
            examples[known] = n
            known += 1
        labels[n] = label
    return found, known


@compiled
def _copied(text: Bytes, begins: int, ends: int, into: Bytes, at: int) -> int:
    here = into[at : at + ends - begins]
    there = text[begins:ends]
    for n in range(len(here)):
        here[n] = there[n]
    return at + ends - begins


@compiled
def _after(text: Bytes, at: int, end: int, word: Bytes) -> int:
    """Return where `word` ends that must stand at `at`; -1 when it does not, as all of these do."""
    if at < 0 or at + len(word) > end:
        return -1
    for n in range(len(word)):
        if text[at + n] != word[n]:
            return -1
    return at + len(word)


@compiled
def _string(text: Bytes, at: int, end: int) -> int:
    """Return the place after a plain string: nothing escaped, and no character beyond U+FFFF, where orders differ."""
    if at < 0 or at >= end or text[at] != _QUOTE:
        return -1
    at += 1
    while at < end:
        if not _PLAIN[text[at]]:
            return at + 1 if text[at] == _QUOTE else -1
        at += 1
    return -1


@compiled
def _text(text: Bytes, at: int, end: int, span: Ints) -> int:
    after = _string(text, at, end)
    span[0], span[1] = at + 1, after - 1
    return after


@compiled
def _whole(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the place after a whole number from 0 on, and the number."""
    value, begins = 0, at
    if at < 0:
        return -1, 0
    while at < end and _ZERO <= text[at] <= _NINE:
        value = value * 10 + (text[at] - _ZERO)
        at += 1
        if at - begins > _DIGITS_MAX:
            return -1, 0
    if at == begins or (text[begins] == _ZERO and at - begins > 1):
        return -1, 0
    return at, value


@compiled
def _value(text: Bytes, at: int, end: int, keys: Ints) -> int:  # noqa: C901 - one pass, as compiled code has it
    """Return the place after a JSON object whose keys are sorted and which has no space and no fraction."""
    if at < 0 or at >= end or text[at] != _OPEN:
        return -1
    depth = -1
    while True:
        # Here a value begins.
        byte = text[at]
        opened = byte in (_OPEN, _OPEN_LIST)
        if opened:
            depth += 1
            if depth == _DEPTH_MAX:
                return -1
            keys[depth, 0] = 0 if byte == _OPEN else -1
            at += 1
        elif byte == _QUOTE:
            at = _string(text, at, end)
        elif byte == _TRUE[0]:
            at = _after(text, at, end, _TRUE)
        elif byte == _FALSE[0]:
            at = _after(text, at, end, _FALSE)
        elif byte == _NULL[0]:
            at = _after(text, at, end, _NULL)
        else:
            negative = byte == _MINUS
            at, value = _whole(text, at + 1 if negative else at, end)
            if negative and value == 0:
                return -1
        # What has ended is closed; then another value begins, or all is read.
        while True:
            if at < 0 or at >= end:
                return -1
            is_list = keys[depth, 0] < 0
            if text[at] == (_CLOSE_LIST if is_list else _CLOSE):
                depth -= 1
                at += 1
                opened = False
                if depth < 0:
                    return at
                continue
            break
        if not opened:
            if text[at] != _COMMA:
                return -1
            at += 1
        if not is_list:
            begins = at
            at = _string(text, at, end)
            if at < 0 or at + 1 >= end or text[at] != _COLON:
                return -1
            if keys[depth, 0] and not _less(text, keys[depth, 0], keys[depth, 1], begins + 1, at - 1):
                return -1
            keys[depth, 0], keys[depth, 1] = begins + 1, at - 1
            at += 1
        if at >= end:
            return -1


@compiled
def _less(text: Bytes, first: int, first_end: int, second: int, second_end: int) -> bool:
    """Return whether one text stands before another."""
    while first < first_end and second < second_end:
        if text[first] != text[second]:
            return bool(text[first] < text[second])
        first += 1
        second += 1
    return first == first_end and second < second_end


@compiled
def _id(text: Bytes, at: int, end: int, into: Bytes) -> int:
    """Return the place after a UUID in lower case, whose bytes are written to `into`."""
    if at < 0 or at + 36 > end:
        return -1
    bits, filled = 0, 0
    for n in range(36):
        byte = text[at + n]
        if n == 8 or n == 13 or n == 18 or n == 23:
            if byte != _MINUS:
                return -1
            continue
        digit = _hexadecimal(byte)
        if digit < 0:
            return -1
        bits = bits << 4 | digit
        filled += 1
        if filled % 2 == 0:
            into[filled // 2 - 1] = bits
            bits = 0
    return at + 36


@compiled
def _hexadecimal(byte: int) -> int:
    if _ZERO <= byte <= _NINE:
        return np.int64(byte) - _ZERO  # type: ignore[return-value] # whole, as every number there
    if 97 <= byte <= 102:
        return np.int64(byte) - 87  # type: ignore[return-value] # as above
    return -1


@compiled
def _number(text: Bytes, at: int, count: int) -> int:
    """Return the number of `count` digits at `at`, or a large negative one."""
    value = 0
    for n in range(count):
        byte = text[at + n]
        if byte < _ZERO or byte > _NINE:
            return -(10**9)
        value = value * 10 + (byte - _ZERO)
    return value


@compiled
def _instant(text: Bytes, at: int, end: int) -> int:
    """Return the place after an instant in UTC, in quotes, with six digits of a second's fraction unless it is none."""
    if at < 0 or at + 22 > end or text[at] != _QUOTE:
        return -1
    if text[at + 5] != _MINUS or text[at + 8] != _MINUS or text[at + 11] != 84:
        return -1
    if text[at + 14] != _COLON or text[at + 17] != _COLON:
        return -1
    year, month, day = _number(text, at + 1, 4), _number(text, at + 6, 2), _number(text, at + 9, 2)
    if year < 1 or not 1 <= month <= 12:
        return -1
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS[month - 1] + leap:
        return -1
    hour, minute, second = _number(text, at + 12, 2), _number(text, at + 15, 2), _number(text, at + 18, 2)
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return -1
    at += 20
    if text[at] == 46:
        if at + 9 > end or _number(text, at + 1, 6) < 1:
            return -1
        at += 7
    if text[at] != 90 or text[at + 1] != _QUOTE:
        return -1
    return at + 2


@compiled
def _about(text: Bytes, at: int, end: int, entry: int, subjects: Ints, found: int) -> tuple[int, int]:
    """Return the place after subjects, whose kinds are sorted, and how many were found so far."""
    if at < 0 or at >= end:
        return -1, found
    if text[at] == _CLOSE:
        return at + 1, found
    first = found
    while True:
        kind_end = _string(text, at, end)
        if kind_end < 0 or kind_end >= end or text[kind_end] != _COLON or found - first == SUBJECTS_MAX:
            return -1, found
        after = _string(text, kind_end + 1, end)
        if after < 0 or after >= end:
            return -1, found
        row = subjects[found]
        row[0], row[1], row[2], row[3], row[4] = entry, at + 1, kind_end - 1, kind_end + 2, after - 1
        if found > first and not _less(text, subjects[found - 1, 1], subjects[found - 1, 2], row[1], row[2]):
            return -1, found
        found += 1
        at = after + 1
        if text[after] == _CLOSE:
            return at, found
        if text[after] != _COMMA:
            return -1, found


@compiled
def _trace(text: Bytes, at: int, end: int) -> int:
    """Return the place after a W3C traceparent of version 00, which may be empty, and before its quote."""
    if at < 0 or at >= end:
        return -1
    if text[at] == _QUOTE:
        return at
    if at + 55 >= end or text[at] != _ZERO or text[at + 1] != _ZERO:
        return -1
    if text[at + 2] != _MINUS or text[at + 35] != _MINUS or text[at + 52] != _MINUS:
        return -1
    trace, parent = 0, 0
    for n in range(3, 55):
        if n == 35 or n == 52:
            continue
        digit = _hexadecimal(text[at + n])
        if digit < 0:
            return -1
        trace |= digit if n < 35 else 0
        parent |= digit if 35 < n < 52 else 0
    return at + 55 if trace and parent else -1


@compiled
def _same_label(text: Bytes, one: Ints, other: Ints) -> bool:
    for what in (KIND, ACTOR, PRODUCER):
        begins, ends, at = one[what, 0], one[what, 1], other[what, 0]
        if ends - begins != other[what, 1] - at:
            return False
        for n in range(ends - begins):
            if text[begins + n] != text[at + n]:
                return False
    return True
