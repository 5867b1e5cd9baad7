"""What gains come to in the United States, for whole batches: `UnitedStates.liability` as columns have its pieces."""

import numpy as np

from services.decision.domain.convex import Floats
from services.decision.domain.tax.united_states import LOSS_CAP


def liability_pieces(short_rate: Floats, long_rate: Floats, short: Floats, long: Floats) -> Floats:
    """Return the two pieces of each account's tax, shape (accounts, 2, 7), in the columns of `Inputs.pieces`.

    Args:
        short_rate: Of short-term gains, 0 to 1, shape (accounts,).
        long_rate: Of long-term gains.
        short: Net short-term gain of the year so far, in currency.
        long: Net long-term gain.
    """
    lower, higher = np.minimum(short_rate, long_rate), np.maximum(short_rate, long_rate)
    cap, net = float(LOSS_CAP), short + long
    dearer = short_rate >= long_rate
    one = np.ones(len(lower))
    by_kind = np.where(dearer, short, long)
    # Losses meet only their own kind, or are met by other income up to the cap: see `UnitedStates.liability`.
    both = lower * net + (higher - lower) * np.maximum(by_kind, 0.0)
    corner = np.where(dearer, -cap, 0.0)
    constant = np.where(dearer, -(higher - lower) * cap, 0.0)
    netted = constant + lower * net + (higher - lower) * np.maximum(net - corner, 0.0)
    so_far = np.minimum(both, netted)
    return np.stack(
        [
            np.column_stack([lower, lower, lower * net - so_far, higher - lower, dearer, ~dearer, -by_kind]),
            np.column_stack([lower, lower, constant + lower * net - so_far, higher - lower, one, one, corner - net]),
        ],
        axis=1,
    ).astype(np.float64)
