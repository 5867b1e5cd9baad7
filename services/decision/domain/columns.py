"""Columns of exact numbers, the form in which bulk data arrives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.kernel.decimals import from_units

# The finest scale of a column, and the one at which columns are compared.
SCALE_MAX = 9

# Dates of columns are days since then.
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of exact numbers: row `r` is `units[r] * 10 ** -scale`."""

    units: Sequence[int]
    scale: int

    @property
    def decimals(self) -> list[Decimal]:
        """Return the numbers, one per row."""
        return from_units(self.units, self.scale)

    @property
    def finest(self) -> list[int]:
        """Return the numbers as integers at `SCALE_MAX`."""
        factor = 10 ** (SCALE_MAX - self.scale)
        return [units * factor for units in self.units]


def plain_number(units: int, scale: int) -> str:
    """Return `units * 10 ** -scale` in plain digits."""
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), 10**scale)
    return f"{sign}{whole}.{part:0{scale}d}".rstrip("0") if part else f"{sign}{whole}"
