"""A witness's judgement, by every status of C2SP tlog-witness; and cosignatures, as others read them."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from services.audit.domain.cosignature import Cosigner, WitnessKey
from services.audit.domain.merkle import EMPTY_ROOT
from services.audit.domain.signed_note import NoteInvalid, SigningKey, parse, sign
from services.audit.domain.witness import AddCheckpoint, Refused, Status, judged
from tests.audit.builders import KEY, ORIGIN
from tests.audit.domain.reference import consistency_proof, some_leaves, tree_hash
from tools.verifier import audit_verify

KNOWN = {ORIGIN: [KEY.verifier_key]}
LEAVES = some_leaves(40)
COSIGNER = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))


def head(size, leaves=LEAVES):
    return Checkpoint(ORIGIN, size, tree_hash(leaves[:size]))


def note_of(checkpoint, key=KEY):
    return sign_checkpoint(checkpoint, [key])


def request(old, size, proof=None, note=None):
    if proof is None:
        proof = consistency_proof(old, LEAVES[:size]) if 0 < old < size else []
    return AddCheckpoint(old, tuple(proof), note or note_of(head(size)))


def status_of(asked, held, known=KNOWN):
    try:
        judged(asked, known, held)
    except Refused as refused:
        return refused.status, refused.body
    return Status.COSIGNED, ""


@given(st.integers(0, 40), st.integers(0, 40))
def test_what_continues_is_signed_whatever_the_sizes(old, size):
    old, size = sorted((old, size))
    held = head(old) if old else None

    assert judged(request(old, size), KNOWN, held) == head(size)


def test_every_other_request_is_answered_by_its_own_status():
    held = head(7)
    other = SigningKey("other.example/log", KEY.private_key)
    forged = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([5]) * 32))
    forked = [b"x" * 32, *LEAVES[1:]]
    cases = [
        (request(7, 9, note=note_of(Checkpoint(other.name, 9, head(9).root), other)), Status.UNKNOWN),
        (request(7, 9, note=note_of(head(9), forged)), Status.UNSIGNED),
        (request(10, 9, proof=[]), Status.MALFORMED),
        (request(5, 9), Status.HELD),
        (request(0, 9), Status.HELD),
        (request(7, 7, note=note_of(head(7, forked))), Status.HELD),
        (request(7, 9, proof=[]), Status.UNPROVEN),
        (request(7, 9, proof=[*consistency_proof(7, LEAVES[:9]), b"x" * 32]), Status.UNPROVEN),
        (request(7, 9, proof=consistency_proof(7, forked[:9]), note=note_of(head(9, forked))), Status.UNPROVEN),
        (request(7, 7, proof=[b"x" * 32]), Status.UNPROVEN),
    ]

    for asked, expected in cases:
        assert status_of(asked, held)[0] is expected, (asked, expected)
    assert status_of(request(5, 9), held) == (Status.HELD, "7\n")
    assert status_of(request(5, 9), None) == (Status.HELD, "0\n")
    assert status_of(request(0, 9, proof=[b"x" * 32]), None)[0] is Status.UNPROVEN


def test_an_empty_log_with_another_root_is_unproven():
    text = f"{ORIGIN}\n0\n{'A' * 43}=\n"

    assert status_of(request(0, 0, note=sign(text, [KEY])), None)[0] is Status.UNPROVEN
    assert judged(request(0, 0), KNOWN, None) == Checkpoint(ORIGIN, 0, EMPTY_ROOT)


@given(st.integers(0, 2**64 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_is_read_as_it_was_written(old, proof):
    asked = AddCheckpoint(old, tuple(proof), note_of(head(3)))

    assert AddCheckpoint.read(asked.text()) == asked


@pytest.mark.parametrize(
    "body",
    [
        "",
        "old 1",
        "old 01\n\nnote\n",
        "old -1\n\nnote\n",
        "new 1\n\nnote\n",
        "old 1\nnot base64\n\nnote\n",
        "old 1\nAAAA\n\nnote\n",
        "old 1\n" + "A" * 43 + "=\n" * 64 + "\nnote\n",
        "old 1\n\n",
    ],
)
def test_what_is_no_request_is_malformed(body):
    with pytest.raises(Refused) as refused:
        judged(AddCheckpoint.read(body), KNOWN, None)
    assert refused.value.status is Status.MALFORMED


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(body):
    with pytest.raises(Refused) as refused:
        judged(AddCheckpoint.read(body), KNOWN, None)
    assert refused.value.status is Status.MALFORMED


def test_a_cosignature_is_checked_by_its_key_and_by_the_offline_verifier():
    note = note_of(head(5))
    text, _ = parse(note)
    line = COSIGNER.line(text, 1_700_000_000)
    _, signatures = parse(note + line)

    assert COSIGNER.key.seen_time_s(text, signatures[1]) == 1_700_000_000
    assert WitnessKey.parse(str(COSIGNER.key)) == COSIGNER.key
    for bent in (text.replace("5\n", "6\n"), text + "more\n"):
        with pytest.raises(NoteInvalid):
            COSIGNER.key.seen_time_s(bent, signatures[1])
    policy = audit_verify.read_policy(f"log {KEY.verifier_key}\nwitness w1 {COSIGNER.key}\nquorum w1\n")
    assert audit_verify.open_checkpoint(note + line, policy).size == parse_checkpoint(text).size
    with pytest.raises(audit_verify.NotProven, match="not seen by the witnesses"):
        audit_verify.open_checkpoint(note, policy)
