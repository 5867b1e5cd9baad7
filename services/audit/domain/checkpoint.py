"""A signed statement of how far a log goes and what it contains (C2SP tlog-checkpoint).

Three lines, signed as a note: the log's name, its number of entries, its root hash. Whoever keeps one can later check
that the log still begins with what it contained then.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.audit.domain.merkle import EMPTY_ROOT, HASH_BYTES
from services.audit.domain.signed_note import NoteInvalid, SigningKey, VerifierKey, sign, verify


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log `origin` at `size` entries."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin:
            raise NoteInvalid("a checkpoint's origin is one line that is not empty")
        if self.size < 0 or len(self.root) != HASH_BYTES:
            raise NoteInvalid(f"a checkpoint has a size and a root of {HASH_BYTES} bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise NoteInvalid("the root of an empty log is the hash of nothing")

    def text(self) -> str:
        """Return the lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that `text` states; extension lines are allowed and ignored.

    Raises:
        NoteInvalid: It states none.
    """
    origin, size, root, *extensions = text.split("\n")[:-1] if text.count("\n") >= 3 else ("", "", "")
    if not re.fullmatch(r"0|[1-9][0-9]{0,19}", size):
        raise NoteInvalid("a checkpoint's size is a decimal number without leading zeros")
    try:
        raw = base64.b64decode(root.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NoteInvalid("a checkpoint's root is base64") from error
    if base64.b64encode(raw).decode() != root or not all(extensions):
        raise NoteInvalid("the checkpoint is malformed")
    return Checkpoint(origin, int(size), raw)


def sign_checkpoint(checkpoint: Checkpoint, keys: Sequence[SigningKey]) -> str:
    """Return `checkpoint` as a note signed with each of `keys`."""
    return sign(checkpoint.text(), keys)


def open_checkpoint(note: str, *, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint of the log `origin` that at least one of `keys` signed.

    Raises:
        NoteInvalid: `note` is malformed, not signed by any of `keys`, or of another log.
    """
    text, _ = verify(note, keys)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise NoteInvalid(f"the checkpoint is of the log {checkpoint.origin}, not {origin}")
    return checkpoint


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, the note that signs it, and when it was signed."""

    checkpoint: Checkpoint
    note: str
    sign_time: datetime
