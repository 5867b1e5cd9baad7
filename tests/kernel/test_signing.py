"""Signatures: only these bytes, only by this key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.signing import Signature, SignatureInvalid, read_private_key, read_public_key, sign, verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {"decision-1": KEY.public_key()}


@given(st.binary(max_size=200))
def test_what_was_signed_is_accepted(payload):
    verify(KEYS, payload, sign(KEY, payload, "decision-1"))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_other_bytes_are_refused(payload, other):
    signature = sign(KEY, payload, "decision-1")
    if payload != other:
        with pytest.raises(SignatureInvalid, match="does not match"):
            verify(KEYS, other, signature)


@pytest.mark.parametrize("value", [b"", b"\0" * 64, b"\0" * 63, b"\0" * 65])
def test_a_malformed_signature_is_refused(value):
    with pytest.raises(SignatureInvalid):
        verify(KEYS, b"plan", Signature("decision-1", value))


def test_a_key_of_another_name_is_refused():
    signature = sign(KEY, b"plan", "decision-2")

    with pytest.raises(SignatureInvalid, match="no trusted key is named 'decision-2'"):
        verify(KEYS, b"plan", signature)


def test_keys_are_read_from_pem():
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    verify({"k": read_public_key(public)}, b"plan", sign(read_private_key(private), b"plan", "k"))


def test_a_key_of_another_kind_is_refused():
    other = generate_private_key(SECP256R1())
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(ValueError, match="Ed25519"):
        read_private_key(private)
    with pytest.raises(ValueError, match="Ed25519"):
        read_public_key(public)
