"""Are the stored postings, and the numbers of accounts, those of the bodies? Compiled, over what `scanning` found.

Each entry has some terms, and each stored posting lists, for one term and one commit, where the entries with it stand.
So the subjects and traces that differ are met first, and the texts of their terms written, of which the caller makes
numbers (`terms.term_number`). Then the entries are followed in order, and each must be the next that the postings of
its terms list; at the end all of each posting was met.

Everything that is compiled together is in this file, because what was compiled is kept until its file changes.
"""

import numpy as np

from services.audit.domain.scanning import Bytes, Ints, compiled

# What `follow` says of what it was given.
RIGHT, NOT_RECORDED, NOT_PLACED, NOT_NUMBERED = range(4)

_SUBJECT = np.frombuffer(b"subject:", np.uint8)
_TRACED = np.frombuffer(b"trace:", np.uint8)
_ACCOUNT = np.frombuffer(b"account", np.uint8)
# Where the trace id stands in a traceparent.
_TRACE_BEGINS, _TRACE_ENDS = 3, 35
_COLON = 58
# What the text of a term has beside where a subject stands in a body, and what that of a trace has, at most.
SUBJECT_BYTES, TRACE_BYTES = len(_SUBJECT), len(_TRACED) + _TRACE_ENDS - _TRACE_BEGINS


@compiled
def meet(
    text: Bytes,
    spans: Ints,
    trace_span: int,
    subjects: Ints,
    known: Ints,
    traces: Ints,
    terms: Bytes,
    term_ends: Ints,
) -> int:
    """Write the text of each term of a subject or a trace, one after the other.

    Args:
        text: As for `scanning.scan`, which made `spans` and `subjects`.
        spans: Where members stand.
        trace_span: Which of them is the traceparent.
        subjects: In the order of entries, and no more rows than there are.
        known: Room for the number of each subject's term: which of those that are written.
        traces: Room for that of each entry's trace; -1 without one.
        terms: Room for the texts.
        term_ends: Room for where each of them ends.

    Returns:
        How many terms there are. Each subject has one; one trace may have several.
    """
    # By a hash of their text the first of the subjects that are alike.
    many = _slots(len(subjects))
    met = np.full(many, -1, np.int64)
    found, written, subject, traced, trace = 0, 0, 0, -1, -1
    for entry in range(len(traces)):
        traces[entry] = -1
        begins = spans[entry, trace_span, 0]
        if begins < spans[entry, trace_span, 1]:
            first, last = begins + _TRACE_BEGINS, begins + _TRACE_ENDS
            # Entries of a trace mostly follow one another.
            if traced < 0 or not _same(text, first, last, text, traced, traced + last - first):
                traced, trace = first, found
                written = _put(_TRACED, 0, len(_TRACED), terms, written)
                written = _put(text, first, last, terms, written)
                term_ends[found] = written
                found += 1
            traces[entry] = trace
        while subject < len(subjects) and subjects[subject, 0] == entry:
            begins, last = subjects[subject, 1], subjects[subject, 4]
            slot = _hashed(text, begins, last) & (many - 1)
            while met[slot] >= 0 and not _same(
                text, begins, last, text, subjects[met[slot], 1], subjects[met[slot], 4]
            ):
                slot = (slot + 1) & (many - 1)
            if met[slot] < 0:
                met[slot] = subject
                known[subject] = found
                written = _put(_SUBJECT, 0, len(_SUBJECT), terms, written)
                written = _put(text, begins, subjects[subject, 2], terms, written)
                terms[written] = _COLON
                written = _put(text, subjects[subject, 3], last, terms, written + 1)
                term_ends[found] = written
                found += 1
            else:
                known[subject] = known[met[slot]]
            subject += 1
    return found


@compiled
def follow(  # noqa: C901 - one pass, as compiled code has it
    text: Bytes,
    spans: Ints,
    recorded_span: int,
    numbers: Ints,
    subjects: Ints,
    known: Ints,
    traces: Ints,
    term_numbers: Ints,
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
        text: As for `scanning.scan`, which made `spans`, `numbers`, `subjects` and `labels`.
        spans: Where members stand.
        recorded_span: Which of them is the recorded time.
        numbers: Of the accounts.
        subjects: In the order of entries, and no more rows than there are.
        known: Of each subject which of `term_numbers` is its term's, as `meet` said it.
        traces: Of each entry which is its trace's.
        term_numbers: The numbers of the terms that `meet` wrote.
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
    # Of each term which account it is of: -1 when it is of none, below that before it was met.
    account_of = np.full(len(term_numbers), -2, np.int64)
    found, subject = 0, 0
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
            if traces[entry] >= 0:
                term = term_numbers[traces[entry]]
                if not _next(term, commit, at, rows, terms, rows_commit, cursors, ends, positions):
                    return NOT_PLACED, 0
            numbered = False
            while subject < len(subjects) and subjects[subject, 0] == entry:
                which = known[subject]
                if not _next(term_numbers[which], commit, at, rows, terms, rows_commit, cursors, ends, positions):
                    return NOT_PLACED, 0
                account = account_of[which]
                if account < -1:
                    account = -1
                    if _same(text, subjects[subject, 1], subjects[subject, 2], _ACCOUNT, 0, len(_ACCOUNT)):
                        account = found
                        accounts[found, 0], accounts[found, 1] = subjects[subject, 3], subjects[subject, 4]
                        accounts[found, 2], accounts[found, 3] = numbers[entry], numbers[entry] - 1
                        found += 1
                    account_of[which] = account
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
def _put(text: Bytes, begins: int, ends: int, into: Bytes, at: int) -> int:
    """Write a part of `text` to `into` from `at` on; return where it ends there."""
    for n in range(ends - begins):
        into[at + n] = text[begins + n]
    return at + ends - begins


@compiled
def names(text: Bytes, accounts: Ints, into: Bytes) -> None:
    """Write the names of `accounts`, as `follow` found them, one after the other."""
    at = 0
    for account in range(len(accounts)):
        at = _put(text, accounts[account, 0], accounts[account, 1], into, at)


@compiled
def join(text: Bytes, ends: Ints, first: Ints, last: Ints, accounts: Ints) -> int:
    """Join the numbers of accounts in parts of a stretch that follow one another.

    Args:
        text: Names, one after the other.
        ends: Where each of them ends.
        first: The first number of the account in its part.
        last: The last one.
        accounts: Room for the accounts that differ, as for `follow`.

    Returns:
        How many accounts there are; -1 when a number between two parts is missing.
    """
    many = _slots(len(ends))
    met = np.full(many, -1, np.int64)
    found, begins = 0, 0
    for row in range(len(ends)):
        slot = _hashed(text, begins, ends[row]) & (many - 1)
        while met[slot] >= 0 and not _same(
            text, begins, ends[row], text, accounts[met[slot], 0], accounts[met[slot], 1]
        ):
            slot = (slot + 1) & (many - 1)
        account = met[slot]
        if account < 0:
            account = met[slot] = found
            accounts[found, 0], accounts[found, 1] = begins, ends[row]
            accounts[found, 2], accounts[found, 3] = first[row], first[row] - 1
            found += 1
        if accounts[account, 3] + 1 != first[row]:
            return -1
        accounts[account, 3] = last[row]
        begins = ends[row]
    return found
