"""What an export contains, signed by the log.

A C2SP signed note whose first line is no log's name and whose second is no size, so that it can never be taken for a
checkpoint. Each line is a word and what it says; the files come last, in the order they were written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.signed_note import SigningKey, sign
from services.kernel.canonical import JsonValue, canonical_json, rfc3339

HEADER = "evenkeel.audit/export/v1"

MANIFEST_PATH = "manifest"
CHECKPOINT_PATH = "checkpoint"
ENTRIES_PATH = "entries.jsonl"
PROOF_PATH = "proof"
CSV_PATH = "entries.csv"
TEXT_PATH = "entries.txt"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of the export: its path, its length in bytes and its SHA-256."""

    path: str
    size_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """Says what was exported, by whom, and each file's hash.

    `question` is the filter as canonical JSON says it; `access_index` the entry of the access log that recorded the
    export before its first row, None when there is no such log. `account_numbers` is set when everything of one
    account is asked for: its first and last number, which the entries have without a gap.
    """

    checkpoint: Checkpoint
    log: str
    question: Mapping[str, JsonValue]
    entries: int
    export_time: datetime
    exporter: str
    access_index: int | None
    account_numbers: tuple[str, int, int] | None = None
    files: Sequence[ExportedFile] = field(default=())

    def text(self) -> str:
        """Return the lines that are signed."""
        lines = [
            HEADER,
            f"origin {self.checkpoint.origin}",
            f"log {self.log}",
            f"size {self.checkpoint.size}",
            f"root {self.checkpoint.root.hex()}",
            f"question {canonical_json(self.question).decode()}",
            f"entries {self.entries}",
            f"exported {rfc3339(self.export_time)}",
            f"exporter {self.exporter}",
        ]
        if self.access_index is not None:
            lines.append(f"access {self.access_index}")
        if self.account_numbers is not None:
            account, first, last = self.account_numbers
            lines.append(f"numbers {first} {last} {account}")
        lines += [f"file {each.digest.hex()} {each.size_bytes} {each.path}" for each in self.files]
        return "\n".join(lines) + "\n"

    def note(self, key: SigningKey) -> str:
        """Return the manifest as a note that `key` signed."""
        return sign(self.text(), [key])
