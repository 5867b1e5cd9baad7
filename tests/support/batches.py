"""Random batches as a caller would send them: accounts of 20 funds and 80 lots that drifted from ten mixes."""

import numpy as np
from google.type.date_pb2 import Date

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn, WordColumn
from evenkeel.decision.v1 import batch_service_pb2 as pb

TODAY = np.datetime64("2026-03-16")
EPOCH = np.datetime64("1970-01-01")


def decimals(units: np.ndarray, scale: int) -> DecimalColumn:
    """Return a column."""
    return DecimalColumn(units=np.rint(units).astype(np.int64).ravel().tolist(), scale=scale)


def a_request(
    accounts: int,
    seed: int = 0,
    *,
    instruments: int = 20,
    models: int = 10,
    lots_mean: float = 5.4,
    lots_max: int = 7,
    increment: int = 1,
    regardless: bool = True,
    torn: bool = True,
) -> pb.PreviewBatchRequest:
    """Return a request.

    Args:
        accounts: How many.
        seed: Of the random numbers.
        instruments: That there are.
        models: Mixes that accounts follow.
        lots_mean: Lots of a position on average.
        lots_max: Most lots of a position.
        increment: Of quantities, in ten-thousandths of a unit.
        regardless: Decide although nothing asks.
        torn: Lots at a loss may be sold, so that accounts must be searched for the better way.
    """
    rng = np.random.default_rng([seed, accounts, instruments])
    n, k = instruments, 8
    volatility = rng.uniform(0.05, 0.30, n)
    loadings = rng.standard_normal((n, k)) * 0.6 ** np.arange(k)
    loadings *= (0.8 * volatility / np.linalg.norm(loadings, axis=1))[:, None]
    price = np.rint(100.0 * np.exp(rng.uniform(np.log(15.0), np.log(600.0), n)))
    mixes = np.zeros((models, n))
    for mix in mixes:
        names = int(rng.integers(min(n, 12), min(n, 18) + 1))
        mix[rng.choice(n, names, replace=False)] = np.floor(9_800 * rng.dirichlet(np.full(names, 2.0)))
    follows = rng.integers(models, size=accounts)
    value = np.exp(rng.uniform(np.log(2e4), np.log(2e6), accounts))
    held = (mixes[follows] / 1e4 * np.exp(0.12 * rng.standard_normal((accounts, n)))) * (
        rng.random((accounts, n)) >= 0.03
    )
    cash = np.where(rng.random(accounts) < 0.25, rng.uniform(0.03, 0.12, accounts), rng.uniform(0.003, 0.03, accounts))
    held *= ((1.0 - cash) / held.sum(axis=1))[:, None]
    account, instrument = np.nonzero(held)
    counts = np.minimum(np.maximum(rng.poisson(lots_mean, len(account)), 1), lots_max)
    position = np.repeat(np.arange(len(account)), counts)
    parts = rng.gamma(1.5, 1.0, len(position))
    worth = parts / np.bincount(position, parts)[position] * (held * value[:, None])[account, instrument][position]
    quantity = np.maximum(np.rint(worth / price[instrument[position]] * 1e6 / increment), 1) * increment
    gain = 1.0 - np.exp(rng.normal(-0.25, 0.22, len(position)))
    basis = np.rint((1.0 - gain) * quantity * price[instrument[position]] / 1e4)
    age = np.where(
        rng.random(len(position)) < 0.03, rng.integers(0, 31, len(position)), rng.integers(31, 2000, len(position))
    )
    target_model, target_instrument = np.nonzero(mixes)
    ids = [f"FUND{row:03}" for row in range(n)]
    return pb.PreviewBatchRequest(
        as_of_date=Date(year=2026, month=3, day=16),
        currency="USD",
        instruments=pb.BatchInstruments(
            instrument_ids=ids,
            prices=decimals(price, 2),
            quantity_increments=decimals(np.full(n, increment), 4),
            spreads_bps=decimals(rng.uniform(400, 2400, n), 2),
            factor_exposures=decimals(1e9 * loadings, 9),
            specific_variances=decimals(1e9 * (0.6 * volatility) ** 2, 9),
        ),
        models=pb.BatchModels(
            target_models=target_model.tolist(),
            target_instruments=target_instrument.tolist(),
            target_weights=decimals(mixes[target_model, target_instrument], 4),
            triggers=decimals(np.full(models, 20), 3),
            destinations=decimals(np.full(models, 10), 3),
            cash_floors=decimals(np.full(models, 1), 3),
            risk_aversions=decimals(np.full(models, 10), 0),
            band_excess_prices=decimals(np.full(models, 5), 2),
            tax_weights=decimals(np.full(models, 5), 1),
            turnover_limits=decimals(rng.integers(10, 41, models), 2),
        ),
        accounts=pb.BatchAccounts(
            account_ids=[f"account-{row:05}" for row in range(accounts)],
            models=follows.tolist(),
            currencies=WordColumn(words=["USD"], indexes=[0] * accounts),
            cash=decimals(cash * value * 100.0, 2),
            short_term_rates=decimals(np.full(accounts, 408), 3),
            long_term_rates=decimals(np.full(accounts, 238), 3),
            regardless=[regardless] * accounts,
        ),
        positions=pb.BatchPositions(
            accounts=account.tolist(),
            instruments=instrument.tolist(),
            quantities=decimals(np.bincount(position, quantity), 4),
            no_buy=(rng.random(len(account)) < 0.06).tolist(),
        ),
        lots=pb.BatchLots(
            positions=position.tolist(),
            acquired_dates=DateColumn(days=((TODAY - EPOCH).astype(int) - age).tolist()),
            quantities=decimals(quantity, 4),
            bases=decimals(basis, 2),
            kept=((gain < 0) & (not torn)).tolist(),
        ),
    )
