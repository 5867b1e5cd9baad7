"""A stretch whose bodies are plain: checked by compiled code, a hundred times the speed of reading JSON.

`scanning` reads the bodies, `hashing` hashes them, `placing` follows what is stored beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.audit.domain import placing, scanning
from services.audit.domain.entry import EVENT_BYTES_MAX
from services.audit.domain.hashing import part_hashes
from services.audit.domain.json_text import written
from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.scanning import Bytes, Ints
from services.audit.domain.stored import StoredEntry
from services.audit.domain.stretch import Keys, Postings, Runs, Step, suspect
from services.audit.domain.terms import common_numbers

# RFC 6962 section 2.1.
_LEAF_PREFIX, _NO_PREFIX = np.array([0], np.uint8), np.empty(0, np.uint8)
_BETWEEN = ord(",")
# Terms that a label has at most, and parts of its kind with them.
_LABEL_TERMS_MAX = 32
_SUSPICIONS = {
    placing.NOT_RECORDED: "an entry was not recorded when its checkpoint was signed",
    placing.NOT_PLACED: "the postings are not those of the entries",
    placing.NOT_NUMBERED: "the numbers of an account do not follow one another",
}


@dataclass(frozen=True, slots=True)
class Glance:
    """A step whose bodies are plainly right, and whose postings are those of the bodies.

    Attributes:
        step: What was looked at.
        leaves: The hash of each body, which is what is stored, one after the other.
    """

    step: Step
    leaves: bytes
    _text: bytes
    _starts: Ints
    _ends: Ints
    _ids: Bytes
    _digests: bytes
    _accounts: Ints
    _labels: Ints
    _label_kinds: Sequence[str]

    @classmethod
    def of(cls, step: Step) -> "Glance | None":
        """Look at `step`; None when not all is recognised at a glance.

        Raises:
            Suspicion: What is stored is not what the bodies say.
        """
        count = step.stop - step.start
        lengths = np.frombuffer(b"".join([part.lengths for part in step.bodies]), ">i4").astype(np.int64)
        indexes = np.frombuffer(b"".join([part.indexes for part in step.bodies]), ">i8")
        # One byte stands between two bodies, and one more at the end.
        text = b"".join([each for part in step.bodies for each in (part.text, b",")])
        starts = np.concatenate([[0], np.cumsum(lengths + 1)])
        if not count or len(lengths) != count or starts[-1] != len(text):
            return None
        if lengths.min() < 0 or lengths.max() > EVENT_BYTES_MAX or (indexes != np.arange(step.start, step.stop)).any():
            return None
        starts, ends = starts[:-1], starts[1:] - 1
        seen = np.frombuffer(text, np.uint8)
        if (seen[ends] != _BETWEEN).any() or not _is_utf8(text):
            return None
        room = _Room(count, len(text))
        subject_count, label_count = scanning.scan(
            *(seen, starts, ends, step.start, room.numbers, room.spans, room.subjects, room.ids),
            *(room.events, room.event_ends, room.labels, room.examples),
        )
        if subject_count < 0:
            return None
        labels = [_label(text, room.spans[each]) for each in room.examples[:label_count]]
        accounts = _placed(step, seen, room, room.subjects[:subject_count], labels)
        if accounts is None:
            return None
        leaves = part_hashes(_LEAF_PREFIX, seen, starts, ends).tobytes()
        if leaves != b"".join([part.leaves for part in step.bodies]):
            suspect("a leaf is not the hash of its body")
        event_starts = np.append(0, room.event_ends[:-1])
        digests = part_hashes(_NO_PREFIX, room.events, event_starts, room.event_ends)
        kinds = [kind for _, _, kind in labels]
        return cls(step, leaves, text, starts, ends, room.ids, digests.tobytes(), accounts, room.labels, kinds)

    def keys(self) -> Keys:
        """Return the keys that must be stored, by index.

        Raises:
            Suspicion: An event stands there twice.
        """
        # Two that are the same begin alike; few others do.
        begins = np.sort(self._ids.view(np.uint64)[:, 0])
        if (begins[1:] == begins[:-1]).any() and len(np.unique(self._ids, axis=0)) != len(self._ids):
            suspect("an event stands in the log twice")
        return Keys(
            self._ids.tobytes(), np.arange(self.step.start, self.step.stop, dtype=">i8").tobytes(), self._digests
        )

    def numbers_of_accounts(self) -> Runs:
        """Return the first and the last number of each account."""
        lengths = self._accounts[:, 1] - self._accounts[:, 0]
        names = np.empty(int(lengths.sum()), np.uint8)
        placing.names(np.frombuffer(self._text, np.uint8), self._accounts, names)
        first, last = self._accounts[:, 2], self._accounts[:, 3]
        return Runs(names.tobytes(), lengths.tobytes(), first.tobytes(), last.tobytes())

    def entries(self, kind: str) -> list[StoredEntry]:
        """Return the entries of `kind`."""
        wanted = [number for number, each in enumerate(self._label_kinds) if each == kind]
        at = np.flatnonzero(np.isin(self._labels, wanted)).tolist() if wanted else []
        text, starts, ends = self._text, self._starts, self._ends
        leaves = [self.leaves[n * HASH_BYTES : (n + 1) * HASH_BYTES] for n in at]
        return [
            StoredEntry(self.step.start + n, leaf, text[starts[n] : ends[n]])
            for n, leaf in zip(at, leaves, strict=True)
        ]


def warm_up() -> None:
    """Compile what is compiled, or load it."""
    room, text = _Room(1, 1), np.frombuffer(b",", np.uint8)
    none = np.empty(0, np.int64)
    part_hashes(_NO_PREFIX, text, none, none)
    part_hashes(_NO_PREFIX, room.events, none, none)
    scanning.scan(
        *(text, none, none, 0, room.numbers, room.spans, room.subjects, room.ids),
        *(room.events, room.event_ends, room.labels, room.examples),
    )
    terms = _terms(text, room.spans, room.subjects[:0], none)
    placing.follow(
        text,
        room.spans,
        scanning.RECORDED,
        room.numbers,
        room.subjects,
        *terms,
        room.labels,
        np.empty((0, _LABEL_TERMS_MAX), np.int64),
        none,
        np.zeros(1, np.int64),
        text,
        none,
        none,
        none,
        text,
        none,
        np.empty((0, 4), np.int64),
    )
    placing.names(text, np.empty((0, 4), np.int64), room.events)
    placing.join(text, none, none, none, np.empty((0, 4), np.int64))


class _Room:
    """Where what is found in some bodies is written."""

    def __init__(self, count: int, size: int) -> None:
        self.numbers = np.empty(count, np.int64)
        self.spans = np.empty((count, scanning.SPANS, 2), np.int64)
        self.subjects = np.empty((count * scanning.SUBJECTS_MAX, 5), np.int64)
        self.ids = np.empty((count, 16), np.uint8)
        self.events = np.empty(size, np.uint8)
        self.event_ends = np.empty(count, np.int64)
        self.labels = np.empty(count, np.int64)
        self.examples = np.empty(scanning.LABELS_MAX, np.int64)


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _label(text: bytes, spans: Ints) -> tuple[str, str, str]:
    """Return actor, producer and kind."""
    actor, producer, kind = (
        text[slice(*spans[what].tolist())].decode() for what in (scanning.ACTOR, scanning.PRODUCER, scanning.KIND)
    )
    return actor, producer, kind


def _placed(
    step: Step, seen: Bytes, room: _Room, subjects: Ints, labels: Sequence[tuple[str, str, str]]
) -> Ints | None:
    """Return the accounts with their numbers when all that is stored beside the bodies is theirs; None when not seen.

    Raises:
        Suspicion: It is not.
    """
    terms = [common_numbers(actor, producer, None, kind) for actor, producer, kind in labels]
    if max(map(len, terms)) > _LABEL_TERMS_MAX:
        return None
    label_terms = np.zeros((len(terms), _LABEL_TERMS_MAX), np.int64)
    for row, numbers in zip(label_terms, terms, strict=True):
        row[: len(numbers)] = numbers
    sizes = [step.start, *(each.size for each in step.checkpoints)]
    grown = [(start, each) for start, each in zip(sizes, step.checkpoints, strict=False) if each.size > start]
    recorded = [written(each.sign_time)[1:-1] for _, each in grown]
    begins = np.array([start for start, _ in grown], np.int64)
    stored = _columns_of(step.postings)
    if stored is None:
        return None
    posting_starts, posting_terms, posting_ends, positions = stored
    # Those whose start is that of no commit are found nowhere.
    commits = np.searchsorted(begins, posting_starts)
    if (commits == len(begins)).any() or (begins[commits] != posting_starts).any():
        suspect("the postings are not those of the entries")
    accounts = np.empty((step.stop - step.start, 4), np.int64)
    said, found = placing.follow(
        seen,
        room.spans,
        scanning.RECORDED,
        room.numbers,
        subjects,
        *_terms(seen, room.spans, subjects, room.labels),
        room.labels,
        label_terms,
        np.array([len(each) for each in terms], np.int64),
        np.append(begins, step.stop) - step.start,
        np.frombuffer(b"".join(recorded), np.uint8),
        np.cumsum([len(each) for each in recorded], dtype=np.int64),
        posting_terms,
        commits.astype(np.int64),
        positions,
        posting_ends,
        accounts,
    )
    if said != placing.RIGHT:
        suspect(_SUSPICIONS[said])
    return accounts[:found]


def _terms(seen: Bytes, spans: Ints, subjects: Ints, labels: Ints) -> tuple[Ints, Ints, Ints]:
    """Return which term each subject has, and which each entry's trace, and the numbers of these terms."""
    known, traces = np.empty(len(subjects), np.int64), np.empty(len(labels), np.int64)
    ends = np.empty(len(subjects) + len(labels), np.int64)
    size = int((subjects[:, 4] - subjects[:, 1]).sum()) + placing.SUBJECT_BYTES * len(subjects)
    texts = np.empty(size + placing.TRACE_BYTES * len(labels), np.uint8)
    found = placing.meet(seen, spans, scanning.TRACE, subjects, known, traces, texts, ends)
    ends = ends[:found]
    hashes = part_hashes(_NO_PREFIX, texts, np.append(0, ends)[:found], ends)
    return known, traces, hashes[:, :8].copy().view(">i8")[:, 0].astype(np.int64)


def _columns_of(postings: Postings) -> tuple[Ints, Ints, Ints, Bytes] | None:
    starts = np.frombuffer(postings.starts, ">i8").astype(np.int64)
    terms = np.frombuffer(postings.terms, ">i8").astype(np.int64)
    ends = np.cumsum(np.frombuffer(postings.lengths, ">i4"), dtype=np.int64)
    if not len(starts) == len(terms) == len(ends) or (ends[-1] if len(ends) else 0) != len(postings.positions):
        return None
    return starts, terms, ends, np.frombuffer(postings.positions, np.uint8)
