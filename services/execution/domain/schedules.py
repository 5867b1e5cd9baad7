"""When to send how much of a large order: schedules whose parts sum to it exactly.

Evenly over time (TWAP), along the day's usual volume (VWAP), never above a share of what is traded (POV), or as Almgren
and Chriss, "Optimal Execution of Portfolio Transactions" (2000), weigh impact against risk. With X units in N intervals
of length tau, volatility sigma, temporary impact eta, permanent impact gamma and risk aversion lambda:

    eta' = eta - gamma * tau / 2          kappa'^2 = lambda * sigma^2 / eta'
    cosh(kappa * tau) = 1 + kappa'^2 * tau^2 / 2
    x_j = X * sinh(kappa * (T - j * tau)) / sinh(kappa * T)

Quantities are whole increments: each part is the difference of rounded running totals, so nothing is left to be dumped
at the end and no part is more than one increment off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from itertools import pairwise

ONE = Decimal(1)


def slices(total: int, weights: Sequence[Decimal]) -> list[int]:
    """Return `total` increments split along `weights`: whole numbers, zero or more, that sum to it.

    Raises:
        ValueError: `total` or a weight is negative, or all weights are 0.
    """
    whole = sum(weights, Decimal(0))
    if total < 0 or whole <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("a schedule has at least 0 increments and weights of at least 0, not all 0")
    parts: list[int] = []
    running, done = Decimal(0), 0
    for weight in weights:
        running += weight
        until_now = int((total * running / whole).to_integral_value(rounding=ROUND_HALF_EVEN))
        parts.append(until_now - done)
        done = until_now
    # The last running total is the whole, whatever division made of it.
    parts[-1] += total - done
    return parts


def within_participation(volume: Decimal, ours: Decimal, share_max: Decimal, increment: Decimal) -> int:
    """Return how many increments may be sent now in a bucket of time, 0 or more.

    What was traded so far only grows, so what is within the share of it now is within the share of the whole bucket.
    Whether or not the venue's figure counts ours, the bound holds.

    Args:
        volume: Units that were traded in the bucket so far, as the market says.
        ours: Units that we sent in the bucket so far.
        share_max: Largest share of the volume, above 0 and below 1.
        increment: Smallest step of a quantity.
    """
    left = volume * share_max - ours
    return max(int((left / increment).to_integral_value(rounding=ROUND_FLOOR)), 0)


@dataclass(frozen=True, slots=True)
class Impact:
    """The market of Almgren and Chriss, in price units: volatility a day, impacts, and half the spread."""

    volatility: Decimal
    temporary: Decimal
    permanent: Decimal
    half_spread: Decimal


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What is held at the end of each interval, from everything to nothing, and what that costs in expectation."""

    held: tuple[Decimal, ...]
    expected_cost: Decimal
    variance: Decimal


def almgren_chriss(
    quantity: Decimal, *, days: Decimal, intervals: int, risk_aversion: Decimal, impact: Impact
) -> Trajectory:
    """Return the trajectory that minimises expected cost plus `risk_aversion` times variance.

    Raises:
        ValueError: The intervals are so long that permanent impact outweighs the temporary one.
    """
    tau = days / intervals
    adjusted = impact.temporary - impact.permanent * tau / 2
    if adjusted <= 0 or intervals < 1:
        raise ValueError(f"temporary impact less half the permanent one must be above 0, was {adjusted}")
    kappa = kappa_of(risk_aversion, tau=tau, adjusted=adjusted, volatility=impact.volatility)
    if kappa == 0:
        held = [quantity * (intervals - j) / intervals for j in range(intervals + 1)]
    else:
        whole = _sinh(kappa * days)
        held = [quantity * _sinh(kappa * (days - j * tau)) / whole for j in range(intervals + 1)]
    sold = [before - after for before, after in pairwise(held)]
    expected = (
        impact.permanent * quantity * quantity / 2
        + impact.half_spread * sum((abs(each) for each in sold), Decimal(0))
        + adjusted / tau * sum((each * each for each in sold), Decimal(0))
    )
    risk = impact.volatility**2 * tau * sum((each * each for each in held[1:]), Decimal(0))
    return Trajectory(tuple(held), expected, risk)


def kappa_of(risk_aversion: Decimal, *, tau: Decimal, adjusted: Decimal, volatility: Decimal) -> Decimal:
    """Return how urgent the order is: the rate, a day, at which the optimal trajectory decays."""
    squared = risk_aversion * volatility**2 / adjusted
    return _acosh(ONE + squared * tau**2 / 2) / tau


def schedule(trajectory: Trajectory, total: int) -> list[int]:
    """Return `total` increments sent in each interval of `trajectory`."""
    held = trajectory.held
    return slices(total, [max(before - after, Decimal(0)) for before, after in pairwise(held)])


def next_child(left: int, weights: Sequence[Decimal]) -> int:
    """Return how much of `left` goes in the first of the intervals that are left, by their weights.

    Called again in each interval with what is left then, it spreads whatever came, went or failed to fill over the
    rest: the last interval has its own part and nothing is dumped there.
    """
    return slices(left, weights)[0] if left else 0


def paper_impact(*, price: Decimal, spread_bps: Decimal, daily_volume: Decimal, daily_volatility: Decimal) -> Impact:
    """Return the market as the paper's example sets it (section 3.4).

    Trading 1 % of the daily volume moves the price for the moment by the spread, and 10 % of it for good.
    """
    spread = price * spread_bps / 10_000
    return Impact(
        volatility=price * daily_volatility,
        temporary=spread / (Decimal("0.01") * daily_volume),
        permanent=spread / (Decimal("0.1") * daily_volume),
        half_spread=spread / 2,
    )


def _sinh(x: Decimal) -> Decimal:
    return (x.exp() - (-x).exp()) / 2


def _acosh(x: Decimal) -> Decimal:
    return (x + (x * x - ONE).sqrt()).ln()
