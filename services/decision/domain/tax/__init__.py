"""How are gains taxed, where the account is taxed?"""

from services.decision.domain.tax.depots import GermanyPlanning
from services.decision.domain.tax.jurisdiction import Jurisdiction, LotTax, TaxView
from services.decision.domain.tax.pools import CanadaPlanning, UnitedKingdomPlanning
from services.decision.domain.tax.united_states import UnitedStates
from services.kernel.errors import FieldViolation, Invalid

JURISDICTIONS: dict[str, Jurisdiction] = {
    "CA": CanadaPlanning(),
    "DE": GermanyPlanning(),
    "GB": UnitedKingdomPlanning(),
    "US": UnitedStates(),
}


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


def jurisdiction_in(name: str, year: int) -> Jurisdiction:
    """Return the rules registered under `name`, if they are those of the calendar year `year`.

    Raises:
        JurisdictionUnknown: There are none, or their law was not reviewed for that year.
    """
    rules = jurisdiction(name)
    if not rules.first_year <= year <= rules.last_year:
        description = f"has rules for {rules.first_year} to {rules.last_year} in {name}, was asked about {year}"
        violations = [FieldViolation("tax.jurisdiction", description)]
        raise JurisdictionUnknown(f"tax.jurisdiction {description}", violations=violations)
    return rules


__all__ = [
    "JURISDICTIONS",
    "Jurisdiction",
    "JurisdictionUnknown",
    "LotTax",
    "TaxView",
    "jurisdiction",
    "jurisdiction_in",
]
