"""Which of many accounts ask for a look? Drift of a million accounts from columns in memory, in one pass.

For each account: half the sum of absolute deviations from target, cash included (the usual definition of drift), and
whether any weight, or the drift itself, is beyond what asks for nothing. Nothing is allocated but the answer, so memory
does not grow with the holdings, and every number is read once. It only points at accounts: those it names are then
decided exactly, and so it must not miss one that the exact triggers would name; `slack` widens it by what rounding may
hide. An edge at 0 needs none: a weight has the sign of its value.
"""

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.compiling import compiled
from services.decision.domain.convex import Floats

# Weights in float64 from values in cents are exact to far better than this.
SLACK = 1e-9


def screen(
    values: Floats,
    cash: Floats,
    model: NDArray[np.int32],
    targets: Floats,
    edges: Floats,
    drift_max: Floats,
    slack: float = SLACK,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return each account's drift, 0 to 1, and whether it asks for a look; one worth nothing does, with drift NaN.

    Args:
        values: Of each holding, in any one unit, shape (accounts, n).
        cash: In the same unit, shape (accounts,).
        model: Row of each account's model in what follows, shape (accounts,).
        targets: Weights, shape (models, n); cash takes the rest.
        edges: Least and most weight that asks for nothing, edges inside; of cash last, shape (models, 2, n + 1).
        drift_max: Drift above which an account asks, shape (models,); infinite where that never does.
        slack: What is this close inside an edge counts as outside.

    Raises:
        ValueError: Shapes do not fit, or a row of `model` does not exist.
    """
    accounts, n = values.shape
    if cash.shape != (accounts,) or model.shape != (accounts,):
        raise ValueError(f"cash and model must have shape ({accounts},), were {cash.shape} and {model.shape}")
    if targets.shape[1] != n or edges.shape != (len(targets), 2, n + 1) or drift_max.shape != (len(targets),):
        raise ValueError(
            f"targets, edges and drift_max must be of {len(targets)} models and {n} holdings, "
            f"were {targets.shape}, {edges.shape} and {drift_max.shape}"
        )
    if accounts and not 0 <= model.min() <= model.max() < len(targets):
        raise ValueError(f"model must be between 0 and {len(targets) - 1}")
    least = np.where(edges[:, 0] > 0.0, edges[:, 0] + slack, edges[:, 0])
    most = np.where(edges[:, 1] > 0.0, edges[:, 1] - slack, edges[:, 1])
    drift = np.empty(accounts)
    asks = np.empty(accounts, dtype=np.bool_)
    _screen(values, cash, model, targets, least, most, drift_max - slack, drift, asks)
    return drift, asks


def suffered(
    values: Floats,
    cash: Floats,
    model: NDArray[np.int32],
    targets: Floats,
    destinations: Floats,
    exposures: Floats,
    variance: Floats,
) -> tuple[Floats, Floats]:
    """Return each account's yearly tracking variance, and by how much weights are outside their destinations together.

    An account has the same figures beside any others: sums run over its own holdings in the order of the columns.

    Args:
        values: As `screen` takes it, like `cash`, `model` and `targets`; every account is worth something.
        cash: As there.
        model: As there.
        targets: As there.
        destinations: Distance from its target to which a weight is brought, shape (models, n).
        exposures: F of `RiskModel`, shape (n, k).
        variance: D of `RiskModel`, shape (n,).
    """
    tracking, outside = np.zeros(len(values)), np.zeros(len(values))
    _suffered(
        values, cash, model, targets, destinations, exposures, variance, np.empty(exposures.shape[1]), tracking, outside
    )
    return tracking, outside


def warm_up() -> None:
    """Compile, or load what was compiled."""
    one, model = np.ones((1, 1)), np.zeros(1, dtype=np.int32)
    screen(one, one[0], model, 0.5 * one, np.ones((1, 2, 2)), one[0])
    suffered(one, one[0], model, one, one, one, one[0])


@compiled
def _screen(
    values: Floats,
    cash: Floats,
    model: NDArray[np.int32],
    targets: Floats,
    least: Floats,
    most: Floats,
    drift_max: Floats,
    drift: Floats,
    asks: NDArray[np.bool_],
) -> None:
    accounts, n = values.shape
    for account in range(accounts):
        line, row = values[account], model[account]
        aimed, low, high = targets[row], least[row], most[row]
        total = cash[account]
        for i in range(n):
            total += line[i]
        if not total > 0.0:
            drift[account], asks[account] = np.nan, True
            continue
        scale = 1.0 / total
        away = 0.0
        rest = 1.0
        beyond = 0
        for i in range(n):
            weight = line[i] * scale
            away += abs(weight - aimed[i])
            rest -= aimed[i]
            beyond += (weight < low[i]) | (weight > high[i])
        weight = cash[account] * scale
        beyond += (weight < low[n]) | (weight > high[n])
        drift[account] = 0.5 * (away + abs(weight - rest))
        asks[account] = beyond > 0 or drift[account] > drift_max[row]


@compiled
def _suffered(
    values: Floats,
    cash: Floats,
    model: NDArray[np.int32],
    targets: Floats,
    destinations: Floats,
    exposures: Floats,
    variance: Floats,
    pull: Floats,
    tracking: Floats,
    outside: Floats,
) -> None:
    accounts, n = values.shape
    for account in range(accounts):
        line, row = values[account], model[account]
        total = cash[account]
        for i in range(n):
            total += line[i]
        for k in range(len(pull)):
            pull[k] = 0.0
        for i in range(n):
            away = line[i] / total - targets[row, i]
            if away == 0.0:
                continue
            for k in range(len(pull)):
                pull[k] += exposures[i, k] * away
            tracking[account] += variance[i] * away * away
            outside[account] += max(abs(away) - destinations[row, i], 0.0)
        for k in range(len(pull)):
            tracking[account] += pull[k] * pull[k]
