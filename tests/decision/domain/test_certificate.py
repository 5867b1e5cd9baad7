from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.certificate import dual_bound, least_each_way, marginal_costs, terms
from services.decision.domain.convex import ConvexProblem, ConvexSolution, Prices, by_instrument
from services.decision.domain.reference_model import solve
from tests.support.convex_cases import a_convex_problem, doing, one_instrument

seeds = st.integers(0, 10_000)


def keeps_the_limits(convex: ConvexProblem, sold: np.ndarray, bought: np.ndarray) -> bool:
    sold_of = by_instrument(convex, sold)
    traded = sold_of + bought
    cost = convex.cost @ traded + convex.impact @ (sold_of**1.5 + bought**1.5)
    grouped = convex.groups @ (convex.start - sold_of + bought)
    return bool(
        convex.cash + (sold_of - bought).sum() - cost >= convex.cash_floor
        and traded.sum() <= convex.turnover
        and convex.lot_gain @ sold <= convex.gain_budget
        and (convex.group_min <= grouped).all()
        and (grouped <= convex.group_max).all()
    )


def a_random_plan(convex: ConvexProblem, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    sells = rng.random(len(convex.start)) < 0.5
    size = rng.choice([0.01, 0.1, 1.0])
    sold = convex.lot_cap * rng.random(len(convex.lot_cap)) * sells[convex.lot_instrument] * size
    return sold, convex.buy_cap * rng.random(len(convex.start)) * ~sells * size * 0.1


def random_prices(convex: ConvexProblem, rng: np.random.Generator) -> Prices:
    cash, ceiling, turnover, gains = rng.exponential(100.0, 4)
    groups = len(convex.group_min)
    return Prices(cash, ceiling, turnover, gains, rng.exponential(50.0, groups), rng.exponential(50.0, groups))


@given(seeds, st.booleans())
def test_no_plan_within_the_limits_is_below_the_bound_whatever_the_prices(seed, impact):
    convex = a_convex_problem(seed, impact=impact, losses=True)
    rng = np.random.default_rng(seed)
    bound = dual_bound(convex, ConvexSolution(*a_random_plan(convex, rng), random_prices(convex, rng)))

    for _ in range(20):
        sold, bought = a_random_plan(convex, rng)
        if keeps_the_limits(convex, sold, bought):
            assert terms(convex, sold, bought).total >= bound - 1e-9


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("impact", [False, True])
def test_at_the_optimum_the_bound_is_met(seed, impact):
    convex = a_convex_problem(seed, impact=impact)
    solution = solve(convex, iterations_max=200).solution
    if solution is not None:
        value = terms(convex, solution.sold, solution.bought).total

        assert dual_bound(convex, solution) == pytest.approx(value, abs=1e-4)


def test_the_bound_covers_both_ways_of_an_instrument():
    # Sell at a loss worth 0.1 a unit, or buy towards the target: the bound is the better of the two, not both together.
    convex = one_instrument(
        start=np.array([0.25]), lot_cap=np.array([0.25]), lot_tax=np.array([-0.1]), lot_gain=np.array([-0.5])
    )
    sales, purchases = least_each_way(convex, marginal_costs(convex, doing(convex, np.zeros(1), np.zeros(1))))

    # Selling is level where 0.4 · (½ − w) = 0.1, at w = ¼, where it starts: it never pays. Buying goes to the target.
    assert sales[0] == pytest.approx(1e4 * 0.2 * 0.25**2)
    assert purchases[0] == pytest.approx(0.0)


def best_with_least_trades(convex: ConvexProblem, least: np.ndarray) -> float:
    """Return the best objective over every choice of no trade, a sale or a purchase of at least its size, for each."""
    n = len(convex.start)
    best = np.inf
    for ways in product((-1, 0, 1), repeat=n):
        way = np.array(ways)
        size = np.where(way < 0, least[0], least[1])
        if np.isinf(size[way != 0]).any():
            continue
        # How much at least is a limit of its own on each final weight.
        chosen = replace(
            convex.restricted(may_buy=way > 0, may_sell=way < 0),
            groups=np.vstack([convex.groups, np.eye(n)]),
            group_min=np.concatenate([convex.group_min, np.where(way > 0, convex.start + least[1], 0.0)]),
            group_max=np.concatenate([convex.group_max, np.where(way < 0, convex.start - least[0], 2.0)]),
        )
        found = solve(chosen, iterations_max=200).solution
        if found is not None:
            best = min(best, terms(convex, found.sold, found.bought).total)
    return best


def test_with_least_trades_the_bound_is_below_the_best_of_every_choice_and_above_the_bound_without():
    tighter = 0
    for seed in range(16):
        convex = replace(a_convex_problem(seed, instruments=3, lots_max=3, impact=seed % 2 == 0), cash_floor=0.0)
        rng = np.random.default_rng([seed, 3])
        smallest = rng.choice([0.01, 0.05, 0.15], 3)
        sales = np.where(convex.sell_cap >= smallest, smallest, np.where(convex.sell_cap > 0, convex.sell_cap, np.inf))
        least = np.stack([sales, np.where(convex.buy_cap >= smallest, smallest, np.inf)])
        best = best_with_least_trades(convex, least)
        found = solve(convex, iterations_max=200).solution
        if found is None:
            assert best == np.inf
            continue
        # At the convex optimum's prices, and at any others.
        for near in (found, ConvexSolution(*a_random_plan(convex, rng), random_prices(convex, rng))):
            bound = dual_bound(convex, near, least)

            assert dual_bound(convex, near) - 1e-9 <= bound <= best + 1e-4
        tighter += dual_bound(convex, found, least) > dual_bound(convex, found) + 1e-3
    assert tighter >= 8


def test_the_least_trade_by_hand():
    # 0.1 below the target, and a purchase is 0.3 or none: ½ · 0.4 · 0.1² for none, ½ · 0.4 · 0.2² for 0.3.
    convex = one_instrument(start=np.array([0.4]), lot_cap=np.array([0.4]), cash=0.6)
    nothing = doing(convex, np.zeros(1), np.zeros(1))

    assert dual_bound(convex, nothing, np.array([[0.3], [0.3]])) == pytest.approx(1e4 * 0.2 * 0.1**2)
    assert dual_bound(convex, nothing, np.array([[0.3], [0.15]])) == pytest.approx(1e4 * 0.2 * 0.05**2)
    assert dual_bound(convex, nothing, np.array([[np.inf], [np.inf]])) == pytest.approx(1e4 * 0.2 * 0.1**2)


def test_terms_by_hand():
    convex = one_instrument(
        start=np.array([0.6]),
        band=np.array([0.05]),
        band_price=0.1,
        cost=np.array([0.001]),
        impact=np.array([0.02]),
        lot_cap=np.array([0.6]),
        lot_tax=np.array([0.03]),
        cash=0.4,
        cash_ceiling=0.42,
    )
    parts = terms(convex, np.array([0.04]), np.zeros(1))

    # From 0.60 to 0.56, target 0.50: ½ · 10 · 0.04 · 0.06², and 0.01 outside the band.
    assert parts.deviation == pytest.approx(1e4 * 0.2 * 0.06**2)
    assert parts.outside_band == pytest.approx(1e4 * 0.1 * 0.01)
    assert parts.idle_cash == pytest.approx(1e4 * 0.1 * (0.44 - 0.00004 - 0.42))
    assert parts.cost == pytest.approx(1e4 * (0.00004 + 0.02 * 0.04**1.5))
    assert parts.tax == pytest.approx(1e4 * 0.0012)
    assert parts.total == pytest.approx(parts.deviation + parts.outside_band + parts.idle_cash + parts.cost + parts.tax)
