"""What will an order cost before it is sent? Two published models of impact.

Square root: half the spread plus Y * sigma * sqrt(Q / V), with Y about 1: the rule of thumb that fits most markets.

Almgren, Thum, Hauptmann and Li, "Direct Estimation of Equity Market Impact" (2005), with X units traded over T days in
a stock of daily volume V, shares outstanding Theta and daily volatility sigma:

    permanent   I = gamma * sigma * (X / V) * (Theta / V) ** (1/4)
    realised    J = I / 2 + sign(X) * eta * sigma * |X / (V * T)| ** 0.6

All results are fractions of the price, positive when they cost.
"""

from dataclasses import dataclass
from decimal import Decimal

# The paper's estimates, from 700,000 orders of Citigroup's US desk.
GAMMA = Decimal("0.314")
ETA = Decimal("0.142")
TEMPORARY_POWER = Decimal("0.6")


@dataclass(frozen=True, slots=True)
class Stock:
    """How a stock trades: units a day, units outstanding, and the standard deviation of a day's return."""

    daily_volume: Decimal
    outstanding: Decimal
    daily_volatility: Decimal

    def __post_init__(self) -> None:
        """Refuse what cannot trade.

        Raises:
            ValueError: A figure is not positive.
        """
        if min(self.daily_volume, self.outstanding, self.daily_volatility) <= 0:
            raise ValueError(f"volume, units outstanding and volatility are positive, was {self}")


def square_root_cost(
    quantity: Decimal, *, half_spread: Decimal, daily_volume: Decimal, daily_volatility: Decimal, factor: Decimal
) -> Decimal:
    """Return half the spread plus the square-root impact of `quantity`.

    Args:
        quantity: Units, 0 or more.
        half_spread: Fraction of the price.
        daily_volume: Units traded in a day, above 0.
        daily_volatility: Standard deviation of a day's return.
        factor: Y of the model, about 1; calibrated from what trades did cost.
    """
    return half_spread + factor * daily_volatility * (quantity / daily_volume).sqrt()


def permanent_impact(quantity: Decimal, stock: Stock) -> Decimal:
    """Return by how much trading `quantity` units moves the price for good."""
    # The power of a quarter, as the root of the root: `**` takes a hundred times as long.
    shape = (stock.outstanding / stock.daily_volume).sqrt().sqrt()
    return GAMMA * stock.daily_volatility * (quantity / stock.daily_volume) * shape


def realised_impact(quantity: Decimal, days: Decimal, stock: Stock) -> Decimal:
    """Return what trading `quantity` units evenly over `days` costs on average, spread excluded.

    Raises:
        ValueError: `quantity` is negative or `days` not positive.
    """
    if quantity < 0 or days <= 0:
        raise ValueError(f"quantity is at least 0 and days above 0, were {quantity} and {days}")
    rate = quantity / (stock.daily_volume * days)
    # A power by the logarithm, in a tenth of the time that `**` takes; that of nothing is nothing.
    temporary = ETA * stock.daily_volatility * (rate.ln() * TEMPORARY_POWER).exp()
    return permanent_impact(quantity, stock) / 2 + temporary
