"""Every country whose law is here: its rules for choosing trades, and its rules for assessing a year."""

from dataclasses import dataclass

from services.decision.domain.tax import JURISDICTIONS, Jurisdiction
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear


@dataclass(frozen=True, slots=True)
class Law:
    """The law of one country.

    Attributes:
        code: ISO 3166-1.
        currency: In which its tax is reckoned, ISO 4217.
        planning: What choosing trades needs.
        assessing: What a year comes to, for a taxpayer of whom nothing is known.
    """

    code: str
    currency: str
    planning: Jurisdiction
    assessing: TaxRules


LAWS: dict[str, Law] = {
    code: Law(code, currency, JURISDICTIONS[code], assessing)
    for code, currency, assessing in (
        ("CA", "CAD", Canada()),
        ("DE", "EUR", Germany()),
        ("GB", "GBP", UnitedKingdom()),
        ("US", "USD", UnitedStatesYear()),
    )
}
