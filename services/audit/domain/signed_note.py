"""Text that carries its signatures (C2SP signed-note), and keys as one line of text.

A note is the text, an empty line, and one line per signature: `— <name> <base64 of key id and signature>`. A verifier
ignores signatures by keys it does not know, and refuses the whole note if one by a key it knows is wrong.

Source: C2SP signed-note 1.0.0; key lines as in the Go package golang.org/x/mod/sumdb/note, whose limits are kept too.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# The same as Go's note package; C2SP asks for at least 16 signatures.
NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100

_KEY_ID_BYTES = 4
_DASH = "\N{EM DASH}"


class NoteInvalid(ValueError):
    """The note is malformed, or not signed as its reader requires."""


class Algorithm(IntEnum):
    """The signature type byte of a key."""

    ED25519 = 0x01


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public part of a key, and the name that its signatures carry."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _require_name(self.name)
        if len(self.public_key) != 32:
            raise NoteInvalid(f"an Ed25519 public key is 32 bytes, not {len(self.public_key)}")

    @classmethod
    def parse(cls, line: str) -> "VerifierKey":
        """Return the key written as `<name>+<key id>+<base64>`.

        Raises:
            NoteInvalid: It is malformed, of another algorithm, or its id is not its own.
        """
        name, _, rest = line.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = decode_base64(encoded)
        if not raw or raw[0] != Algorithm.ED25519:
            raise NoteInvalid("the key is not an Ed25519 key")
        key = cls(name, raw[1:])
        if key_id != key.key_id.hex():
            raise NoteInvalid(f"key {name} does not have the id {key_id}")
        return key

    @property
    def key_id(self) -> bytes:
        """The first four bytes of a hash over name, algorithm and public key."""
        typed = bytes([Algorithm.ED25519]) + self.public_key
        return hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        typed = bytes([Algorithm.ED25519]) + self.public_key
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(typed).decode()}"

    def signed(self, text: str, signature: bytes) -> bool:
        """Return whether `signature` is this key's over `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private part of a key, and the name that its signatures carry.

    Attributes:
        name: What signatures carry.
        private_key: The private part.
        verifier_key: The public part.
    """

    name: str
    private_key: Ed25519PrivateKey
    # Made once: every commit signs.
    verifier_key: VerifierKey = field(init=False, compare=False)
    _key_id: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _require_name(self.name)
        public = VerifierKey(self.name, self.private_key.public_key().public_bytes_raw())
        object.__setattr__(self, "verifier_key", public)
        object.__setattr__(self, "_key_id", public.key_id)

    def derived(self, name: str) -> "SigningKey":
        """Return the key of its own that `name` signs with when it was given none (HKDF, RFC 5869).

        Whoever has this key can make that one, and not the other way round.
        """
        info = b"evenkeel audit log\n" + name.encode()
        seed = HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(self.private_key.private_bytes_raw())
        return SigningKey(name, Ed25519PrivateKey.from_private_bytes(seed))

    def signature_line(self, text: str) -> str:
        """Return the line that signs `text`, with its newline."""
        signature = self.private_key.sign(text.encode())
        return f"{_DASH} {self.name} {base64.b64encode(self._key_id + signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line of a note, not yet verified."""

    name: str
    key_id: bytes
    signature: bytes


def sign(text: str, keys: Sequence[SigningKey]) -> str:
    """Return `text` as a note signed with each of `keys`.

    Raises:
        NoteInvalid: `text` does not end in a newline, or has a control character.
    """
    _require_text(text)
    return text + "\n" + "".join(key.signature_line(text) for key in keys)


def parse(note: str) -> tuple[str, tuple[Signature, ...]]:
    """Return the text of `note` and its signatures, of which nothing is verified.

    Raises:
        NoteInvalid: `note` is malformed.
    """
    if len(note.encode()) > NOTE_BYTES_MAX:
        raise NoteInvalid(f"a note is at most {NOTE_BYTES_MAX} bytes")
    cut = note.rfind("\n\n")
    if cut < 0:
        raise NoteInvalid("the note has no signatures")
    text, block = note[: cut + 1], note[cut + 2 :]
    _require_text(text)
    if not block.endswith("\n"):
        raise NoteInvalid("the note's last signature has no newline")
    lines = block[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteInvalid(f"a note has at most {SIGNATURES_MAX} signatures, this one has {len(lines)}")
    return text, tuple(_parsed_line(line) for line in lines)


def verify(note: str, keys: Iterable[VerifierKey]) -> tuple[str, tuple[VerifierKey, ...]]:
    """Return the text of `note` and those of `keys` that signed it, at least one.

    Raises:
        NoteInvalid: `note` is malformed, none of `keys` signed it, or a signature said to be by one of them is not.
    """
    text, signatures = parse(note)
    known = {(key.name, key.key_id): key for key in keys}
    signers: dict[VerifierKey, None] = {}
    for line in signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if not key.signed(text, line.signature):
            raise NoteInvalid(f"the signature by {line.name} is wrong")
        signers[key] = None
    if not signers:
        raise NoteInvalid("no key that is known signed the note")
    return text, tuple(signers)


def _parsed_line(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:
        raise NoteInvalid("a line of the signatures is malformed")
    _require_name(parts[1])
    raw = decode_base64(parts[2])
    if len(raw) <= _KEY_ID_BYTES:
        raise NoteInvalid("a signature is too short")
    return Signature(parts[1], raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def decode_base64(encoded: str) -> bytes:
    """Return the bytes that `encoded` says in their one spelling.

    Raises:
        NoteInvalid: It is not base64, or another spelling.
    """
    try:
        raw = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NoteInvalid("malformed base64") from error
    if base64.b64encode(raw).decode() != encoded:
        raise NoteInvalid("malformed base64")
    return raw


def _require_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() or ord(character) < 0x20 for character in name):
        raise NoteInvalid(f"a key name has no spaces and no plus sign: {name!r}")


def _require_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteInvalid("a note's text ends in a newline")
    if any(ord(character) < 0x20 and character != "\n" for character in text):
        raise NoteInvalid("a note has no control characters but newlines")
