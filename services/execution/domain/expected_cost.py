"""What is a block expected to cost before it is sent, by which model and from which inputs?

Half the spread, and what a model of `impact` adds to it. The inputs are told with the figure, so that anybody who has
the block's quantity can work it out again. Both models are of shares: of a pair of currencies only half the spread is
reckoned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from services.execution.domain.impact import Stock, realised_impact, square_root_cost

ONE = Decimal(1)
BPS = Decimal(10_000)
COST_QUANTUM = Decimal("0.0001")
# Days that a block trades which goes all at once. The temporary impact of Almgren and others has no limit as time goes
# to nothing; this is the shortest time for which they publish a cost (table 3).
AT_ONCE_DAYS = Decimal("0.1")


class CostModel(StrEnum):
    """How an estimate is made."""

    SQUARE_ROOT = "SQUARE_ROOT"
    ALMGREN_2005 = "ALMGREN_2005"
    HALF_SPREAD = "HALF_SPREAD"  # Without impact: pairs of currencies.
    MIDDLE_PRICE = "MIDDLE_PRICE"  # Nothing: clients fill each other.


@dataclass(frozen=True, slots=True)
class DayVolume:
    """Units of an instrument that were traded on a day (UTC), above 0."""

    units: Decimal
    day: date


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """An estimate in basis points of the price, half-even to four decimals, with what it was made from."""

    bps: Decimal
    model: CostModel
    inputs: Mapping[str, Decimal | date | None]


INSIDE = ExpectedCost(Decimal(0), CostModel.MIDDLE_PRICE, {})


@dataclass(frozen=True, slots=True)
class CostRule:
    """By which model costs are expected, and what counts where the market of an instrument is not known.

    `spread_bps`: the whole spread, in basis points. `daily_volume`: units, above 0. `daily_volatility`: standard
    deviation of a day's return. `inverse_turnover_days`: units outstanding over units traded in a day, Theta / V of
    Almgren and others. `factor`: Y of the square-root law.
    """

    model: CostModel = CostModel.SQUARE_ROOT
    spread_bps: Decimal = Decimal(5)
    daily_volume: Decimal = Decimal(5_000_000)
    daily_volatility: Decimal = Decimal("0.0125")
    inverse_turnover_days: Decimal = Decimal(150)
    factor: Decimal = ONE

    def of_shares(self, quantity: Decimal, volume: DayVolume | None, days: Decimal) -> ExpectedCost:
        """Return what `quantity` units are expected to cost.

        Args:
            quantity: Units, 0 or more.
            volume: What is traded in a day; None where it is not known.
            days: How long the quantity is traded, in trading days, above 0; the square-root law does not ask.

        Raises:
            ValueError: `quantity` or `days` is out of its range, or the rule's model is none of shares.
        """
        half_spread = self.spread_bps / 2 / BPS
        daily_volume = self.daily_volume if volume is None else volume.units
        inputs: dict[str, Decimal | date | None] = {
            "spread_bps": self.spread_bps,
            "daily_volume": daily_volume,
            "daily_volume_day": None if volume is None else volume.day,
            "daily_volatility": self.daily_volatility,
        }
        match self.model:
            case CostModel.SQUARE_ROOT:
                inputs["factor"] = self.factor
                cost = square_root_cost(
                    quantity,
                    half_spread=half_spread,
                    daily_volume=daily_volume,
                    daily_volatility=self.daily_volatility,
                    factor=self.factor,
                )
            case CostModel.ALMGREN_2005:
                inputs |= {"inverse_turnover_days": self.inverse_turnover_days, "days": days}
                stock = Stock(daily_volume, self.inverse_turnover_days * daily_volume, self.daily_volatility)
                cost = half_spread + realised_impact(quantity, days, stock)
            case _:
                raise ValueError(f"a model of shares is SQUARE_ROOT or ALMGREN_2005, was {self.model}")
        return ExpectedCost(_in_bps(cost), self.model, inputs)

    def of_pair(self) -> ExpectedCost:
        """Return what an amount of a currency is expected to cost: half the spread, whatever the amount."""
        return ExpectedCost(_in_bps(self.spread_bps / 2 / BPS), CostModel.HALF_SPREAD, {"spread_bps": self.spread_bps})


def _in_bps(cost: Decimal) -> Decimal:
    return (cost * BPS).quantize(COST_QUANTUM, rounding=ROUND_HALF_EVEN)
