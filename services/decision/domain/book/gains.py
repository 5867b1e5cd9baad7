"""What an account realized, by day: whichever country taxes it, the gains of its tax year are among those days.

A snapshot says what was realized in the tax year so far, and not on which days. It counts as of the snapshot's day,
which lies in the same tax year, whichever that is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from services.decision.domain.problem import ZERO

# No tax year is longer.
KEPT = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class DayGain:
    """Net gain of a day, negative for a loss.

    Attributes:
        short: Short-term in the American sense, whatever the law.
        long: Long-term likewise.
        shares: What of both is on shares.
        exempt: What of both Germany does not tax: advance lump sums that were taxed already, and of the rest what the
            kind of fund exempts.
    """

    day: date
    short: Decimal
    long: Decimal
    shares: Decimal = ZERO
    exempt: Decimal = ZERO


def realized_on(
    gains: Sequence[DayGain],
    day: date,
    short: Decimal,
    long: Decimal,
    shares: Decimal = ZERO,
    exempt: Decimal = ZERO,
) -> tuple[DayGain, ...]:
    """Return the gains with more on a day, oldest first; days without, and those before `KEPT`, are left out."""
    by_day = {each.day: each for each in gains}
    before = by_day.get(day, DayGain(day, ZERO, ZERO))
    by_day[day] = DayGain(day, before.short + short, before.long + long, before.shares + shares, before.exempt + exempt)
    newest = max(by_day)
    kept = (by_day[each] for each in sorted(by_day) if newest - each <= KEPT)
    return tuple(each for each in kept if any((each.short, each.long, each.shares, each.exempt)))


def exempt_of_year(gains: Sequence[DayGain], tax_year: Callable[[date], int], year: int) -> Decimal:
    """Return what of the net gain of a tax year Germany does not tax."""
    return sum((each.exempt for each in gains if tax_year(each.day) == year), ZERO)


def opening_gains(day: date, short: Decimal, long: Decimal, shares: Decimal = ZERO) -> tuple[DayGain, ...]:
    """Return the gains of a tax year until `day`, of which no more is known than their sums."""
    return realized_on((), day, short, long, shares)


def of_year(gains: Sequence[DayGain], tax_year: Callable[[date], int], year: int) -> tuple[Decimal, Decimal, Decimal]:
    """Return the net short-term and long-term gain of a tax year, and what of both is on shares.

    Args:
        gains: By day.
        tax_year: Of a day, by the law that taxes the account.
        year: The one asked about.
    """
    found = [each for each in gains if tax_year(each.day) == year]
    return (
        sum((each.short for each in found), ZERO),
        sum((each.long for each in found), ZERO),
        sum((each.shares for each in found), ZERO),
    )
