"""What every lot of many accounts would cost at the margin today, compiled: `UnitedStates.view` for whole batches."""

import numpy as np

from services.decision.domain.tax.batch.compiled import Flags, Ints, each_lot


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
    each_lot(starts, days, units, bases, prices, realized, rates, today, gains, taxed, long)
    return gains, taxed, long


def warm_up() -> None:
    """Compile, or load what was compiled."""
    none = np.zeros(0, dtype=np.int64)
    marginal_costs(np.zeros(1, dtype=np.int64), none, none, none, none, none.reshape(0, 2), none.reshape(0, 2), 1)
