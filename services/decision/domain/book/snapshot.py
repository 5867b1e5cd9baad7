"""A book as a source told it: what names it, and what it is of."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book.account import SnapshotId
from services.decision.domain.identification import Identification
from services.decision.domain.instruments import Instrument
from services.decision.domain.recorded import plain_value
from services.kernel.canonical import JsonValue, canonical_json
from services.kernel.ids import InstrumentId

# 128 bits: no two snapshots meet by chance.
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """Who tells a book, when it was true, and every instrument that its accounts hold.

    `identifications` has those instruments of which the book says a public name.
    """

    source: str
    as_of_time: datetime
    instruments: Sequence[Instrument]
    identifications: Mapping[InstrumentId, Identification] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A book as a source told it. Immutable; the id is made of the hash of its content."""

    snapshot_id: SnapshotId
    source: str
    as_of_time: datetime
    content_hash: str
    account_count: int
    position_count: int
    lot_count: int
    record_time: datetime


def snapshot_hash(header: SnapshotHeader, digests: Mapping[str, bytes]) -> str:
    """Return the name of a snapshot by its content, `sha256:…`, whatever the order of its accounts.

    Args:
        header: Of the snapshot.
        digests: SHA-256 of each account, by its id.
    """
    digest = hashlib.sha256()
    said: dict[str, JsonValue] = {
        "source": header.source,
        "as_of_time": header.as_of_time,
        "instruments": [
            [
                each.instrument_id,
                each.currency,
                each.asset_class,
                each.issuer,
                each.quantity_increment,
                each.identity_set,
                each.tradable,
                # Only where it says something, so that a snapshot keeps the name that it had before there were kinds.
                *([] if each.asset_kind is AssetKind.OTHER else [each.asset_kind.value]),
                *([[plain_value(year) for year in each.fund_years]] if each.fund_years else []),
            ]
            for each in sorted(header.instruments, key=lambda one: one.instrument_id)
        ],
    }
    # Only where something is said: a book without public names is called as it ever was.
    if header.identifications:
        said["identifications"] = [
            [instrument_id, each.isin, each.cfi, each.full_name]
            for instrument_id, each in sorted(header.identifications.items())
        ]
    digest.update(canonical_json(said))
    for account_id in sorted(digests):
        digest.update(b"\0" + account_id.encode() + b"\0" + digests[account_id])
    return f"sha256:{digest.hexdigest()}"


def snapshot_id(content_hash: str) -> SnapshotId:
    """Return the id of the snapshot whose content has that hash."""
    return SnapshotId(f"snapshot-{content_hash.removeprefix('sha256:')[:_ID_DIGITS]}")
