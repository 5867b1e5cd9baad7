"""How are gains taxed, where the account is taxed?"""

from collections.abc import Mapping, Sequence
from datetime import date

from services.decision.domain.tax.depots import GermanyPlanning
from services.decision.domain.tax.jurisdiction import Jurisdiction, LotTax, TaxView
from services.decision.domain.tax.pools import CanadaPlanning, UnitedKingdomPlanning
from services.decision.domain.tax.united_states import UnitedStates
from services.kernel.errors import FieldViolation, Invalid

NOTHING_REVIEWED: Mapping[str, Sequence[int]] = {}

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


def jurisdiction_on(name: str, day: date, reviewed: Mapping[str, Sequence[int]] = NOTHING_REVIEWED) -> Jurisdiction:
    """Return the rules registered under `name`, if somebody reviewed the law of the tax year of `day`.

    Args:
        name: ISO 3166-1 code of the country.
        day: Decided for.
        reviewed: By country, the tax years that were reviewed since this release was made.

    Raises:
        JurisdictionUnknown: There are none, or their law was not reviewed for that year.
    """
    rules = jurisdiction(name)
    year, since = rules.tax_year(day), reviewed.get(name, ())
    if not rules.first_year <= year <= rules.last_year and year not in since:
        last = max(rules.last_year, *since) if since else rules.last_year
        description = (
            f"has reviewed rules for the tax years {rules.first_year} to {last} in {name}, was asked about {year}"
        )
        violations = [FieldViolation("tax.jurisdiction", description)]
        how = "propose the year's law, and let another person approve it: evenkeel tax law"
        raise JurisdictionUnknown(f"tax.jurisdiction {description}: {how}", violations=violations)
    return rules


__all__ = [
    "JURISDICTIONS",
    "Jurisdiction",
    "JurisdictionUnknown",
    "LotTax",
    "TaxView",
    "jurisdiction",
    "jurisdiction_on",
]
