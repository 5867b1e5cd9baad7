"""Texts as bytes, compiled: in order, the same ones found, and each different one numbered.

Bytes of UTF-8 are in the order of their code points, which is that of Python's texts.
"""

import numpy as np

from services.decision.domain.tax.batch.array_bytes import Bytes, Texts
from services.decision.domain.tax.batch.whole import Flags, Ints, compiled

# FNV-1a, of 64 bits; the basis as a signed number.
_BASIS, _PRIME = -3750763034362895579, 1099511628211


@compiled
def compared(data: Bytes, begin: int, end: int, other: int, other_end: int) -> int:
    """Return -1, 0 or 1 as the first text is before, equal to or after the other."""
    length, other_length = end - begin, other_end - other
    for place in range(min(length, other_length)):
        one, two = data[begin + place], data[other + place]
        if one != two:
            return -1 if one < two else 1
    if length == other_length:
        return 0
    return -1 if length < other_length else 1


@compiled
def _hash(data: Bytes, begin: int, end: int) -> int:
    found = np.int64(_BASIS)
    for place in range(begin, end):
        found = (found ^ np.int64(data[place])) * np.int64(_PRIME)
    # The low bits, which a table uses, of all of them.
    return int(found ^ (found >> 29))


@compiled
def ordered(rows: Ints, keys: Ints, data: Bytes, begins: Ints, ends: Ints) -> None:
    """Put rows whose keys are equal and which lie together in the order of their texts, keeping that of equal texts.

    Args:
        rows: Rows of `begins` and `ends`; put in order.
        keys: Of each of `rows`, as they come.
        data: Bytes that have all texts among them.
        begins: Where each text begins.
        ends: Where it ends.
    """
    spare = np.empty(len(rows), dtype=np.int64)
    first = 0
    while first < len(rows):
        last = first + 1
        while last < len(rows) and keys[last] == keys[first]:
            last += 1
        width = 1
        while width < last - first:
            # Runs of `width` are in order: merge each with the next.
            for left in range(first, last, 2 * width):
                middle, right = min(left + width, last), min(left + 2 * width, last)
                one, two = left, middle
                for to in range(left, right):
                    take_one = two >= right
                    if one < middle and two < right:
                        a, b = rows[one], rows[two]
                        take_one = compared(data, begins[a], ends[a], begins[b], ends[b]) <= 0
                    if take_one:
                        spare[to] = rows[one]
                        one += 1
                    else:
                        spare[to] = rows[two]
                        two += 1
            rows[first:last] = spare[first:last]
            width *= 2
        first = last


@compiled
def _room(count: int) -> int:
    room = 16
    while room < 2 * count:
        room *= 2
    return room


@compiled
def repeated(rows: Ints, owners: Ints, data: Bytes, begins: Ints, ends: Ints, found: Flags) -> None:
    """Set `found` of each owner two of whose rows have the same text; rows of one owner lie together."""
    table = np.empty(0, dtype=np.int64)
    first = 0
    while first < len(rows):
        owner, last = owners[first], first + 1
        while last < len(rows) and owners[last] == owner:
            last += 1
        room = _room(last - first)
        if room > len(table):
            table = np.empty(room, dtype=np.int64)
        table[:room] = -1
        for number in range(first, last):
            row = rows[number]
            slot = _hash(data, begins[row], ends[row]) & (room - 1)
            while table[slot] >= 0:
                other = table[slot]
                if compared(data, begins[row], ends[row], begins[other], ends[other]) == 0:
                    found[owner] = True
                    break
                slot = (slot + 1) & (room - 1)
            if table[slot] < 0:
                table[slot] = row
        first = last


@compiled
def _numbered(data: Bytes, begins: Ints, ends: Ints, numbers: Ints, firsts: Ints) -> int:
    count, room = 0, _room(len(begins))
    table = np.full(room, -1, dtype=np.int64)
    for row in range(len(begins)):
        slot = _hash(data, begins[row], ends[row]) & (room - 1)
        while table[slot] >= 0:
            other = firsts[table[slot]]
            if compared(data, begins[row], ends[row], begins[other], ends[other]) == 0:
                break
            slot = (slot + 1) & (room - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        numbers[row] = table[slot]
    return count


def numbered(texts: Texts) -> tuple[tuple[str, ...], Ints]:
    """Return each different text once, and of every row the number of its text among them."""
    numbers, firsts = (np.zeros(len(texts.begins), dtype=np.int64) for _ in range(2))
    count = _numbered(texts.data, texts.begins, texts.ends, numbers, firsts)
    return tuple(texts.text(row) for row in firsts[:count].tolist()), numbers


@compiled
def _joined(data: Bytes, begins: Ints, ends: Ints, into: Bytes) -> None:
    at = 0
    for row in range(len(begins)):
        for place in range(begins[row], ends[row]):
            into[at] = data[place]
            at += 1
        into[at] = 0
        at += 1


def texts_of(data: Bytes, begins: Ints, ends: Ints) -> list[str]:
    """Return many texts, none of which has a zero byte in it: PostgreSQL keeps none that has."""
    if not len(begins):
        return []
    into = np.empty(int((ends - begins).sum()) + len(begins), dtype=np.uint8)
    _joined(data, begins, ends, into)
    return into[:-1].tobytes().decode().split("\0")


@compiled
def named_rows(
    named_starts: Ints, named: Ints, group_of: Ints, group_starts: Ints, rows: Ints, data: Bytes, begins: Ints,
    ends: Ints, found: Ints, found_starts: Ints
) -> int:  # fmt: skip
    """Find the rows that have the same texts as what is named, and return how many there are.

    Args:
        named_starts: Where what each asker names begins among `named`; one more than there are askers.
        named: Rows of the texts that are named.
        group_of: The group of each asker.
        group_starts: Where each group begins among `rows`; one more than there are groups.
        rows: Rows of texts, group by group.
        data: Bytes that have all texts among them.
        begins: Where each text begins.
        ends: Where it ends.
        found: To be filled with places among `rows`; a name that the group does not have is left out.
        found_starts: To be filled with where those of each asker begin; one more than there are askers.
    """
    count = 0
    for asker in range(len(group_of)):
        first, last = group_starts[group_of[asker]], group_starts[group_of[asker] + 1]
        for number in range(named_starts[asker], named_starts[asker + 1]):
            name = named[number]
            for place in range(first, last):
                row = rows[place]
                if compared(data, begins[name], ends[name], begins[row], ends[row]) == 0:
                    found[count] = place
                    count += 1
                    break
        found_starts[asker + 1] = count
    return count
