"""How are gains taxed, where the account is taxed?"""

from services.decision.domain.tax.jurisdiction import Jurisdiction, LotTax, TaxView
from services.decision.domain.tax.united_states import UnitedStates
from services.kernel.errors import FieldViolation, Invalid

JURISDICTIONS: dict[str, Jurisdiction] = {"US": UnitedStates()}


class JurisdictionUnknown(Invalid):
    """No rules are registered for the account's jurisdiction."""

    reason = "JURISDICTION_UNKNOWN"


def jurisdiction(name: str) -> Jurisdiction:
    """Return the rules registered under `name`.

    Raises:
        JurisdictionUnknown: There are none.
    """
    if name not in JURISDICTIONS:
        known = ", ".join(sorted(JURISDICTIONS))
        description = f"must be one of {known}, was {name}"
        violations = [FieldViolation("tax.jurisdiction", description)]
        raise JurisdictionUnknown(f"tax.jurisdiction {description}", violations=violations)
    return JURISDICTIONS[name]


__all__ = ["Jurisdiction", "JurisdictionUnknown", "LotTax", "TaxView", "jurisdiction"]
