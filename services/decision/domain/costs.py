"""What a trade costs, before it is made: half the spread, commission, and market impact by the square-root law.

Impact of a trade of value v is Y · σ · √(v / V) · v, with σ the volatility of one day and V the value traded per day
(field measurements put Y near 1: Tóth et al. 2011, "Anomalous price impact and the critical nature of liquidity"),
so it grows with the 3/2 power of the trade.

The objective weighs the estimate as it is. What cash is kept for, and what is shown, is the estimate rounded up to the
cent, part by part: money comes in cents, and a plan must not run short by one.
"""

import math
from decimal import ROUND_CEILING, Decimal

from services.decision.domain.decision import CENT, TradeCost
from services.decision.domain.problem import ZERO, Holding

BPS = Decimal("0.0001")
TRADING_DAYS_PER_YEAR = 252
# Volatility enters the exact arithmetic with this many significant digits: far more than it is known to.
_VOLATILITY_DIGITS = 9


def linear_cost_rate(holding: Holding) -> Decimal:
    """Return spread and commission of one unit of currency traded, the same for buying and selling."""
    return (holding.spread_bps / 2 + holding.commission_bps) * BPS


def daily_volatility(yearly_variance: float) -> Decimal:
    """Return the volatility of one day, rounded half-even to nine significant digits."""
    return Decimal(f"{math.sqrt(yearly_variance / TRADING_DAYS_PER_YEAR):.{_VOLATILITY_DIGITS - 1}e}")


def impact_rate(holding: Holding, impact_coefficient: Decimal, volatility: Decimal) -> Decimal:
    """Return c in impact = c · value^(3/2), both in currency; zero when the daily value is not known."""
    if holding.average_daily_value is None:
        return ZERO
    return impact_coefficient * volatility / holding.average_daily_value.sqrt()


def trade_cost(holding: Holding, value: Decimal, impact: Decimal) -> TradeCost:
    """Return the cost of trading `value`, each part rounded up to the cent, so that it is never understated.

    Args:
        holding: The instrument.
        value: Quantity times price, positive.
        impact: What `impact_rate` returned.
    """
    spread, commission, market = _parts(holding, value, impact)
    return TradeCost(spread=_up(spread), commission=_up(commission), impact=_up(market))


def weighed_cost(holding: Holding, value: Decimal, impact: Decimal) -> Decimal:
    """Return the cost of trading `value` as the objective counts it: all parts of `trade_cost`, not rounded."""
    return sum(_parts(holding, value, impact), ZERO)


def _parts(holding: Holding, value: Decimal, impact: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    return (
        value * holding.spread_bps / 2 * BPS,
        value * holding.commission_bps * BPS + holding.commission_per_trade,
        impact * value * value.sqrt(),
    )


def _up(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_CEILING)
