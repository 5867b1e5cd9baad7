"""Which of many accounts ask for a look? Drift of a million accounts from columns in memory, in one pass.

For each account: half the sum of absolute deviations from target, cash included (the usual definition of drift), and
whether any weight is farther from its target than its band. Nothing is allocated but the answer, so memory does not
grow with the holdings, and every number is read once. It only points at accounts: those it names are then decided
exactly, and so it must not miss one that the exact triggers would name; `slack` widens it by what rounding may hide.
"""

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.compiling import compiled
from services.decision.domain.convex import Floats

# Weights in float64 from values in cents are exact to far better than this.
SLACK = 1e-9


def screen(
    values: Floats, cash: Floats, model: NDArray[np.int32], targets: Floats, bands: Floats, slack: float = SLACK
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return each account's drift, 0 to 1, and whether it is outside a band.

    Args:
        values: Of each holding, in any one unit, shape (accounts, n).
        cash: In the same unit, shape (accounts,).
        model: Row of each account's model in `targets` and `bands`, shape (accounts,).
        targets: Weights, shape (models, n); cash takes the rest.
        bands: Largest distance from target that asks for nothing, edges inside; of cash last, shape (models, n + 1).
        slack: A weight this close inside its band's edge counts as outside.

    Raises:
        ValueError: Shapes do not fit, a row of `model` does not exist, or an account is worth nothing.
    """
    accounts, n = values.shape
    if cash.shape != (accounts,) or model.shape != (accounts,):
        raise ValueError(f"cash and model must have shape ({accounts},), were {cash.shape} and {model.shape}")
    if targets.shape[1] != n or bands.shape != (len(targets), n + 1):
        raise ValueError(f"targets and bands must have {n} and {n + 1} columns, were {targets.shape} and {bands.shape}")
    if accounts and not 0 <= model.min() <= model.max() < len(targets):
        raise ValueError(f"model must be between 0 and {len(targets) - 1}")
    drift = np.empty(accounts)
    outside = np.empty(accounts, dtype=np.bool_)
    worthless = _screen(values, cash, model, targets, bands, slack, drift, outside)
    if worthless >= 0:
        raise ValueError(f"account {worthless} must be worth more than 0")
    return drift, outside


def warm_up() -> None:
    """Compile, or load what was compiled."""
    one = np.ones((1, 1))
    screen(one, one[0], np.zeros(1, dtype=np.int32), 0.5 * one, np.ones((1, 2)))


@compiled
def _screen(
    values: Floats,
    cash: Floats,
    model: NDArray[np.int32],
    targets: Floats,
    bands: Floats,
    slack: float,
    drift: Floats,
    outside: NDArray[np.bool_],
) -> int:
    """Fill in drift and outside; return the first account that is worth nothing, or −1."""
    accounts, n = values.shape
    worthless = -1
    for account in range(accounts):
        line = values[account]
        aimed, band = targets[model[account]], bands[model[account]]
        total = cash[account]
        for i in range(n):
            total += line[i]
        if not total > 0.0:
            worthless = account if worthless < 0 else worthless
            continue
        scale = 1.0 / total
        away = 0.0
        rest = 1.0
        asks = 0
        for i in range(n):
            distance = abs(line[i] * scale - aimed[i])
            away += distance
            rest -= aimed[i]
            asks += distance > band[i] - slack
        distance = abs(cash[account] * scale - rest)
        asks += distance > band[n] - slack
        drift[account] = 0.5 * (away + distance)
        outside[account] = asks > 0
    return worthless
