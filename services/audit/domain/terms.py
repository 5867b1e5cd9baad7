"""By which words is an entry found again?

A *term* is one thing that an entry says and a reader may ask for: `actor:alice`, `subject:plan:plan-7`. The store
keeps, for each term, where its entries are; a reader looks up the terms of what is wanted and keeps what they have in
common. Terms are stored as numbers, two of which may once in a long while be equal, so what is found is compared with
what was wanted before it is shown.
"""

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import compress

from services.audit.domain.entry import TRACE_ID, Event
from services.audit.domain.filter import EntryFilter

# Entries that one posting can tell of: their numbers are two bytes.
POSITIONS_MAX = 1 << 16

_POSITIONS = tuple(number.to_bytes(2, "big") for number in range(POSITIONS_MAX))

# Numbers of terms that a long check keeps in memory, about 150 bytes each.
KNOWN_TERMS_MAX = 400_000
# A hash that is copied is made in half the time of a new one.
_SHA256 = hashlib.sha256()

# Kinds of subjects that an entry shares with many others; better looked up last.
_COMMON_SUBJECTS = frozenset({"instrument", "policy_node", "policy_version", "run", "snapshot"})


def terms_of(event: Event) -> tuple[str, ...]:
    """Return the terms of `event`, each once."""
    about = (subject_term(kind, subject_id) for kind, subject_id in event.subjects.items())
    return (*_common_terms(event.actor, event.producer, event.trace_id, event.kind), *about)


def _common_terms(actor: str, producer: str, trace_id: str | None, kind: str) -> Iterator[str]:
    """Yield the terms that do not say what an event is about."""
    yield f"actor:{actor}"
    yield f"producer:{producer}"
    if trace_id is not None:
        yield f"trace:{trace_id}"
    yield f"kind:{kind}"
    while "." in kind:
        kind = kind.rpartition(".")[0]
        yield f"kind:{kind}.*"


def terms_wanted(wanted: EntryFilter) -> tuple[str, ...]:
    """Return the terms that an entry must have to match `wanted`, those that are likely rare first."""
    subjects = sorted(wanted.subjects.items(), key=lambda subject: (subject[0] in _COMMON_SUBJECTS, subject))
    terms = [subject_term(kind, subject_id) for kind, subject_id in subjects]
    if wanted.trace_id is not None:
        terms.append(f"trace:{wanted.trace_id}")
    if wanted.actor is not None:
        terms.append(f"actor:{wanted.actor}")
    if wanted.kind is not None:
        terms.append(f"kind:{wanted.kind}")
    if wanted.producer is not None:
        terms.append(f"producer:{wanted.producer}")
    return tuple(terms)


def subject_term(kind: str, subject_id: str) -> str:
    """Return the term of entries about one subject."""
    return f"subject:{kind}:{subject_id}"


@lru_cache(maxsize=20_000)
def term_number(term: str) -> int:
    """Return the number that stands for `term`, which fits 64 bits with a sign."""
    return _number(term)


def _number(term: str) -> int:
    digest = _SHA256.copy()
    digest.update(term.encode())
    return int.from_bytes(digest.digest()[:8], "big", signed=True)


def postings(events: Iterable[Event]) -> Mapping[int, bytes]:
    """Return, by term, at which of `events` it stands: their numbers from 0, each as two bytes, big end first."""
    # Events that come together are mostly of few sorts, by what they have in common, and are counted by sort first.
    sorts: defaultdict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for number, event in enumerate(events):
        sorts[event.actor, event.producer, event.trace_parent[TRACE_ID], event.kind].append(number)
        for kind, subject_id in event.subjects.items():
            found[term_number(f"subject:{kind}:{subject_id}")].append(number)
    for (actor, producer, trace_id, kind), numbers in sorts.items():
        for term in common_numbers(actor, producer, trace_id or None, kind):
            found[term] += numbers
    return {term: struct.pack(f">{len(numbers)}H", *sorted(numbers)) for term, numbers in found.items()}


def postings_of_columns(
    labels: Sequence[tuple[str, str, str]],
    trace_parents: Sequence[str],
    subjects: Sequence[Mapping[str, str]],
    known: dict[tuple[str, str], int],
) -> Mapping[int, bytes]:
    """Return what `postings` returns, of events by columns, several times faster.

    Args:
        labels: Actor, producer and kind of each event; of few kinds.
        trace_parents: Of each.
        subjects: Of each.
        known: Numbers of subjects' terms that were computed before; more are added, up to `KNOWN_TERMS_MAX`.
    """
    found: dict[tuple[str, str], bytes] = {}
    for position, trace_parent in zip(_POSITIONS, trace_parents, strict=False):
        if trace_parent:
            key = "", trace_parent[TRACE_ID]
            found[key] = found.get(key, b"") + position
    for position, about in zip(_POSITIONS, subjects, strict=False):
        for subject in about.items():
            found[subject] = found.get(subject, b"") + position
    if len(known) > KNOWN_TERMS_MAX:
        known.clear()
    for kind, subject_id in [key for key in found if key not in known]:
        term = subject_term(kind, subject_id) if kind else f"trace:{subject_id}"
        known[kind, subject_id] = _number(term)
    result = {known[key]: positions for key, positions in found.items()}
    # Where a term stands that several labels have: which label each event has, as a byte of its own.
    numbers_of_label = [set(common_numbers(*label[:2], None, label[2])) for label in dict.fromkeys(labels)]
    number_of_label = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    if len(number_of_label) > 256 or len(result) != len(found):
        # Too many for a byte, or two terms with one number: by the slow way.
        return _by_each(labels, trace_parents, subjects)
    label_of_each = bytes(map(number_of_label.__getitem__, labels))
    for number in set[int]().union(*numbers_of_label):
        has = bytes(number in numbers for numbers in numbers_of_label).ljust(256, b"\0")
        if number in result:
            return _by_each(labels, trace_parents, subjects)
        result[number] = b"".join(compress(_POSITIONS, label_of_each.translate(has)))
    return result


def _by_each(
    labels: Sequence[tuple[str, str, str]], trace_parents: Sequence[str], subjects: Sequence[Mapping[str, str]]
) -> Mapping[int, bytes]:
    found: defaultdict[int, bytearray] = defaultdict(bytearray)
    for position, (actor, producer, kind), trace_parent, about in zip(
        _POSITIONS, labels, trace_parents, subjects, strict=False
    ):
        for term in common_numbers(actor, producer, trace_parent[TRACE_ID] or None, kind):
            found[term] += position
        for subject in about.items():
            found[term_number(subject_term(*subject))] += position
    return {term: bytes(positions) for term, positions in found.items()}


@lru_cache(maxsize=4096)
def common_numbers(actor: str, producer: str, trace_id: str | None, kind: str) -> tuple[int, ...]:
    """Return the numbers of `_common_terms`; events that come together mostly share them."""
    return tuple(map(term_number, _common_terms(actor, producer, trace_id, kind)))


def positions(posting: bytes) -> Sequence[int]:
    """Return the numbers that `posting` lists."""
    count = len(posting) // 2
    return struct.unpack(f">{count}H", posting[: 2 * count])


def positions_in_all(held: Sequence[bytes]) -> frozenset[int]:
    """Return the numbers that each of the postings `held` lists."""
    shortest, *others = sorted(held, key=len)
    return frozenset(positions(shortest)).intersection(*map(positions, others))
