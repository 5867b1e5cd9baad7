"""Estimates a risk model from price history: shrink the correlations, keep the factors that stand out of noise.

    1. Yearly covariance of daily returns, as volatilities and the correlation matrix.
    2. Correlations shrunk towards the identity by the weight of Ledoit and Wolf (2004, "A well-conditioned estimator
       for large-dimensional covariance matrices"), which estimates the best one from the data alone.
    3. Factors: the eigenvectors whose eigenvalue is above the Marchenko–Pastur edge (1 + √(n/T))², the largest that
       uncorrelated returns would show (Laloux, Cizeau, Bouchaud, Potters 1999, "Noise dressing of financial correlation
       matrices"); at least one.
    4. What the factors leave of each variance is specific.

Deterministic: rows keep the caller's order, and an eigenvector's sign is fixed by its largest entry.
"""

from collections.abc import Sequence

import numpy as np

from services.decision.domain.convex import Floats
from services.decision.domain.costs import TRADING_DAYS_PER_YEAR
from services.decision.domain.problem import RiskModel
from services.kernel.errors import Violations
from services.kernel.ids import InstrumentId

SOURCE = "statistical factors: Ledoit-Wolf 2004 shrinkage, Marchenko-Pastur edge"
# Fewer returns than this say nothing about yearly risk: a quarter of trading days.
DAYS_MIN = 63
# Of an instrument's variance at least this part is its own. Identical price histories leave nothing otherwise, and the
# optimiser would trade one against the other without limit.
SPECIFIC_SHARE_MIN = 0.01
# Least volatility of a year, a hundredth of a basis point: of a price that hardly moves, such as a money market fund's.
VOLATILITY_MIN = 1e-6


def estimate(instrument_ids: Sequence[InstrumentId], prices: Floats) -> RiskModel:
    """Return the risk model of instruments.

    Args:
        instrument_ids: In the order of the columns.
        prices: Of consecutive trading days, adjusted for splits and dividends, oldest first, shape (days, n), positive.

    Raises:
        Invalid: A price is missing or not positive, or there are too few days.
    """
    _check(instrument_ids, prices)
    returns = prices[1:] / prices[:-1] - 1.0
    volatility = np.maximum(returns.std(axis=0), VOLATILITY_MIN / np.sqrt(TRADING_DAYS_PER_YEAR))
    scaled = (returns - returns.mean(axis=0)) / volatility
    correlation = shrunk_correlation(scaled)
    values, vectors = np.linalg.eigh(correlation)
    days, n = scaled.shape
    edge = (1.0 + np.sqrt(n / days)) ** 2
    count = max(1, int((values > edge).sum()))
    vectors = vectors[:, ::-1][:, :count]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    loadings = vectors * signs * np.sqrt(values[::-1][:count])
    # Scaled down where the factors would explain more than they may.
    explained_max = 1.0 - SPECIFIC_SHARE_MIN
    loadings *= np.sqrt(explained_max / np.maximum((loadings**2).sum(axis=1), explained_max))[:, None]
    yearly = volatility * np.sqrt(TRADING_DAYS_PER_YEAR)
    return RiskModel(
        instrument_ids=tuple(instrument_ids),
        exposures=np.ascontiguousarray(yearly[:, None] * loadings),
        specific_variance=yearly**2 * (1.0 - (loadings**2).sum(axis=1)),
        source=f"{SOURCE}; {days} daily returns, {count} factors",
    )


def shrunk_correlation(scaled: Floats) -> Floats:
    """Return the correlation of returns scaled to mean 0 and variance 1, shape (days, n), shrunk towards the identity.

    Ledoit and Wolf's δ = min(b̄², d²) / d², where d² is the distance of the sample from the identity and b̄² the error of
    the sample: the mean over days of ‖x xᵀ − S‖² / days.
    """
    days, n = scaled.shape
    sample = scaled.T @ scaled / days
    distance = float(((sample - np.eye(n)) ** 2).sum())
    if distance == 0.0:
        return np.eye(n)
    # ‖x xᵀ − S‖² summed over days is Σ ‖x‖⁴ − days · ‖S‖².
    error = (float(((scaled**2).sum(axis=1) ** 2).sum()) / days - float((sample**2).sum())) / days
    shrinkage = min(error, distance) / distance
    shrunk: Floats = (1.0 - shrinkage) * sample + shrinkage * np.eye(n)
    return shrunk


def _check(instrument_ids: Sequence[InstrumentId], prices: Floats) -> None:
    found = Violations()
    if prices.ndim != 2 or prices.shape[1] != len(instrument_ids):
        found.add("prices", f"must have shape (days, {len(instrument_ids)}), was {prices.shape}")
        found.raise_if_any()
    if len(prices) <= DAYS_MIN:
        found.add("prices", f"must have more than {DAYS_MIN} days, had {len(prices)}")
    for column, instrument_id in enumerate(instrument_ids):
        series = prices[:, column]
        if not (np.isfinite(series).all() and (series > 0).all()):
            found.add(f"prices[{instrument_id}]", "must be finite and positive on every day")
    found.raise_if_any()
