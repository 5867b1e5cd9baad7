from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.schedules import (
    Impact,
    almgren_chriss,
    kappa_of,
    schedule,
    slices,
    within_participation,
)

# The example of Almgren and Chriss (2000), section 3: a million shares in five days.
PAPER = Impact(Decimal("0.95"), Decimal("2.5e-6"), Decimal("2.5e-7"), Decimal("0.0625"))
MILLION = Decimal(10**6)


def the_papers(risk_aversion):
    return almgren_chriss(MILLION, days=Decimal(5), intervals=5, risk_aversion=Decimal(risk_aversion), impact=PAPER)


def test_without_risk_aversion_the_order_is_spread_evenly():
    trajectory = the_papers("0")

    assert trajectory.held == tuple(Decimal(n) * 200_000 for n in (5, 4, 3, 2, 1, 0))
    # Permanent 125,000 + half spread 62,500 + temporary 475,000.
    assert trajectory.expected_cost == 662_500


def test_the_papers_urgency():
    kappa = kappa_of(Decimal("1e-6"), tau=Decimal(1), adjusted=Decimal("2.375e-6"), volatility=Decimal("0.95"))

    assert round(kappa, 2) == Decimal("0.61")


def test_who_fears_risk_sells_sooner():
    calm, anxious = the_papers("1e-6"), the_papers("2e-6")

    assert all(a > b for a, b in zip(calm.held[1:-1], anxious.held[1:-1], strict=True))
    assert calm.expected_cost < anxious.expected_cost
    assert calm.variance > anxious.variance
    assert (calm.held[0], round(calm.held[-1])) == (MILLION, 0)


@given(st.integers(1, 4), st.integers(-50_000, 50_000), st.sampled_from(["0", "1e-6", "2e-6"]))
def test_no_other_trajectory_is_better(step, moved, risk_aversion):
    best = the_papers(risk_aversion)
    held = list(best.held)
    held[step] += moved

    assert _objective(held, Decimal(risk_aversion)) >= _objective(best.held, Decimal(risk_aversion)) - Decimal("1e-6")


def _objective(held, risk_aversion):
    sold = [before - after for before, after in pairwise(held)]
    # What the trajectory decides: spread and permanent impact of a monotone one are the same for all.
    cost = Decimal("2.375e-6") * sum(each * each for each in sold)
    return cost + risk_aversion * Decimal("0.95") ** 2 * sum(each * each for each in held[1:])


def test_a_trajectory_becomes_whole_orders():
    parts = schedule(the_papers("2e-6"), 1_000_000)

    assert sum(parts) == 1_000_000
    assert parts == sorted(parts, reverse=True)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any))
def test_parts_sum_exactly_and_follow_their_weights(total, weights):
    parts = slices(total, [Decimal(weight) for weight in weights])

    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert part >= 0
        assert abs(part - Decimal(total) * weight / sum(weights)) <= 1


@given(st.integers(0, 100_000), st.integers(0, 20_000), st.integers(1, 99), st.sampled_from(["1", "0.001", "25"]))
def test_participation_never_exceeds_its_share_of_what_was_traded(volume, ours, percent, increment):
    share, increment = Decimal(percent) / 100, Decimal(increment)
    more = within_participation(Decimal(volume), Decimal(ours), share, increment)

    assert more >= 0
    assert more == 0 or ours + more * increment <= share * volume
    assert ours + (more + 1) * increment > share * volume


@pytest.mark.parametrize("weights", [[], [Decimal(0)], [Decimal(1), Decimal(-1)]])
def test_weights_that_say_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        slices(10, weights)


def test_a_market_outside_the_model_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        almgren_chriss(
            MILLION,
            days=Decimal(5),
            intervals=1,
            risk_aversion=Decimal(0),
            impact=replace(PAPER, permanent=Decimal("1e-5")),
        )
