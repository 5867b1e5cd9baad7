import numpy as np
import pytest

from services.decision.domain.screening import screen, suffered

pytestmark = pytest.mark.timeout(300)

TARGETS = np.array([[0.6, 0.39], [0.5, 0.5]])
EDGES = np.array([[[0.55, 0.34, 0.0], [0.65, 0.44, 0.03]], [[0.4, 0.4, 0.0], [0.6, 0.6, 1.0]]])
NEVER = np.full(2, np.inf)


def models(*rows):
    return np.array(rows, dtype=np.int32)


def test_drift_is_half_the_sum_of_deviations_with_cash():
    drift, asks = screen(
        np.array([[600.0, 390.0], [700.0, 290.0], [500.0, 500.0]]),
        np.array([10.0, 10.0, 0.0]),
        models(0, 0, 1),
        TARGETS,
        EDGES,
        NEVER,
    )

    assert drift == pytest.approx([0.0, 0.1, 0.0])
    assert asks.tolist() == [False, True, False]


def test_the_edge_is_not_missed():
    """Exactly at the edge nothing asks; whoever decides exactly must be asked, since floats cannot tell."""
    _, asks = screen(
        np.array([[650.0, 340.0], [649.0, 341.0]]), np.array([10.0, 10.0]), models(0, 0), TARGETS, EDGES, NEVER
    )

    assert asks.tolist() == [True, False]


def test_nothing_is_exactly_nothing_at_an_edge_of_nothing():
    none = np.array([[[0.0, 0.0], [0.0, 1.5]]])
    _, asks = screen(np.array([[0.0], [1e-6]]), np.ones(2), models(0, 0), np.zeros((1, 1)), none, np.full(1, np.inf))

    assert asks.tolist() == [False, True]


def test_cash_has_its_own_corridor():
    held = np.array([[585.0, 385.0], [595.0, 395.0], [605.0, 405.0]])
    _, asks = screen(held, np.array([31.0, 10.0, -10.0]), models(0, 0, 0), TARGETS, EDGES, NEVER)

    assert asks.tolist() == [True, False, True]


def test_all_deviations_together_ask_where_none_does_alone():
    held, cash = np.array([[630.0, 360.0]]), np.array([10.0])

    assert not screen(held, cash, models(0), TARGETS, EDGES, np.array([0.031, 1.0]))[1].any()
    assert screen(held, cash, models(0), TARGETS, EDGES, np.array([0.03, 1.0]))[1].all()


def test_an_account_that_is_worth_nothing_asks():
    drift, asks = screen(np.array([[500.0, 400.0]]), np.array([-1000.0]), models(0), TARGETS, EDGES, NEVER)

    assert asks.all()
    assert np.isnan(drift).all()


def test_numpy_agrees_on_a_thousand_accounts():
    rng = np.random.default_rng(1)
    values, cash = rng.uniform(0.0, 1e6, (1000, 7)), rng.uniform(0.0, 1e5, 1000)
    targets, destinations = 0.95 * rng.dirichlet(np.ones(7), 4), rng.uniform(0.0, 0.1, (4, 7))
    aimed = np.column_stack([targets, 1.0 - targets.sum(axis=1)])
    bands = rng.uniform(0.01, 0.4, (4, 8))
    exposures, variance = rng.normal(0.0, 0.1, (7, 3)), rng.uniform(0.01, 0.05, 7)
    model = rng.integers(0, 4, 1000).astype(np.int32)
    drift_max = np.array([0.2, 0.3, 0.4, np.inf])
    drift, asks = screen(values, cash, model, targets, np.stack([aimed - bands, aimed + bands], axis=1), drift_max)
    tracking, outside = suffered(values, cash, model, targets, destinations, exposures, variance)
    held = np.column_stack([values, cash]) / (values.sum(axis=1) + cash)[:, None]
    d = (held - aimed[model])[:, :-1]
    away = np.abs(held - aimed[model])

    assert drift == pytest.approx(away.sum(axis=1) / 2)
    assert (asks == ((away > bands[model] - 1e-9).any(axis=1) | (drift > drift_max[model]))).all()
    assert 0 < asks.sum() < 1000
    assert tracking == pytest.approx(((d @ exposures) ** 2).sum(axis=1) + d**2 @ variance)
    assert outside == pytest.approx(np.maximum(np.abs(d) - destinations[model], 0.0).sum(axis=1))


@pytest.mark.parametrize(
    ("cash", "model", "said"), [(np.zeros(2), [0, 0], "shape"), (np.ones(1), [2], "between 0 and 1")]
)
def test_what_cannot_be_is_refused(cash, model, said):
    with pytest.raises(ValueError, match=said):
        screen(np.array([[500.0, 400.0]]), cash, models(*model), TARGETS, EDGES, NEVER)
