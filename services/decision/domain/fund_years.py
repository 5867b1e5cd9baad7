"""Germany's advance lump sum (Vorabpauschale) of one unit of a fund: Investmentsteuergesetz (InvStG) § 18."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

# InvStG § 18 Abs. 1 Satz 2.
BASE_RATE_PART = Decimal("0.7")


@dataclass(frozen=True, slots=True)
class FundYear:
    """A fund's calendar year, of one unit, in euros.

    Attributes:
        first_price: First redemption price of the year, above 0.
        last_price: Last redemption price of the year, 0 or more.
        distributed: During the year, 0 or more.
    """

    asset: str
    year: int
    first_price: Decimal
    last_price: Decimal
    distributed: Decimal = Decimal(0)


def lump_sum_of(fund: FundYear, base_rate: Decimal, acquired_date: date) -> Fraction:
    """Return the advance lump sum of one unit for the fund's year, in euros, before partial exemption; 0 if not due.

    InvStG § 18 Abs. 1: price at the year's start · base rate · 70 %, at most the rise of the price plus what was
    distributed, less what was distributed; Abs. 2: one twelfth less for each full month before the purchase.

    Args:
        fund: The year.
        base_rate: Of the year, as the Ministry published it; at 0 and below nothing is due.
        acquired_date: When the unit was bought.
    """
    if base_rate <= 0 or acquired_date.year > fund.year:
        return Fraction(0)
    base = Fraction(fund.first_price) * Fraction(base_rate) * Fraction(BASE_RATE_PART)
    rise = Fraction(fund.last_price - fund.first_price + fund.distributed)
    months = 13 - acquired_date.month if acquired_date.year == fund.year else 12
    return max(min(base, rise) - Fraction(fund.distributed), Fraction(0)) * Fraction(months, 12)
