"""Legal entity identifiers, ISO 17442: eighteen characters and two check digits."""

import re

_LEI = re.compile(r"[A-Z0-9]{18}[0-9]{2}")


def is_lei(text: str) -> bool:
    """Return whether `text` is an LEI: with letters as two digits, A 10 to Z 35, it is 1 modulo 97 (ISO 7064)."""
    return bool(_LEI.fullmatch(text)) and _digits(text) % 97 == 1


def with_check_digits(stem: str) -> str:
    """Return the LEI that begins with these eighteen characters.

    Raises:
        ValueError: They are not eighteen capital letters and digits.
    """
    if not re.fullmatch(r"[A-Z0-9]{18}", stem):
        raise ValueError(f"an LEI begins with 18 capital letters and digits, was {stem[:40]!r}")
    return f"{stem}{98 - _digits(f'{stem}00') % 97:02d}"


def _digits(text: str) -> int:
    return int("".join(str(int(each, 36)) for each in text))
