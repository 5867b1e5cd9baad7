"""Is the audit log whole? Reads it from the first entry to the last and trusts nothing but the log's public key."""

from dataclasses import dataclass
from typing import BinaryIO

from evenkeel.audit.v1 import audit_service_pb2 as pb
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.verify import LogReport, LogVerifier
from tools.client.session import Evenkeel


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """What was found in a log that is whole."""

    origin: str
    report: LogReport

    @property
    def root_hex(self) -> str:
        """The root hash, as hexadecimal digits."""
        return self.report.root.hex()

    @property
    def sentence(self) -> str:
        """The result in words."""
        return (
            f"{self.origin}: {self.report.size:,} entries about {len(self.report.account_entries):,} accounts "
            f"hash to the signed root {self.root_hex}"
        )


async def verify_log(
    services: Evenkeel, verifier_key: str, export: BinaryIO | None = None, log: str = ""
) -> VerifiedLog:
    """Read every entry that the newest checkpoint of a log covers, compute the tree, compare; write bodies to `export`.

    The log is `log`, `events` when empty.

    Raises:
        NoteInvalid: The checkpoint is not signed by `verifier_key`.
        Unproven: An entry is not what belongs at its place, or the tree is not the signed one.
    """
    key = VerifierKey.parse(verifier_key)
    signed = (await services.audit.GetCheckpoint(pb.GetCheckpointRequest(log=log))).checkpoint
    checkpoint = open_checkpoint(signed.note, origin=key.name, keys=[key])
    verifier = LogVerifier([checkpoint])
    async for batch in services.audit.StreamEntries(pb.StreamEntriesRequest(log=log)):
        for entry in batch.entries[: checkpoint.size - verifier.size]:
            verifier.add(entry.body)
            if export is not None:
                export.write(entry.body + b"\n")
        if verifier.size == checkpoint.size:
            break
    return VerifiedLog(checkpoint.origin, verifier.report())
