"""What every lot of many accounts would cost at the margin today, compiled: `UnitedStates.view` for whole batches."""

import numpy as np

from services.decision.domain.tax.batch.days import long_from
from services.decision.domain.tax.batch.whole import Flags, Ints, compiled, value


@compiled
def _each_lot(
    starts: Ints,
    days: Ints,
    units: Ints,
    bases: Ints,
    prices: Ints,
    realized: Ints,
    rates: Ints,
    today: int,
    gains: Ints,
    taxed: Ints,
    long: Flags,
) -> None:
    """Fill each lot's gain, rate and term; see `marginal_costs`."""
    # What was bought later is short-term: `long_from` never falls as days go on.
    newest = today - 366
    while long_from(newest) > today:
        newest -= 1
    for account in range(len(starts) - 1):
        short_net, long_net = realized[account, 0], realized[account, 1]
        short_rate, long_rate = rates[account, 0], rates[account, 1]
        if short_net < 0 or long_net < 0:
            if short_net + long_net <= 0:
                short_rate = min(short_rate, long_rate)
            elif short_net < 0:
                short_rate = long_rate
            long_rate = short_rate
        for row in range(starts[account], starts[account + 1]):
            held_long = days[row] <= newest
            gains[row] = value(units[row], prices[row]) - bases[row]
            taxed[row] = long_rate if held_long else short_rate
            long[row] = held_long


def marginal_costs(
    starts: Ints, days: Ints, units: Ints, bases: Ints, prices: Ints, realized: Ints, rates: Ints, today: int
) -> tuple[Ints, Ints, Flags]:
    """Return each lot's gain in cents, the rate it is taxed at in ten-thousandths, and whether it is long-term.

    The rates are those of the year so far, as `united_states.marginal_rates` says: while the year nets to a loss, a
    gain only uses it up.

    Args:
        starts: Where each account's lots begin, and the end of the last; one more than there are accounts.
        days: Ordinal of the day from which each lot is held.
        units: Of each lot, in millionths.
        bases: Cost of each lot, in cents.
        prices: Of one unit of each lot, in millionths.
        realized: Net short-term and long-term gain of each account's year so far, in cents, shape (accounts, 2).
        rates: Rates of short-term and long-term gain of each account, in ten-thousandths, shape (accounts, 2).
        today: Ordinal of the day of the sale.
    """
    gains, taxed = np.empty(len(days), dtype=np.int64), np.empty(len(days), dtype=np.int64)
    long = np.empty(len(days), dtype=np.bool_)
    _each_lot(starts, days, units, bases, prices, realized, rates, today, gains, taxed, long)
    return gains, taxed, long


def warm_up() -> None:
    """Compile, or load what was compiled."""
    none = np.zeros(0, dtype=np.int64)
    marginal_costs(np.zeros(1, dtype=np.int64), none, none, none, none, none.reshape(0, 2), none.reshape(0, 2), 1)
