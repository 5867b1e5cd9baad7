"""The audit log, a part of it, or one entry's proof, as files that others can check without us.

`tools/verifier/audit_verify.py` checks all of them.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.export_service_pb2 import ExportRequest
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.export import TileExport
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.tlog_proof import FILE_SUFFIX, TlogProof
from services.audit.domain.verify import LogReport, LogVerifier
from services.kernel.errors import Invalid, Violations
from tools.client.session import Evenkeel

# What the verifier is told to trust; whoever checks should have the key from somewhere else than from us.
POLICY_FILE = "policy.txt"


async def export_log(services: Evenkeel, verifier_key: str, directory: Path, log: str = "") -> LogReport:
    """Write a whole log to `directory`, as C2SP tlog-tiles lays it out, and verify it on the way.

    The log is `log`, `events` when empty.

    Raises:
        Invalid: `directory` holds a log already.
        NoteInvalid: The checkpoint is not signed by `verifier_key`.
        Unproven: What the service gave is not what it signed. The files do not have a checkpoint then.
    """
    _require_room(directory, "checkpoint")
    key = VerifierKey.parse(verifier_key)
    signed = (await services.audit.GetCheckpoint(pb.GetCheckpointRequest(log=log))).checkpoint
    checkpoint = open_checkpoint(signed.note, origin=key.name, keys=[key])
    verifier, export = LogVerifier([checkpoint]), TileExport()
    if checkpoint.size:
        async for batch in services.audit.StreamEntries(pb.StreamEntriesRequest(log=log)):
            for entry in batch.entries[: checkpoint.size - verifier.size]:
                verifier.add(entry.body)
                for path, content in export.add(entry.body):
                    await asyncio.to_thread(_write, directory / path, content)
            if verifier.size == checkpoint.size:
                break
    report = verifier.report()
    for path, content in export.finish(signed.note):
        await asyncio.to_thread(_write, directory / path, content)
    await asyncio.to_thread(write_policy, directory, verifier_key)
    return report


async def export_part(services: Evenkeel, request: ExportRequest, directory: Path, verifier_key: str) -> int:
    """Write the export that `request` asks for to `directory`; return how many bytes it has.

    Raises:
        Invalid: `directory` holds an export already.
        grpc.aio.AioRpcError: The service refused, or the stream broke. The files do not have a manifest then.
    """
    _require_room(directory, "entries.jsonl", "checkpoint")
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    size = 0
    with ExitStack() as opened:
        files: dict[str, BinaryIO] = {}
        async for piece in services.exports.Export(request):
            if piece.path not in files:
                if "/" in piece.path or piece.path.startswith("."):
                    raise ValueError(f"the service names a file outside the folder: {piece.path}")
                files[piece.path] = opened.enter_context((directory / piece.path).open("wb"))
            files[piece.path].write(piece.content)
            size += len(piece.content)
    write_policy(directory, verifier_key)
    return size


async def export_proof(
    services: Evenkeel, verifier_key: str, index: int, directory: Path, log: str = ""
) -> tuple[Path, Path]:
    """Write entry `index` and the proof that it is in a log to `directory`; return the two files.

    The log is `log`, `events` when empty.

    Raises:
        NoteInvalid: The checkpoint is not signed by `verifier_key`.
        Unproven: The proof that the service gave does not hold.
    """
    key = VerifierKey.parse(verifier_key)
    entry = (await services.audit.GetEntry(pb.GetEntryRequest(index=index, log=log))).entry
    answer = await services.audit.GetInclusionProof(pb.GetInclusionProofRequest(index=index, log=log))
    proof = TlogProof(index, tuple(answer.hashes), answer.checkpoint.note)
    proof.verify(entry.body, origin=key.name, keys=[key])
    record, proof_file = directory / f"{index}.json", directory / f"{index}{FILE_SUFFIX}"
    _write(record, entry.body)
    _write(proof_file, proof.text().encode())
    write_policy(directory, verifier_key)
    return record, proof_file


def write_policy(directory: Path, verifier_key: str) -> None:
    """Have the policy file of `directory` trust the log of `verifier_key`; what it says besides stays."""
    file, trusted = directory / POLICY_FILE, f"log {verifier_key}"
    said = file.read_text().splitlines() if file.exists() else ["quorum none"]
    if trusted not in said:
        _write(file, "".join(f"{line}\n" for line in [trusted, *said]).encode())


def _require_room(directory: Path, *files: str) -> None:
    violations = Violations()
    for each in files:
        if (directory / each).exists():
            violations.add("directory", f"must be a new or empty folder, {directory} has {each}")
    violations.raise_if_any(Invalid)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
