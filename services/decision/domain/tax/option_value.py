"""What is it worth to be able to sell at today's price for some days more?

At most an at-the-money put, which Bachelier (1900, "Théorie de la spéculation") prices as
value · volatility · √(t / 2π).
"""

import math
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.tax.assessment.history import cents

DAYS_PER_YEAR = 365


def at_the_money_put(value: Decimal, volatility: Decimal, days: int) -> Decimal:
    """Return the price of a put in whole cents.

    Args:
        value: Of what may be sold, in currency.
        volatility: Of a year, 0 or more.
        days: How long it may be sold, 0 or more.
    """
    years = days / DAYS_PER_YEAR
    return cents(Fraction(value) * Fraction(volatility) * Fraction(math.sqrt(years / (2 * math.pi))))
