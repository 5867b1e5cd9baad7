import numpy as np
import pytest

from services.decision.domain.risk_model import SPECIFIC_SHARE_MIN, estimate, shrunk_correlation
from services.kernel.errors import Invalid


def prices(seed: int, days: int, instruments: int, market: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(seed)
    moves = market * rng.standard_normal((days, 1)) + 0.01 * rng.standard_normal((days, instruments))
    return 100.0 * np.cumprod(1.0 + moves, axis=0)


def names(count: int) -> list[str]:
    return [f"I{number:02d}" for number in range(count)]


def test_shrinkage_is_ledoit_and_wolfs():
    rng = np.random.default_rng(1)
    raw = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5))
    scaled = (raw - raw.mean(0)) / raw.std(0)
    # Their formulas as printed, day by day.
    days, n = scaled.shape
    sample = sum(np.outer(x, x) for x in scaled) / days
    distance = np.linalg.norm(sample - np.trace(sample) / n * np.eye(n), "fro") ** 2 / n
    error = sum(np.linalg.norm(np.outer(x, x) - sample, "fro") ** 2 / n for x in scaled) / days**2
    weight = min(error, distance) / distance

    assert shrunk_correlation(scaled) == pytest.approx((1 - weight) * sample + weight * np.eye(n))


def test_variances_are_those_of_the_history():
    history = prices(2, 400, 8)
    model = estimate(names(8), history)
    yearly = (history[1:] / history[:-1] - 1.0).var(axis=0) * 252

    assert (model.exposures**2).sum(axis=1) + model.specific_variance == pytest.approx(yearly)


def test_a_market_is_one_factor():
    model = estimate(names(12), prices(3, 1000, 12))

    assert model.exposures.shape == (12, 1)
    assert (model.exposures > 0).all()
    # Half of each variance is the market's.
    shares = model.exposures[:, 0] ** 2 / ((model.exposures**2).sum(axis=1) + model.specific_variance)
    assert shares == pytest.approx(np.full(12, 0.5), abs=0.1)


def test_independent_instruments_keep_at_least_one_factor_and_their_own_risk():
    model = estimate(names(5), prices(4, 1000, 5, market=0.0))

    assert model.exposures.shape[1] == 1
    assert (model.specific_variance > 0).all()


def test_two_instruments_that_move_as_one_still_have_risk_of_their_own():
    history = prices(5, 300, 3)
    history[:, 1] = 2 * history[:, 0]
    model = estimate(names(3), history)
    variance = (model.exposures**2).sum(axis=1) + model.specific_variance

    assert (model.specific_variance >= 0.999 * SPECIFIC_SHARE_MIN * variance).all()


def test_a_price_that_never_moves_has_next_to_no_risk_and_stops_nobody_else():
    moving = prices(8, 100, 1)
    model = estimate(names(2), np.column_stack([np.full(100, 7.0), moving]))
    alone = estimate([names(2)[1]], moving)

    variance = (model.exposures**2).sum(axis=1) + model.specific_variance
    assert 0 < variance[0] <= 1e-11
    assert variance[1] == pytest.approx(alone.specific_variance[0] + (alone.exposures**2).sum())


def test_a_single_instrument_has_a_model():
    model = estimate(names(1), prices(6, 100, 1))

    assert model.specific_variance[0] > 0


def test_the_same_history_gives_the_same_model_in_any_order_of_columns():
    history = prices(7, 500, 6)
    order = [3, 0, 5, 1, 4, 2]
    model, mixed = estimate(names(6), history), estimate([names(6)[i] for i in order], history[:, order])

    assert mixed.exposures @ mixed.exposures.T == pytest.approx((model.exposures @ model.exposures.T)[order][:, order])


@pytest.mark.parametrize(
    ("field", "history"),
    [
        ("prices[I01]", np.where(np.arange(100)[:, None] == 50, [[1.0, np.nan]], prices(8, 100, 2))),
        ("prices[I00]", np.where(np.arange(100)[:, None] == 50, [[0.0, 1.0]], prices(8, 100, 2))),
        ("prices", prices(8, 63, 2)),
        ("prices", prices(8, 100, 3)),
    ],
)
def test_a_history_that_cannot_be_is_refused_by_name(field, history):
    with pytest.raises(Invalid) as refused:
        estimate(names(2), history)

    assert field in [violation.field for violation in refused.value.violations]
