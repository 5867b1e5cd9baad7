"""One record's proof as one file that anybody can check offline (C2SP tlog-proof).

The file says where in the log the record stands, the path from there to the root, and the signed checkpoint with that
root. With the record itself and the log's public key, nothing else is needed.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.audit.domain.checkpoint import Checkpoint, open_checkpoint
from services.audit.domain.merkle import HASH_BYTES, Unproven, leaf_hash, verify_inclusion
from services.audit.domain.signed_note import NOTE_BYTES_MAX, NoteInvalid, VerifierKey, decode_base64

FILE_SUFFIX = ".tlog-proof"

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,19})")
# A path has a hash per level, and no log has more than 2^64 entries.
_HASHES_MAX = 64


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The proof that a record stands at `index` of the log whose checkpoint is in `note`.

    `extra` is opaque and not covered by any signature.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    def text(self) -> str:
        """Return the content of the file."""
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(each).decode() for each in self.hashes]
        return "\n".join([*lines, "", self.note])

    def verify(self, record: bytes, *, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint:
        """Return the checkpoint of the log `origin` that covers `record`, signed by at least one of `keys`.

        Raises:
            NoteInvalid: The checkpoint is malformed, of another log, or not signed by any of `keys`.
            Unproven: The record does not stand there.
        """
        checkpoint = open_checkpoint(self.note, origin=origin, keys=keys)
        verify_inclusion(
            index=self.index,
            size=checkpoint.size,
            leaf=leaf_hash(record),
            proof=self.hashes,
            root=checkpoint.root,
        )
        return checkpoint


def parse_tlog_proof(text: str) -> TlogProof:
    """Return the proof that the file `text` holds; nothing of it is verified.

    Raises:
        Unproven: It is not such a file.
    """
    if len(text) > NOTE_BYTES_MAX:
        raise Unproven("the proof is too large")
    head, empty, note = text.partition("\n\n")
    lines = head.split("\n")
    if not empty or lines.pop(0) != _HEADER:
        raise Unproven(f"a proof begins with {_HEADER}, and its checkpoint follows an empty line")
    try:
        extra = decode_base64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise Unproven("the proof does not say its index")
        hashes = tuple(decode_base64(line) for line in lines)
    except NoteInvalid as error:
        raise Unproven(f"the proof is malformed: {error}") from error
    if len(hashes) > _HASHES_MAX or any(len(each) != HASH_BYTES for each in hashes):
        raise Unproven(f"a path has at most {_HASHES_MAX} hashes of {HASH_BYTES} bytes")
    return TlogProof(int(index[1]), hashes, note, extra)
