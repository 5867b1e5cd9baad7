"""Are the stored postings, and the numbers of accounts, those of the bodies? Compiled, over what `scanning` found.

Each entry has some terms, and each stored posting lists, for one term and one commit, where the entries with it stand.
So the entries are followed in order, and each must be the next that the postings of its terms list; at the end all of
each posting was met. The hash that makes a number of a subject is SHA-256 (FIPS 180-4), written here because it is made
of some million short texts, and calling the library costs more than hashing one.

Everything that is compiled together is in this file, because what was compiled is kept until its file changes.
"""

import numpy as np
import numpy.typing as npt

from services.audit.domain.scanning import Bytes, Ints, compiled

# What `follow` says of what it was given.
RIGHT, NOT_RECORDED, NOT_PLACED, NOT_NUMBERED = range(4)

_SUBJECT = np.frombuffer(b"subject:", np.uint8)
_TRACED = np.frombuffer(b"trace:", np.uint8)
_ACCOUNT = np.frombuffer(b"account", np.uint8)
# Where the trace id stands in a traceparent.
_TRACE_BEGINS, _TRACE_ENDS = 3, 35
_COLON = 58

# FIPS 180-4, 4.2.2: the first 32 bits of the fractions of the cube roots of the first 64 primes.
_PRIMES = [n for n in range(2, 312) if all(n % d for d in range(2, int(n**0.5) + 1))]


def _fraction(prime: int, root: int) -> int:
    """Return the first 32 bits of the fraction of a root of `prime`, by whole numbers."""
    scaled, low, high = prime << 32 * root, 0, prime << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


_K = np.array([_fraction(prime, 3) for prime in _PRIMES[:64]], np.uint32)
# 5.3.3: those of the square roots of the first eight.
_H = np.array([_fraction(prime, 2) for prime in _PRIMES[:8]], np.uint32)


@compiled
def follow(  # noqa: C901 - one pass, as compiled code has it
    text: Bytes,
    spans: Ints,
    recorded_span: int,
    trace_span: int,
    numbers: Ints,
    subjects: Ints,
    labels: Ints,
    label_terms: Ints,
    label_counts: Ints,
    commits: Ints,
    recorded: Bytes,
    recorded_ends: Ints,
    terms: Ints,
    rows_commit: Ints,
    positions: Bytes,
    ends: Ints,
    accounts: Ints,
) -> tuple[int, int]:
    """Follow the entries of some commits.

    Args:
        text: As for `scanning.scan`, which made the next three and `labels`.
        spans: Where members stand.
        recorded_span: Which of them is the recorded time.
        trace_span: Which of them is the traceparent.
        numbers: Of the accounts.
        subjects: In the order of entries, and no more rows than there are.
        labels: Of each entry.
        label_terms: The terms' numbers of each label, without that of the trace.
        label_counts: How many of them.
        commits: The first entry of each commit, and at the end how many entries there are.
        recorded: When the entries of each commit were recorded, as the bodies say it, one after the other.
        recorded_ends: Where each of these ends.
        terms: Of each stored posting.
        rows_commit: Of each stored posting the number of its commit here.
        positions: Those of all stored postings, one after the other.
        ends: Where the positions of each end.
        accounts: Room for the accounts, of shape (entries, 4): where each stands in the text, and its first
            and last number.

    Returns:
        One of the constants above, and how many accounts there are.
    """
    slots = _slots(len(terms))
    rows = np.full(slots, -1, np.int64)
    cursors = np.empty(len(terms), np.int64)
    for row in range(len(terms)):
        cursors[row] = ends[row - 1] if row else 0
        if cursors[row] == ends[row]:
            return NOT_PLACED, 0
        slot = _slot(terms[row], rows_commit[row], slots)
        while rows[slot] >= 0:
            if terms[rows[slot]] == terms[row] and rows_commit[rows[slot]] == rows_commit[row]:
                return NOT_PLACED, 0
            slot = (slot + 1) & (slots - 1)
        rows[slot] = row
    # Subjects that were met: by a hash of their text the first row with it, and what follows from the text.
    many = _slots(len(subjects))
    met = np.full(many, -1, np.int64)
    term_of = np.empty(len(subjects), np.int64)
    account_of = np.full(len(subjects), -1, np.int64)
    schedule = np.empty(64, np.uint32)
    block = np.empty(64, np.uint8)
    word = np.empty(8, np.uint32)
    found, subject, traced, trace_term = 0, 0, -1, 0
    for commit in range(len(commits) - 1):
        said = recorded_ends[commit - 1] if commit else 0
        for entry in range(commits[commit], commits[commit + 1]):
            if not _same(
                text,
                spans[entry, recorded_span, 0],
                spans[entry, recorded_span, 1],
                recorded,
                said,
                recorded_ends[commit],
            ):
                return NOT_RECORDED, 0
            at = entry - commits[commit]
            for each in range(label_counts[labels[entry]]):
                if not _next(
                    label_terms[labels[entry], each], commit, at, rows, terms, rows_commit, cursors, ends, positions
                ):
                    return NOT_PLACED, 0
            begins = spans[entry, trace_span, 0]
            if begins < spans[entry, trace_span, 1]:
                first, last = begins + _TRACE_BEGINS, begins + _TRACE_ENDS
                # Entries of a trace mostly follow one another.
                if traced < 0 or not _same(text, first, last, text, traced, traced + last - first):
                    trace_term = _term(_TRACED, text, first, first, first, last, block, schedule, word)
                    traced = first
                if not _next(trace_term, commit, at, rows, terms, rows_commit, cursors, ends, positions):
                    return NOT_PLACED, 0
            numbered = False
            while subject < len(subjects) and subjects[subject, 0] == entry:
                begins, last = subjects[subject, 1], subjects[subject, 4]
                slot = _hashed(text, begins, last) & (many - 1)
                while met[slot] >= 0 and not _same(
                    text, begins, last, text, subjects[met[slot], 1], subjects[met[slot], 4]
                ):
                    slot = (slot + 1) & (many - 1)
                if met[slot] < 0:
                    met[slot] = subject
                    kind_end, own = subjects[subject, 2], subjects[subject, 3]
                    term_of[subject] = _term(_SUBJECT, text, begins, kind_end, own, last, block, schedule, word)
                    if _same(text, begins, kind_end, _ACCOUNT, 0, len(_ACCOUNT)):
                        account_of[subject] = found
                        accounts[found, 0], accounts[found, 1] = own, last
                        accounts[found, 2], accounts[found, 3] = numbers[entry], numbers[entry] - 1
                        found += 1
                known = met[slot]
                if not _next(term_of[known], commit, at, rows, terms, rows_commit, cursors, ends, positions):
                    return NOT_PLACED, 0
                account = account_of[known]
                if account >= 0:
                    numbered = True
                    if accounts[account, 3] + 1 != numbers[entry]:
                        return NOT_NUMBERED, 0
                    accounts[account, 3] = numbers[entry]
                subject += 1
            if not numbered and numbers[entry] != 0:
                return NOT_NUMBERED, 0
    for row in range(len(terms)):
        if cursors[row] != ends[row]:
            return NOT_PLACED, 0
    return RIGHT, found


@compiled
def _slots(count: int) -> int:
    """Return how many slots a table for `count` has, a power of two."""
    slots = 8
    while slots < 2 * count:
        slots *= 2
    return slots


@compiled
def _slot(term: int, commit: int, slots: int) -> int:
    mixed = (term ^ (term >> 29)) + commit * 0x9E3779B97F4A7C1
    return (mixed ^ (mixed >> 17)) & (slots - 1)


@compiled
def _next(
    term: int,
    commit: int,
    at: int,
    rows: Ints,
    terms: Ints,
    rows_commit: Ints,
    cursors: Ints,
    ends: Ints,
    positions: Bytes,
) -> bool:
    """Return whether the posting of `term` in `commit` lists next the entry at `at`, and go on behind it."""
    slot = _slot(term, commit, len(rows))
    while rows[slot] >= 0:
        row = rows[slot]
        if terms[row] == term and rows_commit[row] == commit:
            cursor = cursors[row]
            if cursor + 2 > ends[row] or positions[cursor] != at >> 8 or positions[cursor + 1] != at & 0xFF:
                return False
            cursors[row] = cursor + 2
            return True
        slot = (slot + 1) & (len(rows) - 1)
    return False


@compiled
def _same(text: Bytes, begins: int, ends: int, other: Bytes, other_begins: int, other_ends: int) -> bool:
    if ends - begins != other_ends - other_begins:
        return False
    for n in range(ends - begins):  # noqa: SIM110 - compiled code has no generators
        if text[begins + n] != other[other_begins + n]:
            return False
    return True


@compiled
def _hashed(text: Bytes, begins: int, ends: int) -> int:
    """Return where a text is looked for; two may share it (FNV-1a, to 56 bits)."""
    value = 0x4BF29CE484222
    for n in range(begins, ends):
        value = ((value ^ text[n]) * 0x1000193) & 0xFFFFFFFFFFFFFF
    return value ^ value >> 23


@compiled
def _term(
    prefix: Bytes,
    text: Bytes,
    kind: int,
    kind_end: int,
    own: int,
    own_end: int,
    block: Bytes,
    schedule: npt.NDArray[np.uint32],
    word: npt.NDArray[np.uint32],
) -> int:
    """Return the number of a term, as `terms.term_number`: `prefix`, a kind with a colon unless it is empty, an id."""
    word[:] = _H
    length, filled = 0, 0
    parts = 3 if kind < kind_end else 1
    for part in range(-1, parts):
        if part < 0:
            count = len(prefix)
        elif part == parts - 1:
            count = own_end - own
        elif part == 0:
            count = kind_end - kind
        else:
            count = 1
        for n in range(count):
            if part < 0:
                block[filled] = prefix[n]
            elif part == parts - 1:
                block[filled] = text[own + n]
            elif part == 0:
                block[filled] = text[kind + n]
            else:
                block[filled] = _COLON
            filled += 1
            if filled == 64:
                _compress(block, schedule, word)
                filled = 0
        length += count
    block[filled] = 0x80
    filled += 1
    if filled > 56:
        block[filled:] = 0
        _compress(block, schedule, word)
        filled = 0
    block[filled:56] = 0
    for n in range(8):
        block[56 + n] = (length * 8) >> (56 - 8 * n) & 0xFF
    _compress(block, schedule, word)
    high, low = np.uint64(word[0]), np.uint64(word[1])
    return np.int64(high << np.uint64(32) | low)  # type: ignore[return-value] # whole, as every number there


@compiled
def _turned(value: np.uint32, by: int) -> np.uint32:
    return np.uint32(value >> np.uint32(by)) | np.uint32(value << np.uint32(32 - by))


@compiled
def _compress(block: Bytes, w: npt.NDArray[np.uint32], word: npt.NDArray[np.uint32]) -> None:
    """Take one block of 64 bytes into a hash (FIPS 180-4, 6.2.2)."""
    for t in range(16):
        w[t] = (
            np.uint32(block[4 * t]) << np.uint32(24)
            | np.uint32(block[4 * t + 1]) << np.uint32(16)
            | np.uint32(block[4 * t + 2]) << np.uint32(8)
            | np.uint32(block[4 * t + 3])
        )
    for t in range(16, 64):
        one, other = w[t - 15], w[t - 2]
        small = _turned(one, 7) ^ _turned(one, 18) ^ (one >> np.uint32(3))
        large = _turned(other, 17) ^ _turned(other, 19) ^ (other >> np.uint32(10))
        w[t] = np.uint32(w[t - 16] + small + w[t - 7] + large)
    a, b, c, d, e, f, g, h = word
    for t in range(64):
        first = np.uint32(h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + ((e & f) ^ (~e & g)) + _K[t] + w[t])
        second = np.uint32((_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)))
        h, g, f, e = g, f, e, np.uint32(d + first)
        d, c, b, a = c, b, a, np.uint32(first + second)
    word[0] += a
    word[1] += b
    word[2] += c
    word[3] += d
    word[4] += e
    word[5] += f
    word[6] += g
    word[7] += h
