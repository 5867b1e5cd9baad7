"""Random accounts of the sizes that the figures are about, as the optimiser's arrays.

Small: 20 ETFs, 8 factors, about 80 lots, bands, a turnover limit. Large: 500 names, 60 factors, about 1,500 lots, a
turnover limit, no bands. Weights drift from a model portfolio, some accounts hold fresh cash or a name the model does
not have; lots have gains and losses, short and long; a few instruments are barred from one way by wash-sale windows.
All accounts of a batch share the instruments, as those of a firm do.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from services.decision.domain.bulk.columns import NO_TRADE, OUTCOME, TRADE, Inputs, Plans
from services.decision.domain.convex import BPS_PER_ONE, NO_LIMIT, ConvexProblem, Floats
from services.decision.domain.kernel.arrays import Batch
from services.decision.domain.problem import TaxProfile
from services.decision.domain.tax.united_states import UnitedStates

SHORT_RATE, LONG_RATE = 0.408, 0.238


@dataclass(frozen=True, slots=True)
class Size:
    """What an account of a size is made of; `lots` is the mean of each instrument."""

    instruments: int
    factors: int
    lots: float
    banded: bool
    models: int
    risk_aversion: float
    drift: float


SMALL = Size(instruments=20, factors=8, lots=5.4, banded=True, models=10, risk_aversion=10.0, drift=0.12)
LARGE = Size(instruments=500, factors=60, lots=3.0, banded=False, models=1, risk_aversion=40.0, drift=0.25)


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """What all accounts have in common."""

    exposures: Floats
    specific_variance: Floats
    cost: Floats
    band: Floats
    models: Floats


def accounts(size: Size, count: int, seed: int = 0, *, one_way: bool = True) -> list[ConvexProblem]:
    """Return random accounts.

    Args:
        size: Of each.
        count: How many.
        seed: Of the random numbers.
        one_way: Close one way where a round trip would pay, so that the problem is convex for every solver.
    """
    rng = np.random.default_rng(seed)
    shared = _shared(rng, size)
    made = (_account(rng, size, shared) for _ in range(count))
    return [_one_way(each) if one_way else each for each in made]


def _shared(rng: np.random.Generator, size: Size) -> _Shared:
    n, k = size.instruments, size.factors
    volatility = rng.uniform(0.05, 0.30, n)
    loadings = rng.standard_normal((n, k)) * (0.6 ** np.arange(k) if k <= 10 else np.full(k, 0.25))
    if k > 10:
        loadings[:, 0] = 1.0 + 0.2 * rng.standard_normal(n)
    loadings *= (0.8 * volatility / np.linalg.norm(loadings, axis=1))[:, None]
    models = np.zeros((size.models, n))
    for model in models:
        held = n if size.models == 1 else int(rng.integers(12, min(n, 18) + 1))
        model[rng.choice(n, held, replace=False)] = 0.98 * rng.dirichlet(np.full(held, 2.0))
    return _Shared(
        exposures=np.ascontiguousarray(loadings),
        specific_variance=(0.6 * volatility) ** 2,
        cost=rng.uniform(2e-4, 12e-4, n),
        band=rng.uniform(0.005, 0.02, n) if size.banded else np.zeros(n),
        models=models,
    )


def _account(rng: np.random.Generator, size: Size, shared: _Shared) -> ConvexProblem:
    n = size.instruments
    target = shared.models[rng.integers(size.models)]
    held = target * np.exp(size.drift * rng.standard_normal(n)) + (rng.random(n) < 0.06) * rng.uniform(0.002, 0.03, n)
    held *= rng.random(n) >= 0.03
    cash = float(rng.uniform(0.03, 0.12) if rng.random() < 0.25 else rng.uniform(0.003, 0.03))
    held *= (1.0 - cash) / held.sum()
    counts = np.maximum(rng.poisson(size.lots, n), 1) * (held > 0)
    row = np.repeat(np.arange(n), counts)
    parts = rng.gamma(1.5, 1.0, len(row))
    weight = parts / np.bincount(row, parts, minlength=n)[row] * held[row]
    gain = 1.0 - np.exp(rng.normal(-0.25, 0.22, n)[row] + rng.normal(0.0, 0.12, len(row)))
    tax = 0.5 * gain * np.where(rng.random(len(row)) < 0.65, LONG_RATE, SHORT_RATE)
    bought_lately = rng.random(n) < 0.06
    sold_lately = rng.random(n) < 0.06
    return ConvexProblem(
        risk_aversion=size.risk_aversion,
        band_price=0.05 if size.banded else 0.0,
        cost_weight=1.0,
        start=held,
        target=target,
        exposures=shared.exposures,
        specific_variance=shared.specific_variance,
        band=shared.band,
        cost=shared.cost,
        impact=np.zeros(n),
        buy_cap=np.where(sold_lately, 0.0, 1.0),
        identity=np.arange(n),
        lot_instrument=row.astype(np.int64),
        lot_cap=np.where(bought_lately[row] & (gain < 0), 0.0, weight),
        lot_tax=tax,
        lot_gain=gain,
        lot_wash=gain < 0,
        cash=cash,
        cash_floor=0.001,
        cash_ceiling=1.0,
        turnover=float(rng.uniform(0.10, 0.40)),
        gain_budget=float("inf"),
        groups=np.zeros((0, n)),
        group_min=np.zeros(0),
        group_max=np.zeros(0),
    )


def _one_way(convex: ConvexProblem) -> ConvexProblem:
    """Close the purchase of what is torn where it is at its target or above, and its sale elsewhere."""
    sells = convex.start >= 0.9 * convex.target
    return convex.restricted(may_buy=~(convex.torn & sells), may_sell=~(convex.torn & ~sells))


def columns(count: int, seed: int) -> Batch:
    """Return small random accounts as a batch, all at once: 20 instruments, 1 to 7 lots each, as `SMALL` says."""
    rng = np.random.default_rng([seed, count])
    shared = _shared(rng, SMALL)
    n = SMALL.instruments
    target = shared.models[rng.integers(SMALL.models, size=count)]
    legacy = (rng.random((count, n)) < 0.06) * rng.uniform(0.002, 0.03, (count, n))
    held = target * np.exp(SMALL.drift * rng.standard_normal((count, n))) + legacy
    held *= rng.random((count, n)) >= 0.03
    fresh = rng.random(count) < 0.25
    cash = np.where(fresh, rng.uniform(0.03, 0.12, count), rng.uniform(0.003, 0.03, count))
    held *= ((1.0 - cash) / held.sum(axis=1))[:, None]
    start = held.ravel()
    counts = np.minimum(np.maximum(rng.poisson(SMALL.lots, count * n), 1), 7) * (start > 0)
    row = np.repeat(np.arange(count * n), counts)
    parts = rng.gamma(1.5, 1.0, len(row))
    cap = parts / np.bincount(row, parts, minlength=count * n)[row] * start[row]
    gain = 1.0 - np.exp(rng.normal(-0.25, 0.22, count * n)[row] + rng.normal(0.0, 0.12, len(row)))
    tax = 0.5 * gain * np.where(rng.random(len(row)) < 0.65, LONG_RATE, SHORT_RATE)
    # Wash-sale windows bar purchases here and sales at a loss there; where both are open one way is closed.
    sold_lately, bought_lately = rng.random(count * n) < 0.06, rng.random(count * n) < 0.06
    loss = gain < 0
    cap[bought_lately[row] & loss] = 0.0
    harvestable = np.bincount(row, loss & (cap > 0), minlength=count * n) > 0
    sells = start >= 0.9 * target.ravel()
    cap[(harvestable & ~sells & ~sold_lately)[row]] = 0.0
    none = np.zeros(1, dtype=np.int64)
    return Batch(
        instrument_at=n * np.arange(count + 1),
        lot_at=np.concatenate([none, np.cumsum(counts)]),
        group_at=np.zeros(count + 1, dtype=np.int64),
        member_at=none,
        member=np.zeros(0),
        accounts=np.column_stack(
            [
                cash,
                *(np.full(count, fixed) for fixed in (0.001, 1.0)),
                rng.uniform(0.10, 0.40, count),
                *(np.full(count, fixed) for fixed in (NO_LIMIT, 500.0, BPS_PER_ONE, BPS_PER_ONE * SMALL.risk_aversion)),
                # Every lot is taxed by itself: no hinge, and no constant.
                *(np.zeros(count) for _ in range(3)),
            ]
        ),
        instruments=np.stack(
            [
                start,
                target.ravel(),
                *(np.tile(each, count) for each in (shared.specific_variance, shared.band, shared.cost)),
                np.zeros(count * n),
                np.where(sold_lately | (harvestable & sells), 0.0, 1.0),
            ]
        ),
        lots=np.stack([cap, BPS_PER_ONE * tax, gain, np.zeros(len(row))]),
        groups=np.zeros((0, 2)),
        exposure_at=np.tile(np.arange(n), count),
        exposures=shared.exposures,
    )


def is_decided(plans: Plans) -> np.ndarray:
    """Return which accounts the columns answer, shape (accounts,): one left to another road has proven nothing."""
    return np.isin(plans.accounts[:, OUTCOME], (TRADE, NO_TRADE))


def exact_columns(
    count: int,
    seed: int,
    *,
    closed: bool = True,
    increment: int = 1,
    minimum_cents: int = 0,
    size: Size = SMALL,
    lots_max: int = 0,
    netted: bool = False,
) -> Inputs:
    """Return random accounts of a size as exact columns: what a run reads from its book, prices and policies.

    Prices are in cents, quantities in ten-thousandths of a unit, accounts worth twenty thousand to two million.

    Args:
        count: How many.
        seed: Of the random numbers.
        closed: Close one way where a round trip would pay; else the accounts are torn.
        increment: Of quantities traded, in ten-thousandths of a unit.
        minimum_cents: Smallest trade.
        size: Of each account.
        lots_max: Of each instrument; as many as the size usually has when 0.
        netted: Gains and losses meet, in a year without any yet; else each lot is taxed by itself.
    """
    rng = np.random.default_rng([seed, count, 1])
    shared = _shared(rng, size)
    n = size.instruments
    price = np.rint(100.0 * np.exp(rng.uniform(np.log(15.0), np.log(600.0), n))).astype(np.int64)
    value = np.exp(rng.uniform(np.log(2e4), np.log(2e6), count))
    target = shared.models[rng.integers(size.models, size=count)]
    legacy = (rng.random((count, n)) < 0.06) * rng.uniform(0.002, 0.03, (count, n))
    held = (target * np.exp(size.drift * rng.standard_normal((count, n))) + legacy) * (rng.random((count, n)) >= 0.03)
    fresh = rng.random(count) < 0.25
    cash = np.where(fresh, rng.uniform(0.03, 0.12, count), rng.uniform(0.003, 0.03, count))
    held *= ((1.0 - cash) / held.sum(axis=1))[:, None]
    lots_max = lots_max or (7 if size is SMALL else 4)
    counts = np.minimum(np.maximum(rng.poisson(size.lots, count * n), 1), lots_max) * (held.ravel() > 0)
    row = np.repeat(np.arange(count * n), counts)
    parts = rng.gamma(1.5, 1.0, len(row))
    worth = parts / np.bincount(row, parts, minlength=count * n)[row] * (held * value[:, None]).ravel()[row]
    quantity = np.maximum(np.rint(worth / price[row % n] * 100.0 * 10_000).astype(np.int64) // increment, 1) * increment
    gain = 1.0 - np.exp(rng.normal(-0.25, 0.22, count * n)[row] + rng.normal(0.0, 0.12, len(row)))
    basis = np.rint((1.0 - gain) * quantity * price[row % n] / 10_000).astype(np.int64)
    long = rng.random(len(row)) < 0.65
    sold_lately, bought_lately = rng.random(count * n) < 0.06, rng.random(count * n) < 0.06
    loss = gain < 0
    kept, no_buy = bought_lately[row] & loss, sold_lately
    if closed:
        harvestable = np.bincount(row, loss & ~kept, minlength=count * n) > 0
        sells = held.ravel() >= 0.9 * target.ravel()
        kept = kept | (harvestable & ~sells & ~sold_lately)[row]
        no_buy = no_buy | (harvestable & sells)
    every = np.ones(count * n, dtype=np.int64)
    fixed = np.ones(count, dtype=np.int64)
    weights = np.rint(1e12 * target.ravel()).astype(np.int64)
    band = np.tile(np.rint(1e12 * shared.band).astype(np.int64), count)
    none = np.zeros(1, dtype=np.int64)
    return Inputs(
        instrument_at=n * np.arange(count + 1),
        lot_at=np.concatenate([none, np.cumsum(counts)]),
        group_at=np.zeros(count + 1, dtype=np.int64),
        member_at=none,
        member=np.zeros(0),
        groups=np.zeros((0, 2), dtype=np.int64),
        accounts=np.column_stack(
            [
                4 * fixed,
                6 * fixed,
                2 * fixed,
                np.rint(cash * value * 100.0).astype(np.int64) * 10_000,
                0 * fixed,
                10**9 * fixed,
                10**12 * fixed,
                0 * fixed,
                0 * fixed,
                np.rint(1e4 * rng.uniform(0.10, 0.40, count)).astype(np.int64) * 10**8,
                -1 * fixed,
                0 * fixed,
                fixed,
                fixed,
            ]
        ),
        objectives=np.tile([size.risk_aversion, 0.05 if size.banded else 0.0, 1.0, 0.5, 1.0, 0.0], (count, 1)),
        instruments=np.stack(
            [
                np.tile(price, count),
                increment * every,
                weights,
                band,
                band,
                np.tile(np.rint(2e10 * shared.cost).astype(np.int64), count),
                0 * every,
                0 * every,
                minimum_cents * 10_000 * every,
                0 * every,
                -1 * every,
                np.tile(np.arange(n), count),
                no_buy.astype(np.int64),
                0 * every,
                np.tile(np.arange(n), count),
            ]
        ),
        daily_value=np.zeros(count * n),
        lots=np.stack(
            [
                quantity,
                basis,
                np.where(long, int(LONG_RATE * 10**9), int(SHORT_RATE * 10**9)),
                np.where(long, 2, 1),
                kept.astype(np.int64),
            ]
        ),
        piece_at=(2 * netted) * np.arange(count + 1),
        pieces=np.tile(_netting(), (count * netted, 1)),
        exposures=shared.exposures,
        specific_variance=shared.specific_variance,
    )


def _netting() -> np.ndarray:
    """Return what the United States' year comes to that has no gains yet, as columns have it."""
    profile = TaxProfile("US", True, Decimal(str(SHORT_RATE)), Decimal(str(LONG_RATE)))
    pieces = UnitedStates().liability(profile).pieces
    rows = [
        [
            piece.short,
            piece.long,
            piece.constant,
            *(part for each in piece.hinges for part in (each.rate, each.short, each.long, each.above)),
        ]
        for piece in pieces
    ]
    return np.array(rows, dtype=np.float64)
