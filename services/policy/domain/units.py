"""The kinds of numbers that a policy can say: what they count, and what they can be at all, whatever the guardrails.

Weights are fractions of account value from 0 to 1; `_bps` are hundredths of a percent.
"""

from decimal import Decimal
from typing import Annotated, TypeAlias

from services.kernel.money import Money
from services.policy.domain.fields import Number

_ZERO, _ONE = Decimal(0), Decimal(1)

WEIGHT = Number("weight", _ZERO, _ONE)
Weight: TypeAlias = Annotated[Decimal | None, WEIGHT]
Fraction: TypeAlias = Annotated[Decimal | None, Number("fraction", _ZERO, _ONE)]
Multiple: TypeAlias = Annotated[Decimal | None, Number("multiple", _ZERO)]
Turnover: TypeAlias = Annotated[Decimal | None, Number("fraction of account value", _ZERO, Decimal(2))]
Volatility: TypeAlias = Annotated[Decimal | None, Number("volatility a year", _ZERO)]
BasisPoints: TypeAlias = Annotated[Decimal | None, Number("basis points", _ZERO, Decimal(10_000))]
Price: TypeAlias = Annotated[Decimal | None, Number("basis points per unit", _ZERO)]
Years: TypeAlias = Annotated[Decimal | None, Number("years", above=_ZERO)]
Amount: TypeAlias = Annotated[Money | None, Number("currency", _ZERO)]
Count: TypeAlias = Annotated[int | None, Number("count", _ZERO)]
Names: TypeAlias = Annotated[int | None, Number("instruments", _ONE, Decimal(10_000))]
Days: TypeAlias = Annotated[int | None, Number("days", _ONE, Decimal(3660))]
Steps: TypeAlias = Annotated[int | None, Number("steps", Decimal(2), Decimal(60))]
StepDays: TypeAlias = Annotated[int | None, Number("days", _ONE, Decimal(31))]
Seconds: TypeAlias = Annotated[int | None, Number("seconds", _ONE)]
CostFactor: TypeAlias = Annotated[Decimal | None, Number("factor", _ZERO, Decimal(10))]
Leverage: TypeAlias = Annotated[Decimal | None, Number("multiple of account value", _ONE)]

Exposure: TypeAlias = Annotated[Decimal | None, Number("exposure")]

# Of rows of lists, which always say it.
Worth: TypeAlias = Annotated[Money, Number("currency", _ZERO)]
TaxYear: TypeAlias = Annotated[int, Number("calendar year", Decimal(1900), Decimal(9999))]
PriceChange: TypeAlias = Annotated[Decimal, Number("fraction of the price", Decimal(-1))]
LossLimit: TypeAlias = Annotated[Decimal, Number("fraction of account value", _ZERO, _ONE)]
FactorLoading: TypeAlias = Annotated[Decimal, Number("exposure")]
RiskBudget: TypeAlias = Annotated[Decimal, Number("volatility a year", _ZERO)]
Need: TypeAlias = Annotated[Decimal, Number("fraction", _ZERO, _ONE)]
Tolerance: TypeAlias = Annotated[int, Number("tolerance", _ONE, Decimal(10))]
Age: TypeAlias = Annotated[int, Number("completed years", _ZERO, Decimal(120))]
WholeYears: TypeAlias = Annotated[int, Number("whole years", _ZERO, Decimal(100))]


def order_of(number: Decimal) -> tuple[bool, Decimal]:
    """Return the key by which rows are sorted that begin with `number`: by value, and what is no number last."""
    return (not number.is_finite(), number if number.is_finite() else _ZERO)
