"""How policy tells of what was recorded of clients.

Events are kept for good and read by many, so they name facts of clients and never say them: which parts of a profile
changed, not what they are. Two things are said all the same, because supervisors ask the record for them: who a client
is, and words that people wrote about a client. Audit encrypts both under the client's own key before it keeps them.
"""

from services.kernel.canonical import JsonValue
from services.kernel.events import Event
from services.policy.app.events import DIFFERENCES_TOLD_MAX, subjects_of
from services.policy.domain.diff import Difference
from services.policy.domain.identity import ClientIdentity, IdentifierScheme
from services.policy.domain.personal import Consent, Profile, ProfileRecord
from services.policy.domain.preferences import PreferencesRecord
from services.policy.domain.tree import Node


def profile_event(record: ProfileRecord, before: Profile | None, node: Node) -> Event:
    """Return the event that a profile was recorded, `before` being the one that it follows."""
    changed = [
        name for name in Profile.__slots__ if before is None or getattr(before, name) != getattr(record.profile, name)
    ]
    data: dict[str, JsonValue] = {
        "sequence": record.sequence,
        "author": record.author,
        "reason": record.reason,
        "fields": list(changed),
        "effective_time": record.effective_time,
    }
    if record.profile.identity is not None:
        data["identity"] = _identity(record.profile, record.profile.identity)
    return Event("policy.profile.recorded", subjects_of(node), data)


def consent_event(consent: Consent, node: Node) -> Event:
    """Return the event that a consent was recorded, or withdrawn."""
    data: dict[str, JsonValue] = {
        "kind": consent.kind,
        "sequence": consent.sequence,
        "evidence": consent.evidence,
        "author": consent.author,
        "effective_time": consent.effective_time,
        "expire_time": consent.expire_time,
    }
    return Event(f"policy.consent.{'recorded' if consent.given else 'withdrawn'}", subjects_of(node), data)


def preferences_event(record: PreferencesRecord, changed: tuple[Difference, ...], node: Node) -> Event:
    """Return the event that preferences were set, with what they changed in the account's effective policy."""
    data: dict[str, JsonValue] = {
        "preferences_hash": record.preferences.version_id,
        "sequence": record.sequence,
        "author": record.author,
        "reason": record.reason,
        "effective_time": record.effective_time,
        "difference_count": len(changed),
        "differences": [difference.description for difference in changed[:DIFFERENCES_TOLD_MAX]],
    }
    return Event("policy.preferences.recorded", subjects_of(node), data)


def _identity(profile: Profile, said: ClientIdentity) -> dict[str, JsonValue]:
    """Return who a client is, as RTS 22 asks for it; an entity has no birthday."""
    told: dict[str, JsonValue] = {"scheme": said.scheme.value, "identifier": said.identifier}
    if said.scheme is not IdentifierScheme.LEI:
        told |= {
            "first_names": said.first_names,
            "surnames": said.surnames,
            "birth_date": profile.birth_date.isoformat(),
        }
    return told
