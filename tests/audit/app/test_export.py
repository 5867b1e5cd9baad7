"""An export is proven offline whatever part of the log it is, and every change of it is found and named."""

import itertools
import json
import random
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.audit.app.export import Exporter, ExportOrder, Form
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from services.audit.domain.cosignature import Cosigner
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import Span, leaf_hash
from services.audit.domain.sequencing import Head, grow
from services.audit.domain.sparse import SparseTree, gap_spans, proof_spans
from services.audit.domain.tiles import RightEdge
from tests.audit.builders import KEY, NOON, ORIGIN, an_event, later, some_events
from tests.audit.memory_log import MemoryLog
from tools.verifier import audit_verify

POLICY = audit_verify.read_policy(f"log {KEY.verifier_key}\nquorum none\n")
WITNESS = Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
ODD = an_event(
    "odd", account=None, actor='o"dd, one', data={"a": 'line\nbreak, "quoted"', "b": [1, {"c": None}], "ü": "é"}
)


class Log(MemoryLog):
    """A log of `size` entries, without a sequencer."""

    def __init__(self, size):
        super().__init__(ORIGIN)
        growth = grow(Head(RightEdge(), None), [*some_events(size - 1), ODD], {}, {}, NOON)
        edge = growth.head.edge
        self.entries = list(growth.entries)
        self.full_tiles = {tile.id: tile.root for tile in growth.tiles}
        checkpoint = Checkpoint(ORIGIN, edge.size, edge.root())
        self.checkpoints = {edge.size: SignedCheckpoint(checkpoint, sign_checkpoint(checkpoint, [KEY]), NOON)}

    async def cosignatures(self, size):
        return [WITNESS.line(self.checkpoints[size].checkpoint.text(), 7)]

    async def lines(self, start, stop):
        entries = self.entries[start:stop]
        return [entry.index for entry in entries], b"\n".join(entry.body for entry in entries)


LOG = Log(700)


async def exported(folder, wanted=None, *, log=LOG, forms=(Form.CSV, Form.TEXT), **order):
    exporter = Exporter(log=log, rows=log, key=KEY)
    order = ExportOrder("events", wanted or EntryFilter(), frozenset(forms), "carl", 7, **order)
    folder.mkdir(exist_ok=True)
    async for path, content in exporter.export(order, later(60)):
        with (folder / path).open("ab") as file:
            file.write(content)
    return folder


def verified(folder):
    return audit_verify.verify_export(POLICY, folder)


@pytest.mark.parametrize(
    ("wanted", "order", "says"),
    [
        (EntryFilter(), {}, "700 of 700 entries, "),
        (EntryFilter(subjects={"account": "acc-1"}), {}, "numbers 1 175 acc-1 without a gap"),
        (EntryFilter(subjects={"plan": "plan-event 500"}), {}, "1 of 700 entries, "),
        (EntryFilter(actor="nobody"), {}, "0 of 700 entries, "),
        (EntryFilter(kind="decision.*", start_time=NOON, end_time=later(1)), {}, "700 of 700 entries, "),
        (EntryFilter(), {"start_index": 255, "stop_index": 513}, "258 of 700 entries, "),
        (EntryFilter(actor="alice"), {"start_index": 690}, "9 of 700 entries, "),
    ],
)
async def test_any_part_of_a_log_is_proven_offline(tmp_path, wanted, order, says):
    assert says in verified(await exported(tmp_path / "export", wanted, **order))


async def test_an_export_carries_what_witnesses_signed(tmp_path):
    folder = await exported(tmp_path / "export")
    asks = f"log {KEY.verifier_key}\nwitness w1 {WITNESS.key}\nquorum w1\n"
    other = Cosigner("other.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))

    assert audit_verify.verify_export(audit_verify.read_policy(asks), folder)
    with pytest.raises(audit_verify.NotProven, match="not seen by the witnesses"):
        audit_verify.verify_export(audit_verify.read_policy(asks.replace(str(WITNESS.key), str(other.key))), folder)


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 512])
async def test_a_log_of_any_size_is(tmp_path, size):
    log = Log(size)

    assert f"{size} of {size} entries" in verified(await exported(tmp_path / "all", log=log))
    assert f"1 of {size} entries" in verified(
        await exported(tmp_path / "one", EntryFilter(actor=ODD.actor), log=log, forms=())
    )


def test_it_runs_from_the_command_line(tmp_path, capsys):
    policy = tmp_path / "policy"
    policy.write_text(f"log {KEY.verifier_key}\nquorum none\n")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "entries.jsonl").write_bytes(b"")

    assert audit_verify.main([str(policy), str(tmp_path / "export")]) == audit_verify.REFUSED
    assert capsys.readouterr().out == "NOT PROVEN  manifest: cannot be read (No such file or directory)\n"


async def test_every_changed_bit_of_every_file_is_found_and_an_entrys_is_located(tmp_path):
    folder = await exported(tmp_path / "export", EntryFilter(subjects={"account": "acc-2"}), log=Log(300))
    bodies = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    ends = list(itertools.accumulate(map(len, bodies)))
    indexes = [int(re.search(rb'"index":(\d+),"kind"', body)[1]) for body in bodies]
    rnd = random.Random(3)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for _ in range(16):
            bit = rnd.randrange(len(content) * 8)
            bent = bytearray(content)
            bent[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bent)
            with pytest.raises(audit_verify.NotProven) as refused:
                verified(folder)
            says = str(refused.value)
            if path.name == "entries.jsonl":
                line = next(number for number, end in enumerate(ends) if bit // 8 < end)
                # A line break that is bent, or one that comes to be, moves what follows by a line.
                near = {indexes[line], indexes[min(line + 1, len(indexes) - 1)]}
                assert says.startswith(tuple(f"entry {index}:" for index in near)) or "entries.jsonl" in says, says
            elif path.name == "proof":
                assert says.startswith(("proof", "entry ")), says
            else:
                assert path.name.split(".")[0] in says, (path.name, says)
        path.write_bytes(content)
    assert verified(folder)


async def test_a_line_that_is_left_out_is_named_and_what_stands_there(tmp_path):
    folder = await exported(tmp_path / "export", EntryFilter(subjects={"account": "acc-2"}), forms=())
    lines = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    indexes = [json.loads(line)["index"] for line in lines]
    for kept, says in (
        (lines[:4] + lines[5:], f"entry {indexes[4]}: is left out, .* entry {indexes[5]} stands in its place"),
        (lines[:-1], f"entry {indexes[-1]}: is left out, entries.jsonl ends before it"),
    ):
        (folder / "entries.jsonl").write_bytes(b"".join(kept))
        with pytest.raises(audit_verify.NotProven, match=says):
            verified(folder)


async def test_an_entry_that_is_left_out_is_found(tmp_path):
    folder = await exported(tmp_path / "export", EntryFilter(subjects={"account": "acc-2"}), forms=())
    entries = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    proof = (folder / "proof").read_bytes().splitlines(keepends=True)
    gone = next(number for number, line in enumerate(proof) if line.startswith(b"leaf") and number > 20)
    index = int(proof[gone].split()[1])
    # A clever forger says that it is a subtree that nobody asked for.
    proof[gone] = b"node %d 1 %b" % (index, proof[gone].split(b" ")[2])
    (folder / "proof").write_bytes(b"".join(proof))
    (folder / "entries.jsonl").write_bytes(b"".join(e for e in entries if b'"index":%d,' % index not in e))

    with pytest.raises(audit_verify.NotProven, match=r"of acc-2; number \d+ is missing"):
        verified(folder)


async def test_an_export_of_everything_leaves_nothing_out(tmp_path):
    folder = await exported(tmp_path / "export", forms=())
    entries = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    proof = (folder / "proof").read_bytes().splitlines(keepends=True)
    proof[5] = proof[5].replace(b"leaf 5 ", b"node 5 1 ")
    (folder / "proof").write_bytes(b"".join(proof))
    (folder / "entries.jsonl").write_bytes(b"".join(entries[:5] + entries[6:]))

    with pytest.raises(audit_verify.NotProven, match="proof line 6: leaves out entries from 5 on"):
        verified(folder)


async def test_a_bent_log_gets_no_manifest(tmp_path):
    log = Log(40)
    log.entries[3] = log.entries[4]

    with pytest.raises(LogRootMismatch):
        await exported(tmp_path / "export", log=log)
    assert (tmp_path / "export" / "entries.jsonl").exists()
    assert not (tmp_path / "export" / "manifest").exists()


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_gap_is_perfect_subtrees_without_a_hole(start, width):
    spans = list(gap_spans(start, start + width))

    assert [at for span in spans for at in range(span.start, span.stop)] == list(range(start, start + width))
    assert all(span.start % (span.stop - span.start) == 0 for span in spans)
    assert len(spans) <= 2 * max(1, width).bit_length()


@settings(max_examples=50)
@given(st.sets(st.integers(0, 199)), st.integers(1, 200))
def test_the_root_follows_from_any_entries_and_what_is_between(chosen, size):
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    indexes = sorted(index for index in chosen if index < size)

    def root(span):
        return RightEdge().extended(leaves[span.start : span.stop])[0].root()

    spans = [*proof_spans(0, indexes), *gap_spans(indexes[-1] + 1 if indexes else 0, size)]
    parts = sorted([*spans, *(Span(index, index + 1) for index in indexes)])
    tree = SparseTree()
    for span in parts:
        tree.add(span.start, span.stop - span.start, root(span))

    assert tree.root() == root(Span(0, size))


@given(st.integers(0, 700), st.lists(st.integers(0, 300), max_size=4))
def test_leaves_taken_together_make_the_tree_that_they_make_one_by_one(start, counts):
    leaves = [entry.leaf for entry in LOG.entries]
    together, one_by_one = SparseTree(), SparseTree()
    for tree in (together, one_by_one):
        for span in gap_spans(0, start):
            tree.add(span.start, span.stop - span.start, bytes(32))
    for count in counts:
        some = leaves[:count]
        together.add_leaves(b"".join(some))
        for leaf in some:
            one_by_one.add(one_by_one.size, 1, leaf)

    assert (together.size, together.root()) == (one_by_one.size, one_by_one.root())
