"""From the columns of a request to those that are gathered: at one scale, in one order."""

from datetime import date, timedelta

import numpy as np

from services.decision.domain.batches import Batch, Units
from services.decision.domain.bulk import gathering as g
from services.decision.domain.bulk.columns import NONE, Integers
from services.decision.domain.columns import EPOCH
from services.decision.domain.convex import Floats
from services.decision.domain.tax.united_states import long_term_from

# Scales of weights, rates and basis points, as in `columns`.
WEIGHT, RATE, BPS, CENTS, FINE, HUNDREDTH = 12, 9, 6, 2, 6, 2


def true_scale(column: Units) -> int:
    """Return how many places a column's numbers really have."""
    units, scale = column
    while scale > 0 and not (units % 10).any():
        units, scale = units // 10, scale - 1
    return scale


def _at(column: Units, places: int, rows: int, default: int = 0) -> Integers:
    """Return a column at another scale, which holds it; `default`, at that scale, for all rows when it is empty."""
    if not len(column.units):
        return np.full(rows, default, dtype=np.int64)
    factor = 10 ** abs(places - column.scale)
    if places < column.scale:
        coarser: Integers = column.units // factor
        return coarser
    most = int(g.LARGE) // factor
    scaled: Integers = column.units * factor
    beyond = (column.units > most) | (column.units < -most)
    if beyond.any():
        # What does not fit stays too large, and is then told.
        scaled[beyond] = np.where(column.units[beyond] > 0, g.LARGE + 1, -g.LARGE - 1)
    return scaled


def floats_of(column: Units, rows: int, default: float = 0.0) -> Floats:
    """Return a column in floating point; `default` for all rows when it is empty."""
    return column.floats if len(column.units) else np.full(rows, default)


def _flags(batch: Batch, name: str, rows: int, default: int = 0) -> Integers:
    column = batch.flags[name]
    return column.astype(np.int64) if len(column) else np.full(rows, default, dtype=np.int64)


def target_order(batch: Batch) -> Integers:
    """Return the order of targets: by model, then by instrument id."""
    ids = np.array(batch.instrument_ids)
    return np.lexsort((ids[batch.rows["models.target_instruments"]], batch.rows["models.target_models"]))


def request_of(batch: Batch, order: Integers, place_of: Integers, quantity: int, value: int, basis: int) -> g.Request:
    """Return what is gathered: instruments in `order`, the inverse of `place_of`, and amounts at the given scales."""
    numbers, rows = batch.numbers, batch.rows
    accounts, models = len(batch.accounts), len(numbers["models.triggers"].units)
    positions, lots = len(rows["positions.accounts"]), len(rows["lots.positions"])
    targets = target_order(batch)
    price = value - quantity

    def at(name: str, places: int, count: int, default: int = 0) -> Integers:
        return _at(numbers[name], places, count, default)

    one = 10**WEIGHT
    model = rows["accounts.models"].copy()
    bad = _known_mistakes(batch, model, models)
    model[bad != g.RIGHT] = 0
    return g.Request(
        position_at=np.searchsorted(rows["positions.accounts"], np.arange(accounts + 1)),
        lot_at=np.searchsorted(rows["lots.positions"], np.arange(positions + 1)),
        target_at=np.searchsorted(rows["models.target_models"], np.arange(models + 1)),
        targets=np.stack(
            [place_of[rows["models.target_instruments"][targets]], at("models.target_weights", WEIGHT, 0)[targets]]
        ),
        accounts=np.stack(
            [
                model,
                at("accounts.cash", value, accounts),
                at("accounts.reserved_cash", value, accounts),
                at("accounts.short_term_rates", RATE, accounts),
                at("accounts.long_term_rates", RATE, accounts),
                at("accounts.short_term_gains", FINE + CENTS, accounts),
                at("accounts.long_term_gains", FINE + CENTS, accounts),
                at("accounts.gain_budgets", value, accounts, NONE),
                _flags(batch, "accounts.taxable", accounts, 1),
                _flags(batch, "accounts.regardless", accounts),
                bad,
            ]
        ),
        positions=np.stack(
            [
                place_of[rows["positions.instruments"]],
                at("positions.quantities", quantity, positions),
                _flags(batch, "positions.no_buy", positions),
                _flags(batch, "positions.no_sell", positions),
            ]
        ),
        lots=np.stack(
            [
                rows["lots.acquired_dates"],
                at("lots.quantities", quantity, lots),
                at("lots.bases", basis, lots),
                _flags(batch, "lots.kept", lots),
            ]
        ),
        instruments=np.stack(
            [
                at("instruments.prices", price, len(order))[order],
                at("instruments.quantity_increments", quantity, len(order))[order],
                at("instruments.spreads_bps", BPS, len(order))[order],
                _identities(batch, order),
            ]
        ),
        models=np.stack(
            [
                at("models.triggers", WEIGHT, models),
                at("models.destinations", WEIGHT, models),
                at("models.cash_floors", WEIGHT, models),
                at("models.cash_ceilings", WEIGHT, models, one),
                at("models.turnover_limits", WEIGHT, models, NONE),
                at("models.minimum_trades", value, models),
                at("models.commissions", CENTS, models),
                at("models.net_benefit_minimums", value, models),
            ]
        ),
    )


def _known_mistakes(batch: Batch, model: Integers, models: int) -> Integers:
    bad = np.zeros(len(batch.accounts), dtype=np.int64)
    words, indexes = batch.words["accounts.currencies"]
    if len(indexes):
        known = np.array([word == batch.currency for word in words] + [False])
        bad[~known[np.minimum(indexes, len(words))]] = g.CURRENCY_IS
    bad[model >= models] = g.MODEL_IS
    if len(set(batch.accounts)) < len(batch.accounts):
        seen: set[str] = set()
        for row, account_id in enumerate(batch.accounts):
            if account_id in seen:
                bad[row] = g.ACCOUNT_TWICE
            seen.add(account_id)
    return bad


def _identities(batch: Batch, order: Integers) -> Integers:
    """Return, of each place, the first place that is identical to it."""
    words, indexes = batch.words["instruments.identity_sets"]
    identities = np.arange(len(order))
    if len(indexes):
        first: dict[str, int] = {}
        for place, row in enumerate(order):
            word = words[int(indexes[row])]
            if word:
                identities[place] = first.setdefault(word, place)
    return identities


def risk_of(batch: Batch, order: Integers) -> tuple[Floats, Floats]:
    """Return exposures and specific variances, by place."""
    n = len(order)
    covariance = batch.numbers["instruments.covariances"]
    if not len(covariance.units):
        exposures = batch.numbers["instruments.factor_exposures"].floats.reshape(n, -1)
        specific = batch.numbers["instruments.specific_variances"].floats
        return np.ascontiguousarray(exposures[order]), np.ascontiguousarray(specific[order])
    matrix = covariance.floats.reshape(n, n)[np.ix_(order, order)]
    values, vectors = np.linalg.eigh(matrix)
    # Σ = V Λ Vᵀ. What the least eigenvalue is of every direction is specific, and the rest are factors; the sign of a
    # factor is fixed by its largest entry. A singular matrix leaves a ten-thousandth of the least variance.
    least = max(float(values[0]), 1e-4 * float(np.diag(matrix).min()))
    kept = values > least
    vectors = vectors[:, kept]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    exposures = vectors * signs * np.sqrt(values[kept] - least)
    if not exposures.shape[1]:
        exposures = np.zeros((n, 1))
    return np.ascontiguousarray(exposures), np.full(n, least)


def objectives_of(batch: Batch) -> Floats:
    """Return what each model weighs, in the order of `Inputs.objectives`, shape (models, 6)."""
    numbers = batch.numbers
    models = len(numbers["models.triggers"].units)
    names = (
        ("risk_aversions", 0.0),
        ("band_excess_prices", 0.0),
        ("cost_weights", 1.0),
        ("tax_weights", 1.0),
        ("loss_credit_weights", 1.0),
        ("impact_coefficients", 0.0),
    )
    return np.column_stack([floats_of(numbers[f"models.{name}"], models, default) for name, default in names])


def long_until(day: date) -> int:
    """Return the last day of acquisition whose lot is long-term on `day`."""
    acquired = day.replace(year=day.year - 1, day=min(day.day, 28)) + timedelta(days=4)
    while long_term_from(acquired) > day:
        acquired -= timedelta(days=1)
    return (acquired - EPOCH).days
