"""Is the log, as it is stored, all that it should be? Asked by the tests after each step."""

from itertools import pairwise

from services.audit.app import AuditApp, Growing
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.entry import parse_entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import leaf_hash, verify_consistency, verify_inclusion
from services.audit.domain.terms import postings
from services.audit.domain.tiles import TILE_WIDTH, RightEdge, split_hashes, tiles_of
from services.audit.domain.verify import verify_log
from tests.audit.builders import KEY


async def check_log(log, *, proofs_max=40, key=KEY):
    """Recompute the tree, every tile, and proofs, from what the reader `log` gives; return the entries."""
    newest = await log.checkpoint()
    size = newest.checkpoint.size
    bodies = list(await log.bodies(EntryFilter(), start=0, stop=size + 1, limit=size + 1))
    assert len(bodies) == size

    entries = [parse_entry(body) for body in bodies]
    checkpoints = []
    for at in range(0, size + 1, max(1, size // 500)):
        signed = await log.checkpoint(at)
        if signed is not None:
            opened = open_checkpoint(signed.note, origin=key.name, keys=[key.verifier_key])
            assert opened == signed.checkpoint
            checkpoints.append(opened)
    report = verify_log(bodies, checkpoints)
    assert report.root == newest.checkpoint.root
    assert report.checkpoints_verified == len(checkpoints)

    edge, full = RightEdge().extended(map(leaf_hash, bodies))
    assert edge.root() == newest.checkpoint.root
    expected = {tile.id: tile.data for tile in full}
    for wanted in tiles_of(size):
        data = (await log.tiles([wanted]))[wanted.id]
        assert data == expected.get(wanted.id, b"".join(edge.partials[wanted.id.level]))
        assert len(split_hashes(data)) == wanted.width <= TILE_WIDTH

    app = AuditApp(sequencer=None, log=log, growing=Growing())
    step = max(1, size // proofs_max)
    for index in range(0, size, step):
        proof = await app.inclusion_proof(index)
        verify_inclusion(
            index=index, size=size, leaf=leaf_hash(bodies[index]), proof=proof.hashes, root=newest.checkpoint.root
        )
    for earlier in checkpoints[1 :: max(1, len(checkpoints) // proofs_max)]:
        proof = await app.consistency_proof(earlier.size)
        verify_consistency(
            first=earlier.size,
            second=size,
            first_root=earlier.root,
            second_root=newest.checkpoint.root,
            proof=proof.hashes,
        )
    for entry in entries[::step]:
        assert await log.index_of(entry.event.event_id) == entry.index
    return entries


async def check_tables(connection):
    """Derive every row of every table from the bodies again, and compare."""
    rows = await connection.fetch("select idx, leaf, body from audit.entry order by idx")
    entries = [parse_entry(row["body"]) for row in rows]
    assert [(row["idx"], row["leaf"]) for row in rows] == [(entry.index, entry.leaf) for entry in entries]

    keys = await connection.fetch("select event_id::text, idx, digest from audit.event_key order by idx")
    assert [tuple(row) for row in keys] == [(each.event.event_id, each.index, each.event.digest) for each in entries]

    commits = await connection.fetch("select size, sign_time from audit.checkpoint_note order by size")
    expected = {}
    for (start, _), (stop, sign_time) in pairwise(commits):
        assert {entry.recorded_time for entry in entries[start:stop]} == {sign_time}
        expected |= {
            (term, start): each for term, each in postings(entry.event for entry in entries[start:stop]).items()
        }
    stored = await connection.fetch("select term, start, positions from audit.posting")
    assert {(term, start): each for term, start, each in stored} == expected

    _, full = RightEdge().extended(entry.leaf for entry in entries)
    stored = await connection.fetch("select level, idx, root, data from audit.tile order by level, idx")
    assert [tuple(row) for row in stored] == sorted((t.id.level, t.id.index, t.root, t.data) for t in full)
