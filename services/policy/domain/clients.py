"""What is on record of clients at an instant, for those who resolve what applies to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kernel.ids import PolicyNodeId
from services.policy.domain.personal import ProfileRecord
from services.policy.domain.preferences import PreferencesRecord


@dataclass(frozen=True, slots=True)
class Clients:
    """Profiles and consents by account or household, preferences by account.

    Attributes:
        valid_consents: The kinds of which a valid consent is on record.
    """

    profiles: Mapping[PolicyNodeId, ProfileRecord] = field(default_factory=dict)
    valid_consents: Mapping[PolicyNodeId, frozenset[str]] = field(default_factory=dict)
    preferences: Mapping[PolicyNodeId, PreferencesRecord] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether anything is on record by which rules differ: consents only hold accounts."""
        return bool(self.profiles or self.preferences)


NOBODY = Clients()
"""Nothing is on record."""
