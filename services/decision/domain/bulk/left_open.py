"""Limits that the columns do not know: the most names that are held, and the least that a trade leaves of one.

Without them a plan is the best of more plans. So one that keeps them all the same is the best with them, and its bound
holds; an account whose plan does not is marked, and decided by itself.
"""

import numpy as np

from services.decision.domain.batches import Batch
from services.decision.domain.bulk import columns as c
from services.decision.domain.bulk.columns import Integers, Plans
from services.decision.domain.bulk.gathered import Gathered

MOST = np.iinfo(np.int64).max


def leave_open(batch: Batch, gathered: Gathered, plans: Plans) -> None:
    """Mark the accounts whose plan breaks such a limit of their model; who is left alone inside the bands keeps all."""
    names, least = batch.rows["models.names_limits"], batch.numbers["models.minimum_positions"]
    told, inputs = plans.accounts, gathered.inputs
    asked = np.isin(told[:, c.OUTCOME], (c.TRADE, c.NO_TRADE)) & (told[:, c.ASKED_BY] != 0)
    if not asked.any() or not (names.any() or least.units.any()):
        return
    model = batch.rows["accounts.models"][gathered.chosen]
    account = np.repeat(np.arange(len(told)), np.diff(inputs.instrument_at))
    steps, increment = plans.instruments[c.STEPS], inputs.instruments[c.INCREMENT]
    left = _held(gathered) + steps * increment
    broken = np.zeros(len(told), dtype=np.bool_)
    if names.any():
        # Less than an increment cannot be sold, and is no holding.
        held = np.bincount(account, left >= increment, len(told))
        broken |= (names[model] > 0) & (held > names[model])
    if least.units.any():
        wanted = _least(gathered, least.units, least.scale)[model][account]
        emptied = (steps < 0) & (left < increment)
        short = (steps != 0) & ~emptied & (left * inputs.instruments[c.PRICE] < wanted)
        broken |= np.bincount(account[short], minlength=len(told)) > 0
    told[asked & broken, c.OUTCOME], told[asked & broken, c.WHY] = c.OTHER_ROAD, c.LIMIT_UNKNOWN


def _held(gathered: Gathered) -> Integers:
    """Return the units of each instrument before the plan."""
    # Sums of all accounts may be beyond 64 bits; their differences are exact all the same.
    sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(gathered.inputs.lots[c.QUANTITY])])
    held: Integers = np.diff(sums[gathered.inputs.lot_at])
    return held


def _least(gathered: Gathered, units: Integers, scale: int) -> Integers:
    """Return least positions at the scale of the accounts' money; what does not fit is beyond every position."""
    places = int(gathered.inputs.accounts[0, c.VALUE_SCALE]) - scale
    if places < 0:
        # The batch is laid out at a scale that holds them: only zeros are cut off.
        coarser: Integers = units // 10**-places
        return coarser
    return np.where(units > MOST // 10**places, MOST, units * 10**places)
