"""What the client exports from a running service, given to the offline verifier."""

import types

import pytest

from services.audit.domain.merkle import Unproven
from services.audit.domain.signed_note import NoteInvalid
from services.kernel.errors import Invalid
from tests.audit.builders import KEY, some_events
from tools.client.bundle import export_log, export_proof
from tools.verifier import audit_verify

VERIFIER_KEY = str(KEY.verifier_key)
ANOTHER_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def session(service):
    return types.SimpleNamespace(audit=service.reading)


@pytest.mark.parametrize("size", [0, 1, 600])
async def test_an_exported_log_is_proven_offline(service, tmp_path, capsys, size):
    if size:
        await service.append(*some_events(size))

    report = await export_log(session(service), VERIFIER_KEY, tmp_path / "log")

    assert report.size == size
    assert audit_verify.main([str(tmp_path / "log/policy.txt"), str(tmp_path / "log")]) == audit_verify.PROVEN
    assert f"{size} entries" in capsys.readouterr().out


async def test_an_exported_proof_is_proven_offline(service, tmp_path):
    await service.append(*some_events(300))

    record, proof = await export_proof(session(service), VERIFIER_KEY, 259, tmp_path)

    assert audit_verify.main([str(tmp_path / "policy.txt"), str(proof), str(record)]) == audit_verify.PROVEN


async def test_a_folder_with_proofs_of_two_logs_trusts_both_and_keeps_what_its_policy_said(service, tmp_path):
    await service.append(*some_events(3))
    (tmp_path / "policy.txt").write_text(f"# ours\nlog {ANOTHER_KEY}\nquorum none\n")

    for _ in range(2):
        record, proof = await export_proof(session(service), VERIFIER_KEY, 2, tmp_path)

    assert audit_verify.main([str(tmp_path / "policy.txt"), str(proof), str(record)]) == audit_verify.PROVEN
    said = (tmp_path / "policy.txt").read_text().splitlines()
    assert said == [f"log {VERIFIER_KEY}", "# ours", f"log {ANOTHER_KEY}", "quorum none"]


async def test_nothing_is_exported_over_another_log_or_by_another_key(service, tmp_path):
    await service.append(*some_events(3))
    await export_log(session(service), VERIFIER_KEY, tmp_path)

    with pytest.raises(Invalid, match="must be a new or empty folder"):
        await export_log(session(service), VERIFIER_KEY, tmp_path)
    with pytest.raises(NoteInvalid):
        await export_log(session(service), ANOTHER_KEY, tmp_path / "x")


async def test_a_log_that_does_not_match_its_checkpoint_gets_none(service, tmp_path):
    await service.append(*some_events(3))

    class Bent:
        def __init__(self, stub):
            self.GetCheckpoint = stub.GetCheckpoint
            self._stub = stub

        async def StreamEntries(self, request):
            async for batch in self._stub.StreamEntries(request):
                for entry in batch.entries:
                    entry.body = entry.body.replace(b"alice", b"malice")
                yield batch

    with pytest.raises(Unproven):
        await export_log(types.SimpleNamespace(audit=Bent(service.reading)), VERIFIER_KEY, tmp_path)
    assert not (tmp_path / "checkpoint").exists()
