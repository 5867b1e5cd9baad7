"""The bodies of a stretch by columns, read as JSON: what each entry says, and whether it may say so.

What must be the same in all entries is compared once, and what follows from the bodies is derived for all of them.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

import orjson

from services.audit.domain.entry import ACCOUNT, EVENT_BYTES_MAX, TRACE_PARENT, printable
from services.audit.domain.json_text import written
from services.audit.domain.merkle import leaf_hashes
from services.audit.domain.reading import MEMBERS, STRICT, exact
from services.audit.domain.stored import StoredEntry
from services.audit.domain.stretch import Bodies, Keys, Runs, Step, suspect
from services.audit.domain.terms import postings_of_columns

# What the log's own members have beside their numbers.
_SEQUENCE, _INDEX = len('{"account_sequence":,'), len(',"index":')
# Bytes of UTF-8 below those of characters beyond U+FFFF, where sorting by code point and by UTF-16 unit differ.
_BELOW_ASTRAL = bytes(range(0xF0))
_ID_TEXT = 36
# A hash that is copied is made faster than a new one.
_EVENT_BEGUN = sha256(b"{")


@dataclass(slots=True)
class Columns:
    """The entries of a step by columns, and what follows from each."""

    start: int
    bodies: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    numbers: Sequence[int] = ()
    actors: Sequence[str] = ()
    data: Sequence[Mapping[str, Any]] = ()
    event_ids: Sequence[str] = ()
    indexes: Sequence[int] = ()
    kinds: Sequence[str] = ()
    occurred_times: Sequence[str] = ()
    producers: Sequence[str] = ()
    recorded_times: Sequence[str] = ()
    subjects: Sequence[Mapping[str, str]] = ()
    trace_parents: Sequence[str] = ()
    labels: Sequence[tuple[str, str, str]] = ()

    @classmethod
    def of(cls, step: Step) -> "Columns":
        """Read the bodies of `step`."""
        self = cls(step.start)
        rows: list[tuple[Any, ...]] = []
        for part in step.bodies:
            try:
                rows += self._read(part)
            except (TypeError, AttributeError):
                suspect("a member has a value of another kind")
        if len(rows) != step.stop - step.start:
            suspect("entries are missing")
        if rows:
            columns = list(zip(*rows, strict=True))
            self.numbers, self.actors, self.data, self.event_ids, self.indexes, self.kinds = columns[:6]
            self.occurred_times, self.producers, self.recorded_times, self.subjects, self.trace_parents = columns[6:]
            self.labels = list(zip(self.actors, self.producers, self.kinds, strict=True))
        return self

    def _read(self, part: Bodies) -> list[tuple[Any, ...]]:
        first, count = self.start + len(self.bodies), len(part.lengths) // 4
        if not count:
            return []
        if part.indexes != struct.pack(f">{count}q", *range(first, first + count)):
            suspect("indexes are missing")
        text = b"[%b]" % part.text
        documents: list[Any] = []
        try:
            documents = orjson.loads(text)
            same = orjson.dumps(documents, option=STRICT) == text
        except (ValueError, TypeError):
            same = False
        if not same or len(documents) != count or not (text.isascii() or not text.translate(None, _BELOW_ASTRAL)):
            suspect("a body is not canonical JSON")
        if set(map(type, documents)) != {dict} or set(map(len, documents)) != {len(MEMBERS)}:
            suspect("a body has other members")
        try:
            rows = list(map(itemgetter(*MEMBERS), documents))
        except KeyError:
            suspect("a body has other members")
        lengths = struct.unpack(f">{count}i", part.lengths)
        if max(lengths) > EVENT_BYTES_MAX:
            suspect("a body may be too long")
        ends = list(accumulate((length + 1 for length in lengths), initial=1))
        bodies = [text[start : start + length] for start, length in zip(ends, lengths, strict=False)]
        leaves = leaf_hashes(bodies)
        if b"".join(leaves) != part.leaves:
            suspect("a leaf is not the hash of its body")
        self.bodies += bodies
        self.hashes += leaves
        self.digests += _digests(bodies, rows)
        return rows

    def check(self, known_labels: set[tuple[str, str, str]]) -> None:
        """Check what each entry says by itself, as `Event` and `Scrub` do.

        Raises:
            Suspicion: Not all are plainly right.
        """
        if not self.bodies:
            return
        if list(self.indexes) != list(range(self.start, self.start + len(self.bodies))):
            suspect("an entry says another index")
        try:
            self._check(known_labels)
        except (TypeError, AttributeError):
            suspect("a member has a value of another kind")

    def _check(self, known_labels: set[tuple[str, str, str]]) -> None:
        # Where nothing below fails on another kind of value: true is one, and a list has values, too.
        if set(map(type, self.numbers)) != {int} or set(map(type, chain(self.data, self.subjects))) != {dict}:
            suspect("a member has a value of another kind")
        if not exact(self.data):
            suspect("a number is not exact")
        subject_ids = [each for about in self.subjects for each in about.values()]
        if not printable("".join(subject_ids)):
            suspect("a subject is not a printable text")
        for label in set(self.labels) - known_labels:
            if not printable("".join(label)):
                suspect("an actor, a producer or a kind is not a printable text")
            known_labels.add(label)
        if not all(map(TRACE_PARENT.fullmatch, set(self.trace_parents) - {""})):
            suspect("a trace parent is none")
        _require_instants(self.occurred_times)
        _require_ids(self.event_ids)

    def keys(self) -> Keys:
        """Return the keys that must be stored, by index."""
        if len(set(self.event_ids)) != len(self.bodies):
            suspect("an event stands in the log twice")
        ids = bytes.fromhex("".join(self.event_ids).replace("-", ""))
        return Keys(ids, struct.pack(f">{len(self.bodies)}q", *self.indexes), b"".join(self.digests))

    def entries(self, kind: str) -> list[StoredEntry]:
        """Return the entries of `kind`."""
        at = (number for number, each in enumerate(self.kinds) if each == kind)
        return [StoredEntry(self.start + n, self.hashes[n], self.bodies[n]) for n in at]

    @property
    def leaves(self) -> bytes:
        """The hash of each body, one after the other."""
        return b"".join(self.hashes)

    def numbers_of_accounts(self) -> Runs:
        """Return the first and the last number of each account.

        Raises:
            Suspicion: One between them is missing.
        """
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for subjects, number in zip(self.subjects, self.numbers, strict=True):
            account = subjects.get(ACCOUNT)
            if account is None:
                if number:
                    suspect("an entry without account has a number")
            elif first.setdefault(account, number) != number and last[account] + 1 != number:
                suspect("the numbers of an account do not follow one another")
            else:
                last[account] = number
        names = list(map(str.encode, first))
        columns = (map(len, names), first.values(), [last[account] for account in first])
        return Runs(b"".join(names), *(struct.pack(f"={len(names)}q", *each) for each in columns))

    def check_commits(self, step: Step, terms: dict[tuple[str, str], int]) -> None:
        """Check when the entries of each commit were recorded, and its postings.

        `terms` are numbers of subjects' terms that were computed before; more are added.
        """
        start = step.start
        postings: dict[int, Mapping[int, bytes]] = {}
        for signed in step.checkpoints:
            rows = slice(start - step.start, signed.size - step.start)
            if signed.size > start:
                if set(self.recorded_times[rows]) != {written(signed.sign_time)[1:-1].decode()}:
                    suspect("an entry was not recorded when its checkpoint was signed")
                postings[start] = postings_of_columns(
                    self.labels[rows], self.trace_parents[rows], self.subjects[rows], terms
                )
            start = signed.size
        if postings != step.postings.by_commit():
            suspect("the postings are not those of the entries")


def _digests(bodies: Sequence[bytes], rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
    """Return the digests of the events of `bodies`: the hash of each body without what the log added.

    The members stand in their order, because the bodies are canonical; so the index ends where the kind begins, and the
    recorded time follows later. Where a subject is called as a member is, what is cut out is wrong, and so the digest.
    """
    digests, begun = [], _EVENT_BEGUN.copy
    recorded_text, recorded = "", b""
    for body, row in zip(bodies, rows, strict=True):
        if row[8] != recorded_text:
            recorded_text = row[8]
            recorded = b',"recorded_time":"%b"' % recorded_text.encode()
        kind = body.rfind(b',"kind":"')
        time = body.find(recorded, kind)
        digest = begun()
        digest.update(body[_SEQUENCE + len(str(row[0])) : kind - _INDEX - len(str(row[4]))])
        digest.update(body[kind:time] + body[time + len(recorded) :])
        digests.append(digest.digest())
    return digests


def _require_instants(texts: Sequence[str]) -> None:
    """Check that each is an instant in UTC as the log writes it."""
    try:
        instants = list(map(datetime.fromisoformat, texts))
        same = orjson.dumps(instants, option=orjson.OPT_UTC_Z) == orjson.dumps(texts)
    except ValueError:
        same = False
    # Without a time zone, an instant would be written as it stands, too.
    if not same or {text[-1:] for text in texts} != {"Z"}:
        suspect("an instant is not one as the log writes it")


def _require_ids(texts: Sequence[str]) -> None:
    """Check that each is a UUID in lower case."""
    joined = "".join(texts)
    right = set(map(len, texts)) == {_ID_TEXT} and joined.count("-") == 4 * len(texts)
    if not right or any(joined[at::_ID_TEXT] != "-" * len(texts) for at in (8, 13, 18, 23)):
        suspect("an event id is no UUID in lower case")
    digits = joined.replace("-", "")
    try:
        right = bytes.fromhex(digits).hex() == digits
    except ValueError:
        right = False
    if not right:
        suspect("an event id is no UUID in lower case")
