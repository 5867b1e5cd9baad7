"""By which public names is an instrument known? Supervisors ask for these, not for ours.

The book says them; decision keeps the last that it heard, and tells audit of each change.
"""

import re
from dataclasses import dataclass
from functools import reduce

# ISO 6166: country or agency, nine characters, one check digit.
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
# ISO 10962: six letters, the first of a known category.
_CFI = re.compile(r"[A-Z]{6}")
# Del. Reg. (EU) 2017/590, Annex I, field 42.
FULL_NAME_LENGTH_MAX = 350


@dataclass(frozen=True, slots=True)
class Identification:
    """How an instrument is called in public; each is empty when not said.

    Attributes:
        isin: ISO 6166.
        cfi: Its kind, ISO 10962, for instance `ESVUFR`.
        full_name: In words, at most 350 characters.
    """

    isin: str = ""
    cfi: str = ""
    full_name: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: The ISIN or the CFI is not one, or the name is too long.
        """
        if self.isin and not (_ISIN.fullmatch(self.isin) and isin_check_digit(self.isin[:-1]) == self.isin[-1]):
            raise ValueError(f"isin must be an ISO 6166 number with its check digit, was {self.isin[:20]!r}")
        if self.cfi and not _CFI.fullmatch(self.cfi):
            raise ValueError(f"cfi must be six letters (ISO 10962), was {self.cfi[:20]!r}")
        if len(self.full_name) > FULL_NAME_LENGTH_MAX:
            raise ValueError(
                f"full_name must have at most {FULL_NAME_LENGTH_MAX} characters, had {len(self.full_name)}"
            )

    def __bool__(self) -> bool:
        """Return whether anything is said."""
        return bool(self.isin or self.cfi or self.full_name)


def isin_check_digit(stem: str) -> str:
    """Return the check digit of the first eleven characters of an ISIN (ISO 6166:2021, annex A).

    Letters become two digits, A 10 to Z 35; then every second digit from the right counts twice, by the sum of its
    digits.
    """
    digits = [int(digit) for letter in stem for digit in str(int(letter, 36))]
    doubled = [digit * 2 if at % 2 == 0 else digit for at, digit in enumerate(reversed(digits))]
    total = reduce(lambda found, digit: found + digit // 10 + digit % 10, doubled, 0)
    return str(-total % 10)
