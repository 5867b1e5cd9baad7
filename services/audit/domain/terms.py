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

from services.audit.domain.entry import Event
from services.audit.domain.filter import EntryFilter

# Entries that one posting can tell of: their numbers are two bytes.
POSITIONS_MAX = 1 << 16

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
    return int.from_bytes(hashlib.sha256(term.encode()).digest()[:8], "big", signed=True)


def postings(events: Iterable[Event]) -> Mapping[int, bytes]:
    """Return, by term, at which of `events` it stands: their numbers from 0, each as two bytes, big end first."""
    found: defaultdict[int, bytearray] = defaultdict(bytearray)
    for number, event in enumerate(events):
        position = number.to_bytes(2, "big")
        for term in _common_numbers(event.actor, event.producer, event.trace_id, event.kind):
            found[term] += position
        for kind, subject_id in event.subjects.items():
            found[term_number(f"subject:{kind}:{subject_id}")] += position
    return {term: bytes(positions) for term, positions in found.items()}


@lru_cache(maxsize=4096)
def _common_numbers(actor: str, producer: str, trace_id: str | None, kind: str) -> tuple[int, ...]:
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
