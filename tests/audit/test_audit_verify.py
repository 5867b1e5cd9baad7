"""The offline verifier, given what the log exports and every way to bend it."""

import base64
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.domain.checkpoint import Checkpoint, sign_checkpoint
from services.audit.domain.entry import new_entry
from services.audit.domain.export import TileExport
from services.audit.domain.merkle import inclusion_spans, span_root
from services.audit.domain.sequencing import Head, grow
from services.audit.domain.signed_note import SigningKey
from services.audit.domain.tiles import RightEdge, TileId, TileNodes
from services.audit.domain.tlog_proof import TlogProof
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, later, some_events
from tools.verifier import audit_verify

ENTRIES = grow(Head(RightEdge(), None), some_events(600), {}, {}, NOON).entries
POLICY = f"log {KEY.verifier_key}\nquorum none\n"


def note_of(entries, keys=(KEY,)):
    edge, _ = RightEdge().extended(entry.leaf for entry in entries)
    return sign_checkpoint(Checkpoint(ORIGIN, edge.size, edge.root()), keys)


def written(directory, entries, note=None):
    export = TileExport()
    files = [file for entry in entries for file in export.add(entry.body)]
    for path, content in [*files, *export.finish(note or note_of(entries))]:
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return directory


def verified(directory, policy=POLICY):
    return audit_verify.verify_bundle(audit_verify.read_policy(policy), directory)


def proof_of(index, entries=ENTRIES):
    edge, full = RightEdge().extended(entry.leaf for entry in entries)
    tiles = {tile.id: tile.data for tile in full}
    tiles |= {
        TileId(level, edge.size // 256 ** (level + 1)): b"".join(row) for level, row in enumerate(edge.partials) if row
    }
    nodes = TileNodes(tiles)
    path = tuple(span_root(nodes, span) for span in inclusion_spans(index, edge.size))
    return TlogProof(index, path, note_of(entries)).text()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return written(tmp_path_factory.mktemp("bundle"), ENTRIES)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 600])
def test_a_bundle_of_any_size_is_proven(tmp_path, size):
    assert verified(written(tmp_path, ENTRIES[:size])).startswith(f"{ORIGIN}: {size} entries")


def test_it_runs_as_one_file_that_imports_nothing_of_ours(bundle, tmp_path):
    lone = shutil.copy(audit_verify.__file__, tmp_path / "audit_verify.py")
    policy, proof, record = tmp_path / "policy", tmp_path / "7.tlog-proof", tmp_path / "7.json"
    policy.write_text(POLICY)
    proof.write_text(proof_of(7))
    record.write_bytes(ENTRIES[7].body)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-I", str(lone), *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    whole, one = run(policy, bundle), run(policy, proof, record)
    assert (whole.returncode, one.returncode) == (0, 0), whole.stdout + one.stdout
    assert whole.stdout.startswith(f"proven  {ORIGIN}: 600 entries about 3 accounts, root ")
    assert one.stdout.startswith(f"proven  {ORIGIN}: the record is entry 7 of 600, root ")
    record.write_bytes(ENTRIES[8].body)
    bent = run(policy, proof, record)
    assert (bent.returncode, bent.stdout) == (1, f"NOT PROVEN  proof: the record is not entry 7 of {ORIGIN}\n")
    assert [run().returncode, run(policy).returncode, run(policy, proof).returncode] == [2, 2, 2]
    assert run(policy, bundle, record).returncode == 2


def test_every_changed_bit_of_any_file_is_found_and_its_place_named(bundle, tmp_path):
    bent = shutil.copytree(bundle, tmp_path / "bent")
    rnd = random.Random(5)
    for path in sorted(each for each in bent.rglob("*") if each.is_file()):
        content = path.read_bytes()
        for _ in range(12):
            bit = rnd.randrange(len(content) * 8)
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            with pytest.raises(audit_verify.NotProven) as refused:
                verified(bent)
            name = str(path.relative_to(bent))
            says = str(refused.value)
            if name.startswith("tile/entries"):
                first = 256 * int(path.name.split(".")[0] if path.parent.suffix != ".p" else path.parent.stem)
                places = [name, *(f"entry {number}:" for number in range(first, first + 257)), "tile/0/", "checkpoint"]
                assert says.startswith(tuple(places)), (name, says)
            else:
                assert says.startswith(name), (name, says)
        path.write_bytes(content)
    assert verified(bent)


def test_every_changed_bit_of_a_checkpoint_is_refused(tmp_path):
    bundle = written(tmp_path, ENTRIES[:3])
    note = (bundle / "checkpoint").read_bytes()
    for bit in range(len(note) * 8):
        changed = bytearray(note)
        changed[bit // 8] ^= 1 << bit % 8
        (bundle / "checkpoint").write_bytes(changed)
        with pytest.raises(audit_verify.NotProven, match="checkpoint"):
            verified(bundle)


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000", "tile/1/000.p/2", "tile/entries/001", "tile/0/002.p/88"])
def test_a_file_that_is_missing_is_named(bundle, tmp_path, path):
    bent = shutil.copytree(bundle, tmp_path / "bent")
    (bent / path).unlink()

    with pytest.raises(audit_verify.NotProven, match=f"{path}: cannot be read"):
        verified(bent)


def test_an_entry_that_was_changed_is_named_whatever_else_it_makes_wrong(bundle, tmp_path):
    bent = shutil.copytree(bundle, tmp_path / "bent")
    path = bent / "tile/entries/001"
    changed = next(each for each in ENTRIES[300:] if each.event.account)
    body = changed.body.replace(changed.event.account.encode(), b"acc-9")
    assert len(body) == len(changed.body)
    path.write_bytes(path.read_bytes().replace(changed.body, body))

    with pytest.raises(audit_verify.NotProven, match=f"entry {changed.index}: its bytes hash to"):
        verified(bent)


def signed_log(*entries):
    return entries, note_of(entries)


def entry(name, index, sequence, *, account="a", at=NOON):
    return new_entry(an_event(name, account=account), index=index, account_sequence=sequence, recorded_time=at)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (signed_log(entry(1, 0, 1), entry(2, 1, 3)), "entry 1: says that it is number 3 of its account"),
        (signed_log(entry(1, 0, 1, account=None)), "entry 0: says that it is number 1 of its account"),
        (signed_log(entry(1, 0, 1), entry(1, 1, 2)), "entry 1: its event"),
        (signed_log(entry(1, 0, 1), entry(2, 2, 2)), "entry 1: says that it is entry 2"),
        (signed_log(entry(1, 0, 1, at=later(1)), entry(2, 1, 2)), "entry 1: was recorded before"),
    ],
)
def test_a_log_that_its_own_key_signed_but_that_hides_or_doubles_something_is_refused(tmp_path, log, says):
    entries, note = log
    with pytest.raises(audit_verify.NotProven, match=says):
        verified(written(tmp_path, entries, note))


@pytest.mark.parametrize("index", [0, 1, 255, 256, 511, 512, 599])
def test_a_proof_shows_its_record_and_no_other(index):
    policy = audit_verify.read_policy(POLICY)

    assert f"entry {index} of 600" in audit_verify.verify_proof(policy, proof_of(index), ENTRIES[index].body)
    with pytest.raises(audit_verify.NotProven):
        audit_verify.verify_proof(policy, proof_of(index), ENTRIES[index - 1].body)


def test_every_changed_character_of_a_proof_is_refused():
    policy, proof = audit_verify.read_policy(POLICY), proof_of(3, ENTRIES[:5])
    for at, character in enumerate(proof):
        for other in {"A", "9", "\n"} - {character}:
            with pytest.raises(audit_verify.NotProven):
                audit_verify.verify_proof(policy, proof[:at] + other + proof[at + 1 :], ENTRIES[3].body)


WITNESSES = [
    SigningKey(f"witness{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in range(1, 5)
]


def witness_key(key):
    return audit_verify.Key(key.name, audit_verify.COSIGNATURE, key.verifier_key.public_key)


def vkey(key):
    typed = bytes([key.algorithm]) + key.public
    return f"{key.name}+{key.key_id.hex()}+{base64.b64encode(typed).decode()}"


def cosigned(note, *witnesses):
    text = note.partition("\n\n")[0] + "\n"
    for witness in witnesses:
        signature = witness.private_key.sign(f"cosignature/v1\ntime 1700000000\n{text}".encode())
        raw = witness_key(witness).key_id + (1_700_000_000).to_bytes(8, "big") + signature
        note += f"— {witness.name} {base64.b64encode(raw).decode()}\n"
    return note


GROUPS = POLICY.replace("quorum none\n", "") + "".join(
    f"witness w{n} {vkey(witness_key(key))} https://w{n}.example\n" for n, key in enumerate(WITNESSES, 1)
)


@pytest.mark.parametrize(
    ("quorum", "seen_by", "enough"),
    [
        ("quorum w1", [0], True),
        ("quorum w1", [1, 2, 3], False),
        ("group g 2 w1 w2 w3\nquorum g", [0, 2], True),
        ("group g 2 w1 w2 w3\nquorum g", [0, 3], False),
        ("group g any w1 w2\nquorum g", [1], True),
        ("group g any w1 w2\nquorum g", [], False),
        ("group g all w1 w2\nquorum g", [0, 1], True),
        ("group g all w1 w2\nquorum g", [0, 2], False),
        ("group a 1 w1 w2\ngroup b all a w4\nquorum b", [1, 3], True),
        ("group a 1 w1 w2\ngroup b all a w4\nquorum b", [0, 1], False),
        ("quorum none", [], True),
    ],
)
def test_a_quorum_of_witnesses_is_asked_for_as_the_policy_says(tmp_path, quorum, seen_by, enough):
    note = cosigned(note_of(ENTRIES[:3]), *(WITNESSES[number] for number in seen_by))
    bundle = written(tmp_path, ENTRIES[:3], note)

    if enough:
        assert verified(bundle, f"{GROUPS}{quorum}\n")
    else:
        with pytest.raises(audit_verify.NotProven, match="not seen by the witnesses"):
            verified(bundle, f"{GROUPS}{quorum}\n")


def test_a_wrong_cosignature_by_a_known_witness_refuses_the_checkpoint(tmp_path):
    other = cosigned(note_of(ENTRIES[:2]), WITNESSES[0]).splitlines()[-1]
    bundle = written(tmp_path, ENTRIES[:3], f"{note_of(ENTRIES[:3])}{other}\n")

    with pytest.raises(audit_verify.NotProven, match=r"signature by witness1\.example is wrong"):
        verified(bundle, f"{GROUPS}quorum none\n")


def test_a_log_that_the_policy_does_not_know_or_that_did_not_sign_is_refused(tmp_path):
    bundle = written(tmp_path, ENTRIES[:3])
    stranger = SigningKey("another.example", WITNESSES[0].private_key)
    impostor = SigningKey(ORIGIN, WITNESSES[0].private_key)

    with pytest.raises(audit_verify.NotProven, match="does not know"):
        verified(bundle, f"log {stranger.verifier_key}\nquorum none\n")
    with pytest.raises(audit_verify.NotProven, match="not signed by the log"):
        verified(bundle, f"log {impostor.verifier_key}\nquorum none\n")


OURS = f"log {KEY.verifier_key}\n"
WITNESS_KEY = vkey(witness_key(WITNESSES[0]))


@pytest.mark.parametrize(
    "text",
    ["", OURS, f"{OURS}quorum none\nquorum none\n", "quorum nobody\n", "log x\nquorum none\n",
     f"{OURS}{OURS}quorum none\n", f"log {KEY.verifier_key} a b\nquorum none\n", "nonsense\nquorum none\n",
     f"log {WITNESS_KEY}\nquorum none\n", f"{GROUPS}witness w9 {WITNESS_KEY}\nquorum none\n",
     *(f"{GROUPS}group {group}\nquorum none\n" for group in
       ("g 3 w1 w2", "g 0 w1", "g -1 w1", "g some w1", "g 1", "g any w1 w1", "g any g", "w1 any w2", "none any w1"))],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(text):
    with pytest.raises(audit_verify.NotProven):
        audit_verify.read_policy(text)


def test_comments_empty_lines_and_spaces_are_allowed_in_a_policy():
    policy = audit_verify.read_policy(f"# ours\n\n  \t log  {KEY.verifier_key}\thttps://log.example \n quorum none\n")

    assert list(policy.logs) == [ORIGIN]
    assert Path(audit_verify.__file__).read_text().count("import services") == 0
