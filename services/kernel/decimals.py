"""Exact decimal numbers, and their form as fixed-point integers.

Python's default decimal context rounds silently at 28 digits, and an exponent such as `1E+999999` is a short text and
an enormous number. Everything here computes in `EXACT`, which raises instead of rounding and bounds the exponent.

Columns travel as integers with one stated scale: the value is `units * 10 ** -scale`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow

# Largest exponent either way; far beyond any money, price or quantity, and small enough to write out.
EXPONENT_MAX = 99

# Two numbers of 100 digits multiply exactly.
EXACT = Context(
    prec=200,
    rounding=ROUND_HALF_EVEN,
    Emin=-EXPONENT_MAX,
    Emax=EXPONENT_MAX,
    traps=[Inexact, InvalidOperation, Overflow],
)

# Longest text that is read as a number: 99 digits on both sides, sign and point.
DECIMAL_TEXT_MAX = 201

# Units of a column are signed 64-bit integers.
UNITS_MAX = 2**63 - 1
UNITS_MIN = -(2**63)

# 10 ** 18 is the largest power of ten in 64 bits.
SCALE_MAX = 18

_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """An exact number as an integer and a scale: `units * 10 ** -scale`."""

    units: int
    scale: int

    def __post_init__(self) -> None:
        """Refuse what does not fit a column.

        Raises:
            ValueError: `scale` is outside 0 to 18, or `units` outside 64 bits.
        """
        _check_scale(self.scale)
        _check_units(self.units)

    @classmethod
    def from_decimal(cls, value: Decimal, scale: int) -> "FixedPoint":
        """Return `value` at `scale`, exactly.

        Raises:
            ValueError: `value` has more decimal places than `scale`, or does not fit 64 bits.
        """
        _check_scale(scale)
        return cls(_units(value, scale), scale)

    def to_decimal(self) -> Decimal:
        """Return the number, with `scale` decimal places."""
        return Decimal(self.units).scaleb(-self.scale, EXACT)


def to_units(values: Iterable[Decimal], scale: int) -> list[int]:
    """Return each value as an integer at `scale`, exactly.

    Raises:
        ValueError: A value has more decimal places than `scale`, or does not fit 64 bits.
    """
    _check_scale(scale)
    units = [_units(value, scale) for value in values]
    for each in units:
        _check_units(each)
    return units


def from_units(units: Iterable[int], scale: int) -> list[Decimal]:
    """Return each integer at `scale` as a decimal with `scale` places.

    Raises:
        ValueError: `scale` is outside 0 to 18.
    """
    _check_scale(scale)
    return [Decimal(each).scaleb(-scale, EXACT) for each in units]


def parse_decimal(text: str) -> Decimal:
    """Return the number that `text` says: digits, with sign, point and exponent as needed.

    Raises:
        ValueError: `text` is not a finite number, is longer than 201 characters, or its exponent exceeds 99 either way.
    """
    if not text or len(text) > DECIMAL_TEXT_MAX or not _NUMBER_CHARACTERS.issuperset(text):
        raise ValueError(f"must be a decimal number of at most {DECIMAL_TEXT_MAX} characters, was {text[:40]!r}")
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"must be a decimal number, was {text[:40]!r}") from error
    if value and not -EXPONENT_MAX <= value.adjusted() <= EXPONENT_MAX:
        raise ValueError(f"exponent must be within {-EXPONENT_MAX} and {EXPONENT_MAX}, was {value.adjusted()}")
    return value or Decimal(0)


def plain(value: Decimal) -> str:
    """Return the shortest plain text of `value`: no exponent, no trailing zeros, no minus zero.

    Equal values give equal text.

    Raises:
        ValueError: `value` is not finite, or its exponent exceeds 99 either way.
    """
    text = str(value)
    if text.isdigit() and len(text) <= EXPONENT_MAX:
        return text
    if not value.is_finite():
        raise ValueError(f"must be a finite number, was {value}")
    if len(text) <= EXPONENT_MAX and "E" not in text:
        # Written plainly by Python itself, as nearly every number is: only zeros at the end may go.
        short = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if short == "-0" else short
    if value == 0:
        return "0"
    try:
        return format(value.normalize(EXACT), "f")
    except (Inexact, Overflow, InvalidOperation) as error:
        raise ValueError(f"must have an exponent within {-EXPONENT_MAX} and {EXPONENT_MAX}, was {value:.6E}") from error


def _units(value: Decimal, scale: int) -> int:
    if not value.is_finite():
        raise ValueError(f"must be a finite number, was {value}")
    try:
        shifted = value.scaleb(scale, EXACT)
    except (Inexact, Overflow, InvalidOperation) as error:
        raise ValueError(f"must fit 64 bits at {scale} decimal places, was {value:.6E}") from error
    units = int(shifted)
    if units != shifted:
        raise ValueError(f"must have at most {scale} decimal places, was {value}")
    return units


def _check_scale(scale: int) -> None:
    if not 0 <= scale <= SCALE_MAX:
        raise ValueError(f"scale must be 0 to {SCALE_MAX}, was {scale}")


def _check_units(units: int) -> None:
    if not UNITS_MIN <= units <= UNITS_MAX:
        raise ValueError(f"units must fit 64 bits, was {units}")
