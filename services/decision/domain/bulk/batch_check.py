"""Is a batch in shape? What all of its accounts share must be right, or nothing can be said of any of them.

What belongs to one account is not looked at here: `gathering.survey` does, and says it of that account alone.
"""

from collections.abc import Callable

import numpy as np

from services.decision.domain.batches import Batch, BatchInvalid, Units
from services.decision.domain.bulk.columns import Integers
from services.decision.domain.bulk.requesting import BPS, CENTS, RATE
from services.decision.domain.tax.laws import LAWS
from services.kernel.errors import Violations

# By how much, relative to the largest variance, the least eigenvalue of a covariance may be below 0: what rounding to
# its scale does to n · n numbers is added.
SEMIDEFINITE_MIN = -1e-9


def check(batch: Batch) -> None:
    """Check what the accounts of a batch share.

    Raises:
        BatchInvalid: With one violation for each column that is wrong: name, value and limit.
    """
    found = Violations()
    _lengths(batch, found)
    found.raise_if_any(BatchInvalid)
    _currency(batch, found)
    _instruments(batch, found)
    _models(batch, found)
    _references(batch, found)
    found.raise_if_any(BatchInvalid)
    _risk(batch, found)
    found.raise_if_any(BatchInvalid)


def _lengths(batch: Batch, found: Violations) -> None:
    """Check that every column has a row for each of what it is of; optional ones may be empty."""
    n, models = len(batch.instrument_ids), len(batch.numbers["models.triggers"].units)
    positions, lots = len(batch.rows["positions.accounts"]), len(batch.rows["lots.positions"])
    targets = len(batch.rows["models.target_models"])
    rows = {"instruments": n, "models": models, "accounts": len(batch.accounts), "positions": positions, "lots": lots}
    columns = {
        **{name: (len(column.units)) for name, column in batch.numbers.items()},
        **{name: len(column) for name, column in batch.rows.items()},
        **{name: len(column) for name, column in batch.flags.items()},
        **{name: len(indexes) for name, (_, indexes) in batch.words.items()},
    }
    for name, length in columns.items():
        kind, _, column = name.partition(".")
        wanted = targets if column.startswith("target_") else rows[kind]
        if name in RISK or (length == 0 and name in OPTIONAL):
            continue
        if length != wanted:
            found.add(name, f"must have {wanted} rows, had {length}")
    for name, numbers in batch.numbers.items():
        most = SCALES_MAX.get(name, 9)
        if numbers.scale > most:
            found.add(f"{name}.scale", f"must be at most {most}, was {numbers.scale}")
    if not n:
        found.add("instruments.instrument_ids", "must not be empty")
    if len(set(batch.instrument_ids)) < n:
        twice = next(each for row, each in enumerate(batch.instrument_ids) if each in batch.instrument_ids[:row])
        found.add("instruments.instrument_ids", f"{twice} must be there once")


RISK = ("instruments.factor_exposures", "instruments.specific_variances", "instruments.covariances")
OPTIONAL = frozenset(
    [
        "instruments.daily_values",
        "instruments.identity_sets",
        "models.cash_floors",
        "models.cash_ceilings",
        "models.band_excess_prices",
        "models.cost_weights",
        "models.tax_weights",
        "models.loss_credit_weights",
        "models.impact_coefficients",
        "models.turnover_limits",
        "models.minimum_trades",
        "models.minimum_positions",
        "models.names_limits",
        "models.commissions",
        "models.net_benefit_minimums",
        "accounts.currencies",
        "accounts.reserved_cash",
        "accounts.taxable",
        "accounts.short_term_rates",
        "accounts.long_term_rates",
        "accounts.short_term_gains",
        "accounts.long_term_gains",
        "accounts.gain_budgets",
        "accounts.regardless",
        "positions.no_buy",
        "positions.no_sell",
        "lots.kept",
    ]
)
SCALES_MAX = {
    "instruments.spreads_bps": BPS,
    "models.commissions": CENTS,
    "accounts.short_term_rates": RATE,
    "accounts.long_term_rates": RATE,
    "accounts.short_term_gains": 8,
    "accounts.long_term_gains": 8,
}


def _numbers(batch: Batch, name: str, found: Violations, right: Callable[[np.ndarray], np.ndarray], limit: str) -> None:
    """Add a violation for the first rows of a column that are not `right`."""
    column = batch.numbers[name]
    for row in np.flatnonzero(~right(column.floats))[:3]:
        found.add(f"{name}[{row}]", f"must be {limit}, was {column.said(int(row))}")


def _currency(batch: Batch, found: Violations) -> None:
    """Gains are taxed by the rules of the United States, which reckon in dollars; all are when nothing is said."""
    taxable = batch.flags["accounts.taxable"]
    reckoned = LAWS["US"].currency
    if batch.currency != reckoned and (not len(taxable) or taxable.any()):
        found.add("currency", f"must be {reckoned} where an account is taxable, was {batch.currency}")


def _instruments(batch: Batch, found: Violations) -> None:
    _numbers(batch, "instruments.prices", found, lambda each: each >= 0, "at least 0")
    _numbers(batch, "instruments.quantity_increments", found, lambda each: each > 0, "above 0")
    _numbers(batch, "instruments.spreads_bps", found, lambda each: each >= 0, "at least 0")
    _numbers(batch, "instruments.daily_values", found, lambda each: each >= 0, "at least 0")
    words, indexes = batch.words["instruments.identity_sets"]
    _below("instruments.identity_sets", indexes, len(words), found)


def _models(batch: Batch, found: Violations) -> None:
    def share(most: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda each: (each >= 0) & (each <= most)

    for name in ("target_weights", "triggers", "destinations", "cash_floors", "cash_ceilings", "loss_credit_weights"):
        _numbers(batch, f"models.{name}", found, share(1), "from 0 to 1")
    _numbers(batch, "models.turnover_limits", found, share(2), "from 0 to 2")
    _numbers(batch, "models.risk_aversions", found, lambda each: each > 0, "above 0")
    for name in (
        "band_excess_prices", "cost_weights", "tax_weights", "impact_coefficients", "minimum_trades",
        "minimum_positions", "commissions", "net_benefit_minimums",
    ):  # fmt: skip
        _numbers(batch, f"models.{name}", found, lambda each: each >= 0, "at least 0")
    near, outer = batch.numbers["models.destinations"], batch.numbers["models.triggers"]
    for row in np.flatnonzero(near.floats > outer.floats)[:3]:
        limit = f"at most the trigger {outer.said(int(row))}"
        found.add(f"models.destinations[{row}]", f"must be {limit}, was {near.said(int(row))}")
    floors, ceilings = batch.numbers["models.cash_floors"], batch.numbers["models.cash_ceilings"]
    if len(floors.units) and len(ceilings.units):
        for row in np.flatnonzero(floors.floats > ceilings.floats)[:3]:
            limit = f"at least the floor {floors.said(int(row))}"
            found.add(f"models.cash_ceilings[{row}]", f"must be {limit}, was {ceilings.said(int(row))}")


def _references(batch: Batch, found: Violations) -> None:
    """Check that rows are named which exist, in the order in which they must be."""
    rows, models = batch.rows, len(batch.numbers["models.triggers"].units)
    _ascending("models.target_models", rows["models.target_models"], models, found)
    _below("models.target_instruments", rows["models.target_instruments"], len(batch.instrument_ids), found)
    _ascending("positions.accounts", rows["positions.accounts"], len(batch.accounts), found)
    _below("positions.instruments", rows["positions.instruments"], len(batch.instrument_ids), found)
    _ascending("lots.positions", rows["lots.positions"], len(rows["positions.accounts"]), found)
    if len(found):
        return
    pairs = rows["models.target_models"] * len(batch.instrument_ids) + rows["models.target_instruments"]
    if len(np.unique(pairs)) < len(pairs):
        ordered = np.argsort(pairs, kind="stable")
        again = int(ordered[1:][np.diff(pairs[ordered]) == 0].min())
        instrument_id = batch.instrument_ids[int(rows["models.target_instruments"][again])]
        found.add(f"models.target_instruments[{again}]", f"{instrument_id} must be there once in a model")
    weights: Units = batch.numbers["models.target_weights"]
    sums = np.zeros(models, dtype=np.int64)
    np.add.at(sums, rows["models.target_models"], weights.units)
    for model in np.flatnonzero(sums > 10**weights.scale)[:3]:
        total = Units(sums, weights.scale).said(int(model))
        found.add("models.target_weights", f"those of model {model} must sum to at most 1, were {total}")


def _below(name: str, rows: Integers, limit: int, found: Violations) -> None:
    for row in np.flatnonzero(rows >= limit)[:3]:
        found.add(f"{name}[{row}]", f"must be below {limit}, was {rows[row]}")


def _ascending(name: str, rows: Integers, limit: int, found: Violations) -> None:
    _below(name, rows, limit, found)
    for row in np.flatnonzero(np.diff(rows) < 0)[:3]:
        found.add(f"{name}[{row + 1}]", f"must be at least {rows[row]}, which the row before has, was {rows[row + 1]}")


def _risk(batch: Batch, found: Violations) -> None:
    n = len(batch.instrument_ids)
    exposures, specific, covariance = (batch.numbers[name] for name in RISK)
    if len(covariance.units):
        if len(exposures.units) or len(specific.units):
            found.add("instruments.covariances", "must be empty where there is a factor model")
        elif len(covariance.units) != n * n:
            found.add("instruments.covariances", f"must have {n} · {n} rows, had {len(covariance.units)}")
        else:
            _semidefinite(batch, covariance, found)
        return
    if len(specific.units) != n:
        found.add("instruments.specific_variances", f"must have {n} rows, had {len(specific.units)}")
    if not len(exposures.units) or len(exposures.units) % n:
        found.add("instruments.factor_exposures", f"must have a multiple of {n} rows, had {len(exposures.units)}")
    _numbers(batch, "instruments.specific_variances", found, lambda each: each > 0, "above 0")


def _semidefinite(batch: Batch, covariance: Units, found: Violations) -> None:
    ids, n = batch.instrument_ids, len(batch.instrument_ids)
    units = covariance.units.reshape(n, n)
    for row, column in np.argwhere(units != units.T)[:1]:
        found.add(
            f"instruments.covariances[{row * n + column}]",
            f"of {ids[row]} and {ids[column]} must be the same both ways, was "
            f"{covariance.said(int(row * n + column))} and {covariance.said(int(column * n + row))}",
        )
        return
    for row in np.flatnonzero(np.diag(units) <= 0)[:1]:
        said = covariance.said(int(row * n + row))
        found.add(f"instruments.covariances[{row * n + row}]", f"of {ids[row]} with itself must be above 0, was {said}")
        return
    values, vectors = np.linalg.eigh(covariance.floats.reshape(n, n))
    # Each number is rounded by half of its last place at most, and so an eigenvalue by n times that.
    slack = n * 0.5 * 10.0**-covariance.scale - SEMIDEFINITE_MIN * float(values[-1])
    if values[0] < -slack:
        most = ids[int(np.abs(vectors[:, 0]).argmax())]
        found.add(
            "instruments.covariances",
            f"must be positive semidefinite, but the portfolio that is mostly {most} has variance {values[0]:.3g}",
        )
