"""Events, keys and logs for tests, said shortly."""

import uuid
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.domain.entry import Event
from services.audit.domain.signed_note import SigningKey
from services.kernel.canonical import canonical_json

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
ORIGIN = "audit.example/events"
KEY = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ACCESS_KEY = KEY.derived(f"{ORIGIN}/access")
TRACE_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def an_event_id(name):
    return str(uuid.uuid5(_NAMESPACE, str(name)))


def an_event(
    name="an event",
    *,
    kind="decision.plan.approved",
    account="acc-1",
    subjects=None,
    data=None,
    actor="alice",
    producer="decision",
    occurred_time=NOON,
    trace_parent=TRACE_PARENT,
):
    about = {"account": account} if account else {}
    return Event(
        event_id=an_event_id(name),
        kind=kind,
        occurred_time=occurred_time,
        producer=producer,
        actor=actor,
        trace_parent=trace_parent,
        subjects=about | (subjects or {"plan": f"plan-{name}"}),
        data=canonical_json(data if data is not None else {"name": str(name)}),
    )


def some_events(count, prefix="event", accounts=3):
    """`count` events, of different ids and accounts."""
    return [
        an_event(f"{prefix} {number}", account=f"acc-{number % accounts}" if number % (accounts + 1) else None)
        for number in range(count)
    ]


def later(seconds):
    return NOON + timedelta(seconds=seconds)
