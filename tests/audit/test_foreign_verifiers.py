"""Tools that we did not write read what our log exports: tlog-scales (Python), metamorphic-log (Rust), Go's sumdb."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import metamorphic_log
import pytest
from tlog_scales import tiles as scales_tiles
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from services.audit.domain.checkpoint import Checkpoint, sign_checkpoint
from services.audit.domain.merkle import consistency_spans, inclusion_spans, span_root
from services.audit.domain.tiles import RightEdge, TileId, TileNodes
from tests.audit.builders import KEY, ORIGIN
from tests.audit.test_audit_verify import ENTRIES, note_of, written

VERIFIER_KEY = str(KEY.verifier_key)
SIZES = [1, 2, 3, 7, 255, 256, 257, 512, 600]


def nodes_of(size):
    edge, full = RightEdge().extended(entry.leaf for entry in ENTRIES[:size])
    tiles = {tile.id: tile.data for tile in full}
    for level, row in enumerate(edge.partials):
        tiles |= {TileId(level, size // 256 ** (level + 1)): b"".join(row)} if row else {}
    return TileNodes(tiles)


def inclusion(index, size):
    return [span_root(nodes_of(size), span) for span in inclusion_spans(index, size)]


def consistency(first, second):
    return [span_root(nodes_of(second), span) for span in consistency_spans(first, second)]


@pytest.mark.parametrize("size", SIZES)
def test_tlog_scales_reads_our_tiles_entries_and_checkpoint_and_makes_the_same_proofs(tmp_path, size):
    reader = TilesReader(LocalBackend(written(tmp_path, ENTRIES[:size])))

    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(VERIFIER_KEY))
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, size)
    assert reader.calculate_root_hash() == checkpoint.root_hash
    for index in {0, size // 2, size - 1}:
        assert reader.get_entry(index) == ENTRIES[index].body
        assert scales_tiles.leaf_hash(reader.get_entry(index)) == ENTRIES[index].leaf
        proof = reader.get_inclusion_proof(index, size)
        assert proof.node_hashes == inclusion(index, size)
        proof.check(ENTRIES[index].leaf, checkpoint.root_hash)
    for first in {1, size // 2 + 1, size}:
        assert reader.get_consistency_proof(first, size).node_hashes == consistency(first, size)


@pytest.mark.parametrize("size", SIZES)
def test_metamorphic_log_accepts_our_checkpoints_and_proofs_and_no_bent_ones(size):
    note = note_of(ENTRIES[:size])

    head = metamorphic_log.checkpoint_verify(note, [VERIFIER_KEY])
    assert head.size == size
    for index in {0, size // 2, size - 1}:
        proof = inclusion(index, size)
        metamorphic_log.checkpoint_verify_inclusion(note, [VERIFIER_KEY], index, ENTRIES[index].leaf, proof)
        with pytest.raises(metamorphic_log.VerifyError):
            metamorphic_log.checkpoint_verify_inclusion(note, [VERIFIER_KEY], index, b"\0" * 32, proof)
    for first in {1, size // 2 + 1, size}:
        older = note_of(ENTRIES[:first])
        metamorphic_log.checkpoint_verify_consistency(older, note, [VERIFIER_KEY], consistency(first, size))
        forked = sign_checkpoint(Checkpoint(ORIGIN, first, b"\0" * 32), [KEY])
        with pytest.raises(metamorphic_log.VerifyError):
            metamorphic_log.checkpoint_verify_consistency(forked, note, [VERIFIER_KEY], consistency(first, size))


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory):
    """A program around the packages of Go's checksum database, where Debian's compiler and packages are at hand."""
    packages = Path("/usr/share/gocode")
    if shutil.which("go") is None or not (packages / "src/golang.org/x/mod/sumdb/tlog").exists():
        why = "Go's sumdb is not at hand: apt-get install golang-go golang-golang-x-mod-dev"
        sys.stdout.write(f"\n{why}\n")
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("go")
    program = directory / "sumdb"
    source = Path(__file__).parent / "foreign" / "sumdb.go"
    environment = {
        "PATH": os.environ["PATH"], "GO111MODULE": "off", "GOPATH": str(packages), "GOCACHE": str(directory / "cache")
    }  # fmt: skip
    subprocess.run(["go", "build", "-o", str(program), str(source)], env=environment, check=True)
    return program


@pytest.mark.chaos
def test_gos_sumdb_accepts_our_checkpoints_tiles_and_proofs_and_no_bent_ones(sumdb, tmp_path):
    accepted = refused = 0
    for size in SIZES:
        folder = written(tmp_path / str(size), ENTRIES[:size])
        questions, wanted = [], []
        for index in {0, size // 2, size - 1}:
            record = {"Kind": "record", "Index": index, "Body": ENTRIES[index].body.hex()}
            record["Proof"] = [each.hex() for each in inclusion(index, size)]
            questions += [record, record | {"Kind": "tiles"}, record | {"Body": b"another".hex()}]
            wanted += ["yes", "yes", "no"]
            if size > 1:
                questions.append(record | {"Proof": [bytes(32).hex(), *record["Proof"][1:]]})
                wanted.append("no")
        for first in {1, size // 2 + 1, size}:
            root = RightEdge().extended(entry.leaf for entry in ENTRIES[:first])[0].root()
            older = {"Kind": "tree", "First": first, "Root": root.hex()}
            older["Proof"] = [each.hex() for each in consistency(first, size)]
            questions += [older, older | {"Root": bytes(32).hex()}]
            wanted += ["yes", "no"]

        answers = answers_of(sumdb, folder, VERIFIER_KEY, questions)

        assert [answer[:3].strip(":") for answer in answers] == [each if each == "yes" else "no" for each in wanted]
        accepted += wanted.count("yes")
        refused += wanted.count("no")
        # Nobody else's key opens the checkpoint.
        assert answers_of(sumdb, folder, str(KEY.derived(f"{ORIGIN}/other").verifier_key), [])[0].startswith("no:")
    sys.stdout.write(f"\nGo's sumdb accepted {accepted} of {accepted}, and refused {refused} of {refused} bent ones\n")


def answers_of(program, folder, key, questions):
    text = "".join(f"{json.dumps(each)}\n" for each in questions)
    command = [str(program), str(folder), key]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.splitlines()
