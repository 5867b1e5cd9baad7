"""A log that lost what it had published goes on under another name, and says so.

The old origin signed checkpoints that somebody may hold, over entries that are gone. It must never sign again. The new
origin's tree begins with what was restored, byte for byte; its first own entry names the old one's last checkpoint, so
that whoever holds proofs of the old log finds the new one, and sees what is missing.
"""

import uuid
from datetime import datetime

from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.entry import Event
from services.audit.domain.sequencing import AUDIT_ACTOR, AUDIT_PRODUCER
from services.kernel.canonical import canonical_json

CONTINUED_KIND = "audit.log.continued"

# Name space of the ids of these entries (RFC 9562, version 5).
_CONTINUATIONS = uuid.UUID("0d0f2f5e-8a1b-4f0e-9a41-6f2a3c7d9b20")


def continued_event(origin: str, restored: SignedCheckpoint, last_note: str | None, now: datetime) -> Event:
    """Return the event with which `origin` goes on after another's checkpoint `restored`.

    `last_note` is the last checkpoint that the other is known to have published; `restored` when None.
    """
    before = restored.checkpoint
    return Event(
        event_id=str(uuid.uuid5(_CONTINUATIONS, f"{origin} {restored.note}")),
        kind=CONTINUED_KIND,
        occurred_time=now,
        producer=AUDIT_PRODUCER,
        actor=AUDIT_ACTOR,
        trace_parent="",
        subjects={},
        data=canonical_json(
            {
                "continued_origin": before.origin,
                "last_checkpoint": last_note or restored.note,
                "restored_checkpoint": restored.note,
                "restored_size": before.size,
            }
        ),
    )
