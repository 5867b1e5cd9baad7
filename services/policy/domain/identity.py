"""By which identifier is a client known to supervisors, and by which name?

Del. Reg. (EU) 2017/590 (RTS 22), Art. 6 and Annex II: a legal entity by its LEI (ISO 17442), a natural person by the
country of nationality and a national number, or by a passport's, or by what is made of birthday and name (CONCAT).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from services.kernel.errors import Violations
from services.kernel.lei import is_lei

# Annex I, table 1, {NATIONAL_ID}: 35 characters, the first two of them the country of nationality.
_PERSON = re.compile(r"[A-Z]{2}[A-Z0-9#]{1,33}")
# Annex I, fields 9, 10: {ALPHANUM-140}.
NAME_LENGTH_MAX = 140


class IdentifierScheme(StrEnum):
    """Of which kind an identifier is, in the words of RTS 22."""

    LEI = "LEI"
    # A national identifier.
    NATIONAL = "NIDN"
    PASSPORT = "CCPT"
    # Country, birthday, and the first five letters each of first name and surname.
    CONCATENATION = "CONCAT"


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Who a client is for supervisors. A legal entity has no names here."""

    scheme: IdentifierScheme
    identifier: str
    first_names: str = ""
    surnames: str = ""

    def check(self, found: Violations) -> None:
        """Add what cannot be, by field."""
        entity = self.scheme is IdentifierScheme.LEI
        if entity and not is_lei(self.identifier):
            found.add("profile.identity.identifier", "must be an LEI (ISO 17442) with its check digits")
        if not entity and not _PERSON.fullmatch(self.identifier):
            found.add(
                "profile.identity.identifier",
                "must be a country (ISO 3166-1) and up to 33 capital letters, digits or #",
            )
        for name in ("first_names", "surnames"):
            value: str = getattr(self, name)
            if entity == bool(value.strip()):
                rule = "must be empty for a legal entity" if entity else "must be given for a person"
                found.add(f"profile.identity.{name}", rule)
            if len(value) > NAME_LENGTH_MAX:
                found.add(
                    f"profile.identity.{name}", f"must have at most {NAME_LENGTH_MAX} characters, had {len(value)}"
                )
