"""What a witness has signed: the newest checkpoint of each log, on disk before it answers."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.witness import AddCheckpoint, judged, origin_of


class WitnessState:
    """The checkpoints that this witness holds, in a file that survives its end at any moment."""

    def __init__(self, file: Path, known: Mapping[str, Sequence[VerifierKey]]) -> None:
        """Keep them in `file`, of the logs `known`, whose keys are given by their origins."""
        self._known = known
        self._one = threading.Lock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        # On disk when the statement ends, even if the power fails.
        self._database.execute("pragma journal_mode = delete")
        self._database.execute("pragma synchronous = full")
        self._database.execute("create table if not exists held (origin text primary key, size text, root blob)")

    def held(self, origin: str) -> Checkpoint | None:
        """Return the newest checkpoint of the log `origin` that this witness signed."""
        row = self._database.execute("select size, root from held where origin = ?", (origin,)).fetchone()
        # Sizes are text: SQLite's integers end before a log's do.
        return None if row is None else Checkpoint(origin, int(row[0]), row[1])

    def take(self, body: str) -> Checkpoint:
        """Judge a request, and keep its checkpoint; return it, to be signed.

        Raises:
            Refused: It must not be signed.
        """
        request = AddCheckpoint.read(body)
        with self._one:
            checkpoint = judged(request, self._known, self.held(origin_of(request)))
            self._database.execute(
                "insert into held values (?, ?, ?) on conflict (origin) do update set size = excluded.size, "
                "root = excluded.root",
                (checkpoint.origin, str(checkpoint.size), checkpoint.root),
            )
        return checkpoint

    def close(self) -> None:
        """Close the file."""
        self._database.close()
