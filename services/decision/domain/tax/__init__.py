"""How are gains taxed, where the account is taxed?"""

from services.decision.domain.tax.jurisdiction import Jurisdiction, LotTax, TaxView
from services.decision.domain.tax.united_states import UnitedStates
from services.kernel.errors import FieldViolation, Invalid

JURISDICTIONS: dict[str, Jurisdiction] = {"US": UnitedStates()}


def jurisdiction(name: str) -> Jurisdiction:
    """Return the rules registered under `name`.

    Raises:
        Invalid: There are none.
    """
    if name not in JURISDICTIONS:
        known = ", ".join(sorted(JURISDICTIONS))
        description = f"must be one of {known}, was {name}"
        raise Invalid(f"tax.jurisdiction {description}", violations=[FieldViolation("tax.jurisdiction", description)])
    return JURISDICTIONS[name]


__all__ = ["Jurisdiction", "LotTax", "TaxView", "jurisdiction"]
