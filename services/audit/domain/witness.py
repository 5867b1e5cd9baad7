"""May a witness sign this checkpoint? By C2SP tlog-witness 1.0, `add-checkpoint`.

A witness holds, for each log that it knows, the newest checkpoint it has signed. A log sends a newer one with the proof
that it continues what the witness holds. So a log that shows one history to some and another to others needs every
witness's help.

The request is text: `old <size>`, at most 63 hashes of the consistency proof in base64, an empty line, the signed
checkpoint.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.audit.domain.checkpoint import Checkpoint, parse_checkpoint
from services.audit.domain.merkle import EMPTY_ROOT, HASH_BYTES, Unproven, verify_consistency
from services.audit.domain.signed_note import NoteInvalid, VerifierKey, decode_base64, parse, verify

PROOF_HASHES_MAX = 63
REQUEST_BYTES_MAX = 65_536
# The content type of a 409's body.
SIZE_CONTENT_TYPE = "text/x.tlog.size"

_OLD = re.compile(r"old (0|[1-9][0-9]{0,19})")


class Status(IntEnum):
    """What a witness answers, by HTTP's codes."""

    COSIGNED = 200
    # The request is not one, or the old size is above the checkpoint's.
    MALFORMED = 400
    # No key that the witness knows for this log signed it.
    UNSIGNED = 403
    # The witness does not know this log.
    UNKNOWN = 404
    # The old size is not what the witness holds, or the same size has another root; the body is the size it holds.
    HELD = 409
    # The proof does not show that the checkpoint continues what the witness holds.
    UNPROVEN = 422


class Refused(Exception):
    """The witness does not sign, and answers so."""

    def __init__(self, status: Status, body: str) -> None:
        """Say why."""
        super().__init__(body)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """What a log sends: the size that it believes the witness to hold, the proof from there, and its checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """Return the request's body."""
        hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in self.proof)
        return f"old {self.old}\n{hashes}\n{self.note}"

    @classmethod
    def read(cls, body: str) -> "AddCheckpoint":
        """Return what `body` says.

        Raises:
            Refused: It is not a request.
        """
        head, _, note = body.partition("\n\n")
        first, *lines = head.split("\n")
        old = _OLD.fullmatch(first)
        if old is None or len(lines) > PROOF_HASHES_MAX or not note:
            raise Refused(Status.MALFORMED, "the body is: old <size>, at most 63 hashes, an empty line, a checkpoint\n")
        try:
            proof = tuple(decode_base64(line) for line in lines)
        except NoteInvalid as error:
            raise Refused(Status.MALFORMED, "a line of the proof is not base64\n") from error
        if any(len(each) != HASH_BYTES for each in proof):
            raise Refused(Status.MALFORMED, "a hash of the proof is not 32 bytes\n")
        return cls(int(old[1]), proof, note)


def origin_of(request: AddCheckpoint) -> str:
    """Return which log a request is about, of which nothing is verified yet.

    Raises:
        Refused: It holds no checkpoint.
    """
    return _stated(request).origin


def judged(request: AddCheckpoint, known: Mapping[str, Sequence[VerifierKey]], held: Checkpoint | None) -> Checkpoint:
    """Return the checkpoint that the witness is to keep and to sign.

    Args:
        request: What the log sent.
        known: The keys of the logs that the witness knows, by their origins.
        held: What the witness holds of this log; None when nothing.

    Raises:
        Refused: It must not sign this.
    """
    stated = _stated(request)
    keys = known.get(stated.origin)
    if keys is None:
        raise Refused(Status.UNKNOWN, f"the log {stated.origin} is not known here\n")
    try:
        verify(request.note, keys)
    except NoteInvalid as error:
        raise Refused(Status.UNSIGNED, f"{error}\n") from error
    if request.old > stated.size:
        raise Refused(Status.MALFORMED, f"the old size {request.old} is above the checkpoint's, {stated.size}\n")
    size = 0 if held is None else held.size
    if request.old != size:
        raise Refused(Status.HELD, f"{size}\n")
    if held is not None and stated.size == size and stated.root != held.root:
        raise Refused(Status.HELD, f"{size}\n")
    _require_continues(request, stated, held)
    return stated


def _require_continues(request: AddCheckpoint, stated: Checkpoint, held: Checkpoint | None) -> None:
    if held is None or held.size == 0:
        # Every log continues the empty one, so there is nothing to prove.
        if request.proof:
            raise Refused(Status.UNPROVEN, "from the size 0 on the proof is empty\n")
        if stated.size == 0 and stated.root != EMPTY_ROOT:
            raise Refused(Status.UNPROVEN, "the root of an empty log is the hash of nothing\n")
        return
    try:
        verify_consistency(
            first=held.size,
            second=stated.size,
            first_root=held.root,
            second_root=stated.root,
            proof=request.proof,
        )
    except Unproven as error:
        raise Refused(Status.UNPROVEN, f"{error}\n") from error


def _stated(request: AddCheckpoint) -> Checkpoint:
    try:
        text, _ = parse(request.note)
        lines = text.split("\n")
        if len(lines) > 2 and lines[1] == "0" and lines[2] != base64.b64encode(EMPTY_ROOT).decode():
            # A checkpoint that cannot be; the protocol has a code of its own for it.
            raise Refused(Status.UNPROVEN, "the root of an empty log is the hash of nothing\n")
        return parse_checkpoint(text)
    except NoteInvalid as error:
        raise Refused(Status.MALFORMED, f"{error}\n") from error
