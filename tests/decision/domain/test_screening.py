import numpy as np
import pytest

from services.decision.domain.screening import screen

pytestmark = pytest.mark.timeout(300)

TARGETS = np.array([[0.6, 0.39], [0.5, 0.5]])
BANDS = np.array([[0.05, 0.05, 0.02], [0.1, 0.1, 1.0]])


def test_drift_is_half_the_sum_of_deviations_with_cash():
    drift, outside = screen(
        np.array([[600.0, 390.0], [700.0, 290.0], [500.0, 500.0]]),
        np.array([10.0, 10.0, 0.0]),
        np.array([0, 0, 1], dtype=np.int32),
        TARGETS,
        BANDS,
    )

    assert drift == pytest.approx([0.0, 0.1, 0.0])
    assert outside.tolist() == [False, True, False]


def test_the_edge_of_a_band_is_not_missed():
    """Exactly at the edge nothing asks; whoever decides exactly must be asked, since floats cannot tell."""
    _, outside = screen(
        np.array([[650.0, 340.0], [649.0, 341.0]]), np.array([10.0, 10.0]), np.zeros(2, dtype=np.int32), TARGETS, BANDS
    )

    assert outside.tolist() == [True, False]


def test_numpy_agrees_on_a_thousand_accounts():
    rng = np.random.default_rng(1)
    values, cash = rng.uniform(0.0, 1e6, (1000, 7)), rng.uniform(0.0, 1e5, 1000)
    targets = 0.95 * rng.dirichlet(np.ones(7), 4)
    bands = rng.uniform(0.01, 0.4, (4, 8))
    model = rng.integers(0, 4, 1000).astype(np.int32)
    drift, outside = screen(values, cash, model, targets, bands)
    held = np.column_stack([values, cash]) / (values.sum(axis=1) + cash)[:, None]
    away = np.abs(held - np.column_stack([targets, 1.0 - targets.sum(axis=1)])[model])

    assert drift == pytest.approx(away.sum(axis=1) / 2)
    assert (outside == (away > bands[model] - 1e-9).any(axis=1)).all()
    assert 0 < outside.sum() < 1000


@pytest.mark.parametrize(
    ("cash", "model", "said"),
    [(np.zeros(2), [0, 0], "shape"), (np.ones(1), [2], "between 0 and 1"), (np.array([-1000.0]), [0], "worth more")],
)
def test_what_cannot_be_is_refused(cash, model, said):
    with pytest.raises(ValueError, match=said):
        screen(np.array([[500.0, 400.0]]), cash, np.array(model, dtype=np.int32), TARGETS, BANDS)
