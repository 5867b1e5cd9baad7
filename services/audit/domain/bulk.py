"""Is a long stretch of the log as it must be, yes or no, at twenty times the speed of a scrub that names each place?

`scrub.Scrub` follows the log entry by entry and says what is wrong where. Nearly always nothing is. So a stretch is
first checked here by the same rules, a column at a time: what must be the same in all entries is compared once, what
follows from the bodies is derived for all of them and compared with what is stored as one piece of memory. The answer
is that the stretch is clean, and what follows it has to know; or a suspicion, and then `Scrub` looks. A suspicion may
be wrong, a clean stretch never: whatever `Scrub` would find in it is one.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, NoReturn

import orjson

from services.audit.domain.checkpoint import Checkpoint, open_checkpoint
from services.audit.domain.closing import CLOSE_KIND
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.entry import ACCOUNT, EVENT_BYTES_MAX, TRACE_PARENT, printable
from services.audit.domain.json_text import written
from services.audit.domain.merkle import HASH_BYTES, leaf_hash
from services.audit.domain.reading import MEMBERS, STRICT, exact
from services.audit.domain.scrub import StoredCheckpoint, StoredEntry, witness_findings
from services.audit.domain.signed_note import NoteInvalid, VerifierKey
from services.audit.domain.terms import postings_of_columns
from services.audit.domain.tiles import TILE_HEIGHT, RightEdge, Tile, TileId

# What the log's own members have beside their numbers.
_SEQUENCE, _INDEX = len('{"account_sequence":,'), len(',"index":')
# Bytes of UTF-8 below those of characters beyond U+FFFF, where sorting by code point and by UTF-16 unit differ.
_BELOW_ASTRAL = bytes(range(0xF0))
_ID_BYTES, _ID_TEXT = 16, 36
# A hash that is copied is made faster than a new one.
_EVENT_BEGUN = sha256(b"{")


class Suspicion(Exception):
    """Something in the stretch is not plainly as it must be."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """Stored rows of the log that follow one another by index.

    Attributes:
        indexes: Of each, eight bytes, big end first.
        text: The bodies, with one byte between two.
        lengths: Of each body, four bytes, big end first.
        leaves: 32 bytes of each.
    """

    indexes: bytes
    text: bytes
    lengths: bytes
    leaves: bytes

    def apart(self) -> list[bytes]:
        """Return each body."""
        lengths = struct.unpack(f">{len(self.lengths) // 4}i", self.lengths)
        starts = accumulate((length + 1 for length in lengths), initial=0)
        return [self.text[start : start + length] for start, length in zip(starts, lengths, strict=False)]

    def index_of_each(self) -> tuple[int, ...]:
        """Return each index."""
        return struct.unpack(f">{len(self.indexes) // 8}q", self.indexes)


@dataclass(frozen=True, slots=True)
class Keys:
    """Stored keys of events, in any order: 16 bytes of the id, 8 of the index, 32 of the digest of each."""

    event_ids: bytes
    indexes: bytes
    digests: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What is stored of some commits that follow one another; nothing of it is believed.

    Attributes:
        start: The first index.
        checkpoints: Those of the commits, by size.
        cosignatures: What witnesses signed of them, by size.
        bodies: The rows, in some parts.
        keys: All that say an index of these entries.
        postings: All whose commit begins there: by their start the positions of each term.
        tiles: Those that became full there.
    """

    start: int
    checkpoints: Sequence[StoredCheckpoint]
    cosignatures: Mapping[int, Sequence[str]]
    bodies: Sequence[Bodies]
    keys: Keys
    postings: Mapping[int, Mapping[int, bytes]]
    tiles: Mapping[TileId, Tile]

    @property
    def stop(self) -> int:
        """The index after the last."""
        return self.checkpoints[-1].size


@dataclass(frozen=True, slots=True)
class Numbers:
    """The first and the last number that each account has in a stretch; between them none is missing."""

    accounts: Sequence[str]
    first: Sequence[int]
    last: Sequence[int]


@dataclass(frozen=True, slots=True)
class Clean:
    """A stretch that is as it must be if the tree before it is `begun`, and its accounts' numbers follow on.

    Attributes:
        begun: The tree's edge at its first entry, as the stored tiles say.
        edge: The tree's edge at its end.
        first_time: When its first checkpoint was signed.
        last_time: When its last checkpoint was signed.
        counted: Rows by table.
        numbers: Of the accounts that it is about.
        closings: Entries that close the log, as they are stored.
    """

    begun: RightEdge
    edge: RightEdge
    first_time: datetime
    last_time: datetime
    counted: Mapping[str, int]
    numbers: Numbers
    closings: Sequence[StoredEntry]


class BulkCheck:
    """Checks a stretch step by step, each of some whole commits."""

    def __init__(
        self,
        origin: str,
        keys: Sequence[VerifierKey],
        begun: RightEdge,
        continues: VerifierKey | None = None,
        witnesses: Sequence[WitnessKey] = (),
    ) -> None:
        """Begin at the edge `begun` of the log `origin`; see `Scrub` for the others."""
        self._origin = origin
        self._keys = tuple(keys)
        self._continues = continues
        self._witnesses = tuple(witnesses)
        self._begun = self._edge = begun
        self._first_time: datetime | None = None
        self._last_time: datetime | None = None
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._closings: list[StoredEntry] = []
        self._terms: dict[tuple[str, str], int] = {}
        self._known_labels: set[tuple[str, str, str]] = set()
        self._counted = {"entry": 0, "event_key": 0, "posting": 0, "tile": 0, "checkpoint_note": 0}

    def add(self, step: Step) -> None:
        """Check the next step.

        Raises:
            Suspicion: Something is not plainly as it must be.
        """
        if not step.checkpoints or step.start != self._edge.size:
            _suspect("the commits do not follow one another")
        columns = _Columns.of(step)
        columns.check(self._known_labels)
        self._follow_numbers(columns)
        self._commits(step, columns)
        if columns.keys() != step.keys:
            _compare_in_order(columns.keys(), step.keys)
        if CLOSE_KIND in columns.kinds:
            at = (number for number, kind in enumerate(columns.kinds) if kind == CLOSE_KIND)
            self._closings += [StoredEntry(step.start + n, columns.leaves[n], columns.bodies[n]) for n in at]
        self._counted["entry"] += len(columns.bodies)
        self._counted["event_key"] += len(columns.bodies)
        self._counted["posting"] += sum(map(len, step.postings.values()))
        self._counted["tile"] += len(step.tiles)
        self._counted["checkpoint_note"] += len(step.checkpoints)

    def clean(self) -> Clean:
        """Return what follows the stretch has to know, after its last step."""
        if self._first_time is None or self._last_time is None:
            _suspect("there is nothing in the stretch")
        numbers = Numbers(list(self._last), list(self._first.values()), list(self._last.values()))
        return Clean(self._begun, self._edge, self._first_time, self._last_time, self._counted, numbers, self._closings)

    def _follow_numbers(self, columns: "_Columns") -> None:
        first, last = self._first, self._last
        for subjects, number in zip(columns.subjects, columns.numbers, strict=True):
            account = subjects.get(ACCOUNT)
            if account is None:
                if number:
                    _suspect("an entry without account has a number")
            else:
                before = last.get(account)
                if before is None:
                    first[account] = number
                elif before + 1 != number:
                    _suspect("the numbers of an account do not follow one another")
                last[account] = number

    def _commits(self, step: Step, columns: "_Columns") -> None:
        """Check the tree, the checkpoints and the postings of each commit."""
        start = step.start
        full: dict[TileId, Tile] = {}
        postings: dict[int, Mapping[int, bytes]] = {}
        for signed in step.checkpoints:
            rows = slice(start - step.start, signed.size - step.start)
            if signed.size > start:
                if set(columns.recorded_times[rows]) != {written(signed.sign_time)[1:-1].decode()}:
                    _suspect("an entry was not recorded when its checkpoint was signed")
                postings[start] = postings_of_columns(
                    columns.labels[rows], columns.trace_parents[rows], columns.subjects[rows], self._terms
                )
            self._edge, tiles = self._edge.extended(columns.leaves[rows])
            full |= {tile.id: tile for tile in tiles}
            self._checkpoint(signed, step.cosignatures.get(signed.size, ()))
            start = signed.size
        if postings != step.postings:
            _suspect("the postings are not those of the entries")
        if full != step.tiles:
            _suspect("the tiles are not those of the entries")

    def _checkpoint(self, signed: StoredCheckpoint, cosignatures: Sequence[str]) -> None:
        origin, keys = self._origin, self._keys
        if self._continues is not None and signed.origin == self._continues.name:
            origin, keys = self._continues.name, (self._continues,)
        must = Checkpoint(origin, self._edge.size, self._edge.root())
        try:
            stated = open_checkpoint(signed.note, origin=origin, keys=keys)
        except NoteInvalid:
            _suspect("a checkpoint is not signed by the log")
        if stated != must or (must.origin, must.size, must.root) != (signed.origin, signed.size, signed.root):
            _suspect("a checkpoint is not that of the entries")
        if self._last_time is not None and signed.sign_time < self._last_time:
            _suspect("a checkpoint was signed before the one that precedes it")
        if self._witnesses and witness_findings(signed, cosignatures, self._witnesses):
            _suspect("a witness signed another root")
        self._first_time, self._last_time = self._first_time or signed.sign_time, signed.sign_time


@dataclass(slots=True)
class _Columns:
    """The entries of a step by columns, and what follows from each."""

    start: int
    bodies: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
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
    _keys: Keys | None = None

    @classmethod
    def of(cls, step: Step) -> "_Columns":
        """Read the bodies of `step`."""
        self = cls(step.start)
        rows: list[tuple[Any, ...]] = []
        for part in step.bodies:
            try:
                rows += self._read(part)
            except (TypeError, AttributeError):
                _suspect("a member has a value of another kind")
        if len(rows) != step.stop - step.start:
            _suspect("entries are missing")
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
            _suspect("indexes are missing")
        text = b"[%b]" % part.text
        documents: list[Any] = []
        try:
            documents = orjson.loads(text)
            same = orjson.dumps(documents, option=STRICT) == text
        except (ValueError, TypeError):
            same = False
        if not same or len(documents) != count or not (text.isascii() or not text.translate(None, _BELOW_ASTRAL)):
            _suspect("a body is not canonical JSON")
        if set(map(type, documents)) != {dict} or set(map(len, documents)) != {len(MEMBERS)}:
            _suspect("a body has other members")
        try:
            rows = list(map(itemgetter(*MEMBERS), documents))
        except KeyError:
            _suspect("a body has other members")
        lengths = struct.unpack(f">{count}i", part.lengths)
        if max(lengths) > EVENT_BYTES_MAX:
            _suspect("a body may be too long")
        ends = list(accumulate((length + 1 for length in lengths), initial=1))
        bodies = [text[start : start + length] for start, length in zip(ends, lengths, strict=False)]
        leaves = [leaf_hash(body) for body in bodies]
        if b"".join(leaves) != part.leaves:
            _suspect("a leaf is not the hash of its body")
        self.bodies += bodies
        self.leaves += leaves
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
            _suspect("an entry says another index")
        try:
            self._check(known_labels)
        except (TypeError, AttributeError):
            _suspect("a member has a value of another kind")

    def _check(self, known_labels: set[tuple[str, str, str]]) -> None:
        # Where nothing below fails on another kind of value: true is one, and a list has values, too.
        if set(map(type, self.numbers)) != {int} or set(map(type, chain(self.data, self.subjects))) != {dict}:
            _suspect("a member has a value of another kind")
        if not exact(self.data):
            _suspect("a number is not exact")
        subject_ids = [each for about in self.subjects for each in about.values()]
        if not printable("".join(subject_ids)):
            _suspect("a subject is not a printable text")
        for label in set(self.labels) - known_labels:
            if not printable("".join(label)):
                _suspect("an actor, a producer or a kind is not a printable text")
            known_labels.add(label)
        if not all(map(TRACE_PARENT.fullmatch, set(self.trace_parents) - {""})):
            _suspect("a trace parent is none")
        _require_instants(self.occurred_times)
        _require_ids(self.event_ids)

    def keys(self) -> Keys:
        """Return the keys that must be stored, by index."""
        if self._keys is None:
            if len(set(self.event_ids)) != len(self.bodies):
                _suspect("an event stands in the log twice")
            ids = bytes.fromhex("".join(self.event_ids).replace("-", ""))
            indexes = struct.pack(f">{len(self.bodies)}q", *self.indexes)
            self._keys = Keys(ids, indexes, b"".join(self.digests))
        return self._keys


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
        _suspect("an instant is not one as the log writes it")


def _require_ids(texts: Sequence[str]) -> None:
    """Check that each is a UUID in lower case."""
    joined = "".join(texts)
    right = set(map(len, texts)) == {_ID_TEXT} and joined.count("-") == 4 * len(texts)
    if not right or any(joined[at::_ID_TEXT] != "-" * len(texts) for at in (8, 13, 18, 23)):
        _suspect("an event id is no UUID in lower case")
    digits = joined.replace("-", "")
    try:
        right = bytes.fromhex(digits).hex() == digits
    except ValueError:
        right = False
    if not right:
        _suspect("an event id is no UUID in lower case")


def _compare_in_order(must: Keys, found: Keys) -> None:
    """Compare keys that are stored in another order."""

    def rows(keys: Keys) -> list[tuple[bytes, bytes, bytes]]:
        count = len(keys.indexes) // 8
        return sorted(
            (
                keys.indexes[8 * n : 8 * n + 8],
                keys.event_ids[_ID_BYTES * n : _ID_BYTES * (n + 1)],
                keys.digests[HASH_BYTES * n : HASH_BYTES * (n + 1)],
            )
            for n in range(count)
        )

    if tuple(map(len, (must.event_ids, must.indexes, must.digests))) != tuple(
        map(len, (found.event_ids, found.indexes, found.digests))
    ) or rows(must) != rows(found):
        _suspect("the keys are not those of the entries")


def tiles_between(start: int, stop: int) -> list[TileId]:
    """Return the tiles that become full when a tree grows from `start` to `stop` leaves."""
    found, level = [], 0
    while stop >> TILE_HEIGHT * (level + 1):
        height = TILE_HEIGHT * (level + 1)
        found += [TileId(level, index) for index in range(start >> height, stop >> height)]
        level += 1
    return found


def _suspect(why: str) -> NoReturn:
    raise Suspicion(why)
