import base64
import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.domain.signed_note import NoteInvalid, SigningKey, VerifierKey, parse, sign, verify
from tests.audit.builders import KEY

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/audit/signed_notes.json").read_text())
ALICE = SigningKey("alice.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
BOB = SigningKey("bob.example/log", Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
TEXT = "a line\n\nanother line – with a dash\n"


@pytest.mark.parametrize("vector", VECTORS["opened"], ids=lambda vector: vector["source"])
def test_published_notes_open(vector):
    key = VerifierKey.parse(vector["verifier_key"])

    text, signers = verify(vector["note"], [key])

    assert str(key) == vector["verifier_key"]
    assert signers == (key,)
    assert vector["note"].startswith(text + "\n")


@pytest.mark.parametrize("vector", VECTORS["opened"], ids=lambda vector: vector["source"])
def test_published_notes_with_one_changed_character_do_not(vector):
    key, note = VerifierKey.parse(vector["verifier_key"]), vector["note"]
    for at, character in enumerate(note):
        for other in {"A", "\n", " ", "+"} - {character}:
            with pytest.raises(NoteInvalid):
                verify(note[:at] + other + note[at + 1 :], [key])


def test_a_published_note_is_signed_byte_for_byte():
    vector = VECTORS["signed"]
    private_key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(vector["private_key_base64"]))
    key = SigningKey(vector["name"], private_key)

    assert str(key.verifier_key) == vector["verifier_key"]
    assert sign(vector["text"], [key]) == vector["note"]


def test_a_note_tells_who_of_those_asked_about_signed_it():
    note = sign(TEXT, [ALICE, BOB])

    assert verify(note, [BOB.verifier_key]) == (TEXT, (BOB.verifier_key,))
    assert verify(note, [BOB.verifier_key, ALICE.verifier_key])[1] == (ALICE.verifier_key, BOB.verifier_key)


def test_a_note_that_nobody_known_signed_is_refused():
    with pytest.raises(NoteInvalid, match="no key that is known"):
        verify(sign(TEXT, [ALICE]), [BOB.verifier_key])
    with pytest.raises(NoteInvalid, match="no key that is known"):
        verify(sign(TEXT, [ALICE]), [])


def test_one_wrong_signature_by_a_known_key_refuses_the_note_however_many_are_right():
    other = sign("another text\n", [BOB]).rsplit("\n\n", 1)[1]
    note = sign(TEXT, [ALICE]) + other

    assert verify(note, [ALICE.verifier_key])[1] == (ALICE.verifier_key,)
    with pytest.raises(NoteInvalid, match=r"by bob\.example/log is wrong"):
        verify(note, [ALICE.verifier_key, BOB.verifier_key])


def test_a_known_name_with_an_unknown_key_is_ignored():
    impostor = SigningKey(ALICE.name, BOB.private_key)

    with pytest.raises(NoteInvalid, match="no key that is known"):
        verify(sign(TEXT, [impostor]), [ALICE.verifier_key])


def test_16_signatures_are_accepted_and_101_are_not():
    keys = [SigningKey(f"key{n}", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in range(101)]

    assert len(verify(sign(TEXT, keys[:16]), [key.verifier_key for key in keys])[1]) == 16
    with pytest.raises(NoteInvalid, match="at most 100"):
        parse(sign(TEXT, keys))


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "return\r\n", "\x00\n"])
def test_text_that_is_no_note_is_not_signed(text):
    with pytest.raises(NoteInvalid):
        sign(text, [ALICE])


LINE = sign(TEXT, [ALICE])[len(TEXT) + 1 :]


@pytest.mark.parametrize(
    "block",
    ["", LINE[:-1], LINE + "\n", "x" + LINE, LINE.replace(" ", "  "), LINE.replace("—", "-"), "— name AAAA\n",
     "— na+me AAAAAAAA\n", "—  AAAAAAAA\n", "— name AAAA_AAA\n", "— name AAAAAAB=\n", "— name ÄAAAAAAA\n"],
)  # fmt: skip
def test_malformed_signature_lines_refuse_the_note(block):
    with pytest.raises(NoteInvalid):
        verify(TEXT + "\n" + LINE + block, [ALICE.verifier_key]) if block else verify(TEXT + "\n", [ALICE.verifier_key])


@pytest.mark.parametrize(
    "line",
    ["", "name", "name+00000000", "+00000000+AQ==", str(ALICE.verifier_key).replace("alice", "bob"),
     str(ALICE.verifier_key)[:-1], str(ALICE.verifier_key).replace("+A", "+B", 1)],
)  # fmt: skip
def test_malformed_keys_are_refused(line):
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(line)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\u2003b"])
def test_a_name_with_spaces_or_plus_is_no_key_name(name):
    with pytest.raises(NoteInvalid):
        SigningKey(name, ALICE.private_key)


def test_a_log_that_was_given_no_key_gets_one_of_its_own_that_is_always_the_same():
    derived = KEY.derived("audit.example/access")

    assert derived.verifier_key == KEY.derived("audit.example/access").verifier_key
    assert len({key.verifier_key.public_key for key in (KEY, derived, KEY.derived("audit.example/b"))}) == 3
    # HKDF-SHA-256 (RFC 5869) without salt: extract under 32 zero bytes, expand once.
    secret = hmac.digest(bytes(32), KEY.private_key.private_bytes_raw(), "sha256")
    seed = hmac.digest(secret, b"evenkeel audit log\naudit.example/access\x01", "sha256")
    assert derived.private_key.private_bytes_raw() == seed
