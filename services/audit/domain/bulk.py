"""Is a long stretch of the log as it must be, yes or no, at many times the speed of a scrub that names each place?

`scrub.Scrub` follows the log entry by entry and says what is wrong where. Nearly always nothing is. So a stretch is
first checked here by the same rules: at a glance (`glance`), or by columns (`columns`) where a body holds what is not
recognised so. The answer is that the stretch is clean, and what follows it has to know; or a suspicion, and then
`Scrub` looks. A suspicion may be wrong, a clean stretch never: whatever `Scrub` would find in it is one.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from services.audit.domain import placing
from services.audit.domain.checkpoint import Checkpoint, open_checkpoint
from services.audit.domain.closing import CLOSE_KIND
from services.audit.domain.columns import Columns
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.glance import Glance
from services.audit.domain.growing import GrownTree
from services.audit.domain.hashing import joined_parents
from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.scrub import witness_findings
from services.audit.domain.signed_note import NoteInvalid, VerifierKey
from services.audit.domain.stored import StoredCheckpoint, StoredEntry
from services.audit.domain.stretch import Clean, Keys, Numbers, Runs, Step, suspect
from services.audit.domain.tiles import RightEdge

_ID_BYTES, _INDEX_BYTES = 16, 8


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
        self._runs: list[Runs] = []
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
            suspect("the commits do not follow one another")
        seen = Glance.of(step) or self._read(step)
        self._runs.append(seen.numbers_of_accounts())
        self._commits(step, seen.leaves)
        keys = seen.keys()
        if keys != step.keys:
            _compare_in_order(keys, step.keys)
        self._closings += seen.entries(CLOSE_KIND)
        self._counted["entry"] += step.stop - step.start
        self._counted["event_key"] += step.stop - step.start
        self._counted["posting"] += len(step.postings.terms) // 8
        self._counted["tile"] += len(step.tiles)
        self._counted["checkpoint_note"] += len(step.checkpoints)

    def clean(self) -> Clean:
        """Return what follows the stretch has to know, after its last step.

        Raises:
            Suspicion: Something is not plainly as it must be.
        """
        if self._first_time is None or self._last_time is None:
            suspect("there is nothing in the stretch")
        return Clean(
            self._begun,
            self._edge,
            self._first_time,
            self._last_time,
            self._counted,
            numbers_of_stretch(self._runs),
            self._closings,
        )

    def _read(self, step: Step) -> Columns:
        """Read the bodies of `step` as JSON, and check what each says and what is stored of it."""
        columns = Columns.of(step)
        columns.check(self._known_labels)
        columns.check_commits(step, self._terms)
        return columns

    def _commits(self, step: Step, leaves: bytes) -> None:
        """Check the tree and the checkpoints of each commit."""
        tree = GrownTree(self._edge, leaves, joined_parents)
        for signed in step.checkpoints:
            self._checkpoint(signed, tree.root(signed.size), step.cosignatures.get(signed.size, ()))
        if {tile.id: tile for tile in tree.tiles()} != step.tiles:
            suspect("the tiles are not those of the entries")
        self._edge = tree.edge()

    def _checkpoint(self, signed: StoredCheckpoint, root: bytes, cosignatures: Sequence[str]) -> None:
        origin, keys = self._origin, self._keys
        if self._continues is not None and signed.origin == self._continues.name:
            origin, keys = self._continues.name, (self._continues,)
        must = Checkpoint(origin, signed.size, root)
        try:
            stated = open_checkpoint(signed.note, origin=origin, keys=keys)
        except NoteInvalid:
            suspect("a checkpoint is not signed by the log")
        if stated != must or (must.origin, must.size, must.root) != (signed.origin, signed.size, signed.root):
            suspect("a checkpoint is not that of the entries")
        if self._last_time is not None and signed.sign_time < self._last_time:
            suspect("a checkpoint was signed before the one that precedes it")
        if self._witnesses and witness_findings(signed, cosignatures, self._witnesses):
            suspect("a witness signed another root")
        self._first_time, self._last_time = self._first_time or signed.sign_time, signed.sign_time


def numbers_of_stretch(runs: Sequence[Runs]) -> Numbers:
    """Return the numbers of each account in a stretch, of those in its steps.

    Raises:
        Suspicion: One between two steps is missing.
    """
    text = b"".join([each.names for each in runs])
    lengths, first, last = (
        np.frombuffer(b"".join(column), np.int64)
        for column in zip(*((each.lengths, each.first, each.last) for each in runs), strict=True)
    )
    accounts = np.empty((len(lengths), 4), np.int64)
    found = placing.join(np.frombuffer(text, np.uint8), np.cumsum(lengths), first, last, accounts)
    if found < 0:
        suspect("the numbers of an account do not follow one another")
    begins, ends, firsts, lasts = accounts[:found].T.tolist()
    return Numbers([text[start:end].decode() for start, end in zip(begins, ends, strict=True)], firsts, lasts)


def _compare_in_order(must: Keys, found: Keys) -> None:
    """Compare keys that are stored in another order."""
    order = np.argsort(np.frombuffer(found.indexes, ">i8"), kind="stable")
    for wanted, given, width in (
        (must.indexes, found.indexes, _INDEX_BYTES),
        (must.event_ids, found.event_ids, _ID_BYTES),
        (must.digests, found.digests, HASH_BYTES),
    ):
        # Two with one index are one too many, or one has another index.
        if len(wanted) != len(given) or np.frombuffer(given, f"V{width}")[order].tobytes() != wanted:
            suspect("the keys are not those of the entries")
