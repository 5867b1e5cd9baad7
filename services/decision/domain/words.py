"""How figures are written in sentences for people.

A figure is first rounded to the unit in which it is kept, and the sentence shows that kept value: what a client reads
and what a program reads are the same number.
"""

from decimal import ROUND_HALF_EVEN, Decimal

from services.decision.domain.decision import CENT

# Weights are kept to a hundredth of a basis point.
WEIGHT_UNIT = Decimal("0.000001")
# Basis points are kept to a hundredth, certificates to a millionth.
BPS_UNIT = Decimal("0.01")
CERTIFIED_BPS_UNIT = Decimal("0.000001")


def weight(value: Decimal) -> Decimal:
    """Return a weight as it is kept, rounded half-even."""
    return value.quantize(WEIGHT_UNIT, rounding=ROUND_HALF_EVEN) + 0


def cents(amount: Decimal) -> Decimal:
    """Return an amount of money rounded half-even to the cent."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN) + 0


def percent(kept: Decimal) -> str:
    """Return a weight or rate as text in percent, to the basis point."""
    return f"{kept * 100:.2f} %"


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as text with its currency, to the cent."""
    return f"{currency} {amount:,.2f}"


def bps(kept: Decimal) -> str:
    """Return basis points as text."""
    return f"{kept:,.2f} basis points"


def quantity(units: Decimal) -> str:
    """Return a quantity as text: thousands separated, no trailing zeros."""
    text = f"{units:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
