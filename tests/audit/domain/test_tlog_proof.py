import base64

import pytest

from services.audit.domain.checkpoint import Checkpoint, sign_checkpoint
from services.audit.domain.merkle import Unproven, leaf_hash
from services.audit.domain.signed_note import NoteInvalid
from services.audit.domain.tlog_proof import TlogProof, parse_tlog_proof
from tests.audit.builders import KEY, ORIGIN
from tests.audit.domain.reference import audit_path, tree_hash

RECORDS = [f"record {number}".encode() for number in range(7)]
LEAVES = [leaf_hash(record) for record in RECORDS]
NOTE = sign_checkpoint(Checkpoint(ORIGIN, 7, tree_hash(LEAVES)), [KEY])


def proof_of(index, extra=None):
    return TlogProof(index, tuple(audit_path(index, LEAVES)), NOTE, extra)


def test_the_file_is_laid_out_as_the_specification_says():
    lines = proof_of(2, b"more").text().split("\n")

    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra bW9yZQ==", "index 2"]
    assert [base64.b64decode(line) for line in lines[3:6]] == audit_path(2, LEAVES)
    assert lines[6:10] == ["", ORIGIN, "7", base64.b64encode(tree_hash(LEAVES)).decode()]
    assert lines[10] == ""
    assert lines[11].startswith(f"— {ORIGIN} ")


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("extra", [None, b"", b"opaque"])
def test_a_file_is_read_back_and_proves_its_record_and_no_other(index, extra):
    proof = parse_tlog_proof(proof_of(index, extra).text())

    assert proof == proof_of(index, extra)
    assert proof.verify(RECORDS[index], origin=ORIGIN, keys=[KEY.verifier_key]).size == 7
    with pytest.raises(Unproven):
        proof.verify(RECORDS[index - 1], origin=ORIGIN, keys=[KEY.verifier_key])
    with pytest.raises(NoteInvalid):
        proof.verify(RECORDS[index], origin="another", keys=[KEY.verifier_key])
    with pytest.raises(NoteInvalid):
        proof.verify(RECORDS[index], origin=ORIGIN, keys=[])


def test_the_only_leaf_of_a_log_needs_no_hashes():
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, LEAVES[0]), [KEY])
    text = f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}"

    assert parse_tlog_proof(text).text() == text
    assert parse_tlog_proof(text).verify(RECORDS[0], origin=ORIGIN, keys=[KEY.verifier_key]).size == 1


def test_one_changed_character_anywhere_is_refused():
    text = proof_of(3).text()
    for at, character in enumerate(text):
        for other in {"A", "7", "\n"} - {character}:
            with pytest.raises((Unproven, NoteInvalid)):
                parse_tlog_proof(text[:at] + other + text[at + 1 :]).verify(
                    RECORDS[3], origin=ORIGIN, keys=[KEY.verifier_key]
                )


@pytest.mark.parametrize(
    "text",
    ["", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v2\nindex 0\n\nx",
     "c2sp.org/tlog-proof@v1\nindex 00\n\nx", "c2sp.org/tlog-proof@v1\nindex -1\n\nx",
     "c2sp.org/tlog-proof@v1\nindex 1\nextra AA==\n\nx", "c2sp.org/tlog-proof@v1\nextra A\nindex 1\n\nx",
     "c2sp.org/tlog-proof@v1\nindex 1\nAA==\n\nx", "c2sp.org/tlog-proof@v1\nindex 1\n" + "A" * 43 + "=\n" * 65 + "\nx",
     "x" * 1_000_001],
)  # fmt: skip
def test_anything_else_is_no_proof(text):
    with pytest.raises(Unproven):
        parse_tlog_proof(text)
