"""An account's whole record, read from audit, verified, and kept as a file that others can check without us."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evenkeel.audit.v1 import query_service_pb2 as pb
from services.audit.domain.account_record import Bounds, CloseProof, ProvenEntry, RecordVerifier
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.closing import Leaf, ProvenLeaf
from services.audit.domain.entry import Entry
from services.audit.domain.merkle import Unproven
from services.audit.domain.signed_note import VerifierKey
from services.kernel.canonical import rfc3339
from services.runtime.wire import instant_of
from tools.client.session import Evenkeel

# The first member of the file, which says what it is and which version of it.
FORMAT = "evenkeel-account-record/v1"


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """A record that is whole: its entries, and the file that shows it to others."""

    bounds: Bounds
    entries: Sequence[Entry]
    file: bytes
    # Of the log that it is proven to be in.
    verifier_key: str
    # First and last numbers of what was destroyed.
    destroyed: Sequence[tuple[int, int]] = ()


async def read_record(services: Evenkeel, verifier_key: str, request: pb.GetAccountRecordRequest) -> VerifiedRecord:
    """Read an account's record, and check that nothing of it is missing.

    Raises:
        NoteInvalid: The checkpoint is not signed by `verifier_key`.
        Unproven: Something is missing, or is not in the log.
    """
    key = VerifierKey.parse(verifier_key)
    header: pb.AccountRecordHeader | None = None
    verifier: RecordVerifier | None = None
    proven: list[ProvenEntry] = []
    entries: list[Entry] = []
    bounds: Bounds | None = None
    async for message in services.audit_queries.GetAccountRecord(request):
        if message.HasField("header"):
            header = message.header
            bounds = _bounds_asked_for(header, request)
            verifier = RecordVerifier(bounds, open_checkpoint(header.checkpoint.note, origin=key.name, keys=[key]))
        if verifier is None:
            raise ValueError("the record does not begin with its header")
        for each in message.entries:
            proven.append(proven_of(each))
            entries.append(verifier.add(proven[-1]))
    if verifier is None or header is None or bounds is None:
        raise ValueError("the record has no header")
    verifier.finish()
    file = record_file(bounds, proven, header.checkpoint.note)
    return VerifiedRecord(bounds, entries, file, verifier_key, verifier.destroyed)


def _bounds_asked_for(header: pb.AccountRecordHeader, request: pb.GetAccountRecordRequest) -> Bounds:
    """Return what a header says.

    Raises:
        Unproven: It is about another account or period than was asked for. It may be complete until an earlier instant
            than asked, as nothing is known of what is to come.
    """
    bounds = bounds_of(header)
    start = instant_of(request.start_time, "start_time") if request.HasField("start_time") else None
    if bounds.account != request.account or bounds.start_time != start:
        raise Unproven(
            f"the answer is about account {bounds.account} from {_instant(bounds.start_time) or 'the beginning'}; "
            f"asked was account {request.account} from {_instant(start) or 'the beginning'}"
        )
    return bounds


def bounds_of(header: pb.AccountRecordHeader) -> Bounds:
    """Return what a header says."""
    close = None
    if header.HasField("close"):
        leaves = tuple(ProvenLeaf(each.position, _leaf(each), tuple(each.hashes)) for each in header.close.leaves)
        close = CloseProof(proven_of(header.close.close), proven_of(header.close.next), leaves)
    return Bounds(
        account=header.account,
        start_time=instant_of(header.start_time, "start_time") if header.HasField("start_time") else None,
        complete_until=instant_of(header.complete_until_time, "complete_until_time"),
        before=proven_of(header.before) if header.HasField("before") else None,
        after=proven_of(header.after) if header.HasField("after") else None,
        close=close,
    )


def _leaf(message: pb.CloseLeaf) -> Leaf:
    gone = tuple((each.first_sequence, each.last_sequence) for each in message.gone)
    return Leaf(message.account_hash, message.last_sequence, gone)


def proven_of(message: pb.ProvenEntry) -> ProvenEntry:
    """Return what a message says."""
    return ProvenEntry(message.entry.index, message.entry.body, tuple(message.hashes))


def record_file(bounds: Bounds, entries: Iterable[ProvenEntry], note: str) -> bytes:
    """Return the record as a file, as docs/audit.md describes it."""
    close = bounds.close
    members: dict[str, Any] = {
        "format": FORMAT,
        "account": bounds.account,
        "start_time": _instant(bounds.start_time),
        "complete_until_time": _instant(bounds.complete_until),
        "checkpoint": note,
        "before": _entry(bounds.before),
        "after": _entry(bounds.after),
        "close": close
        and {
            "close": _entry(close.close),
            "next": _entry(close.next),
            "leaves": [
                {
                    "position": each.position,
                    "account_hash": _base64(each.leaf.account_hash),
                    "last_sequence": each.leaf.last,
                    "hashes": [_base64(value) for value in each.path],
                    **({"gone": [list(pair) for pair in each.leaf.gone]} if each.leaf.gone else {}),
                }
                for each in close.leaves
            ],
        },
        "entries": [_entry(each) for each in entries],
    }
    return json.dumps(members, indent=1, ensure_ascii=False).encode() + b"\n"


def _entry(proven: ProvenEntry | None) -> dict[str, Any] | None:
    if proven is None:
        return None
    # The body as text: it is UTF-8, and a reader sees what it says. Its bytes are what the leaf hashes.
    return {"index": proven.index, "body": proven.body.decode(), "hashes": [_base64(each) for each in proven.path]}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
