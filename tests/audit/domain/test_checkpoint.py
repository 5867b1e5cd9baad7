import base64
import json
from pathlib import Path

import pytest

from services.audit.domain.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from services.audit.domain.merkle import EMPTY_ROOT, leaf_hash
from services.audit.domain.signed_note import NoteInvalid, SigningKey, VerifierKey
from tests.audit.builders import KEY, ORIGIN

ROOT = leaf_hash(b"")
ROOT_TEXT = base64.b64encode(ROOT).decode()
SUM_GOLANG_ORG = json.loads((Path(__file__).parents[2] / "vectors/audit/signed_notes.json").read_text())["opened"][1]


def test_a_checkpoint_of_another_log_in_the_same_format_is_read():
    checkpoint = open_checkpoint(
        SUM_GOLANG_ORG["note"], origin="go.sum database tree", keys=[VerifierKey.parse(SUM_GOLANG_ORG["verifier_key"])]
    )

    assert checkpoint.size == 6_476_701
    assert base64.b64encode(checkpoint.root) == b"mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk="


def test_a_signed_checkpoint_is_read_back():
    checkpoint = Checkpoint(ORIGIN, 12, ROOT)

    note = sign_checkpoint(checkpoint, [KEY])

    assert note.startswith(f"{ORIGIN}\n12\n{ROOT_TEXT}\n\n— {ORIGIN} ")
    assert open_checkpoint(note, origin=ORIGIN, keys=[KEY.verifier_key]) == checkpoint


def test_a_checkpoint_of_another_origin_is_refused_even_if_the_key_is_right():
    note = sign_checkpoint(Checkpoint("audit.example/other", 12, ROOT), [KEY])

    with pytest.raises(NoteInvalid, match=r"of the log audit\.example/other"):
        open_checkpoint(note, origin=ORIGIN, keys=[KEY.verifier_key])


def test_a_checkpoint_that_another_key_signed_is_refused():
    note = sign_checkpoint(Checkpoint(ORIGIN, 12, ROOT), [SigningKey("mallory", KEY.private_key)])

    with pytest.raises(NoteInvalid, match="no key"):
        open_checkpoint(note, origin=ORIGIN, keys=[KEY.verifier_key])


def test_the_empty_log_has_the_empty_root():
    assert parse_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT).text()).size == 0
    with pytest.raises(NoteInvalid, match="empty log"):
        Checkpoint(ORIGIN, 0, ROOT)


def test_extension_lines_are_ignored_but_not_empty():
    assert parse_checkpoint(f"{ORIGIN}\n1\n{ROOT_TEXT}\nmore\n") == Checkpoint(ORIGIN, 1, ROOT)
    with pytest.raises(NoteInvalid):
        parse_checkpoint(f"{ORIGIN}\n1\n{ROOT_TEXT}\n\n")


@pytest.mark.parametrize(
    "text",
    ["", "\n\n\n", f"{ORIGIN}\n1\n", f"\n1\n{ROOT_TEXT}\n", f"{ORIGIN}\n01\n{ROOT_TEXT}\n",
     f"{ORIGIN}\n-1\n{ROOT_TEXT}\n", f"{ORIGIN}\n+1\n{ROOT_TEXT}\n", f"{ORIGIN}\n1 \n{ROOT_TEXT}\n",
     f"{ORIGIN}\n\u0661\n{ROOT_TEXT}\n", f"{ORIGIN}\n\n{ROOT_TEXT}\n", f"{ORIGIN}\n1\n{ROOT_TEXT[:-1]}\n",
     f"{ORIGIN}\n1\nAAAA\n", f"{ORIGIN}\n1\n{ROOT_TEXT} \n", f"{ORIGIN}\n{'9' * 21}\n{ROOT_TEXT}\n"],
)  # fmt: skip
def test_anything_else_is_no_checkpoint(text):
    with pytest.raises(NoteInvalid):
        parse_checkpoint(text)
