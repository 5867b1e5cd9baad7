import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.calibration import TRADES_MIN, Observation, Parameters, calibrated, fitted


def market(count, *, spread_factor, impact_coefficient, noise_bps=0, seed=1, predicted_with=None):
    """Trades of a market whose truth is known; predicted with other parameters."""
    rng = random.Random(seed)
    by = predicted_with or Parameters()
    found = []
    for number in range(count):
        value = Decimal(rng.randint(1_000, 500_000))
        spread = value * Decimal(rng.randint(1, 20)) / 20_000
        impact = value * (value / 100_000_000).sqrt() * Decimal("0.0125")
        noise = value * Decimal(round(rng.gauss(0, noise_bps), 3)) / 10_000
        realised = Decimal(spread_factor) * spread + Decimal(impact_coefficient) * impact + noise
        found.append(
            Observation(
                f"order-{number}", value, spread * by.spread_factor, impact * by.impact_coefficient, realised, by
            )
        )
    return found


def test_the_truth_is_found_where_there_is_no_noise():
    found = calibrated(market(50, spread_factor="0.6", impact_coefficient="1.7"))

    assert found.parameters == Parameters(Decimal("0.6"), Decimal("1.7"))
    assert found.error_after_bps < Decimal("0.01") < found.error_before_bps


def test_what_was_predicted_with_is_taken_out_first():
    by = Parameters(Decimal("0.5"), Decimal(2))
    trades = market(50, spread_factor="0.6", impact_coefficient="1.7", predicted_with=by)

    assert calibrated(trades).parameters == Parameters(Decimal("0.6"), Decimal("1.7"))


def test_the_error_shrinks_on_trades_that_were_not_seen():
    found = calibrated(market(400, spread_factor="0.6", impact_coefficient="1.7", noise_bps=3))

    assert abs(found.parameters.impact_coefficient - Decimal("1.7")) < Decimal("0.3")
    assert found.error_after_bps < found.error_before_bps


def test_parameters_that_are_right_do_not_get_better_by_chance():
    found = calibrated(market(400, spread_factor=1, impact_coefficient=1, noise_bps=5))

    assert found.error_after_bps >= found.error_before_bps * Decimal("0.95")


def test_nothing_is_below_zero_and_what_cannot_be_told_stays():
    gains = [
        Observation(f"o-{n}", Decimal(1000), Decimal(1), Decimal(n + 1) / 10, Decimal(-1)) for n in range(TRADES_MIN)
    ]
    without_impact = [
        Observation(f"o-{n}", Decimal(1000), Decimal(1), Decimal(0), Decimal("0.5")) for n in range(TRADES_MIN)
    ]

    assert fitted(gains) == Parameters(Decimal(0), Decimal(0))
    assert fitted(without_impact) == Parameters(Decimal("0.5"), Decimal(1))
    assert fitted([]) == Parameters()


def test_an_absurd_sample_moves_no_parameter_by_more_than_a_factor_of_two():
    by = Parameters(Decimal("0.8"), Decimal("1.5"))
    gains, ruin = (
        calibrated(market(50, spread_factor=spread, impact_coefficient=impact, predicted_with=by))
        for spread, impact in ((-5, -5), (9, 9))
    )

    assert gains.parameters == Parameters(Decimal("0.4"), Decimal("0.75"))
    assert ruin.parameters == Parameters(Decimal("1.6"), Decimal(3))
    assert ruin.error_after_bps < ruin.error_before_bps


def test_two_causes_that_are_one_move_together():
    alike = [
        Observation(f"o-{n}", Decimal(1000 + n), Decimal(1000 + n) / 1000, Decimal(1000 + n) / 500, Decimal(6))
        for n in range(TRADES_MIN)
    ]
    found = fitted(alike)

    assert found.spread_factor == found.impact_coefficient


def test_too_few_trades_say_nothing():
    with pytest.raises(ValueError, match="at least 30 trades are needed, were 29"):
        calibrated(market(29, spread_factor=1, impact_coefficient=1))


@given(st.permutations(range(40)))
def test_the_order_of_trades_does_not_matter(order):
    trades = market(40, spread_factor="0.7", impact_coefficient="1.3", noise_bps=4)

    assert calibrated([trades[index] for index in order]) == calibrated(trades)
