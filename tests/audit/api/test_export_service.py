"""What a running service exports is proven offline, and who exported it is recorded first."""

import json
import types
from datetime import UTC, datetime

import grpc
import pytest

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import export_service_pb2 as pb
from services.audit.api import ACCESS_INDEX_HEADER
from services.audit.domain.logs import ACCESS
from tests.audit.builders import KEY, some_events
from tests.support.refusals import refused
from tools.client.bundle import export_part
from tools.verifier import audit_verify

VERIFIER_KEY = str(KEY.verifier_key)


def by_account(account):
    return audit.EntryFilter(subjects=[audit.Subject(kind="account", id=account)])


async def exported(whole, folder, **request):
    session = types.SimpleNamespace(exports=whole.exports)
    await export_part(session, pb.ExportRequest(**request), folder, VERIFIER_KEY)
    return audit_verify.main([str(folder / "policy.txt"), str(folder)])


async def test_a_part_of_a_running_log_is_proven_offline(whole, tmp_path, capsys):
    for number in range(4):
        await whole.append(*some_events(150, f"batch {number}"))

    every_form = [pb.ExportRequest.FORM_CSV, pb.ExportRequest.FORM_TEXT]
    part = await exported(whole, tmp_path / "part", filter=by_account("acc-1"), forms=every_form, reason="Asked.")
    everything = await exported(whole, tmp_path / "all")
    reads = await exported(whole, tmp_path / "none", filter=audit.EntryFilter(actor="nobody"))

    said = capsys.readouterr().out.splitlines()
    assert [part, everything, reads] == [audit_verify.PROVEN] * 3, said
    assert "numbers 1 148 acc-1 without a gap" in said[0]
    assert "600 of 600 entries" in said[1]
    assert "0 of 600 entries" in said[2]


async def test_who_exports_is_recorded_before_the_first_row_leaves(whole):
    await whole.append(*some_events(3))
    stream = whole.exports.Export(pb.ExportRequest(filter=by_account("acc-1"), reason="Subpoena 7."))

    header = dict(await stream.initial_metadata())

    body = json.loads(await whole.reader(ACCESS).body(int(header[ACCESS_INDEX_HEADER])))
    assert (body["kind"], body["actor"], body["subjects"]) == ("audit.access.exported", "carl", {"account": "acc-1"})
    assert body["data"]["question"]["reason"] == "Subpoena 7."
    files = {}
    async for piece in stream:
        files[piece.path] = files.get(piece.path, b"") + piece.content
    assert f"access {header[ACCESS_INDEX_HEADER]}\n".encode() in files["manifest"]


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (pb.ExportRequest(log="nowhere"), grpc.StatusCode.NOT_FOUND, "LOG_UNKNOWN"),
        (pb.ExportRequest(tree_size=2), grpc.StatusCode.NOT_FOUND, "TREE_SIZE_UNKNOWN"),
        (pb.ExportRequest(start_index=3, stop_index=2), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (pb.ExportRequest(forms=[0]), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
    ],
)
async def test_what_cannot_be_exported_is_refused(whole, request_, code, reason):
    await whole.append(*some_events(3))

    async def reading():
        return [piece async for piece in whole.exports.Export(request_)]

    error = await refused(reading())

    assert (error.code, error.reason) == (code, reason)


async def test_the_access_log_itself_is_exported_by_its_own_key(whole, tmp_path):
    await whole.append(*some_events(3))
    await exported(whole, tmp_path / "events")

    session = types.SimpleNamespace(exports=whole.exports)
    key = str(whole.assembled.opened[ACCESS].key.verifier_key)
    await export_part(session, pb.ExportRequest(log=ACCESS), tmp_path / "access", key)

    assert audit_verify.main([str(tmp_path / "access" / "policy.txt"), str(tmp_path / "access")]) == audit_verify.PROVEN


async def test_an_export_of_a_time_begins_and_ends_there(whole, tmp_path, capsys):
    await whole.append(*some_events(10))
    later = audit.EntryFilter()
    later.start_time.FromDatetime(datetime(2200, 1, 1, tzinfo=UTC))

    assert await exported(whole, tmp_path / "later", filter=later) == audit_verify.PROVEN
    assert "0 of 10 entries" in capsys.readouterr().out
