"""What a witness signs: that it has seen a checkpoint, and none before that contradicts it (C2SP tlog-cosignature 1.0).

The signed message is `cosignature/v1`, the time in seconds since 1970, and the checkpoint's own lines. The signature
line holds the key id, the time as eight bytes, and the Ed25519 signature.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.audit.domain.signed_note import NoteInvalid, Signature, decode_base64

# C2SP signed-note: the signature type of a timestamped Ed25519 cosignature.
_TYPE = b"\x04"
_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_DASH = "\N{EM DASH}"


def _message(time_s: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public part of a witness's key, and its name."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, line: str) -> "WitnessKey":
        """Return the key written as `<name>+<key id>+<base64>`.

        Raises:
            NoteInvalid: It is malformed, not a witness's, or its id is not its own.
        """
        name, _, rest = line.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = decode_base64(encoded)
        if not name or len(raw) != 33 or raw[:1] != _TYPE:
            raise NoteInvalid("the key is not one of a witness: Ed25519 cosignatures, type 4")
        key = cls(name, raw[1:])
        if key_id != key.key_id.hex():
            raise NoteInvalid(f"witness {name} does not have the key id {key_id}")
        return key

    @property
    def key_id(self) -> bytes:
        """The first four bytes of a hash over name, type and public key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_TYPE + self.public_key).decode()}"

    def seen_time_s(self, text: str, signature: Signature) -> int:
        """Return when the witness says that it saw the checkpoint `text`, in seconds since 1970.

        Raises:
            NoteInvalid: `signature` is not this key's over `text`.
        """
        raw = signature.signature
        if (signature.name, signature.key_id) != (self.name, self.key_id):
            raise NoteInvalid(f"the signature is by {signature.name}, not by witness {self.name}")
        if len(raw) != _TIME_BYTES + _SIGNATURE_BYTES:
            raise NoteInvalid(f"the cosignature by {self.name} is not one")
        time_s = int.from_bytes(raw[:_TIME_BYTES], "big")
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(raw[_TIME_BYTES:], _message(time_s, text))
        except InvalidSignature:
            raise NoteInvalid(f"the cosignature by {self.name} is wrong") from None
        return time_s


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The private part of a witness's key, and its name."""

    name: str
    private_key: Ed25519PrivateKey

    @property
    def key(self) -> WitnessKey:
        """The public part."""
        return WitnessKey(self.name, self.private_key.public_key().public_bytes_raw())

    def line(self, text: str, time_s: int) -> str:
        """Return the line that says that the checkpoint `text` was seen at `time_s`, with its newline."""
        signature = self.private_key.sign(_message(time_s, text))
        raw = self.key.key_id + time_s.to_bytes(_TIME_BYTES, "big") + signature
        return f"{_DASH} {self.name} {base64.b64encode(raw).decode()}\n"
