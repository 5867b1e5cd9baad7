from dataclasses import replace

import numpy as np
import pytest

from services.decision.domain.batch_certificate import certify
from services.decision.domain.certificate import dual_bound, terms
from services.decision.domain.kernel.arrays import BUY_CAP
from services.decision.domain.kernel.batch import pack, solve_columns, unpack
from tests.support.convex_cases import a_convex_problem, one_way

pytestmark = pytest.mark.timeout(300)

CASES = [
    one_way(
        a_convex_problem(
            seed, instruments=3 + seed % 9, lots_max=1 + seed % 6, groups=seed % 3, impact=seed % 2 == 0, losses=True
        )
    )
    for seed in range(120)
]


def _of(batch, found, account):
    first, last = batch.instrument_at[account], batch.instrument_at[account + 1]
    return found.sold[batch.lot_at[first] : batch.lot_at[last]], found.bought[first:last]


def test_optima_are_certified_and_keep_their_limits():
    batch = pack(CASES)
    found = solve_columns(batch)
    made = certify(batch, found)

    assert found.optimal.sum() >= len(CASES) - 2
    near = 1e-6 * np.maximum(1.0, np.abs(made.primal_bps))
    assert (np.abs(made.gap_bps) <= near)[found.optimal].all()
    assert made.broken[found.optimal].max() < 1e-9


def test_it_says_what_the_certificate_of_one_account_says():
    batch = pack(CASES)
    found = solve_columns(batch)
    rng = np.random.default_rng(7)
    # Any prices and trades, not only the best.
    shaken = shaken_results(found._replace(optimal=np.ones(len(CASES), dtype=np.bool_)), rng)
    made = certify(batch, shaken)
    # Some trades have a least size, some ways are closed.
    least = rng.choice([0.0, 0.01, 0.1, np.inf], (2, batch.instruments.shape[1]))
    with_least = certify(batch, shaken, least)
    for account, (convex, answer) in enumerate(zip(CASES, unpack(batch, shaken), strict=True)):
        assert answer.solution is not None

        value = terms(convex, answer.solution.sold, answer.solution.bought).total
        assert made.primal_bps[account] == pytest.approx(value, rel=1e-9, abs=1e-9)
        unlimited = {
            name: 0.0
            for name, limit in (("turnover", convex.turnover), ("gains", convex.gain_budget))
            if not np.isfinite(limit)
        }
        near = replace(answer.solution, prices=replace(answer.solution.prices, **unlimited))
        if not unlimited:
            assert made.dual_bps[account] == pytest.approx(dual_bound(convex, near), rel=1e-9, abs=1e-7)
            own = least[:, batch.instrument_at[account] : batch.instrument_at[account + 1]]
            expected = dual_bound(convex, near, own)
            assert with_least.dual_bps[account] == pytest.approx(expected, rel=1e-9, abs=1e-7)


def shaken_results(found, rng):
    factors = found.prices.shape[1] - 4 - 2 * 2
    prices = found.prices.copy()
    prices[:, factors:] = np.maximum(prices[:, factors:] + rng.normal(0.0, 5.0, prices[:, factors:].shape), 0.0)
    return found._replace(prices=prices, sold=found.sold * rng.uniform(0.5, 1.0, len(found.sold)))


def test_a_broken_limit_shows():
    batch = pack(CASES)
    found = solve_columns(batch)
    beyond = found._replace(bought=batch.instruments[BUY_CAP] + 0.01)

    assert (certify(batch, beyond).broken > 0.0099).all()
