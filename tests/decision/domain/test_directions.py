from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from services.decision.domain.certificate import dual_bound, terms
from services.decision.domain.convex import ConvexProblem, ConvexSolution, by_instrument
from services.decision.domain.directions import NOISE, choose
from services.decision.domain.reference_model import solve
from tests.support.convex_cases import a_convex_problem, one_instrument


def solution(convex: ConvexProblem) -> ConvexSolution | None:
    return solve(convex, iterations_max=200).solution


def best_by_trying_all_ways(convex: ConvexProblem) -> float:
    """Return the best objective over every choice of one way for each instrument."""
    best = np.inf
    for ways in product([True, False], repeat=len(convex.start)):
        sells = np.array(ways)
        found = solution(convex.restricted(may_buy=~sells, may_sell=sells))
        if found is not None:
            best = min(best, terms(convex, found.sold, found.bought).total)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_chosen_ways_are_nearly_the_best_and_the_bound_is_below_all(seed):
    convex = replace(a_convex_problem(seed, instruments=4, lots_max=3, losses=True), cash_floor=0.0)
    relaxed = solution(convex)
    if relaxed is None:
        return
    chosen = choose(convex, relaxed, np.zeros(4), solution)
    best = best_by_trying_all_ways(convex)

    assert dual_bound(convex, chosen.near) <= best + 1e-4
    # The certificate tells what the choice may have cost; here it is at most that, and never better than the best.
    assert best - 1e-4 <= chosen.objective <= best + max(5.0, 0.1 * abs(best))


@pytest.mark.parametrize("seed", range(12))
def test_nothing_goes_both_ways(seed):
    convex = a_convex_problem(seed, losses=True)
    relaxed = solution(convex)
    if relaxed is None:
        return
    near = choose(convex, relaxed, np.zeros(8), solution).near

    both = np.minimum(by_instrument(convex, near.sold), near.bought)
    assert (both <= NOISE).all()


def test_a_harvest_is_made_when_it_is_worth_more_than_the_way_back():
    # Half held, half wanted. The loss pays 0.15 a unit, and leaving the target costs 0.4 · (½ − w): sold down to ⅛.
    convex = one_instrument(lot_tax=np.array([-0.15]), lot_gain=np.array([-1.0]))
    relaxed = solution(convex)
    assert relaxed is not None
    assert relaxed.bought[0] > 0.4, "the relaxed problem sells all and buys it back"
    chosen = choose(convex, relaxed, np.zeros(1), solution)

    assert chosen.near.sold[0] == pytest.approx(0.375, abs=1e-5)
    assert chosen.near.bought[0] == pytest.approx(0.0, abs=1e-9)
    assert chosen.objective == pytest.approx(dual_bound(convex, chosen.near), abs=1e-5)


def test_trades_below_half_of_the_minimum_are_left_out():
    convex = one_instrument(start=np.array([0.48]), cash=0.52, cost=np.array([1e-6]))
    relaxed = solution(convex)
    assert relaxed is not None

    assert choose(convex, relaxed, np.array([0.05]), solution).near.bought[0] == pytest.approx(0.0, abs=1e-9)
    assert choose(convex, relaxed, np.array([0.03]), solution).near.bought[0] == pytest.approx(0.02, abs=1e-4)


def test_where_closing_a_way_leaves_no_plan_the_ways_stay_open():
    # Everything must be sold to raise the cash, at whatever price: the floor is all but all of the account.
    convex = one_instrument(lot_tax=np.array([0.0]), lot_gain=np.array([-0.1]), cash_floor=0.99, gain_budget=0.0)
    relaxed = solution(convex)
    assert relaxed is not None

    assert choose(convex, relaxed, np.zeros(1), solution).near.sold[0] == pytest.approx(0.49, abs=1e-5)
