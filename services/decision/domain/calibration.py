"""Which parameters of the cost model fit what trades did cost?

Decision predicts a trade's cost as m · S + Y · I: half the quoted spread S times a factor, and the square-root law's
impact I times its coefficient. Execution tells what trading cost, from the price at arrival on (Perold 1988: the delay
before that is nobody's impact). Both are taken per unit of value and m and Y found by least squares, each trade
weighted by its value, neither below 0:

    minimise over m, Y >= 0   sum_i v_i (m s_i + Y x_i - r_i)^2       with s = S / v, x = I / v, r = realised / v

Whether that is better is judged on trades that it did not see: the half whose ids hash to odd numbers is predicted by
parameters fitted to the other half, and the other way round. A parameter that its trades cannot tell, because no trade
has any of it, stays as it is. And none moves by more than a factor of two at once: a sample may be absurd, and what is
right is proposed again from the next.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

ZERO, ONE = Decimal(0), Decimal(1)
BPS = Decimal(10_000)

# Fewer say nothing about a market.
TRADES_MIN = 30
# What policy takes, and to how many decimals parameters are said.
PARAMETER_MAX = Decimal(10)
PARAMETER_QUANTUM = Decimal("0.0001")
# At most so many times what trades were predicted with, or one part in so many.
STEP_MAX = Decimal(2)
ERROR_QUANTUM = Decimal("0.0001")
# Of the determinant against the product of its diagonal: below it, the two causes cannot be told apart.
SINGULAR = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The cost model's parameters: m of the spread and Y of the impact, 0 or more."""

    spread_factor: Decimal = ONE
    impact_coefficient: Decimal = ONE


@dataclass(frozen=True, slots=True)
class Observation:
    """What one order cost, in its currency.

    `value` is what was filled, above 0. `spread` and `impact` are what was predicted for it with the parameters
    `predicted_with`; `realised` is what trading cost from the price at arrival on, negative for a gain.
    """

    order_id: str
    value: Decimal
    spread: Decimal
    impact: Decimal
    realised: Decimal
    predicted_with: Parameters = Parameters()

    @property
    def unit_spread(self) -> Decimal:
        """Return S per unit of value; 0 where the parameter was 0 and nothing can be told."""
        factor = self.predicted_with.spread_factor
        return self.spread / factor / self.value if factor else ZERO

    @property
    def unit_impact(self) -> Decimal:
        """Return I per unit of value; 0 where the parameter was 0 and nothing can be told."""
        coefficient = self.predicted_with.impact_coefficient
        return self.impact / coefficient / self.value if coefficient else ZERO


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters that fit, and the errors in basis points of value on trades they were not fitted to."""

    parameters: Parameters
    error_before_bps: Decimal
    error_after_bps: Decimal


def calibrated(observations: Sequence[Observation]) -> Calibration:
    """Return the parameters that fit `observations` within a step, and how good they are; independent of the order.

    Raises:
        ValueError: There are fewer than `TRADES_MIN`.
    """
    if len(observations) < TRADES_MIN:
        raise ValueError(f"at least {TRADES_MIN} trades are needed, were {len(observations)}")
    ordered = sorted(observations, key=lambda each: each.order_id)
    halves = ([each for each in ordered if not _odd(each)], [each for each in ordered if _odd(each)])
    after = sum((_squares(seen, _within_step(fitted(other), ordered)) for seen, other in (halves, halves[::-1])), ZERO)
    before = sum((_squares([each], each.predicted_with) for each in ordered), ZERO)
    value = sum((each.value for each in ordered), ZERO)
    return Calibration(_within_step(fitted(ordered), ordered), _error(before, value), _error(after, value))


def fitted(observations: Sequence[Observation]) -> Parameters:
    """Return the least-squares parameters, half-even to four decimals, 0 to `PARAMETER_MAX`."""
    ss = sx = xx = sr = xr = ZERO
    for each in observations:
        s, x, r, v = each.unit_spread, each.unit_impact, each.realised / each.value, each.value
        ss, sx, xx = ss + v * s * s, sx + v * s * x, xx + v * x * x
        sr, xr = sr + v * s * r, xr + v * x * r
    determinant = ss * xx - sx * sx
    if ss and xx and determinant > SINGULAR * ss * xx:
        spread, impact = (sr * xx - xr * sx) / determinant, (xr * ss - sr * sx) / determinant
        # On the boundary, the best of the other parameter alone.
        if spread < 0:
            spread, impact = ZERO, xr / xx
        elif impact < 0:
            spread, impact = sr / ss, ZERO
        return Parameters(_parameter(spread), _parameter(impact))
    now = observations[0].predicted_with if observations else Parameters()
    if not ss and not xx:
        return now
    if ss and xx:
        # One is a multiple of the other: both by the same factor.
        unit = [
            each.unit_spread * now.spread_factor + each.unit_impact * now.impact_coefficient for each in observations
        ]
        both = sum((each.value * u * u for each, u in zip(observations, unit, strict=True)), ZERO)
        scale = (
            sum((u * each.realised for each, u in zip(observations, unit, strict=True)), ZERO) / both if both else ONE
        )
        return Parameters(_parameter(scale * now.spread_factor), _parameter(scale * now.impact_coefficient))
    if ss:
        return Parameters(_parameter(sr / ss), now.impact_coefficient)
    return Parameters(now.spread_factor, _parameter(xr / xx))


def _within_step(found: Parameters, observations: Sequence[Observation]) -> Parameters:
    used = [each.predicted_with for each in observations]
    return Parameters(
        _stepped(found.spread_factor, [each.spread_factor for each in used]),
        _stepped(found.impact_coefficient, [each.impact_coefficient for each in used]),
    )


def _stepped(found: Decimal, used: Sequence[Decimal]) -> Decimal:
    return _parameter(min(max(found, min(used) / STEP_MAX), max(used) * STEP_MAX))


def _squares(observations: Sequence[Observation], by: Parameters) -> Decimal:
    total = ZERO
    for each in observations:
        predicted = by.spread_factor * each.unit_spread + by.impact_coefficient * each.unit_impact
        total += each.value * (predicted - each.realised / each.value) ** 2
    return total


def _error(squares: Decimal, value: Decimal) -> Decimal:
    return ((squares / value).sqrt() * BPS).quantize(ERROR_QUANTUM, rounding=ROUND_HALF_EVEN)


def _odd(each: Observation) -> bool:
    return bool(hashlib.sha256(each.order_id.encode()).digest()[0] & 1)


def _parameter(found: Decimal) -> Decimal:
    return min(max(found, ZERO), PARAMETER_MAX).quantize(PARAMETER_QUANTUM, rounding=ROUND_HALF_EVEN)
