"""Who says so: Ed25519 signatures (RFC 8032) over bytes, by keys that have names.

Keys are arguments; where they are kept is the business of the services. A verifier knows several keys at once, so that
a new one can be introduced before the old one leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from services.kernel.errors import Rejected

PrivateKey = Ed25519PrivateKey
PublicKey = Ed25519PublicKey


class SignatureInvalid(Rejected):
    """The signature is not by a key we trust, or not over these bytes."""

    reason = "SIGNATURE_INVALID"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: 64 bytes, and the name of the key that made it."""

    key_id: str
    value: bytes


def sign(private_key: PrivateKey, payload: bytes, key_id: str) -> Signature:
    """Return the signature of `payload`; the same bytes and key give the same signature."""
    return Signature(key_id, private_key.sign(payload))


def verify(keys: Mapping[str, PublicKey], payload: bytes, signature: Signature) -> None:
    """Check that one of `keys` signed `payload`.

    Args:
        keys: The keys we trust, by name.
        payload: The bytes that were signed.
        signature: What came with them.

    Raises:
        SignatureInvalid: No key has that name, or the signature is not its signature of `payload`.
    """
    key = keys.get(signature.key_id)
    if key is None:
        raise SignatureInvalid(f"no trusted key is named {signature.key_id!r}", key_id=signature.key_id)
    try:
        key.verify(signature.value, payload)
    except InvalidSignature as error:
        message = f"the signature by {signature.key_id!r} does not match the bytes"
        raise SignatureInvalid(message, key_id=signature.key_id) from error


def read_private_key(pem: bytes) -> PrivateKey:
    """Return the Ed25519 key in `pem` (PKCS #8, not encrypted).

    Raises:
        ValueError: `pem` holds no such key.
    """
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"must be an Ed25519 private key, was {type(key).__name__}")
    return key


def read_public_key(pem: bytes) -> PublicKey:
    """Return the Ed25519 key in `pem`.

    Raises:
        ValueError: `pem` holds no such key.
    """
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"must be an Ed25519 public key, was {type(key).__name__}")
    return key
